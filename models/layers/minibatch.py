"""What tells a discriminator of a batch's variety, and any discriminator with it.

Minibatch discrimination is of "Improved Techniques for Training GANs" (Salimans et al. 2016, arXiv 1606.03498, section
3.2), the minibatch standard deviation (see `layers.py`) of ProGAN. `MinibatchDifference` is the plainest of the kind:
how far a sample is from the batch's mean.

Deviations: none from the paper; the authors' code normalises the tensor's weights and learns an offset.
"""

from collections.abc import Callable, Sequence
from typing import Literal, cast

import torch
from torch import Tensor, nn

from models.discriminator import Discriminator, DiscriminatorOutput
from models.layers.equalized import MinibatchStdDev, PerSample, local_mean, over_local_batch, wide

Variety = Literal["stddev", "discrimination", "difference"]


class MinibatchDiscrimination(nn.Module):
    """Append to each sample's features how near the batch's other samples are, by each of several learned distances.

    (N, n_in) -> (N, n_in + kernels). Computed in float32 or wider over the batch that `over_batch` sees, which whoever
    trains on several processes replaces by one over all of them.
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
        """Append the nearness to x."""
        with torch.autocast(x.device.type, enabled=False):
            near = self.over_batch(self._nearness, wide(x) @ self.tensor)
        return torch.cat([x, near.to(x.dtype)], dim=1)

    def _nearness(self, m: Tensor) -> Tensor:
        """Sum over the others of exp(-|M_i - M_j|_1), for M (N, kernels x dimensions): (N, kernels)."""
        rows = m.view(len(m), self.kernels, -1)
        distances = (rows[:, None] - rows).abs().sum(3)  # (N, N, kernels)
        return torch.exp(-distances).sum(1) - 1  # a sample's nearness to itself is 1


class MinibatchDifference(nn.Module):
    """Append to each sample its mean absolute difference from the batch's mean, as a channel.

    (N, C, H, W) -> (N, C + 1, H, W). Computed in float32 or wider over the batch that `batch_mean` sees, which whoever
    trains on several processes replaces by a mean over all of them.
    """

    def __init__(self) -> None:
        super().__init__()
        self.batch_mean: Callable[[Tensor], Tensor] = local_mean

    def forward(self, x: Tensor) -> Tensor:
        """Append the difference to x."""
        with torch.autocast(x.device.type, enabled=False):
            precise = wide(x)
            apart = (precise - self.batch_mean(precise)).abs().mean((1, 2, 3), keepdim=True)  # (N, 1, 1, 1)
        return torch.cat([x, apart.to(x.dtype).expand(-1, 1, *x.shape[2:])], dim=1)


class BatchAware(Discriminator):
    """A discriminator whose logits is read off the batch's variety too, at the last features of another one.

    If that one's logits is a dense layer of its features, this one's is the dense layer of features and variety.
    """

    def __init__(
        self,
        judge: Discriminator,  # the other one
        variety: Variety,
    ) -> None:
        super().__init__()
        if judge.feature_size == 0:
            raise ValueError(f"{type(judge).__name__} reads its logits off no features: take minibatch none")
        self.judge, self.resolutions, self.feature_size = judge, judge.resolutions, judge.feature_size
        if variety == "discrimination":
            self.see: nn.Module = MinibatchDiscrimination(self.feature_size)
        else:
            self.see = nn.Sequential(
                nn.Unflatten(1, (self.feature_size, 1, 1)),
                MinibatchStdDev() if variety == "stddev" else MinibatchDifference(),
                nn.Flatten(),
            )
        told = self.see(torch.zeros(1, self.feature_size)).shape[1] - self.feature_size
        self.read = nn.Linear(told, 1, bias=False)
        nn.init.normal_(self.read.weight, std=0.02)

    def grow(self, resolution: int, blend: float) -> None:
        """Let the other one be as far, and take what it takes."""
        self.judge.grow(resolution, blend)
        self.resolutions = self.judge.resolutions

    def forward(self, images: Sequence[Tensor], labels: Tensor | None = None) -> DiscriminatorOutput:
        """What the other one says, its logits by the batch's variety too."""
        output = cast(DiscriminatorOutput, self.judge(images, labels))
        assert output.features is not None
        variety = self.see(output.features)[:, self.feature_size :]
        return output._replace(logits=output.logits + self.read(variety).flatten())
