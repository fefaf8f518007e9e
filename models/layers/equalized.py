"""Layers that the progressive architectures share.

Sources: equalised learning rate, pixel norm and minibatch standard deviation are of "Progressive Growing of GANs"
(Karras et al. 2018, arXiv 1710.10196, sections 3 and 4); the last is here in the groups of its authors' code and in the
one-scalar form of BMSG-GAN (see `msg_gan.py`).
"""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

LEAK = 0.2  # negative slope of every leaky ReLU in the ProGAN family
_GAIN = 2.0**0.5  # He's gain, for layers followed by a leaky ReLU


class EqualizedConv2d(nn.Module):
    """Convolution with equalised learning rate (ProGAN section 4.1): w ~ N(0, 1), scaled at run time.

    (N, c_in, H, W) -> (N, c_out, H', W'), same size unless `padding` is given.
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
    """Nearest upsampling by 2, then a 3x3 convolution, in one: (N, c_in, H, W) -> (N, c_out, 2H, 2W)."""

    def forward(self, x: Tensor) -> Tensor:
        """Upsample and convolve x."""
        return conv_upsampled(x, self.weight * self.scale, self.bias)


class EqualizedDownConv2d(_EqualizedConv3x3):
    """A 3x3 convolution, then average pooling by 2, in one: (N, c_in, 2H, 2W) -> (N, c_out, H, W)."""

    def forward(self, x: Tensor) -> Tensor:
        """Convolve and pool x."""
        return conv_pooled(x, self.weight * self.scale, self.bias)


def conv_upsampled(x: Tensor, kernel: Tensor, bias: Tensor | None) -> Tensor:
    """Convolve x, doubled to the nearest, with a kernel (c_out, c_in, 3, 3): (N, c_in, H, W) -> (N, c_out, 2H, 2W).

    Each fine pixel sees a 2x2 patch of the coarse image, each of whose pixels it meets in one, two or four taps; the
    sum of these taps is one weight of a 4x4 transposed convolution (as in ProGAN's code). The same function as
    upsampling and convolving, at 4/9 of the cost.
    """
    taps = _window_sums(kernel)  # (c_out, c_in, 4, 4)
    return F.conv_transpose2d(x, taps.flip(2, 3).transpose(0, 1), bias, stride=2, padding=1)


def conv_pooled(x: Tensor, kernel: Tensor, bias: Tensor | None) -> Tensor:
    """Convolve x with a kernel (c_out, c_in, 3, 3), then average by 2. (N, c_in, 2H, 2W) -> (N, c_out, H, W).

    The mean of four neighbouring 3x3 windows is one 4x4 window (as in ProGAN's code): the same function at 4/9 of the
    cost.
    """
    return F.conv2d(x, _window_sums(kernel / 4), bias, stride=2, padding=1)


def _window_sums(kernel: Tensor) -> Tensor:
    """Sum of a kernel's four shifts by up to one pixel: (c_out, c_in, k, k) -> (c_out, c_in, k + 1, k + 1)."""
    wide = F.pad(kernel, (1, 1, 1, 1))
    return wide[..., 1:, 1:] + wide[..., :-1, 1:] + wide[..., 1:, :-1] + wide[..., :-1, :-1]


class EqualizedLinear(nn.Module):
    """Dense layer with equalised learning rate. (N, n_in) -> (N, n_out)."""

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
        """Multiply x."""
        return F.linear(x, self.weight * self.scale, self.bias)


class PixelNorm(nn.Module):
    """Scale each pixel's feature vector to unit mean square (ProGAN section 4.2). Shape is kept."""

    def forward(self, x: Tensor) -> Tensor:
        """Normalise x over its channels (dimension 1)."""
        norm = torch.linalg.vector_norm(x, dim=1, keepdim=True)  # its backward keeps to x's precision
        return x * torch.rsqrt(norm.square() / x.shape[1] + 1e-8).to(x.dtype)


def local_mean(x: Tensor) -> Tensor:
    """Mean over the batch (dimension 0, kept)."""
    return x.mean(0, keepdim=True)


Moments = Callable[[Tensor, tuple[int, ...]], tuple[Tensor, Tensor]]


def local_moments(x: Tensor, dims: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """Mean and variance over the dimensions, which are kept; the first of them is the batch's, 0."""
    mean = x.mean(dims, keepdim=True)
    return mean, (x - mean).square().mean(dims, keepdim=True)


class MinibatchStdDev(nn.Module):
    """Append the batch's mean standard deviation as a channel (BMSG-GAN's form: one scalar for the batch).

    (N, C, H, W) -> (N, C + 1, H, W). The statistic is computed in float32 or wider over the batch that `moments`
    sees, which whoever trains on several processes replaces by moments over all of them.
    """

    def __init__(self) -> None:
        super().__init__()
        self.moments: Moments = local_moments

    def forward(self, x: Tensor) -> Tensor:
        """Append the statistic to x."""
        with torch.autocast(x.device.type, enabled=False):
            _, variance = self.moments(wide(x), (0,))  # (1, C, H, W)
            deviation = (variance + 1e-8).sqrt().mean()  # scalar
        channel = deviation.to(x.dtype).expand(x.shape[0], 1, *x.shape[2:])
        return torch.cat([x, channel], dim=1)


PerSample = Callable[[Tensor], Tensor]  # a value for each sample of a batch: (N, ...) -> (N, ...)


def over_local_batch(function: PerSample, x: Tensor) -> Tensor:
    """The function's values for the samples x, which are the batch."""
    return function(x)


class GroupStdDev(nn.Module):
    """Append to each sample its group's mean standard deviation (ProGAN section 3, in the groups of its code).

    (N, C, H, W) -> (N, C + 1, H, W). The batch is dealt out like cards: of M groups, group i mod M holds sample i.
    Groups are of one size, the largest up to `group` that divides the batch. The statistic is computed in float32 or
    wider over the batch that `over_batch` sees, which whoever trains on several processes replaces by one over all of
    them.
    """

    def __init__(
        self,
        group: int = 4,  # samples, at most
    ) -> None:
        super().__init__()
        self.group = group
        self.over_batch: Callable[[PerSample, Tensor], Tensor] = over_local_batch

    def forward(self, x: Tensor) -> Tensor:
        """Append the statistic to x."""
        with torch.autocast(x.device.type, enabled=False):
            deviations = self.over_batch(self._deviations, wide(x))  # (N, 1, 1, 1)
        return torch.cat([x, deviations.to(x.dtype).expand(-1, 1, *x.shape[2:])], dim=1)

    def _deviations(self, x: Tensor) -> Tensor:
        size = max(size for size in range(1, self.group + 1) if len(x) % size == 0)
        groups = x.view(size, -1, *x.shape[1:])  # (G, M, C, H, W)
        variance = (groups - groups.mean(0)).square().mean(0)
        deviations = (variance + 1e-8).sqrt().mean((1, 2, 3))  # (M)
        return deviations.repeat(size).view(-1, 1, 1, 1)


def leaky(x: Tensor) -> Tensor:
    """Leaky ReLU of the ProGAN family."""
    return F.leaky_relu(x, LEAK)


def wide(x: Tensor) -> Tensor:
    """In float32 or wider: pictures, scores and statistics are sums of many terms."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def upsample(x: Tensor) -> Tensor:
    """Nearest-neighbour upsampling by 2. (N, C, H, W) -> (N, C, 2H, 2W)."""
    return F.interpolate(x, scale_factor=2, mode="nearest")


class Dropout(nn.Module):
    """Zero features in training, each with the same probability, and scale the others up to keep the mean.

    `uniform` draws U(0, 1) of a shape (N, ...). Who trains sets it; without, torch's generator draws.
    """

    def __init__(
        self,
        rate: float = 0.5,  # probability of being zeroed
        maps: bool = False,  # zero a whole map (H, W) of (N, C, H, W) at once
    ) -> None:
        super().__init__()
        self.rate, self.maps = rate, maps
        self.uniform: Callable[[torch.Size], Tensor] | None = None

    def forward(self, x: Tensor) -> Tensor:
        """Drop features of x (N, C, ...) in training; shape kept."""
        if not self.training:
            return x
        uniform = self.uniform or partial(torch.rand, device=x.device)
        kept = uniform(x.shape[:2] if self.maps else x.shape) >= self.rate
        return x * (kept.to(x.dtype) / (1 - self.rate)).view(*kept.shape, *[1] * (x.ndim - kept.ndim))
