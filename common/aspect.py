"""Sizes of images that need not be square.

An image's *resolution* is its shorter side in pixels, a power of two from 4 on. Its *aspect* gives its proportions:
height and width of the image at resolution 4. One of the two is 4 and the other at most 16, so that sizes are whole
numbers of pixels at every resolution.
"""

from collections.abc import Sequence

from torch import Tensor

SMALLEST = 4  # pixels: shorter side of the coarsest images, in which aspects are given
LONGEST = 16  # pixels: longer side of the coarsest images, at most

Aspect = tuple[int, int]  # height and width, pixels, of the image whose shorter side is `SMALLEST`

SQUARE: Aspect = (SMALLEST, SMALLEST)


def checked_aspect(aspect: Sequence[int]) -> Aspect:
    """The aspect as a tuple.

    Raises:
        ValueError: not two numbers, the shorter 4 and the longer at most 16.
    """
    if len(aspect) != 2 or min(aspect) != SMALLEST or max(aspect) > LONGEST:
        raise ValueError(
            f"aspect must be height and width of an image whose shorter side is {SMALLEST} and whose longer side is at "
            f"most {LONGEST}, such as (4, 6); not {tuple(aspect)}"
        )
    height, width = aspect
    return height, width


def size_at(resolution: int, aspect: Aspect) -> tuple[int, int]:
    """Height and width, in pixels, of an image at a resolution."""
    height, width = aspect
    return resolution * height // SMALLEST, resolution * width // SMALLEST


def size_text(resolution: int, aspect: Aspect) -> str:
    """The size of an image in words: 64x96 for height 64 and width 96."""
    return "{}x{}".format(*size_at(resolution, aspect))


def resolution_of(images: Tensor) -> int:
    """The shorter side of images (..., H, W), pixels."""
    return min(images.shape[-2:])
