"""Cut a rectangle, turned by any angle, out of a photo and reduce it to a given size in one resampling.

A rectangle is given by the square in its middle, whose side is its shorter side, and by its proportions.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from data_prep.decode import Pixels
from data_prep.pyramid import SMALLEST, SQUARE, Aspect, size_at

STRIP_SAMPLES = 2**20  # samples taken at once: bounds memory for large crops


@dataclass(frozen=True)
class Square:
    """A square in a photo. Coordinates are continuous, pixel (column i, row j) covers [i, i+1) x [j, j+1)."""

    x: float  # centre, pixels from the left edge
    y: float  # centre, pixels from the top edge
    side: float  # pixels
    angle: float = 0.0  # radians, from the photo's x axis (right) towards its y axis (down)


def centre_square(width: int, height: int, aspect: Aspect = SQUARE) -> Square:
    """The square in the middle of the largest upright rectangle of the frame's proportions in a photo's middle."""
    side = min(height * SMALLEST / aspect[0], width * SMALLEST / aspect[1])
    return Square(width / 2, height / 2, side)


def cut(pixels: Pixels, square: Square, size: int, aspect: Aspect = SQUARE) -> Tensor:
    """Cut a rectangle out of a photo and reduce it, each pixel the mean over its own area.

    Every output pixel is the mean of k x k bilinear samples at most one photo pixel apart, so detail too fine
    for the output is averaged, not aliased. Beyond the photo's border the photo is mirrored. Straight alpha,
    where there is a fourth channel, weights the colours.

    Args:
        pixels: uint8 (H, W, C).
        square: the middle of what to cut; its side must be at least `size` (nothing is enlarged).
        size: shorter side of the result in pixels.
        frame: proportions of the rectangle, which goes as far beyond the square on either side.

    Returns:
        uint8 (C, H, W), of size `pyramid.size_at(size, frame)`.

    """
    assert square.side >= size, f"a square of {square.side} would be enlarged to {size}"
    height, width, channels = pixels.shape
    per_pixel = math.ceil(square.side / size - 1e-9)  # k: samples per output pixel and axis
    downs, acrosses = (
        ((torch.arange(side * per_pixel, dtype=torch.float64) + 0.5) / (side * per_pixel) - 0.5)
        * (square.side * side / size)
        for side in size_at(size, aspect)
    )
    cos, sin = math.cos(square.angle), math.sin(square.angle)
    photo = torch.from_numpy(pixels)
    rows_at_once = max(1, STRIP_SAMPLES // (len(acrosses) * per_pixel)) * per_pixel
    strips = []
    for down in torch.split(downs, rows_at_once):
        x = square.x + cos * acrosses[None, :] - sin * down[:, None]
        y = square.y + sin * acrosses[None, :] + cos * down[:, None]
        samples = _sample(photo, _mirror(x, width), _mirror(y, height))  # (1, C, rows, columns)
        strips.append(F.avg_pool2d(samples, per_pixel))
    image = torch.cat(strips, dim=2)[0]
    if channels == 4:
        alpha = image[3:]
        image = torch.cat([torch.where(alpha > 0, image[:3] * 255 / alpha, 0), alpha])
    return image.round().clamp(0, 255).to(torch.uint8)


def _mirror(coordinate: Tensor, length: int) -> Tensor:
    """Fold coordinates into [0, length] by reflection at both edges."""
    return length - (length - coordinate.remainder(2 * length)).abs()


def _sample(photo: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Bilinear samples of a uint8 (H, W, C) photo at coordinates inside it: float (1, C, *x.shape)."""
    # Only the part that is needed becomes float. Its edges are the photo's own or lie outside of all samples.
    left, top = max(0, math.floor(x.min() - 0.5)), max(0, math.floor(y.min() - 0.5))
    part = (
        photo[top : math.ceil(y.max() + 0.5), left : math.ceil(x.max() + 0.5)].permute(2, 0, 1)[None].float()
    )
    if part.shape[1] == 4:
        part[:, :3] *= part[:, 3:] / 255
    grid = torch.stack([(x - left) * 2 / part.shape[3] - 1, (y - top) * 2 / part.shape[2] - 1], dim=-1)
    return F.grid_sample(
        part, grid[None].float(), mode="bilinear", padding_mode="border", align_corners=False
    )
