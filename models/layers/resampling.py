"""Upsampling and downsampling by 2, alone or fused with a 3x3 convolution (as in ProGAN's code)."""

from torch import Tensor
from torch.nn import functional as F


def upsample(x: Tensor) -> Tensor:
    """Nearest-neighbor upsampling by 2. (N, C, H, W) -> (N, C, 2H, 2W)."""
    return F.interpolate(x, scale_factor=2, mode="nearest")


def upsample_conv(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Nearest-neighbor upsampling by 2, then a convolution: (N, c_in, H, W) -> (N, c_out, 2H, 2W).

    Each output pixel sees a 2x2 patch of x, and meets each pixel of the patch in one, two or four taps of the kernel.
    The sums of these taps are the weights of a 4x4 transposed convolution: the same function at 4/9 of the cost.

    Args:
        x: (N, c_in, H, W).
        weight: (c_out, c_in, 3, 3).
        bias: (c_out,), or None.
    """
    taps = _sum_of_shifts(weight)  # (c_out, c_in, 4, 4)
    return F.conv_transpose2d(x, taps.flip(2, 3).transpose(0, 1), bias, stride=2, padding=1)


def conv_downsample(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """A convolution, then average pooling by 2: (N, c_in, 2H, 2W) -> (N, c_out, H, W).

    The mean of four neighboring 3x3 windows is one 4x4 window: the same function at 4/9 of the cost.

    Args:
        x: (N, c_in, 2H, 2W).
        weight: (c_out, c_in, 3, 3).
        bias: (c_out,), or None.
    """
    return F.conv2d(x, _sum_of_shifts(weight / 4), bias, stride=2, padding=1)


def _sum_of_shifts(weight: Tensor) -> Tensor:
    """Sum of a kernel's four shifts by up to one pixel: (c_out, c_in, k, k) -> (c_out, c_in, k + 1, k + 1)."""
    padded = F.pad(weight, (1, 1, 1, 1))
    return padded[..., 1:, 1:] + padded[..., :-1, 1:] + padded[..., 1:, :-1] + padded[..., :-1, :-1]
