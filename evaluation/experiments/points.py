"""Points in the plane, as pictures of one pixel with two channels: mixtures of Gaussians, and networks for them.

So the players, objectives and penalties are those of pictures. At these sizes a step costs what starting its operations
costs, so several runs are computed side by side, by networks whose weights have one dimension more; they share nothing
else than the clock.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import product
from typing import Any, cast

import torch
from torch import Tensor, nn

from models.discriminator import Discriminator, Verdict
from models.generator import Generator
from models.layers import MinibatchStdDev
from models.minibatch import MinibatchDiscrimination
from training.objectives import Loss, Objective


@dataclass(frozen=True)
class Mixture:
    """Gaussians of one deviation, as many points from each."""

    modes: tuple[tuple[float, float], ...]  # their means
    deviation: float

    def sample(self, count: int, rng: torch.Generator) -> Tensor:
        """Points as pictures: (count, 2, 1, 1)."""
        modes = torch.tensor(self.modes)[torch.randint(len(self.modes), (count,), generator=rng)]
        points = modes + self.deviation * torch.randn(count, 2, generator=rng)
        return points[:, :, None, None]

    def judge(self, points: Tensor) -> tuple[int, float]:
        """How many modes points (N, 2) cover, and which share of them is good.

        A point is good within three deviations of a mode. A mode is covered if it has a tenth of its due of good
        points.
        """
        distances, nearest = torch.cdist(points, torch.tensor(self.modes)).min(1)
        good = distances <= 3 * self.deviation
        counts = nearest[good].bincount(minlength=len(self.modes))
        covered = counts * 10 * len(self.modes) >= len(points)
        return int(covered.sum()), float(good.float().mean())


def ring(count: int, deviation: float) -> Mixture:
    """Modes evenly on the unit circle."""
    angles = [2 * math.pi * i / count for i in range(count)]
    return Mixture(tuple((math.cos(angle), math.sin(angle)) for angle in angles), deviation)


def grid(side: int, deviation: float) -> Mixture:
    """A square of side x side modes, evenly from -1 to 1 both ways."""
    ticks = [2 * i / (side - 1) - 1 for i in range(side)]
    return Mixture(tuple(product(ticks, ticks)), deviation)


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
) -> nn.Sequential:
    """Two hidden layers of ReLUs: (runs, N, n_in) -> (runs, N, n_out)."""
    features = (Linears(runs, n_in, hidden), nn.ReLU(), Linears(runs, hidden, hidden), nn.ReLU())
    if before_last is None:
        return nn.Sequential(*features, Linears(runs, hidden, n_out))
    return nn.Sequential(*features, before_last, Linears(runs, hidden + before_last.appended, n_out))


class PointGenerator(Generator):
    """z ~ N(0, I) -> a point, of the run whose turn it is: a batch is that of the first run, then of the second, ..."""

    def __init__(
        self,
        runs: int,  # networks side by side
        hidden: int,  # units of both hidden layers
        latent_size: int,  # length of z
    ) -> None:
        super().__init__()
        self.resolutions, self.image_channels = (1,), 2
        self.runs, self.hidden, self.latent_size = runs, hidden, latent_size
        self.layers = mlp(runs, latent_size, hidden, 2)

    def prior(self, count: int, rng: torch.Generator) -> Tensor:
        """N(0, I): (count, latent_size)."""
        return torch.randn(count, self.latent_size, generator=rng)

    def stream(self, z: Tensor, truncation: float = 1.0) -> Iterator[Tensor]:
        """Yield the points (N, 2, 1, 1)."""
        yield self.layers((z * truncation).view(self.runs, -1, self.latent_size)).view(-1, 2, 1, 1)

    def settings(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {"runs": self.runs, "hidden": self.hidden, "latent_size": self.latent_size}


class PointDiscriminator(Discriminator):
    """A point -> score, run by run as the generator."""

    def __init__(
        self,
        runs: int,  # networks side by side
        hidden: int,  # units of both hidden layers
        before_last: BatchStatistic | None = None,  # appends to the last layer's input
    ) -> None:
        super().__init__()
        self.resolutions, self.runs = (1,), runs
        self.layers = mlp(runs, 2, hidden, 1, before_last)

    def forward(self, images: Sequence[Tensor], labels: Tensor | None = None) -> Verdict:  # noqa: ARG002
        """Judge the points [(N, 2, 1, 1)]: score (N,).

        Features are (N / runs, runs x K), those of the runs beside one another: a mean over them is one for each run.
        """
        features = self.layers[:-1](images[-1].view(self.runs, -1, 2))
        score = self.layers[-1](features).flatten()
        return Verdict(score, features=features.transpose(0, 1).flatten(1))


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
