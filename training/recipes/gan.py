"""The first GAN (Goodfellow et al. 2014, arXiv 1406.2661); networks in `models/mlp.py`.

`gan` has the settings of the authors' code for MNIST, at 32x32: SGD at 0.1 with momentum 0.5, the step size divided by
1.000004 per step down to 0.000001, batch 100, and the generator's loss that does not saturate; `--objective minimax`
has the one of algorithm 1. It trains on two CPU cores as it is.

Deviations: momentum stays 0.5, where the code's grows to 0.7; pictures are of a moving average of the weights.
"""

from dataclasses import dataclass
from functools import partial
from typing import Literal

import torch

from models.mlp import MaxoutDiscriminator, MLPGenerator
from training.adversarial import Steps
from training.game import Game
from training.recipes.duel import DuelRecipe
from training.recipes.recipe import DataFormat
from training.schedules import decaying


@dataclass(frozen=True)
class GANRecipe(DuelRecipe):
    """Dense networks: a generator of ReLUs against maxout."""

    hidden: int = 1200  # units of the generator's hidden layers
    units: int = 240  # units of the discriminator's hidden layers
    pieces: int = 5  # that maxout takes the largest of
    latent_size: int = 100  # length of the latent vector
    objective: Literal["non-saturating", "minimax"] = "non-saturating"
    lr: float = 0.1  # SGD's step size at first, both networks
    lr_decay: float = 4e-6  # of the step size per step, which divides it by 1 + this
    momentum: float = 0.5  # SGD's

    def build(self, data: DataFormat) -> Game:
        """Build the game."""
        generator = MLPGenerator(self.resolution, self.hidden, self.latent_size, data.channels, data.frame)
        discriminator = MaxoutDiscriminator(
            self.resolution, self.units, self.pieces, data.channels, data.frame
        )
        sgd = partial(torch.optim.SGD, lr=self.lr, momentum=self.momentum, fused=True)
        rate = decaying(self.lr, self.lr_decay, self.batch, end=1e-6)
        steps_d, steps_g = (Steps(sgd(each.parameters()), rate) for each in (discriminator, generator))
        return self.duel(discriminator, generator, steps_d, steps_g, self.objective)


def gan() -> GANRecipe:
    """The authors' networks for MNIST, at 32x32."""
    return GANRecipe(resolution=32, kimg=3_000, batch=100, ema_half_life=6)
