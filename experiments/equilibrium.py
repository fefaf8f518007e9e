"""How BEGAN's measure of convergence falls while it learns (Berthelot et al. 2017, arXiv 1703.10717, sections 3.4 and
4.3), and how k keeps the balance of the two errors.

The measure is M = L(x) + |gamma L(x) - L(G(z))|, L the error with which the discriminator paints a picture again.

Deviations: the recipe `began-cpu` at half its resolution, narrower, k learning faster. What is drawn are means of all
batches between two points.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import matplotlib
import torch
from torch import Tensor

from common.images import from_uint8
from data_prep.store import PyramidDataset
from experiments.experiment import Experiment, Result, Row, markdown
from experiments.training_loop import train
from training.recipes.began import began_cpu
from training.recipes.recipe import DataFormat, with_settings
from training.schedules import TrainState

matplotlib.use("agg")
from matplotlib import pyplot as plt

WATCHED = ("convergence", "logits/real", "logits/fake", "k")


@dataclass(frozen=True)
class EquilibriumOfErrors(Experiment):
    """BEGAN's measure of convergence, balance of errors and k, for several gammas."""

    data: Path  # folder of a prepared data set
    gammas: tuple[float, ...] = (0.5,)  # error of fakes in that of reals
    resolution: int = 32  # shorter side of the pictures, pixels
    kimg: int = 16  # thousands of pictures shown in a row
    batch: int = 16  # pictures per step
    width: int = 16  # n, channels of the networks
    points: int = 25  # of a curve
    k_rate: float = 0.005  # by which k learns

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.gammas or not all(0 < gamma <= 1 for gamma in self.gammas):
            raise ValueError(f"gammas must be above 0 and at most 1, at least one, not {self.gammas}")
        if self.iterations < self.points:
            raise ValueError(f"kimg and batch give {self.iterations} steps, fewer than points, {self.points}")

    @property
    def iterations(self) -> int:
        """Steps of a row."""
        return self.kimg * 1000 // self.batch

    def rows(self) -> Mapping[str, Row]:
        """A row for each gamma."""
        return {f"gamma-{gamma:g}": Row(self.iterations, partial(self.learn, gamma)) for gamma in self.gammas}

    def learn(self, gamma: float) -> Result:
        """Train; what is watched, from point to point."""
        dataset = PyramidDataset(self.data)
        recipe = with_settings(
            began_cpu(),
            resolution=self.resolution,
            kimg=self.kimg,
            batch=self.batch,
            width=self.width,
            gamma=gamma,
            k_rate=self.k_rate,
        )
        torch.manual_seed(0)
        system = recipe.build(DataFormat(dataset.channels, aspect=dataset.aspect))
        said: list[list[float]] = []

        def watch(_: TrainState, scalars: Mapping[str, Tensor]) -> None:
            said.append([scalars[name].item() for name in WATCHED])

        def reals(count: int, rng: torch.Generator) -> Tensor:
            chosen = torch.randint(len(dataset), (count,), generator=rng).tolist()
            return from_uint8(dataset.images(chosen, self.resolution))

        train(system, reals, self.resolution, self.iterations, self.batch, 0, watch=watch)
        means = [part.mean(0).tolist() for part in torch.tensor(said).tensor_split(self.points)]
        m, real, fake, k = zip(*means, strict=True)
        return {"convergence": m, "balance": [b / a for a, b in zip(real, fake, strict=True)], "k": k}

    def table(self, results: Mapping[str, Result]) -> str:
        """A line for each row."""
        header = ("gamma", "M at first", "M at the end", "L(G(z)) / L(x) at the end", "k at the end")
        lines = [
            (
                name.removeprefix("gamma-"),
                f"{found['convergence'][0]:.3f}",
                f"{found['convergence'][-1]:.3f}",
                f"{found['balance'][-1]:.3f}",
                f"{found['k'][-1]:.3f}",
            )
            for name, found in results.items()
        ]
        return markdown(header, lines)

    def figure(self, results: Mapping[str, Result], path: Path) -> None:
        """M, the balance and k over the pictures shown."""
        sheet, panels = plt.subplots(1, 3, figsize=(10, 2.8), layout="constrained")
        seen = [(i + 0.5) * self.kimg / self.points for i in range(self.points)]
        named = {"convergence": "M", "balance": "L(G(z)) / L(x)", "k": "k"}
        for panel, (what, title) in zip(panels, named.items(), strict=True):
            for name, found in results.items():
                panel.plot(seen, found[what], label=name)
            panel.set(title=title, xlabel="thousands of pictures shown")
        panels[0].legend()
        sheet.savefig(path, dpi=80, metadata={"Software": None})
        plt.close(sheet)
