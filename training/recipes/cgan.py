"""Conditional GAN (Mirza and Osindero 2014, arXiv 1411.1784); networks in `models/cgan.py`. For data with labels.

`cgan` has the paper's settings for MNIST, at 32x32: SGD, its step size divided by 1.00004 per step down to 0.000001,
batch 100.

Deviations: the step size begins at 0.02, as with the paper's 0.1 the networks diverged within 200 steps on MNIST.
Momentum stays 0.5, of which the paper does not say how it grows to 0.7. What is sampled and shipped is a moving average
of the weights.

`--optimizer adam`, of betas 0.5 and 0.999, soon learns to paint by the label: see `docs/experiments.md`.
"""

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import nn

from models.cgan import CGANDiscriminator, CGANGenerator
from training.adversarial import Steps
from training.game import Game
from training.recipes.duel import DuelRecipe
from training.recipes.recipe import DataFormat
from training.schedules import decaying


@dataclass(frozen=True)
class CGANRecipe(DuelRecipe):
    """CGAN: dense networks, given the label."""

    needs_labels: ClassVar[bool] = True

    noise_size: int = 100  # length of the latent vector without the label
    units_g: tuple[int, int, int] = (200, 1000, 1200)  # of the generator: on noise, on the label, on both
    units_d: tuple[int, int, int] = (
        240,
        50,
        240,
    )  # of the discriminator: on the image, on the label, on both
    optimizer: Literal["sgd", "adam"] = "sgd"
    lr: float = 0.02  # step size at first, both networks
    lr_decay: float = 4e-5  # of the step size per step, which divides it by 1 + this
    momentum: float = 0.5  # SGD's

    def build(self, data: DataFormat) -> Game:
        """Build the game."""
        generator = CGANGenerator(
            data.class_names, self.resolution, self.noise_size, *self.units_g, data.channels, data.frame
        )
        discriminator = CGANDiscriminator(
            len(data.class_names), self.resolution, *self.units_d, data.channels, data.frame
        )
        rate = decaying(self.lr, self.lr_decay, self.batch, end=1e-6)
        steps_d, steps_g = (Steps(self._optimizer(each), rate) for each in (discriminator, generator))
        return self.duel(discriminator, generator, steps_d, steps_g, "non-saturating")

    def _optimizer(self, network: nn.Module) -> torch.optim.Optimizer:
        if self.optimizer == "adam":
            return torch.optim.Adam(network.parameters(), lr=self.lr, betas=(0.5, 0.999), fused=True)
        return torch.optim.SGD(network.parameters(), lr=self.lr, momentum=self.momentum, fused=True)


def cgan() -> CGANRecipe:
    """The paper's networks for MNIST, at 32x32; they train on two CPU cores."""
    return CGANRecipe(resolution=32, kimg=6_000, batch=100, flip=False, ema_half_life=6)
