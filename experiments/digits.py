"""How evenly systems paint the ten digits of MNIST, and whether those that take a label paint the digit asked for.

Each system is one of `training/recipes`, in a size for minutes on one CPU core, trained once from one seed; its
pictures are those of the average of its weights. A classifier, trained on the same digits, says what they show; `real`
are the digits set aside for tests: its errors, and what chance does to shares.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import matplotlib
import torch
from torch import Tensor

from common.images import from_uint8
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
from models.generator import Generator
from training.recipes.ac_gan import ac_gan_cpu
from training.recipes.cgan import cgan
from training.recipes.dcgan import dcgan_cpu
from training.recipes.msg_gan import msg_gan_cpu
from training.recipes.recipe import Recipe, with_settings
from training.recipes.vae import vae_cpu
from training.recipes.wgan import wgan_gp_cpu

matplotlib.use("agg")
from matplotlib import pyplot as plt

_LINES = 6  # of ten pictures, in the figure

SYSTEMS = {
    "ac-gan": Trial(
        with_settings(
            ac_gan_cpu(),
            kimg=140,
            batch=50,
            lr=(0.0005,),
            precision="bf16",
            widths_g=(64, 32, 16),
            widths_d=(16, 16, 32, 32, 64, 64),
        ),
        420,
    ),
    "cgan": Trial(with_settings(cgan(), kimg=300, precision="bf16"), 230),
    "cgan-adam": Trial(
        with_settings(
            cgan(), kimg=220, batch=50, decay_every=50, optimizer="adam", lr=(0.0005,), precision="bf16"
        ),
        220,
    ),
    "dcgan": Trial(small(dcgan_cpu(), kimg=64), 100),
    "wgan-gp": Trial(small(wgan_gp_cpu(), kimg=96), 180),
    "msg-gan": Trial(
        with_settings(msg_gan_cpu(), resolution=RESOLUTION, widths=(48, 48, 32, 16), kimg=20), 120
    ),
    "vae": Trial(
        with_settings(vae_cpu(), resolution=RESOLUTION, widths=(64, 32, 16), latent_size=16, kimg=200), 100
    ),
}


@dataclass(frozen=True)
class DigitShares(DigitComparison):
    """Shares of the digits among samples, and of samples that show the digit asked for."""

    systems: ClassVar = SYSTEMS

    judged: int = 10_000  # samples that are counted

    def trial(self, recipe: Recipe) -> Result:
        """What is found of a system's samples, and a sheet of them, a column for each label if it takes labels."""
        train = digits(self.data, "train")
        labels = train.sample_labels if recipe.needs_labels else None
        _, generator = self.trained(recipe, 1, train.sample, labels)
        z = generator.prior(self.judged, torch.Generator().manual_seed(0))
        options = z[:, -len(NAMES) :].argmax(1) if recipe.needs_labels else None
        found = self.found(painted(generator, z), options)
        pictures = sheet(painted(generator, _shown(generator)), len(NAMES))
        return {**found, "images": recipe.kimg * 1000 * self.length, "pictures": pictures}

    def real(self) -> Result:
        """The same of MNIST's digits for tests."""
        test = digits(self.data, "test")
        return self.found(from_uint8(test.images), test.labels)

    def found(self, images: Tensor, options: Tensor | None) -> Result:
        """What the classifier finds of pictures (N, 1, 32, 32), and how it agrees with what was asked for (N,)."""
        answers = self.judge().judge(images)
        counts = answers.digits.bincount(minlength=len(NAMES))
        return {
            "counts": counts.tolist(),
            "divergence": divergence(counts, digits(self.data, "train").shares()),
            "sure": float((answers.confidence >= SURE).float().mean()),
            "as asked": None if options is None else float((answers.digits == options).float().mean()),
        }

    def table(self, results: Mapping[str, Result]) -> str:
        """A line for each row."""
        header = (
            *(
                "system",
                "images",
                "KL to the data's shares, nats",
                "rarest digit",
                "commonest digit",
            ),
            *("classifier is sure", "digit asked for"),
        )
        return markdown(header, [(name, *_line(found)) for name, found in results.items()])

    def figure(self, results: Mapping[str, Result], path: Path) -> None:
        """Samples of each system, and the digits' shares."""
        systems = [name for name in results if name != "real"]
        figure, panels = plt.subplots(
            2,
            len(systems),
            figsize=(len(systems) * 2.2, 2.6),
            height_ratios=(_LINES, 5),
            squeeze=False,
            layout="constrained",
        )
        for (upper, lower), name in zip(panels.T, systems, strict=True):
            upper.set_title(name, fontsize=9)
            upper.imshow(unpacked(results[name]["pictures"]), cmap="gray")
            upper.set_axis_off()
            counts = results[name]["counts"]
            lower.bar(NAMES, [count / sum(counts) for count in counts])
            lower.axhline(1 / len(NAMES), color="black", linewidth=0.5)
            lower.set_ylim(0, 0.25)
            lower.tick_params(labelsize=7)
        figure.savefig(path, dpi=90, metadata={"Software": None})
        plt.close(figure)


def _shown(generator: Generator) -> Tensor:
    """Latent vectors of the sheet, line by line."""
    z = generator.prior(_LINES * len(NAMES), torch.Generator().manual_seed(1))
    if not generator.class_names:
        return z
    return generator.with_labels(z, torch.arange(len(NAMES)).repeat(_LINES))


def _line(found: Result) -> list[str]:
    """A row of the table without its name."""
    shares = [count / sum(found["counts"]) for count in found["counts"]]
    options = found["as asked"]
    return [
        shown(found),
        f"{found['divergence']:.4f}",
        f"{min(shares):.1%} ({shares.index(min(shares))})",
        f"{max(shares):.1%} ({shares.index(max(shares))})",
        f"{found['sure']:.1%}",
        "" if options is None else f"{options:.2%}",
    ]
