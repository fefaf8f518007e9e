"""Mixtures of Gaussians in the plane, as pictures of one pixel with two channels."""

import math
from dataclasses import dataclass
from itertools import product

import torch
from torch import Tensor


@dataclass(frozen=True)
class Mixture:
    """Gaussians of one deviation, as many points from each."""

    modes: tuple[tuple[float, float], ...]  # their means
    deviation: float

    def labels(self, count: int, rng: torch.Generator) -> Tensor:
        """Modes drawn evenly, by their places in `modes`: int64 (count,)."""
        return torch.randint(len(self.modes), (count,), generator=rng)

    def sample(self, count: int, rng: torch.Generator) -> Tensor:
        """Points as pictures: (count, 2, 1, 1). They are of the modes that `labels` draws by the same numbers."""
        modes = torch.tensor(self.modes)[self.labels(count, rng)]
        points = modes + self.deviation * torch.randn(count, 2, generator=rng)
        return points[:, :, None, None]

    def judge(self, points: Tensor) -> tuple[int, float]:
        """How many modes points (N, 2) cover, and which share of them is good.

        A point is good within three deviations of a mode. A mode is covered if it has a tenth of its due of good
        points.
        """
        nearest, good = self._nearest(points)
        counts = nearest[good].bincount(minlength=len(self.modes))
        covered = counts * 10 * len(self.modes) >= len(points)
        return int(covered.sum()), float(good.float().mean())

    def obeyed(self, points: Tensor, labels: Tensor) -> float:
        """Which share of points (N, 2) is good, and of the mode that its label (N,) asks for."""
        nearest, good = self._nearest(points)
        return float((good & (nearest == labels)).float().mean())

    def _nearest(self, points: Tensor) -> tuple[Tensor, Tensor]:
        """The nearest mode of each of points (N, 2), and whether it is good: (N,) each."""
        distances, nearest = torch.cdist(points, torch.tensor(self.modes)).min(1)
        return nearest, distances <= 3 * self.deviation


def ring(count: int, deviation: float) -> Mixture:
    """Modes evenly on the unit circle."""
    angles = [2 * math.pi * i / count for i in range(count)]
    return Mixture(tuple((math.cos(angle), math.sin(angle)) for angle in angles), deviation)


def grid(side: int, deviation: float) -> Mixture:
    """A square of side x side modes, evenly from -1 to 1 both ways."""
    ticks = [2 * i / (side - 1) - 1 for i in range(side)]
    return Mixture(tuple(product(ticks, ticks)), deviation)


MIXTURES = {"ring": ring(8, 0.07), "grid": grid(5, 0.04)}
