"""The two steps of an image pyramid, d and u of LAPGAN: halve and double, with either of two pairs of filters.

`binomial5`, the 5-tap filter of Burt and Adelson 1983, is the pair `down` and `up` of `data_prep/pyramid.py`, which
defines the levels of data sets; both agree up to rounding (a test checks this). It is repeated here because `models`
must not depend on kornia or `data_prep`, and written as sums and products because those stay in float32 where
convolutions run in bf16.

`bilinear` is the resize of LAPGAN's authors (Torch7's `image.scale`): halving is the mean of four pixels, doubling is
bilinear interpolation with aligned corners.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

_TAPS = (1 / 16, 4 / 16, 6 / 16, 4 / 16, 1 / 16)  # the binomial filter of Burt and Adelson 1983


class Pyramid(NamedTuple):
    """How images are halved and doubled. Any value range; constant images stay constant."""

    down: Callable[[Tensor], Tensor]  # (N, C, H, W) -> (N, C, H/2, W/2)
    up: Callable[[Tensor], Tensor]  # (N, C, H, W) -> (N, C, 2H, 2W)


def _blur_down(images: Tensor) -> Tensor:
    return F.avg_pool2d(_blur(images), 2)


def _blur_up(images: Tensor) -> Tensor:
    return _blur(F.interpolate(images, scale_factor=2, mode="bilinear"))


def _blur(images: Tensor) -> Tensor:
    """The 5-tap filter along both axes, with a reflected border; the shape is kept, sides are at least 3."""
    padded = F.pad(images, (2, 2, 2, 2), mode="reflect")
    height, width = images.shape[2:]
    rows = torch.stack([tap * padded[:, :, i : i + height] for i, tap in enumerate(_TAPS)]).sum(0)
    return torch.stack([tap * rows[..., i : i + width] for i, tap in enumerate(_TAPS)]).sum(0)


def _mean_down(images: Tensor) -> Tensor:
    return F.avg_pool2d(images, 2)


def _bilinear_up(images: Tensor) -> Tensor:
    return F.interpolate(images, scale_factor=2, mode="bilinear", align_corners=True)


PYRAMIDS: dict[str, Pyramid] = {
    "binomial5": Pyramid(_blur_down, _blur_up),
    "bilinear": Pyramid(_mean_down, _bilinear_up),
}
if TYPE_CHECKING:
    PyramidName = str
else:
    PyramidName = Literal[tuple(PYRAMIDS)]  # the registry's
