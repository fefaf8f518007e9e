"""Networks for points in the plane, which are pictures of one pixel with two channels.

So the players, objectives and penalties are those of pictures. At these sizes a step costs what starting its operations
costs, so several runs are computed side by side, by networks whose weights have one dimension more; they share nothing
else than the clock.
"""

from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Literal, NamedTuple, cast

import torch
from torch import Tensor, nn

from models.discriminator import Discriminator, DiscriminatorOutput
from models.generator import Generator
from models.layers.minibatch import MinibatchDiscrimination, MinibatchStdDev
from models.layers.normalization import SpectralLinear
from training.objectives import Loss, Objective


class Linears(nn.Module):
    """A dense layer for each of several runs: (runs, N, n_in) -> (runs, N, n_out). First weights are `nn.Linear`'s."""

    def __init__(
        self,
        runs: int,
        n_in: int,  # input features
        n_out: int,  # output features
    ) -> None:
        super().__init__()
        limit = n_in**-0.5
        self.weight = nn.Parameter(torch.empty(runs, n_in, n_out).uniform_(-limit, limit))
        self.bias = nn.Parameter(torch.empty(runs, 1, n_out).uniform_(-limit, limit))

    def forward(self, x: Tensor) -> Tensor:
        """Map each run's features by its own layer."""
        return torch.baddbmm(self.bias, x, self.weight)


class LeCunLinears(Linears):
    """The same, whose first weights are N(0, 1 / n_in) and biases 0: SELU then keeps unit variance."""

    def __init__(
        self,
        runs: int,
        n_in: int,  # input features
        n_out: int,  # output features
    ) -> None:
        super().__init__(runs, n_in, n_out)
        nn.init.normal_(self.weight, std=n_in**-0.5)
        nn.init.zeros_(self.bias)


class SpectralLinears(nn.Module):
    """A dense layer with spectral norm for each of several runs: (runs, N, n_in) -> (runs, N, n_out)."""

    def __init__(
        self,
        runs: int,
        n_in: int,  # input features
        n_out: int,  # output features
    ) -> None:
        super().__init__()
        self.layers = nn.ModuleList(SpectralLinear(n_in, n_out) for _ in range(runs))

    def forward(self, x: Tensor) -> Tensor:
        """Map each run's features by its own layer."""
        return torch.stack([layer(batch) for layer, batch in zip(self.layers, x, strict=True)])


class BatchNorms(nn.Module):
    """Batch norm for each of several runs, by the batch at all times: (runs, N, n) -> the same."""

    def __init__(
        self,
        runs: int,
        features: int,  # n
    ) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(runs, 1, features))
        self.shift = nn.Parameter(torch.zeros(runs, 1, features))

    def forward(self, x: Tensor) -> Tensor:
        """Normalise each run's features over its batch."""
        variance, mean = torch.var_mean(x, 1, correction=0, keepdim=True)
        return torch.addcmul(self.shift, (x - mean) * torch.rsqrt(variance + 1e-5), self.scale)


class Units(NamedTuple):
    """What networks are made of."""

    layer: Callable[[int, int, int], nn.Module]  # of runs, input features, output features
    activation: Callable[[], nn.Module]  # of hidden layers
    normed: bool = False  # whether hidden layers have batch norm


UnitsName = Literal["relu", "selu", "elu", "batch", "spectral", "spectral-batch"]
UNITS: dict[UnitsName, Units] = {
    "relu": Units(Linears, nn.ReLU),
    "selu": Units(LeCunLinears, nn.SELU),
    "elu": Units(LeCunLinears, nn.ELU),
    "batch": Units(Linears, nn.ReLU, normed=True),
    "spectral": Units(SpectralLinears, nn.ReLU),
    "spectral-batch": Units(SpectralLinears, nn.ReLU, normed=True),
}


class BatchStatistic(nn.Module):
    """What tells a network of each run's batch: (runs, N, n) -> (runs, N, n + appended)."""

    appended: int  # features


class BatchDeviation(BatchStatistic):
    """ProGAN's minibatch standard deviation."""

    appended = 1

    def __init__(self) -> None:
        super().__init__()
        self.layer = MinibatchStdDev()

    def forward(self, x: Tensor) -> Tensor:
        """Append the statistic."""
        return torch.stack([self.layer(batch[:, :, None, None]).flatten(1) for batch in x])


class BatchDiscrimination(BatchStatistic):
    """Minibatch discrimination, a layer for each run."""

    def __init__(
        self,
        runs: int,  # networks side by side
        n_in: int,  # features
        kernels: int,  # learned distances
        dimensions: int,  # numbers that a distance is taken over
    ) -> None:
        super().__init__()
        self.appended = kernels
        self.layers = nn.ModuleList(MinibatchDiscrimination(n_in, kernels, dimensions) for _ in range(runs))

    def forward(self, x: Tensor) -> Tensor:
        """Append the nearness to the batch's other samples."""
        return torch.stack([layer(batch) for layer, batch in zip(self.layers, x, strict=True)])


def mlp(
    runs: int,  # networks side by side
    n_in: int,  # input features
    hidden: int,  # units of both hidden layers
    n_out: int,  # output features
    before_last: BatchStatistic | None = None,  # appends to the last layer's input
    units: UnitsName = "relu",
) -> nn.Sequential:
    """Two hidden layers: (runs, N, n_in) -> (runs, N, n_out)."""
    layer, activation, normed = UNITS[units]
    network = nn.Sequential()
    for seen in (n_in, hidden):
        network.append(layer(runs, seen, hidden))
        if normed:
            network.append(BatchNorms(runs, hidden))
        network.append(activation())
    if before_last is None:
        return network.append(layer(runs, hidden, n_out))
    return network.extend([before_last, layer(runs, hidden + before_last.appended, n_out)])


class RunwiseGenerator(Generator):
    """Latent vectors -> points, each by the run whose turn it is: a batch is the first run's, then the second's, ...

    Subclasses implement `points`. The prior is N(0, I) unless they say otherwise.
    """

    def __init__(
        self,
        runs: int,  # networks side by side
        input_size: int,  # length of the input vector
    ) -> None:
        super().__init__()
        self.resolutions, self.image_channels = (1,), 2
        self.runs, self.input_size = runs, input_size

    @abstractmethod
    def points(self, z: Tensor) -> Tensor:
        """Latent vectors (runs, N, latent_size) -> points (runs, N, 2)."""

    def prior(self, count: int, rng: torch.Generator) -> Tensor:
        """N(0, I): (count, input_size)."""
        return torch.randn(count, self.input_size, generator=rng)

    def stream(self, z: Tensor, truncation: float = 1.0) -> Iterator[Tensor]:
        """Yield the points (N, 2, 1, 1). Truncation makes the whole latent vector smaller."""
        yield self.points((z * truncation).view(self.runs, -1, self.input_size)).view(-1, 2, 1, 1)


class PointGenerator(RunwiseGenerator):
    """z ~ N(0, I) -> a point."""

    def __init__(
        self,
        runs: int,  # networks side by side
        hidden: int,  # units of both hidden layers
        latent_size: int,  # length of z
        units: UnitsName = "relu",
    ) -> None:
        super().__init__(runs, latent_size)
        self.hidden, self.units = hidden, units
        self.layers = mlp(runs, latent_size, hidden, 2, units=units)

    def points(self, z: Tensor) -> Tensor:
        """Latent vectors (runs, N, latent_size) -> points (runs, N, 2)."""
        return cast(Tensor, self.layers(z))


class PointDiscriminator(Discriminator):
    """A point -> logits, run by run as the generator."""

    def __init__(
        self,
        runs: int,  # networks side by side
        hidden: int,  # units of both hidden layers
        before_last: BatchStatistic | None = None,  # appends to the last layer's input
        units: UnitsName = "relu",
    ) -> None:
        super().__init__()
        self.resolutions, self.runs = (1,), runs
        self.layers = mlp(runs, 2, hidden, 1, before_last, units)

    def forward(self, images: Sequence[Tensor], labels: Tensor | None = None) -> DiscriminatorOutput:  # noqa: ARG002
        """Judge the points [(N, 2, 1, 1)]: logits (N,).

        Features are (N / runs, runs x K), those of the runs beside one another: a mean over them is one for each run.
        """
        features = self.layers[:-1](images[-1].view(self.runs, -1, 2))
        logits = self.layers[-1](features).flatten()
        return DiscriminatorOutput(logits, features=features.transpose(0, 1).flatten(1))


class PairStatistics(nn.Module):
    """MINE's T for what is short: x (N, ...) and y (N, ...) -> (N,)."""

    def __init__(
        self,
        size: int,  # numbers in x and y together
        hidden: int,  # units of both hidden layers
    ) -> None:
        super().__init__()
        self.layers = mlp(1, size, hidden, 1)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """T of each pair."""
        pairs = torch.cat([x.flatten(1), y.flatten(1)], 1)
        return cast(Tensor, self.layers(pairs.unsqueeze(0)).flatten())


def run_by_run(objective: Objective, runs: int) -> Objective:
    """The objective for batches of several runs: the mean over runs of each one's own loss.

    All gradients are then 1/runs of a run's alone, which Adam does not see.
    """

    def each(loss: Loss, real: Tensor, fake: Tensor) -> Tensor:
        parts = (scores.view(runs, len(scores) // runs) for scores in (real, fake))
        return torch.vmap(loss)(*parts).mean()

    return replace(objective, d=partial(each, objective.d), g=partial(each, objective.g))
