"""The two steps of an image pyramid, d and u of LAPGAN: halve and double, by either of two pairs of filters.

`binomial5` is the pair `down` and `up` of `data_prep/pyramid.py`, which says what a level is, to rounding (a test holds
this): the 5-tap filter of Burt and Adelson 1983. It is written out because models may need neither kornia nor the
preparation of data, and as sums and products because those stay in float32 where convolutions are set to run in bf16.

`bilinear` is what LAPGAN's authors resize by (Torch7's `image.scale`): halving takes the mean of four pixels, doubling
draws straight lines between pixels and lets corners lie on corners.
"""

from collections.abc import Callable
from typing import Literal, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

PyramidName = Literal["binomial5", "bilinear"]
_TAPS = (1 / 16, 4 / 16, 6 / 16, 4 / 16, 1 / 16)  # the binomial filter of Burt and Adelson 1983


class Pyramid(NamedTuple):
    """How images are halved and doubled. Any value range; a constant stays what it is."""

    down: Callable[[Tensor], Tensor]  # (N, C, H, W) -> (N, C, H/2, W/2)
    up: Callable[[Tensor], Tensor]  # (N, C, H, W) -> (N, C, 2H, 2W)


def _blur_down(images: Tensor) -> Tensor:
    return F.avg_pool2d(_blur(images), 2)


def _blur_up(images: Tensor) -> Tensor:
    return _blur(F.interpolate(images, scale_factor=2, mode="bilinear"))


def _blur(images: Tensor) -> Tensor:
    """The 5-tap filter along both sides, the border reflected; shape kept, sides of at least 3."""
    wide = F.pad(images, (2, 2, 2, 2), mode="reflect")
    height, width = images.shape[2:]
    rows = torch.stack([tap * wide[:, :, i : i + height] for i, tap in enumerate(_TAPS)]).sum(0)
    return torch.stack([tap * rows[..., i : i + width] for i, tap in enumerate(_TAPS)]).sum(0)


def _mean_down(images: Tensor) -> Tensor:
    return F.avg_pool2d(images, 2)


def _line_up(images: Tensor) -> Tensor:
    return F.interpolate(images, scale_factor=2, mode="bilinear", align_corners=True)


PYRAMIDS: dict[PyramidName, Pyramid] = {
    "binomial5": Pyramid(_blur_down, _blur_up),
    "bilinear": Pyramid(_mean_down, _line_up),
}
