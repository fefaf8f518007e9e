"""Crop a rectangle, rotated by any angle, from a photo and reduce it to a given size in one resampling.

A rectangle is given by the square at its center, whose side is its shorter side, and by its aspect.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from common.aspect import SMALLEST, SQUARE, Aspect, size_at
from data_prep.decode import Pixels

STRIP_SAMPLES = 2**20  # samples taken at once: bounds memory for large crops


@dataclass(frozen=True)
class Square:
    """A square in a photo. Coordinates are continuous, pixel (column i, row j) covers [i, i+1) x [j, j+1)."""

    x: float  # center, pixels from the left edge
    y: float  # center, pixels from the top edge
    side: float  # pixels
    angle: float = 0.0  # radians, from the photo's x axis (right) toward its y axis (down)


def center_square(width: int, height: int, aspect: Aspect = SQUARE) -> Square:
    """The square at the center of the largest upright, centered rectangle of an aspect in a photo."""
    side = min(height * SMALLEST / aspect[0], width * SMALLEST / aspect[1])
    return Square(width / 2, height / 2, side)


def crop_and_resize(pixels: Pixels, square: Square, size: int, aspect: Aspect = SQUARE) -> Tensor:
    """Crop a rectangle from a photo and reduce it; each output pixel is the mean over its own area.

    Every output pixel is the mean of k x k bilinear samples at most one photo pixel apart, so detail too fine for the
    output is averaged, not aliased. Beyond its border the photo is mirrored. A fourth channel is straight alpha, which
    weights the colors.

    Args:
        pixels: uint8 (H, W, C).
        square: the center of the crop; its side must be at least `size` (nothing is enlarged).
        size: shorter side of the result in pixels.
        aspect: proportions of the rectangle, which extends equally beyond the square on both sides.

    Returns:
        uint8 (C, H, W), of the height and width `size_at(size, aspect)`.

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
    # Convert only the part that is needed. Its edges are the photo's own, or lie outside of all samples.
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
