"""Normalization of weights and of features.

Spectral norm: "Spectral Normalization for Generative Adversarial Networks" (Miyato et al. 2018, arXiv 1802.05957,
section 2.1 and appendix A). Batch norm: Ioffe and Szegedy (2015, arXiv 1502.03167), with a scale and a shift per class
as in Dumoulin et al. (2017, arXiv 1610.07629, section 2.2). Pixel norm: "Progressive Growing of GANs" (Karras et al.
2018, arXiv 1710.10196, section 4.2).

Deviations: no forward pass changes a buffer. Power iteration is a function of its own (`power_iteration`), called after
each optimizer step, so that passes on reals and fakes see the same weights. Batch norm's statistics for evaluation are
no running means: they are measured with the final weights (`measure_statistics`), so that short runs and averaged
weights need no decay of their own. `RunningBatchNorm` is the exception, for LAPGAN.
"""

from collections.abc import Callable, Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrize import ParametrizationList, register_parametrization

from models.layers.equalized import EqualizedConv2d, EqualizedLinear
from models.layers.precision import at_least_float32
from models.layers.resampling import conv_downsample, upsample_conv

_EPSILON = 1e-5  # of batch norm

# Mean and variance of x over dimensions, which are kept; the first of them is the batch's, 0.
Moments = Callable[[Tensor, tuple[int, ...]], tuple[Tensor, Tensor]]


def local_moments(x: Tensor, dims: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """Mean and variance over the dimensions of the local batch, which are kept."""
    mean = x.mean(dims, keepdim=True)
    return mean, (x - mean).square().mean(dims, keepdim=True)


class PixelNorm(nn.Module):
    """Scale each pixel's feature vector to unit mean square. The shape is kept."""

    def forward(self, x: Tensor) -> Tensor:
        """Normalize x over its channels (dimension 1)."""
        norm = torch.linalg.vector_norm(x, dim=1, keepdim=True)  # its backward pass stays in x's precision
        return x * torch.rsqrt(norm.square() / x.shape[1] + 1e-8).to(x.dtype)


class SpectralNorm(nn.Module):
    """Divide a weight (outputs, ...) by its largest singular value, sigma = left . (W right).

    The gradient flows through sigma too (Miyato et al. equation 12). The singular vectors are buffers: they are saved
    with the weights, and the same on every process.
    """

    def __init__(
        self,
        weight: Tensor,
        scale: float = 1.0,  # factor that the layer applies to its weight (equalized learning rate)
    ) -> None:
        super().__init__()
        self.scale = scale
        self.left: Tensor  # (outputs)
        self.right: Tensor  # (inputs x kernel)
        self.register_buffer("left", F.normalize(torch.randn(len(weight)), dim=0))
        self.register_buffer("right", torch.zeros(weight[0].numel()))
        self.iterate(weight, 15)

    @torch.no_grad()
    def iterate(self, weight: Tensor, times: int = 1) -> None:
        """Move the singular vectors closer to those of the weight, by power iteration."""
        matrix = weight.flatten(1)
        for _ in range(times):
            self.right.copy_(F.normalize(matrix.T @ self.left, dim=0))
            self.left.copy_(F.normalize(matrix @ self.right, dim=0))

    def forward(self, weight: Tensor) -> Tensor:
        """Normalize the weight."""
        with torch.autocast(weight.device.type, enabled=False):
            return weight / (self.left @ (weight.flatten(1) @ self.right) * self.scale)


def apply_spectral_norm(network: nn.Module) -> None:
    """Apply spectral norm to the weights of all convolutions and dense layers of a network.

    Weights that are all 0 have no direction to keep; they are drawn anew (Glorot's uniform distribution).
    """
    kinds = (nn.Conv2d, nn.Linear, EqualizedConv2d, EqualizedLinear)
    for layer in [module for module in network.modules() if isinstance(module, kinds)]:
        if not layer.weight.any():
            nn.init.xavier_uniform_(layer.weight)
        norm = SpectralNorm(layer.weight, getattr(layer, "scale", 1.0))
        register_parametrization(layer, "weight", norm)


def spectral_norms(network: nn.Module) -> list[tuple[SpectralNorm, Tensor]]:
    """All spectral norms in a network, each with the weight that it normalizes."""
    return [
        (norm, weights.original)
        for weights in network.modules()
        if isinstance(weights, ParametrizationList)
        for norm in weights
        if isinstance(norm, SpectralNorm)
    ]


def power_iteration(network: nn.Module, times: int = 1) -> None:
    """Run power iterations of all spectral norms in a network."""
    for norm, weight in spectral_norms(network):
        norm.iterate(weight, times)


class _SpectralLayer(nn.Module):
    """A layer's weight, under spectral norm, and its bias."""

    weight: Tensor

    def __init__(self, shape: tuple[int, ...], bias: bool) -> None:
        super().__init__()
        self.weight = nn.Parameter(nn.init.xavier_uniform_(torch.empty(shape)))
        self.bias = nn.Parameter(torch.zeros(shape[0])) if bias else None
        register_parametrization(self, "weight", SpectralNorm(self.weight))


class SpectralConv2d(_SpectralLayer):
    """Convolution with spectral norm, the size is kept. (N, c_in, H, W) -> (N, c_out, H, W)."""

    def __init__(
        self,
        c_in: int,  # input channels
        c_out: int,  # output channels
        kernel: int,  # side of the square kernel, odd, pixels
        bias: bool = True,  # add a number per output channel
    ) -> None:
        super().__init__((c_out, c_in, kernel, kernel), bias)

    def forward(self, x: Tensor) -> Tensor:
        """Convolve x."""
        return F.conv2d(x, self.weight, self.bias, padding=self.weight.shape[-1] // 2)


class SpectralUpConv2d(SpectralConv2d):
    """Nearest-neighbor upsampling by 2, then a 3x3 convolution: (N, c_in, H, W) -> (N, c_out, 2H, 2W)."""

    def __init__(
        self,
        c_in: int,  # input channels
        c_out: int,  # output channels
        bias: bool = True,  # add a number per output channel
    ) -> None:
        super().__init__(c_in, c_out, 3, bias)

    def forward(self, x: Tensor) -> Tensor:
        """Upsample and convolve x."""
        return upsample_conv(x, self.weight, self.bias)


class SpectralDownConv2d(SpectralConv2d):
    """A 3x3 convolution, then average pooling by 2: (N, c_in, 2H, 2W) -> (N, c_out, H, W)."""

    def __init__(
        self,
        c_in: int,  # input channels
        c_out: int,  # output channels
    ) -> None:
        super().__init__(c_in, c_out, 3)

    def forward(self, x: Tensor) -> Tensor:
        """Convolve and pool x."""
        return conv_downsample(x, self.weight, self.bias)


class SpectralLinear(_SpectralLayer):
    """Dense layer with spectral norm. (N, n_in) -> (N, n_out)."""

    def __init__(
        self,
        n_in: int,  # input features
        n_out: int,  # output features
        bias: bool = True,  # add a number per output
    ) -> None:
        super().__init__((n_out, n_in), bias)

    def forward(self, x: Tensor) -> Tensor:
        """Apply the layer to x."""
        return F.linear(x, self.weight, self.bias)


def standardize(x: Tensor) -> Tensor:
    """Normalize each channel to mean 0 and variance 1 over the local batch and its pixels. The shape is kept."""
    return F.batch_norm(x, None, None, training=True, eps=_EPSILON)


def standardize_with(x: Tensor, moments: Moments) -> Tensor:
    """`standardize` with moments over a batch that may be larger than x; in float32 or wider."""
    centered, _, variance = _center(x, moments)
    return (centered * torch.rsqrt(variance + _EPSILON)).to(x.dtype)


def _center(x: Tensor, moments: Moments) -> tuple[Tensor, Tensor, Tensor]:
    """X minus its mean (N, C, H, W), the mean and the variance (1, C, 1, 1), in float32 or wider."""
    x32 = at_least_float32(x)
    mean, variance = moments(x32, (0, 2, 3))
    return x32 - mean, mean, variance


class RunningBatchNorm(nn.Module):
    """Batch norm without scale and shift, with running statistics for evaluation. (N, C, H, W) -> the same.

    The statistics are those of the batch that `moments` sees: the local one, or, in training on several processes, the
    batch of all of them. They are computed in float32 or wider.
    """

    def __init__(
        self,
        channels: int,
        momentum: float = 0.1,  # weight of the newest batch in the running statistics
    ) -> None:
        super().__init__()
        self.momentum = momentum
        self.mean: Tensor
        self.variance: Tensor
        self.register_buffer("mean", torch.zeros(1, channels, 1, 1))
        self.register_buffer("variance", torch.ones(1, channels, 1, 1))
        self.moments: Moments = local_moments

    def forward(self, x: Tensor) -> Tensor:
        """Normalize x."""
        if self.training:
            centered, mean, variance = _center(x, self.moments)
            self.mean.lerp_(mean.detach(), self.momentum)
            self.variance.lerp_(variance.detach(), self.momentum)
        else:
            centered, variance = x - self.mean, self.variance
        return (centered * torch.rsqrt(variance + _EPSILON)).to(x.dtype)


class BatchNorm(nn.Module):
    """Batch norm with a scale and a shift for each class. (N, C, H, W) -> the same.

    In training the statistics are those of the batch that `standardize` sees: the local one, or, on several processes,
    the batch of all of them. In evaluation they are `mean` and `variance`.
    """

    def __init__(
        self,
        channels: int,
        classes: int = 1,  # 1 for ordinary batch norm
    ) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(classes, channels))
        self.shift = nn.Parameter(torch.zeros(classes, channels))
        self.mean: Tensor
        self.variance: Tensor
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("variance", torch.ones(channels))
        self.standardize: Callable[[Tensor], Tensor] = standardize

    def forward(self, x: Tensor, label: Tensor) -> Tensor:
        """Normalize x, with the scale and shift of `label`, one-hot (N, classes)."""
        standard = (
            self.standardize(x)
            if self.training
            else F.batch_norm(x, self.mean, self.variance, training=False, eps=_EPSILON)
        )
        label = label.to(x.dtype)
        scale, shift = (F.linear(label, table.T)[..., None, None] for table in (self.scale, self.shift))
        return torch.addcmul(shift.to(x.dtype), standard, scale.to(x.dtype))


class PlainBatchNorm(nn.Module):
    """Batch norm without classes. (N, C) or (N, C, H, W) -> the same."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = BatchNorm(channels)

    def forward(self, x: Tensor) -> Tensor:
        """Normalize x."""
        maps = x.view(*x.shape, *[1] * (4 - x.ndim))
        return cast(Tensor, self.norm(maps, x.new_ones(len(x), 1))).view_as(x)


@torch.no_grad()
def measure_statistics(network: nn.Module, batches: Sequence[Tensor]) -> None:
    """Set the statistics of a network's batch norms to their averages over batches.

    Args:
        network: in evaluation mode.
        batches: inputs of the network, as large as the batches of training.
    """
    norms = [module for module in network.modules() if isinstance(module, BatchNorm)]
    if not norms:
        return
    totals = {norm: torch.zeros(2, len(norm.mean), device=norm.mean.device) for norm in norms}

    def measure(norm: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        assert isinstance(norm, BatchNorm)
        variance, mean = torch.var_mean(inputs[0].float(), (0, 2, 3), correction=0)
        totals[norm] += torch.stack([mean, variance]) / len(batches)
        norm.mean.copy_(mean)  # so that the layers after it see what they see in training
        norm.variance.copy_(variance)

    hooks = [norm.register_forward_pre_hook(measure) for norm in norms]
    for batch in batches:
        network(batch)
    for hook in hooks:
        hook.remove()
    for norm, (mean, variance) in totals.items():
        norm.mean.copy_(mean)
        norm.variance.copy_(variance)
