"""Layers with equalized learning rate, and the activation that follows them.

Source: "Progressive Growing of GANs" (Karras et al. 2018, arXiv 1710.10196), section 4.1. Weights are drawn from
N(0, 1) and scaled at run time by He's constant, so that Adam's relative steps are the same size in every layer.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.layers.resampling import conv_downsample, upsample_conv

LEAKY_SLOPE = 0.2  # negative slope of every leaky ReLU in ProGAN and its successors
_GAIN = 2.0**0.5  # He's gain, for layers followed by a leaky ReLU


def leaky_relu(x: Tensor) -> Tensor:
    """Leaky ReLU of ProGAN and its successors."""
    return F.leaky_relu(x, LEAKY_SLOPE)


class EqualizedConv2d(nn.Module):
    """Convolution with equalized learning rate.

    (N, c_in, H, W) -> (N, c_out, H', W'), the same size unless `padding` is given.
    """

    def __init__(
        self,
        c_in: int,  # input channels
        c_out: int,  # output channels
        kernel: int | tuple[int, int],  # side of a square kernel, or height and width, pixels
        padding: int | None = None,  # zero padding, pixels; None keeps the size
        gain: float = _GAIN,  # He's gain
    ) -> None:
        super().__init__()
        height, width = (kernel, kernel) if isinstance(kernel, int) else kernel
        self.weight = nn.Parameter(torch.randn(c_out, c_in, height, width))
        self.bias = nn.Parameter(torch.zeros(c_out))
        self.scale = gain / (c_in * height * width) ** 0.5
        self.padding = (height // 2, width // 2) if padding is None else padding

    def forward(self, x: Tensor) -> Tensor:
        """Convolve x."""
        return F.conv2d(x, self.weight * self.scale, self.bias, padding=self.padding)


class _EqualizedConv3x3(EqualizedConv2d):
    """The weight of a 3x3 convolution."""

    def __init__(
        self,
        c_in: int,  # input channels
        c_out: int,  # output channels
        gain: float = _GAIN,  # He's gain
    ) -> None:
        super().__init__(c_in, c_out, 3, gain=gain)


class EqualizedUpConv2d(_EqualizedConv3x3):
    """Nearest-neighbor upsampling by 2, then a 3x3 convolution: (N, c_in, H, W) -> (N, c_out, 2H, 2W)."""

    def forward(self, x: Tensor) -> Tensor:
        """Upsample and convolve x."""
        return upsample_conv(x, self.weight * self.scale, self.bias)


class EqualizedDownConv2d(_EqualizedConv3x3):
    """A 3x3 convolution, then average pooling by 2: (N, c_in, 2H, 2W) -> (N, c_out, H, W)."""

    def forward(self, x: Tensor) -> Tensor:
        """Convolve and pool x."""
        return conv_downsample(x, self.weight * self.scale, self.bias)


class EqualizedConv1x1(nn.Module):
    """A 1x1 convolution without bias and with gain 1: (N, c_in, H, W) -> (N, c_out, H, W)."""

    def __init__(
        self,
        c_in: int,  # input channels
        c_out: int,  # output channels
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(c_out, c_in, 1, 1))
        self.scale = 1 / c_in**0.5

    def forward(self, x: Tensor) -> Tensor:
        """Convolve x."""
        return F.conv2d(x, self.weight * self.scale)


class EqualizedLinear(nn.Module):
    """Dense layer with equalized learning rate. (N, n_in) -> (N, n_out)."""

    def __init__(
        self,
        n_in: int,  # input features
        n_out: int,  # output features
        gain: float = _GAIN,  # He's gain
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(n_out, n_in))
        self.bias = nn.Parameter(torch.zeros(n_out))
        self.scale = gain / n_in**0.5

    def forward(self, x: Tensor) -> Tensor:
        """Apply the layer to x."""
        return F.linear(x, self.weight * self.scale, self.bias)
