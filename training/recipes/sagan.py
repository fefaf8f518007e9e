"""SAGAN (Zhang et al. 2019, arXiv 1805.08318); networks in `models/architectures/sagan.py`.

`sagan` has the settings of the paper at 128x128: hinge losses, step sizes 0.0001 and 0.0004 (TTUR), Adam's betas 0 and
0.9, batch 256, a million steps. With data that have labels both networks are conditional.

Deviations: pictures are of a moving average of the weights, of half-life as at 0.999 per step; the paper has none.
"""

from dataclasses import dataclass

from models.architectures.sagan import SAGANDiscriminator, SAGANGenerator, paper_widths
from training.optim.spec import adam
from training.recipes.adversarial_pair import DuelRecipe
from training.recipes.multiscale import NARROW
from training.recipes.recipe import DataFormat
from training.system import System


@dataclass(frozen=True)
class SAGANRecipe(DuelRecipe):
    """SAGAN: one size, attention, spectral norm."""

    widths: tuple[int, ...] = ()  # channels at 4x4, 8x8, ...; empty for the paper's
    noise_size: int = 128  # length of the latent vector, a label's entries not included
    attention: tuple[int, ...] = (32,)  # sides of the features that have it, pixels
    lr_g: float = 0.0001  # Adam's step size, generator
    lr_d: float = 0.0004  # Adam's step size, discriminator

    def build(self, data: DataFormat) -> System:
        """Build the game."""
        size = (self.resolution, self.widths or paper_widths(self.resolution))
        generator = SAGANGenerator(
            *size, self.noise_size, data.class_names, self.attention, data.channels, data.aspect
        )
        discriminator = SAGANDiscriminator(*size, len(data.class_names), self.attention, data.channels)
        move_d, move_g = (adam(lr, betas=(0.0, 0.9)) for lr in (self.lr_d, self.lr_g))
        return self.adversarial_pair(discriminator, generator, move_d, move_g, "hinge")


def sagan() -> SAGANRecipe:
    """The paper's 128x128: 32.2 M and 38.4 M parameters without labels; for GPUs."""
    return SAGANRecipe(resolution=128, kimg=256_000, batch=256, ema_half_life=177.4, checkpoint_every=100)


def sagan_cpu() -> SAGANRecipe:
    """64x64 for two CPU cores: narrow, bf16, channels last, the step sizes doubled."""
    return SAGANRecipe(**NARROW, noise_size=64, lr_g=0.0002, lr_d=0.0008)
