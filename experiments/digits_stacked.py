"""How many of the 1,000 modes of stacked MNIST systems cover: three digits drawn at random are red, green and blue.

As in Metz et al. 2017 ("Unrolled GANs", arXiv 1611.02163, section 3.3.1), 26,000 samples are judged by a classifier of
digits, colour by colour; a mode is covered if one of them shows it. The KL divergence is that of their shares from the
data's. `real` are as many stacks of digits set aside for tests: what chance and the classifier's errors leave.

Deviations: the networks are those of `training/recipes`, in a size for minutes on one CPU core.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import matplotlib
import torch
from torch import Tensor

from experiments.digits_setting import (
    NAMES,
    RESOLUTION,
    SURE,
    DigitComparison,
    Trial,
    digits,
    divergence,
    painted,
    sheet,
    shown,
    small,
    unpacked,
)
from experiments.experiment import Result, markdown
from training.recipes.dcgan import dcgan_cpu
from training.recipes.mine import mine_cpu
from training.recipes.recipe import Recipe, with_settings
from training.recipes.wgan import wgan_gp_cpu

matplotlib.use("agg")
from matplotlib import pyplot as plt

MODES = len(NAMES) ** 3
_SIDE = 8  # pictures in a line and in a column of the figure's sheets

_DCGAN = small(dcgan_cpu(), kimg=120)
SYSTEMS = {
    "dcgan": Trial(_DCGAN, 150),
    "minibatch-discrimination": Trial(with_settings(_DCGAN, minibatch="discrimination"), 200),
    "mine": Trial(
        with_settings(
            mine_cpu(), resolution=RESOLUTION, widths=(64, 32, 16), kimg=120, lr=(0.0005,), ema_half_life=4
        ),
        320,
    ),
    "wgan-gp": Trial(small(wgan_gp_cpu(), kimg=160), 250),
}


@dataclass(frozen=True)
class StackedDigits(DigitComparison):
    """Modes of stacked MNIST that are covered."""

    systems: ClassVar = SYSTEMS

    judged: int = 26_000  # samples that are counted

    def trial(self, recipe: Recipe) -> Result:
        """What is found of a system's samples, and a sheet of them."""
        _, generator = self.trained(recipe, 3, digits(self.data, "train").sample_stacks)
        samples = painted(generator, generator.prior(self.judged, torch.Generator().manual_seed(0)))
        return {
            **self.found(samples),
            "images": recipe.kimg * 1000 * self.length,
            "pictures": sheet(samples[: _SIDE**2], _SIDE),
        }

    def real(self) -> Result:
        """The same of stacks of MNIST's digits for tests."""
        return self.found(
            digits(self.data, "test").sample_stacks(self.judged, torch.Generator().manual_seed(0))
        )

    def found(self, stacks: Tensor) -> Result:
        """What the classifier finds of stacks (N, 3, 32, 32)."""
        answers = self.judge().judge(stacks.flatten(0, 1)[:, None])
        modes = answers.digits.view(-1, 3) @ torch.tensor([100, 10, 1])
        counts, shares = modes.bincount(minlength=MODES), digits(self.data, "train").shares()
        return {
            "modes": int((counts > 0).sum()),
            "divergence": divergence(counts, torch.einsum("i,j,k->ijk", shares, shares, shares).flatten()),
            "sure": float((answers.confidence.view(-1, 3).min(1).values >= SURE).float().mean()),
        }

    def table(self, results: Mapping[str, Result]) -> str:
        """A line for each row."""
        header = (
            "system",
            "images",
            f"modes of {MODES}",
            "KL, nats",
            "classifier is sure of all three",
        )
        return markdown(header, [(name, *_line(found)) for name, found in results.items()])

    def figure(self, results: Mapping[str, Result], path: Path) -> None:
        """Samples of each system."""
        systems = [name for name in results if name != "real"]
        figure, panels = plt.subplots(
            1, len(systems), figsize=(len(systems) * 2.6, 2.8), squeeze=False, layout="constrained"
        )
        for panel, name in zip(panels[0], systems, strict=True):
            panel.set_title(name, fontsize=8)
            panel.imshow(unpacked(results[name]["pictures"]))
            panel.set_axis_off()
        figure.savefig(path, dpi=90, metadata={"Software": None})
        plt.close(figure)


def _line(found: Result) -> list[str]:
    """A row of the table without its name."""
    return [
        shown(found),
        str(found["modes"]),
        f"{found['divergence']:.3f}",
        f"{found['sure']:.1%}",
    ]
