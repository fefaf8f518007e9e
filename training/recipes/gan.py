"""The first GAN (Goodfellow et al. 2014, arXiv 1406.2661); networks in `models/architectures/mlp.py`.

`gan` has the settings of the authors' code for MNIST, at 32x32: SGD at 0.1, the step size divided by 1.000004 per step
down to 0.000001, with a momentum that grows from 0.5 to 0.7 in 250 epochs, batch 100, and the generator's loss that
does not saturate; `--objective minimax` has the one of algorithm 1. It trains on two CPU cores as it is.

Deviations: pictures are of a moving average of the weights.
"""

from dataclasses import dataclass
from typing import Literal

from models.architectures.mlp import MaxoutDiscriminator, MLPGenerator
from training.recipes.adversarial_pair import DuelRecipe
from training.recipes.descent import DescentRecipe
from training.recipes.recipe import DataFormat
from training.system import System


@dataclass(frozen=True)
class GANRecipe(DescentRecipe, DuelRecipe):
    """Dense networks: a generator of ReLUs against maxout."""

    hidden: int = 1200  # units of the generator's hidden layers
    units: int = 240  # units of the discriminator's hidden layers
    micro_batches: int = 5  # that maxout takes the largest of
    latent_size: int = 100  # length of the latent vector
    objective: Literal["non-saturating", "minimax"] = "non-saturating"  # what both sides minimise

    def build(self, data: DataFormat) -> System:
        """Build the game."""
        generator = MLPGenerator(self.resolution, self.hidden, self.latent_size, data.channels, data.aspect)
        discriminator = MaxoutDiscriminator(
            self.resolution, self.units, self.micro_batches, data.channels, data.aspect
        )
        return self.adversarial_pair(discriminator, generator, self.steps, self.steps, self.objective)


def gan() -> GANRecipe:
    """The authors' networks for MNIST, at 32x32."""
    return GANRecipe(
        resolution=32,
        kimg=3_000,
        batch=100,
        ema_half_life=6,
        lr=0.1,
        lr_decay=4e-6,
        decay_every=100,
        momentum_end=0.7,
    )
