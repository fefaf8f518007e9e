"""Layers that show a discriminator how varied a batch is, and a discriminator that adds one of them to another.

Minibatch discrimination: "Improved Techniques for Training GANs" (Salimans et al. 2016, arXiv 1606.03498, section 3.2).
Minibatch standard deviation: "Progressive Growing of GANs" (Karras et al. 2018, arXiv 1710.10196, section 3), here in
two forms: over the groups of its authors' code (`GroupStdDev`), and as one scalar for the whole batch, as in BMSG-GAN
(`MinibatchStdDev`; see `msg_gan.py`). `MinibatchDifference` is the simplest: how far a sample is from the batch's mean.

All statistics are computed in float32 or wider over the local batch. Training on several processes replaces the
functions `moments`, `over_batch` and `batch_mean` of these layers by ones that see the batches of all of them.

Deviations: none from the papers; the authors' code of minibatch discrimination normalizes the tensor's weights and
learns an offset.
"""

from collections.abc import Callable, Sequence
from typing import Literal, cast

import torch
from torch import Tensor, nn

from models.discriminator import Discriminator, DiscriminatorOutput
from models.layers.normalization import Moments, local_moments
from models.layers.precision import at_least_float32

MinibatchLayer = Literal["stddev", "discrimination", "difference"]
PerSample = Callable[[Tensor], Tensor]  # a value for each sample of a batch: (N, ...) -> (N, ...)


def local_mean(x: Tensor) -> Tensor:
    """Mean over the local batch (dimension 0, kept)."""
    return x.mean(0, keepdim=True)


def over_local_batch(function: PerSample, x: Tensor) -> Tensor:
    """Apply the function to the local batch x."""
    return function(x)


class MinibatchStdDev(nn.Module):
    """Append the batch's mean standard deviation, one scalar, as a channel. (N, C, H, W) -> (N, C + 1, H, W)."""

    def __init__(self) -> None:
        super().__init__()
        self.moments: Moments = local_moments

    def forward(self, x: Tensor) -> Tensor:
        """Append the statistic to x."""
        with torch.autocast(x.device.type, enabled=False):
            _, variance = self.moments(at_least_float32(x), (0,))  # (1, C, H, W)
            deviation = (variance + 1e-8).sqrt().mean()  # scalar
        channel = deviation.to(x.dtype).expand(x.shape[0], 1, *x.shape[2:])
        return torch.cat([x, channel], dim=1)


class GroupStdDev(nn.Module):
    """Append to each sample the mean standard deviation of its group. (N, C, H, W) -> (N, C + 1, H, W).

    Of M groups, group i mod M holds sample i. All groups have the same size, the largest up to `group` that divides the
    batch.
    """

    def __init__(
        self,
        group: int = 4,  # samples per group, at most
    ) -> None:
        super().__init__()
        self.group = group
        self.over_batch: Callable[[PerSample, Tensor], Tensor] = over_local_batch

    def forward(self, x: Tensor) -> Tensor:
        """Append the statistic to x."""
        with torch.autocast(x.device.type, enabled=False):
            deviations = self.over_batch(self._deviations, at_least_float32(x))  # (N, 1, 1, 1)
        return torch.cat([x, deviations.to(x.dtype).expand(-1, 1, *x.shape[2:])], dim=1)

    def _deviations(self, x: Tensor) -> Tensor:
        size = max(size for size in range(1, self.group + 1) if len(x) % size == 0)
        groups = x.view(size, -1, *x.shape[1:])  # (G, M, C, H, W)
        variance = (groups - groups.mean(0)).square().mean(0)
        deviations = (variance + 1e-8).sqrt().mean((1, 2, 3))  # (M)
        return deviations.repeat(size).view(-1, 1, 1, 1)


class MinibatchDiscrimination(nn.Module):
    """Append to each sample's features how close the batch's other samples are, by several learned distances.

    (N, n_in) -> (N, n_in + kernels).
    """

    def __init__(
        self,
        n_in: int,  # A, input features
        kernels: int = 100,  # B, distances
        dimensions: int = 5,  # C, numbers that a distance is taken over
    ) -> None:
        super().__init__()
        self.tensor = nn.Parameter(torch.randn(n_in, kernels * dimensions) / n_in**0.5)  # T
        self.kernels = kernels
        self.over_batch: Callable[[PerSample, Tensor], Tensor] = over_local_batch

    def forward(self, x: Tensor) -> Tensor:
        """Append the similarities to x."""
        with torch.autocast(x.device.type, enabled=False):
            similarities = self.over_batch(self._similarities, at_least_float32(x) @ self.tensor)
        return torch.cat([x, similarities.to(x.dtype)], dim=1)

    def _similarities(self, m: Tensor) -> Tensor:
        """Sum over the others of exp(-|M_i - M_j|_1), for M (N, kernels x dimensions): (N, kernels)."""
        rows = m.view(len(m), self.kernels, -1)
        distances = (rows[:, None] - rows).abs().sum(3)  # (N, N, kernels)
        return torch.exp(-distances).sum(1) - 1  # a sample's similarity to itself is 1


class MinibatchDifference(nn.Module):
    """Append to each sample its mean absolute difference from the batch's mean. (N, C, H, W) -> (N, C + 1, H, W)."""

    def __init__(self) -> None:
        super().__init__()
        self.batch_mean: Callable[[Tensor], Tensor] = local_mean

    def forward(self, x: Tensor) -> Tensor:
        """Append the difference to x."""
        with torch.autocast(x.device.type, enabled=False):
            x32 = at_least_float32(x)
            difference = (x32 - self.batch_mean(x32)).abs().mean((1, 2, 3), keepdim=True)  # (N, 1, 1, 1)
        return torch.cat([x, difference.to(x.dtype).expand(-1, 1, *x.shape[2:])], dim=1)


class MinibatchDiscriminator(Discriminator):
    """A discriminator whose logits also depend on a minibatch layer, applied to its last features.

    A linear layer of what the minibatch layer appends is added to the logits. If these are themselves a linear layer of
    the features, the sum is the linear layer of both.

    Raises:
        ValueError: the discriminator returns no features.
    """

    def __init__(
        self,
        discriminator: Discriminator,
        layer: MinibatchLayer,
    ) -> None:
        super().__init__()
        if discriminator.feature_size == 0:
            raise ValueError(
                f"{type(discriminator).__name__} returns no features for a minibatch layer: set minibatch to none"
            )
        self.discriminator, self.resolutions = discriminator, discriminator.resolutions
        self.feature_size = discriminator.feature_size
        if layer == "discrimination":
            self.layer: nn.Module = MinibatchDiscrimination(self.feature_size)
        else:
            self.layer = nn.Sequential(
                nn.Unflatten(1, (self.feature_size, 1, 1)),
                MinibatchStdDev() if layer == "stddev" else MinibatchDifference(),
                nn.Flatten(),
            )
        appended = self.layer(torch.zeros(1, self.feature_size)).shape[1] - self.feature_size
        self.linear = nn.Linear(appended, 1, bias=False)
        nn.init.normal_(self.linear.weight, std=0.02)

    def grow(self, resolution: int, blend: float) -> None:
        """Grow the discriminator, and take the resolutions that it then takes."""
        self.discriminator.grow(resolution, blend)
        self.resolutions = self.discriminator.resolutions

    def forward(self, images: Sequence[Tensor], labels: Tensor | None = None) -> DiscriminatorOutput:
        """The discriminator's output, with the minibatch layer's contribution added to the logits."""
        output = cast(DiscriminatorOutput, self.discriminator(images, labels))
        assert output.features is not None
        statistics = self.layer(output.features)[:, self.feature_size :]
        return output._replace(logits=output.logits + self.linear(statistics).flatten())
