"""Normalisation of weights and of features.

Spectral norm is of "Spectral Normalization for Generative Adversarial Networks" (Miyato et al. 2018, arXiv 1802.05957,
section 2.1 and appendix A); batch norm of Ioffe and Szegedy (2015, arXiv 1502.03167), with scales and shifts by class
as of Dumoulin et al. (2017, arXiv 1610.07629, section 2.2).

Deviations: no forward pass changes anything. The power iteration is a step of its own (`iterate_power`), to be made
when the weights have moved, so that passes on reals and fakes see the same weights. Batch norm's statistics for
painting are no running means but are measured with the final weights (`measure_statistics`); short runs and averaged
weights need no decay of their own. `RunningBatchNorm` is the exception, for LAPGAN.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrize import ParametrizationList, register_parametrization

from models.layers.equalized import (
    EqualizedConv2d,
    EqualizedLinear,
    Moments,
    conv_pooled,
    conv_upsampled,
    local_moments,
    wide,
)

_EPSILON = 1e-5  # of batch norm


class SpectralNorm(nn.Module):
    """A weight (outputs, ...) -> the same over its largest singular value, sigma = left . (W right).

    The gradient flows through sigma too (Miyato et al. equation 12). The singular vectors are buffers: they are saved
    with the weights, and the same on every process.
    """

    def __init__(
        self,
        weight: Tensor,
        scale: float = 1.0,  # that the layer multiplies its weight by (equalised learning rate)
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
        """Bring the singular vectors nearer to those of the weight, by power iteration."""
        matrix = weight.flatten(1)
        for _ in range(times):
            self.right.copy_(F.normalize(matrix.T @ self.left, dim=0))
            self.left.copy_(F.normalize(matrix @ self.right, dim=0))

    def forward(self, weight: Tensor) -> Tensor:
        """Normalise the weight."""
        with torch.autocast(weight.device.type, enabled=False):
            return weight / (self.left @ (weight.flatten(1) @ self.right) * self.scale)


def normalize_spectrally(network: nn.Module) -> None:
    """Put spectral norm on the weights of all of a network's convolutions and dense layers.

    Weights that begin at 0, which have no direction to keep, begin at random (Glorot's uniform distribution).
    """
    kinds = (nn.Conv2d, nn.Linear, EqualizedConv2d, EqualizedLinear)
    for layer in [module for module in network.modules() if isinstance(module, kinds)]:
        if not layer.weight.any():
            nn.init.xavier_uniform_(layer.weight)
        norm = SpectralNorm(layer.weight, getattr(layer, "scale", 1.0))
        register_parametrization(layer, "weight", norm)


def spectral_norms(network: nn.Module) -> list[tuple[SpectralNorm, Tensor]]:
    """All spectral norms in a network, and the weights that they are of."""
    return [
        (norm, weights.original)
        for weights in network.modules()
        if isinstance(weights, ParametrizationList)
        for norm in weights
        if isinstance(norm, SpectralNorm)
    ]


def iterate_power(network: nn.Module, times: int = 1) -> None:
    """Make power iterations of all spectral norms in a network."""
    for norm, weight in spectral_norms(network):
        norm.iterate(weight, times)


class _SpectralLayer(nn.Module):
    """A layer's weight under spectral norm, and its bias."""

    weight: Tensor

    def __init__(self, shape: tuple[int, ...], bias: bool) -> None:
        super().__init__()
        self.weight = nn.Parameter(nn.init.xavier_uniform_(torch.empty(shape)))
        self.bias = nn.Parameter(torch.zeros(shape[0])) if bias else None
        register_parametrization(self, "weight", SpectralNorm(self.weight))


class SpectralConv2d(_SpectralLayer):
    """Convolution with spectral norm, which keeps the size. (N, c_in, H, W) -> (N, c_out, H, W)."""

    def __init__(
        self,
        c_in: int,  # input channels
        c_out: int,  # output channels
        kernel: int,  # side of the square kernel, odd, pixels
        bias: bool = True,  # whether to add a number per output channel
    ) -> None:
        super().__init__((c_out, c_in, kernel, kernel), bias)

    def forward(self, x: Tensor) -> Tensor:
        """Convolve x."""
        return F.conv2d(x, self.weight, self.bias, padding=self.weight.shape[-1] // 2)


class SpectralUpConv2d(SpectralConv2d):
    """Nearest upsampling by 2, then a 3x3 convolution (see `layers.py`): (N, c_in, H, W) -> (N, c_out, 2H, 2W)."""

    def __init__(
        self,
        c_in: int,  # input channels
        c_out: int,  # output channels
        bias: bool = True,  # whether to add a number per output channel
    ) -> None:
        super().__init__(c_in, c_out, 3, bias)

    def forward(self, x: Tensor) -> Tensor:
        """Upsample and convolve x."""
        return conv_upsampled(x, self.weight, self.bias)


class SpectralDownConv2d(SpectralConv2d):
    """A 3x3 convolution, then average pooling by 2 (see `layers.py`): (N, c_in, 2H, 2W) -> (N, c_out, H, W)."""

    def __init__(
        self,
        c_in: int,  # input channels
        c_out: int,  # output channels
    ) -> None:
        super().__init__(c_in, c_out, 3)

    def forward(self, x: Tensor) -> Tensor:
        """Convolve and pool x."""
        return conv_pooled(x, self.weight, self.bias)


class SpectralLinear(_SpectralLayer):
    """Dense layer with spectral norm. (N, n_in) -> (N, n_out)."""

    def __init__(
        self,
        n_in: int,  # input features
        n_out: int,  # output features
        bias: bool = True,  # whether to add a number per output
    ) -> None:
        super().__init__((n_out, n_in), bias)

    def forward(self, x: Tensor) -> Tensor:
        """Multiply x."""
        return F.linear(x, self.weight, self.bias)


def standardize(x: Tensor) -> Tensor:
    """Take mean and standard deviation over the batch and its pixels out of each channel. Shape is kept."""
    return F.batch_norm(x, None, None, training=True, eps=_EPSILON)


def standardize_by(x: Tensor, moments: Moments) -> Tensor:
    """The same by moments over a batch that may reach beyond x; in float32 or wider."""
    apart, _, variance = _measure(x, moments)
    return (apart * torch.rsqrt(variance + _EPSILON)).to(x.dtype)


def _measure(x: Tensor, moments: Moments) -> tuple[Tensor, Tensor, Tensor]:
    """What x is apart from its mean (N, C, H, W), the mean and the variance (1, C, 1, 1), in float32 or wider."""
    precise = wide(x)
    mean, variance = moments(precise, (0, 2, 3))
    return precise - mean, mean, variance


class RunningBatchNorm(nn.Module):
    """Batch norm without scale and offset, and with running statistics for evaluation. (N, C, H, W), shape kept.

    The statistics are of the batch that `moments` sees, which whoever trains on several processes replaces by moments
    over all of them. They are computed in float32 or wider.
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
        """Normalise x."""
        if self.training:
            apart, mean, variance = _measure(x, self.moments)
            self.mean.lerp_(mean.detach(), self.momentum)
            self.variance.lerp_(variance.detach(), self.momentum)
        else:
            apart, variance = x - self.mean, self.variance
        return (apart * torch.rsqrt(variance + _EPSILON)).to(x.dtype)


class BatchNorm(nn.Module):
    """Batch norm with a scale and a shift for each class. (N, C, H, W) -> the same.

    In training the statistics are those of the batch that `standardize` sees, which whoever trains on several
    processes replaces by one that sees them all. In evaluation they are `mean` and `variance`.
    """

    def __init__(
        self,
        channels: int,
        classes: int = 1,  # 1: the ordinary batch norm
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
        """Normalise x; `label`, one hot (N, classes), says by whose scale and shift."""
        standard = (
            self.standardize(x)
            if self.training
            else F.batch_norm(x, self.mean, self.variance, training=False, eps=_EPSILON)
        )
        label = label.to(x.dtype)
        scale, shift = (F.linear(label, table.T)[..., None, None] for table in (self.scale, self.shift))
        return torch.addcmul(shift.to(x.dtype), standard, scale.to(x.dtype))


@torch.no_grad()
def measure_statistics(network: nn.Module, batches: Sequence[Tensor]) -> None:
    """Set the statistics of a network's batch norms to what they are on average over batches.

    Args:
        network: in evaluation mode.
        batches: its inputs, as large as those of training.
    """
    norms = [module for module in network.modules() if isinstance(module, BatchNorm)]
    if not norms:
        return
    totals = {norm: torch.zeros(2, len(norm.mean), device=norm.mean.device) for norm in norms}

    def measure(norm: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        assert isinstance(norm, BatchNorm)
        variance, mean = torch.var_mean(inputs[0].float(), (0, 2, 3), correction=0)
        totals[norm] += torch.stack([mean, variance]) / len(batches)
        norm.mean.copy_(mean)  # what follows sees what training would
        norm.variance.copy_(variance)

    hooks = [norm.register_forward_pre_hook(measure) for norm in norms]
    for batch in batches:
        network(batch)
    for hook in hooks:
        hook.remove()
    for norm, (mean, variance) in totals.items():
        norm.mean.copy_(mean)
        norm.variance.copy_(variance)
