"""Which modes of a mixture of Gaussians a system covers, by objective, penalty and trick, and as a whole.

Everything but what a row varies is the same: networks, Adam, one move of each side per round. The subjects are those of
many papers on modes: a ring of 8 and a grid of 25 (Metz et al. 2017, "Unrolled GANs", arXiv 1611.02163; Lin et al.
2018, "PacGAN", arXiv 1712.04086; MINE, arXiv 1801.04062, section 5.1).

Deviations: wider Gaussians and far fewer steps than in the papers; the points judged are of the weights as they are at
the end, not of a moving average. See also `gaussians_tricks.py` and `gaussians_systems.py`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

import matplotlib
import torch
from torch import Tensor

from experiments.experiment import Result, Row, markdown, spread
from experiments.gaussians_setting import Setting, Variation
from experiments.gaussians_systems import KNOWN_AS, SYSTEMS
from experiments.gaussians_tricks import TRICKS
from experiments.training_loop import train
from training.system import System

matplotlib.use("agg")
from matplotlib import pyplot as plt

VARIATIONS = {**TRICKS, **SYSTEMS}
JUDGED = 5000  # points of a run that are counted
DRAWN = 400  # points in a panel of the figure
COLUMNS = 8  # panels of the figure in a line


class Found(NamedTuple):
    """Points of a row."""

    points: Tensor  # (runs, JUDGED, 2)
    labels: Tensor | None = None  # modes that were asked for, (runs, JUDGED), of systems with labels


@dataclass(frozen=True)
class Gaussians(Setting):
    """Modes covered and share of good points, of a ring of 8 Gaussians or a grid of 25."""

    def rows(self) -> Mapping[str, Row]:
        """Every variation, and the mixture itself, which is the best that there is."""
        rows = {}
        for name, each in VARIATIONS.items():
            times = 1 if each.together else self.runs
            rows[name] = Row(
                self.iterations * each.cost * times, partial(self.measure, partial(self.trained, each))
            )
        return {**rows, "real": Row(1, partial(self.measure, self.real))}

    def measure(self, find: Callable[[], Found]) -> Result:
        """What is found of points, run by run, and points of the first to be drawn."""
        found = find()
        modes, good = zip(*(self.learned.judge(run) for run in found.points), strict=True)
        drawn = found.points[0, :DRAWN].nan_to_num().clamp(-9, 9)
        result = {
            "modes": modes,
            "good": good,
            "points": [[round(x, 3) for x in point] for point in drawn.tolist()],
        }
        if found.labels is not None:
            options = zip(found.points, found.labels, strict=True)
            result["obeyed"] = [self.learned.obeyed(*each) for each in options]
        return result

    def real(self) -> Found:
        """Points of the mixture itself."""
        points = self.learned.sample(self.runs * JUDGED, torch.Generator().manual_seed(0))
        return Found(points.view(self.runs, JUDGED, 2))

    def trained(self, variation: Variation) -> Found:
        """Points of generators that are trained side by side, or one after another."""
        if variation.together:
            torch.manual_seed(0)
            return self._play(variation.build(self), 0)
        alone = replace(self, runs=1)
        found = []
        for seed in range(self.runs):
            torch.manual_seed(seed)
            found.append(alone._play(variation.build(alone), seed))
        labels = [each.labels for each in found if each.labels is not None]
        return Found(torch.cat([each.points for each in found]), torch.cat(labels) if labels else None)

    def _play(self, system: System, seed: int) -> Found:
        batch, of = self.runs * self.batch, self.learned
        train(system, of.sample, 1, self.iterations, batch, seed, labels=of.labels)
        with torch.no_grad():
            z = system.generator.prior(self.runs * JUDGED, torch.Generator().manual_seed(seed))
            points: Tensor = system.generator(z)[-1]
        classes = len(system.generator.class_names)
        labels = z[:, -classes:].argmax(1).view(self.runs, JUDGED) if classes else None
        return Found(points.view(self.runs, JUDGED, 2), labels)

    def table(self, results: Mapping[str, Result]) -> str:
        """A line for each row, then one for each system that is a row of another name."""
        header = ("objective, trick or system", f"modes of {self.classes}", "good points")
        lines = [
            (name, spread(found["modes"], 1), spread(found["good"], 2)) for name, found in results.items()
        ]
        known = [(system, ", ".join(rows)) for system, rows in KNOWN_AS.items()]
        return f"{markdown(header, lines)}\n{markdown(('system', 'row'), known)}"

    def figure(self, results: Mapping[str, Result], path: Path) -> None:
        """The points of the first run, a panel for each row."""
        lines = -(-len(results) // COLUMNS)
        sheet, panels = plt.subplots(
            lines, COLUMNS, figsize=(COLUMNS * 1.4, lines * 1.55), squeeze=False, layout="constrained"
        )
        for panel in panels.flat:
            panel.set(xlim=(-1.5, 1.5), ylim=(-1.5, 1.5), aspect="equal")
            panel.set_axis_off()
        for panel, (name, found) in zip(panels.flat, results.items(), strict=False):
            panel.set_title(name, fontsize=8, pad=2)
            panel.scatter(*zip(*found["points"], strict=True), s=1, linewidths=0)
        sheet.savefig(path, dpi=90, metadata={"Software": None})
        plt.close(sheet)
