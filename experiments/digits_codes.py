"""What InfoGAN's codes tell of the digits of MNIST (Chen et al. 2016, arXiv 1606.03657, sections 7.1 and 7.2).

A code of ten categories and two continuous ones, as in the paper. Q's bound is on the information between code and
picture; the classifier's is that between the code and its answer, by their joint counts, which is a bound too. At most
it is log 10 = 2.303 nats. `without-information` is the same system with lambda 0: its codes are noise like the rest.

Deviations: smaller networks than the paper's, in `CODES`; pictures are of the average of the weights.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import matplotlib
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor
from torch.nn import functional as F

from experiments.digits_setting import (
    NAMES,
    DigitExperiment,
    digits,
    divergence,
    painted,
    sheet,
    shown,
    unpacked,
)
from experiments.experiment import Result, Row, markdown
from models.architectures.infogan import InfoGANGenerator
from models.discriminator import Discriminator
from training.objectives.information import discrete_information
from training.recipes.infogan import InfoGANRecipe, infogan
from training.recipes.recipe import with_settings
from training.system import System

matplotlib.use("agg")
from matplotlib import pyplot as plt

CODES = with_settings(
    infogan(),
    widths=(64, 32),
    hidden=256,
    kimg=100,
    batch=64,
    ttur_ratio=0.4,
    ema_half_life=4,
    precision="bf16",
)
_WIDEST = 2.0  # how far continuous codes are swept, twice as far as in training, as in the paper
_COLUMNS = 10  # of a sheet
_AT_ONCE = 500  # pictures that Q reads in a pass
SHEETS = ("categorical", "first continuous", "second continuous")


@dataclass(frozen=True)
class DigitCodes(DigitExperiment):
    """Information between InfoGAN's codes and its digits."""

    judged: int = 10_000  # samples that are counted
    runs: int = 1  # of InfoGAN, from a seed each

    def rows(self) -> Mapping[str, Row]:
        """InfoGAN from each seed, and once with no weight on the information."""
        recipes = {f"seed-{seed}": with_settings(CODES, seed=seed) for seed in range(self.runs)}
        recipes["without-information"] = with_settings(CODES, weight_categorical=0, weight_continuous=0)
        return {name: Row(1, partial(self.measure, recipe)) for name, recipe in recipes.items()}

    def measure(self, recipe: InfoGANRecipe) -> Result:
        """What is found of a training's samples, and sheets of them."""
        system, generator = self.trained(recipe, 1, digits(self.data, "train").sample)
        assert isinstance(generator, InfoGANGenerator)
        z = generator.prior(self.judged, torch.Generator().manual_seed(0))
        pictures = painted(generator, z)
        continuous, (categorical,) = generator.codes.split(z[:, -generator.codes.size :])
        counts = joint_counts(categorical.argmax(1), self.judge().judge(pictures).digits)
        means, (logits,) = generator.codes.split(_read(system, pictures))
        codes, best = linear_sum_assignment(-counts.numpy())
        return {
            "images": recipe.kimg * 1000 * self.length,
            "bound of Q": float(discrete_information(logits, categorical)),
            "information": information(counts),
            "matched": float(counts[codes, best].sum() / counts.sum()),
            "digits": best.tolist(),
            "read": correlations(continuous, means).diagonal().tolist(),
            "traits": correlations(continuous, torch.stack([slant(pictures), ink(pictures)], dim=1)).tolist(),
            "sheets": [sheet(painted(generator, z), _COLUMNS) for z in swept(generator, best.tolist())],
        }

    def table(self, results: Mapping[str, Result]) -> str:
        """A line for each row."""
        header = (
            *(
                "training",
                "images",
                "Q's bound, nats",
                "classifier's, nats",
                "code tells the digit",
            ),
            *("correlation of the continuous codes with what Q reads", "with slant", "with ink"),
        )
        return markdown(header, [(name, *_line(found)) for name, found in results.items()])

    def figure(self, results: Mapping[str, Result], path: Path) -> None:
        """The sheets of each row."""
        figure, panels = plt.subplots(
            len(results),
            len(SHEETS),
            figsize=(len(SHEETS) * 2.6, len(results) * 2.75),
            squeeze=False,
            layout="constrained",
        )
        for line, (name, found) in zip(panels, results.items(), strict=True):
            for panel, title, text in zip(line, SHEETS, found["sheets"], strict=True):
                panel.set_title(f"{name}: {title}", fontsize=7)
                panel.imshow(unpacked(text), cmap="gray")
                panel.set_axis_off()
        figure.savefig(path, dpi=90, metadata={"Software": None})
        plt.close(figure)


def joint_counts(codes: Tensor, answers: Tensor) -> Tensor:
    """How often each code (N,) goes with each answer (N,): (10, 10), a line for each code."""
    classes = len(NAMES)
    return (codes * classes + answers).bincount(minlength=classes**2).view(classes, classes)


def information(counts: Tensor) -> float:
    """Mutual information in nats of two variables with such joint counts (K, L)."""
    joint = counts.double() / counts.sum()
    apart = joint.sum(1, keepdim=True) * joint.sum(0, keepdim=True)
    return divergence(counts.flatten(), apart.flatten())


def correlations(xs: Tensor, ys: Tensor) -> Tensor:
    """Correlation of each column of xs (N, K) with each of ys (N, L): (K, L); 0 where one is constant."""
    whole = torch.corrcoef(torch.cat([xs, ys], dim=1).double().T).nan_to_num()
    return whole[: xs.shape[1], xs.shape[1] :]


def ink(pictures: Tensor) -> Tensor:
    """How white pictures (N, 1, H, W) in [-1, 1] are, from 0 to 1: (N,)."""
    return (pictures / 2 + 0.5).mean((1, 2, 3))


def slant(pictures: Tensor) -> Tensor:
    """How far strokes lean to the right, for each pixel up, by the moments of the ink: (N,)."""
    weights = (pictures[:, 0] / 2 + 0.5).clamp(min=1e-6)
    weights = weights / weights.sum((1, 2), keepdim=True)
    rows, columns = (torch.arange(side).float() for side in weights.shape[1:])
    y = rows[:, None] - (weights * rows[:, None]).sum((1, 2), keepdim=True)
    x = columns - (weights * columns).sum((1, 2), keepdim=True)
    return -(weights * x * y).sum((1, 2)) / (weights * y * y).sum((1, 2))


def swept(generator: InfoGANGenerator, order: list[int]) -> list[Tensor]:
    """Latent vectors of the sheets, line by line.

    The categorical code by lines, in the order of the digits that it tells, then each continuous one by columns.
    """
    by_digit = torch.tensor(order).argsort()
    noise = generator.prior(_COLUMNS, torch.Generator().manual_seed(1))
    others = generator.prior(len(NAMES), torch.Generator().manual_seed(2))
    start = generator.latent_size
    sheets = [_with_categories(noise.repeat(len(NAMES), 1), by_digit.repeat_interleave(_COLUMNS))]
    for number in range(generator.codes.continuous):
        lines = _with_categories(others, by_digit).repeat_interleave(_COLUMNS, dim=0)
        lines[:, start : start + generator.codes.continuous] = 0
        lines[:, start + number] = torch.linspace(-_WIDEST, _WIDEST, _COLUMNS).repeat(len(NAMES))
        sheets.append(lines)
    return sheets


def _with_categories(z: Tensor, codes: Tensor) -> Tensor:
    """Latent vectors (N, latent_size) with categories (N,) in place of those that they hold."""
    return torch.cat([z[:, : -len(NAMES)], F.one_hot(codes, len(NAMES)).to(z)], dim=1)


@torch.no_grad()
def _read(system: System, pictures: Tensor) -> Tensor:
    """What Q reads off pictures (N, 1, 32, 32): (N, codes.size). Its batch norm is of the batch, as in training."""
    d = system.updaters[0].network
    assert isinstance(d, Discriminator)
    return torch.cat([d([part]).latents for part in torch.split(pictures, _AT_ONCE)])


def _line(found: Result) -> list[str]:
    """A row of the table without its name."""
    slants, inks = zip(*found["traits"], strict=True)
    return [
        shown(found),
        f"{found['bound of Q']:z.2f}",
        f"{found['information']:.2f} of {math.log(10):.2f}",
        f"{found['matched']:.1%}",
        *(", ".join(f"{value:z.2f}" for value in values) for values in (found["read"], slants, inks)),
    ]
