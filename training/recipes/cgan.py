"""Conditional GAN (Mirza and Osindero 2014, arXiv 1411.1784); networks in `models/architectures/cgan.py`. For data with labels.

`cgan` has the paper's settings for MNIST, at 32x32: SGD, its step size divided by 1.00004 per step down to 0.000001,
batch 100.

Deviations: the step size begins at 0.02, as with the paper's 0.1 the networks diverged within 200 steps on MNIST.
Momentum grows from 0.5 to 0.7 as in the code of the first GAN; the paper does not say how. What is sampled and shipped
is a moving average of the weights.

`--optimizer adam`, of betas 0.5 and 0.999, soon learns to paint by the label: see `docs/experiments.md`.
"""

from dataclasses import dataclass
from typing import ClassVar

from models.architectures.cgan import CGANDiscriminator, CGANGenerator
from training.recipes.adversarial_pair import DuelRecipe
from training.recipes.descent import DescentRecipe
from training.recipes.recipe import DataFormat
from training.system import System


@dataclass(frozen=True)
class CGANRecipe(DescentRecipe, DuelRecipe):
    """CGAN: dense networks, given the label."""

    needs_labels: ClassVar[bool] = True

    noise_size: int = 100  # length of the latent vector without the label
    units_g: tuple[int, int, int] = (200, 1000, 1200)  # of the generator: on noise, on the label, on both
    units_d: tuple[int, int, int] = (240, 50, 240)  # of the discriminator: image, label, both

    def build(self, data: DataFormat) -> System:
        """Build the game."""
        generator = CGANGenerator(
            data.class_names, self.resolution, self.noise_size, *self.units_g, data.channels, data.aspect
        )
        discriminator = CGANDiscriminator(
            len(data.class_names), self.resolution, *self.units_d, data.channels, data.aspect
        )
        return self.adversarial_pair(discriminator, generator, self.steps, self.steps, "non-saturating")


def cgan() -> CGANRecipe:
    """The paper's networks for MNIST, at 32x32; they train on two CPU cores."""
    return CGANRecipe(
        resolution=32,
        kimg=6_000,
        batch=100,
        flip=False,
        ema_half_life=6,
        lr_decay=4e-5,
        decay_every=100,
        momentum_end=0.7,
    )
