"""The first GAN (Goodfellow et al. 2014, arXiv 1406.2661); networks in `models/architectures/mlp.py`.

`gan` has the settings of the authors' code for MNIST, at 32x32: SGD at 0.1, the learning rate divided by 1.000004 per
step down to 0.000001, momentum that rises from 0.5 to 0.7 over 250 epochs, batch 100, and the non-saturating generator
loss; `--objective minimax` has the one of algorithm 1. It trains on two CPU cores as it is.

Deviations: images are generated from a moving average of the weights.
"""

from dataclasses import dataclass

from models.architectures.mlp import MaxoutDiscriminator, MLPGenerator
from training.recipes.options import AugmentOptions, PenaltyOptions, SGDOptions
from training.recipes.pair import DiscriminatorOptions, PairOptions, build_pair
from training.recipes.recipe import DataFormat, Recipe
from training.system import System


@dataclass(frozen=True)
class GANNetworks:
    """Networks of the first GAN."""

    hidden: int = 1200  # units of the generator's hidden layers
    units: int = 240  # units of the discriminator's hidden layers
    pieces: int = 5  # linear pieces that maxout takes the largest of
    latent_size: int = 100  # length of the latent vector


@dataclass(frozen=True)
class GANRecipe(Recipe):
    """Dense networks: a generator of ReLUs against maxout."""

    network: GANNetworks = GANNetworks()
    optimizer: SGDOptions = SGDOptions()
    pair: PairOptions = PairOptions()
    discriminator: DiscriminatorOptions = DiscriminatorOptions()
    penalties: PenaltyOptions = PenaltyOptions()
    augmentation: AugmentOptions = AugmentOptions()

    def build(self, data: DataFormat) -> System:
        """Build the system."""
        network, shape = self.network, (data.channels, data.aspect)
        generator = MLPGenerator(self.resolution, network.hidden, network.latent_size, *shape)
        discriminator = MaxoutDiscriminator(self.resolution, network.units, network.pieces, *shape)
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


def gan() -> GANRecipe:
    """The authors' networks for MNIST, at 32x32."""
    return GANRecipe(
        resolution=32,
        kimg=3_000,
        batch=100,
        ema_half_life=6,
        optimizer=SGDOptions(lr=(0.1,), lr_decay=4e-6, decay_every=100, momentum_end=0.7),
    )
