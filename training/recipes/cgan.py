"""Conditional GAN (Mirza and Osindero 2014, arXiv 1411.1784); networks in `models/architectures/cgan.py`.

For labeled data. `cgan` has the paper's settings for MNIST, at 32x32: SGD, its learning rate divided by 1.00004 per
step down to 0.000001, batch 100.

Deviations: the learning rate begins at 0.02, as with the paper's 0.1 the networks diverged within 200 steps on MNIST.
Momentum rises from 0.5 to 0.7 as in the code of the first GAN; the paper does not say how. What is sampled and shipped
is a moving average of the weights.

`--optimizer adam`, of betas 0.5 and 0.999, soon learns to follow the label: see `docs/experiments.md`.
"""

from dataclasses import dataclass
from typing import ClassVar

from models.architectures.cgan import CGANDiscriminator, CGANGenerator
from training.recipes.options import AugmentOptions, PenaltyOptions, SGDOptions
from training.recipes.pair import DiscriminatorOptions, PairOptions, build_pair
from training.recipes.recipe import DataFormat, Recipe
from training.system import System


@dataclass(frozen=True)
class CGANNetworks:
    """Networks of the conditional GAN."""

    latent_size: int = 100  # length of the latent vector, without the label
    units_g: tuple[int, int, int] = (200, 1000, 1200)  # of the generator: on noise, on the label, on both
    units_d: tuple[int, int, int] = (240, 50, 240)  # of the discriminator: image, label, both


@dataclass(frozen=True)
class CGANRecipe(Recipe):
    """CGAN: dense networks that also take the label."""

    needs_labels: ClassVar[bool] = True

    network: CGANNetworks = CGANNetworks()
    optimizer: SGDOptions = SGDOptions()
    pair: PairOptions = PairOptions()
    discriminator: DiscriminatorOptions = DiscriminatorOptions()
    penalties: PenaltyOptions = PenaltyOptions()
    augmentation: AugmentOptions = AugmentOptions()

    def build(self, data: DataFormat) -> System:
        """Build the system."""
        network, shape = self.network, (data.channels, data.aspect)
        generator = CGANGenerator(
            data.class_names, self.resolution, network.latent_size, *network.units_g, *shape
        )
        discriminator = CGANDiscriminator(len(data.class_names), self.resolution, *network.units_d, *shape)
        d, g = build_pair(
            discriminator,
            generator,
            self.optimizer,
            self.pair,
            self.discriminator,
            self.penalties,
            self.augmentation,
        )
        return System((d, g), generator)


def cgan() -> CGANRecipe:
    """The paper's networks for MNIST, at 32x32; they train on two CPU cores."""
    return CGANRecipe(
        resolution=32,
        kimg=6_000,
        batch=100,
        flip=False,
        ema_half_life=6,
        optimizer=SGDOptions(lr=(0.02,), lr_decay=4e-5, decay_every=100, momentum_end=0.7),
    )
