"""MINE's estimate of the mutual information of correlated Gaussians, beside the truth (Belghazi et al. 2018, arXiv
1801.04062, section 4.1): x and y of d numbers each, pair by pair correlated by rho, have -d/2 log(1 - rho^2) nats.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import matplotlib
import torch
from torch import Tensor

from experiments.experiment import Experiment, Result, Row, markdown, spread
from experiments.points import PairStatistics
from training.objectives.mutual_information import estimate

matplotlib.use("agg")
from matplotlib import pyplot as plt


@dataclass(frozen=True)
class MutualInformation(Experiment):
    """MINE's estimates for correlated Gaussians."""

    steps: int = 1000  # of the statistics network
    batch: int = 256  # pairs per step
    seeds: int = 5  # runs of a row
    hidden: int = 64  # units of the network's hidden layers
    lr: float = 0.002  # Adam's step size
    dimensions: tuple[int, ...] = (2, 20)  # numbers in x, and in y
    correlations: tuple[float, ...] = (0.0, 0.3, 0.6, 0.9)  # of each number in x with its fellow in y

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.dimensions or min(self.dimensions) < 1:
            raise ValueError(f"dimensions must be positive, at least one, not {self.dimensions}")
        if not self.correlations or not all(-1 < rho < 1 for rho in self.correlations):
            raise ValueError(f"correlations must be between -1 and 1, at least one, not {self.correlations}")

    def rows(self) -> Mapping[str, Row]:
        """Every correlation in every dimension."""
        cost = self.seeds * self.steps
        return {name: Row(cost, partial(self.estimates, *pair)) for name, pair in self._pairs().items()}

    def _pairs(self) -> dict[str, tuple[int, float]]:
        return {f"{d}-numbers-rho-{rho:g}": (d, rho) for d in self.dimensions for rho in self.correlations}

    def estimates(self, d: int, rho: float) -> Result:
        """The truth, and the estimates seed by seed, in nats."""
        return {
            "truth": truth(d, rho),
            "estimates": [self._estimate(d, rho, seed) for seed in range(self.seeds)],
        }

    def _estimate(self, d: int, rho: float, seed: int) -> float:
        torch.manual_seed(seed)
        statistics = PairStatistics(2 * d, self.hidden)
        optimizer = torch.optim.Adam(statistics.parameters(), lr=self.lr, fused=True)
        return estimate(statistics, optimizer, partial(correlated, d, rho), self.steps, self.batch, seed)

    def table(self, results: Mapping[str, Result]) -> str:
        """A line for each row."""
        header = ("d", "rho", "truth, nats", "MINE, nats")
        rows = [
            (str(d), f"{rho:g}", f"{results[name]['truth']:z.2f}", spread(results[name]["estimates"], 2))
            for name, (d, rho) in self._pairs().items()
        ]
        return markdown(header, rows)

    def figure(self, results: Mapping[str, Result], path: Path) -> None:
        """Truth and estimates over rho, a panel for each d."""
        sheet, panels = plt.subplots(
            1,
            len(self.dimensions),
            figsize=(4 * len(self.dimensions), 3),
            squeeze=False,
            layout="constrained",
        )
        for panel, d in zip(panels[0], self.dimensions, strict=True):
            fine = torch.linspace(min(self.correlations), max(self.correlations), 100).tolist()
            panel.plot(fine, [truth(d, rho) for rho in fine], label="truth")
            for name, (dimension, rho) in self._pairs().items():
                if dimension == d:
                    values = results[name]["estimates"]
                    panel.plot([rho] * len(values), values, "k.", markersize=4)
            panel.set(title=f"d = {d}", xlabel="rho", ylabel="nats")
        sheet.savefig(path, dpi=80, metadata={"Software": None})
        plt.close(sheet)


def truth(d: int, rho: float) -> float:
    """Mutual information in nats."""
    return d / 2 * math.log(1 / (1 - rho**2))


def correlated(d: int, rho: float, count: int, rng: torch.Generator) -> tuple[Tensor, Tensor]:
    """Pairs x, y of standard normal numbers: (count, d) both."""
    x, other = torch.randn(2, count, d, generator=rng)
    return x, rho * x + math.sqrt(1 - rho**2) * other
