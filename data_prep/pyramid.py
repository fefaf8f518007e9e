"""The image pyramid: definition of the stored levels, of Laplacian models' bands and of metrics per level.

Burt and Adelson, "The Laplacian Pyramid as a Compact Image Code", 1983. `down` blurs with the 5-tap binomial filter and
halves, `up` doubles and blurs (kornia). Both keep constants and the center of the image, so that levels are not shifted
against each other.

Images need not be square (see `common/aspect.py`). A level is named by its shorter side.
"""

from collections.abc import Sequence
from itertools import pairwise

from kornia.geometry.transform import pyrdown, pyrup
from torch import Tensor

from common.aspect import LONGEST, SMALLEST, Aspect


def level_sizes(size: int) -> tuple[int, ...]:
    """Shorter sides of the levels of an image of shorter side `size`, coarsest first: (4, 8, ..., size).

    Raises:
        ValueError: `size` is not a power of two of at least 8.

    """
    if size < 2 * SMALLEST or size & (size - 1):
        raise ValueError(f"size {size} is not a power of two of at least {2 * SMALLEST}: take 64, 128, ...")
    return tuple(1 << bits for bits in range(SMALLEST.bit_length() - 1, size.bit_length()))


def parse_size(text: str) -> tuple[int, Aspect]:
    """The finest level and the aspect of a size: "64" is (64, (4, 4)), "64x96" is (64, (4, 6)).

    Raises:
        ValueError: not a size, or not one that can be halved to whole pixels; the message suggests a valid one.

    """
    sides = text.lower().split("x")
    if len(sides) > 2 or not all(side.isdecimal() and len(side) <= 6 for side in sides):
        raise ValueError(f"size {text!r} is neither a side, such as 64, nor HEIGHTxWIDTH, such as 64x96")
    height, width = int(sides[0]), int(sides[-1])
    size = min(height, width)
    level_sizes(size)
    unit = size // SMALLEST
    if max(height, width) % unit or max(height, width) > LONGEST * unit:
        longer = min(LONGEST, max(height, width) // unit) * unit
        raise ValueError(
            f"size {text}: with {size}, the longer side must be a multiple of {unit}, at most {LONGEST * unit}: "
            f"take {longer}" + (f" or {longer + unit}" if longer < LONGEST * unit else "")
        )
    return size, (height // unit, width // unit)


def down(images: Tensor) -> Tensor:
    """Halve each side: float (N, C, H, W) -> (N, C, H/2, W/2), any value range, reflected border."""
    halved: Tensor = pyrdown(images, border_type="reflect")
    return halved


def up(images: Tensor) -> Tensor:
    """Double each side: float (N, C, H, W) -> (N, C, 2H, 2W), any value range, reflected border."""
    doubled: Tensor = pyrup(images, border_type="reflect")
    return doubled


def gaussian(images: Tensor, levels: int) -> list[Tensor]:
    """Gaussian pyramid I_0, I_1 = down(I_0), ... of `levels` levels, finest first; float (N, C, H, W)."""
    pyramid = [images]
    while len(pyramid) < levels:
        pyramid.append(down(pyramid[-1]))
    return pyramid


def differences(pyramid: Sequence[Tensor]) -> tuple[Tensor, list[Tensor]]:
    """Base and bands of Gaussian levels given finest first: h_k = I_k - up(I_{k+1}), bands finest first."""
    bands = [fine - up(coarse) for fine, coarse in pairwise(pyramid)]
    return pyramid[-1], bands


def laplacian(images: Tensor, levels: int) -> tuple[Tensor, list[Tensor]]:
    """Laplacian pyramid of float (N, C, H, W): the coarsest level, and `levels` - 1 bands finest first."""
    return differences(gaussian(images, levels))


def reconstruct(base: Tensor, bands: Sequence[Tensor]) -> Tensor:
    """The finest level from base and bands (finest first): I_k = up(I_{k+1}) + h_k."""
    image = base
    for band in reversed(bands):
        image = up(image) + band
    return image
