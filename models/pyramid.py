"""The two steps of an image pyramid, d and u of LAPGAN: halve and double.

They are the functions `down` and `up` of `data_prep/pyramid.py`, which says what a level is, to rounding (a test holds
this). They are written out because models may need neither kornia nor the preparation of data, and as sums and
products because those stay in float32 where convolutions are set to run in bf16.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

_TAPS = (1 / 16, 4 / 16, 6 / 16, 4 / 16, 1 / 16)  # the binomial filter of Burt and Adelson 1983


def down(images: Tensor) -> Tensor:
    """Blur and halve each side: (N, C, H, W) -> (N, C, H/2, W/2), any value range, reflected border."""
    return F.avg_pool2d(_blur(images), 2)


def up(images: Tensor) -> Tensor:
    """Double each side and blur: (N, C, H, W) -> (N, C, 2H, 2W), any value range, reflected border."""
    return _blur(F.interpolate(images, scale_factor=2, mode="bilinear"))


def _blur(images: Tensor) -> Tensor:
    """The 5-tap filter along both sides; shape kept, sides of at least 3."""
    wide = F.pad(images, (2, 2, 2, 2), mode="reflect")
    height, width = images.shape[2:]
    rows = torch.stack([tap * wide[:, :, i : i + height] for i, tap in enumerate(_TAPS)]).sum(0)
    return torch.stack([tap * rows[..., i : i + width] for i, tap in enumerate(_TAPS)]).sum(0)
