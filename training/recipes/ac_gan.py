"""AC-GAN (Odena et al. 2017, arXiv 1610.09585); networks in `models/architectures/ac_gan.py`. For data with labels.

`ac-gan` has the paper's settings for ten classes of ImageNet at 128x128: Adam 0.0002 with betas 0.5 and 0.999, batch
100, 50 thousand steps. `ac-gan-cpu` has its networks for CIFAR-10.

Deviations: what is sampled and shipped is a moving average of the weights.
"""

from dataclasses import dataclass
from typing import ClassVar

from models.architectures.ac_gan import ACGANDiscriminator, ACGANGenerator
from training.optim.spec import adam
from training.recipes.adversarial_pair import DuelRecipe
from training.recipes.recipe import DataFormat
from training.system import System


@dataclass(frozen=True)
class ACGANRecipe(DuelRecipe):
    """AC-GAN: a discriminator that tells the class."""

    needs_labels: ClassVar[bool] = True

    widths_g: tuple[int, ...] = (768, 384, 256, 192)  # channels of the generator's features
    widths_d: tuple[int, ...] = (16, 32, 64, 128, 256, 512)  # channels of the discriminator's features
    noise_size: int = 100  # length of the latent vector without the label
    classify: float = 1.0  # weight of the class loss
    lr: float = 0.0002  # Adam's step size, both networks

    def build(self, data: DataFormat) -> System:
        """Build the game."""
        shape = (data.channels, data.aspect)
        generator = ACGANGenerator(data.class_names, self.resolution, self.widths_g, self.noise_size, *shape)
        discriminator = ACGANDiscriminator(len(data.class_names), self.resolution, self.widths_d, *shape)
        move = adam(self.lr)
        return self.adversarial_pair(
            discriminator, generator, move, move, "non-saturating", None, self.classify
        )


def ac_gan() -> ACGANRecipe:
    """The paper's 128x128; for GPUs."""
    return ACGANRecipe(resolution=128, kimg=5_000, batch=100)


def ac_gan_cpu() -> ACGANRecipe:
    """The paper's networks for CIFAR-10, 32x32; they train on two CPU cores."""
    return ACGANRecipe(
        resolution=32, kimg=1_000, batch=100, channels_last=True, ema_half_life=6, widths_g=(384, 192, 96)
    )
