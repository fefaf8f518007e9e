"""Sizes of pictures that need not be square.

A picture's *resolution* is its shorter side in pixels, a power of two from 4 on. Its *frame* gives its proportions:
height and width of the picture at resolution 4. One of the two is 4, the other at most 16, so there are whole pixels at
every resolution.
"""

from collections.abc import Sequence

from torch import Tensor

Aspect = tuple[int, int]  # height and width, pixels, of the picture whose shorter side is 4

SQUARE: Aspect = (4, 4)


def checked(aspect: Sequence[int]) -> Aspect:
    """The frame, or a ValueError that says what is wrong with it."""
    if len(aspect) != 2 or min(aspect) != 4 or max(aspect) > 16:
        raise ValueError(
            f"frame must be height and width of a picture whose shorter side is 4 and whose longer one at most 16, "
            f"such as (4, 6); not {tuple(aspect)}"
        )
    height, width = aspect
    return height, width


def size_at(resolution: int, aspect: Aspect) -> tuple[int, int]:
    """Height and width, in pixels, of a picture at a resolution."""
    height, width = aspect
    return resolution * height // 4, resolution * width // 4


def resolution_of(images: Tensor) -> int:
    """The shorter side of pictures (..., H, W), pixels."""
    return min(images.shape[-2:])
