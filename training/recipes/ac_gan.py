"""AC-GAN (Odena et al. 2017, arXiv 1610.09585); networks in `models/architectures/ac_gan.py`. For labeled data.

`ac-gan` has the paper's settings for ten classes of ImageNet at 128x128: Adam 0.0002 with betas 0.5 and 0.999, batch
100, 50 thousand steps. `ac-gan-cpu` has its networks for CIFAR-10.

Deviations: what is sampled and shipped is a moving average of the weights.
"""

from dataclasses import dataclass
from typing import ClassVar

from models.architectures.ac_gan import ACGANDiscriminator, ACGANGenerator
from training.recipes.options import AugmentOptions, OptimizerOptions, PenaltyOptions
from training.recipes.pair import DiscriminatorOptions, PairOptions, build_pair
from training.recipes.recipe import ComputeOptions, DataFormat, Recipe
from training.system import System


@dataclass(frozen=True)
class ACGANNetworks:
    """Networks of AC-GAN."""

    widths_g: tuple[int, ...] = (768, 384, 256, 192)  # channels of the generator's features
    widths_d: tuple[int, ...] = (16, 32, 64, 128, 256, 512)  # channels of the discriminator's features
    latent_size: int = 100  # length of the latent vector, without the label


@dataclass(frozen=True)
class ACGANRecipe(Recipe):
    """AC-GAN: a discriminator that also predicts the class."""

    needs_labels: ClassVar[bool] = True

    network: ACGANNetworks = ACGANNetworks()
    optimizer: OptimizerOptions = OptimizerOptions()
    pair: PairOptions = PairOptions()
    discriminator: DiscriminatorOptions = DiscriminatorOptions()
    penalties: PenaltyOptions = PenaltyOptions()
    augmentation: AugmentOptions = AugmentOptions()

    def build(self, data: DataFormat) -> System:
        """Build the system."""
        network, shape = self.network, (data.channels, data.aspect)
        generator = ACGANGenerator(
            data.class_names, self.resolution, network.widths_g, network.latent_size, *shape
        )
        discriminator = ACGANDiscriminator(len(data.class_names), self.resolution, network.widths_d, *shape)
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


def ac_gan() -> ACGANRecipe:
    """The paper's 128x128; for GPUs."""
    return ACGANRecipe(resolution=128, kimg=5_000, batch=100, pair=PairOptions(classify=1.0))


def ac_gan_cpu() -> ACGANRecipe:
    """The paper's networks for CIFAR-10, 32x32; they train on two CPU cores."""
    return ACGANRecipe(
        resolution=32,
        kimg=1_000,
        batch=100,
        ema_half_life=6,
        compute=ComputeOptions(channels_last=True),
        network=ACGANNetworks(widths_g=(384, 192, 96)),
        pair=PairOptions(classify=1.0),
    )
