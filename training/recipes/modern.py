"""A modern baseline, after R3GAN (Huang et al. 2024, arXiv 2501.05441); networks in `models/architectures/modern.py`.

Relativistic pairing with R1 and R2 on every batch; step size and gamma fall along a cosine. `modern` has the paper's
settings for FFHQ-256.

Deviations: those of the networks; Adam's second beta is 0.99 from the beginning, not 0.9 at first; augmentation is
DiffAugment's (see `training/data/augment.py`), not ADA's. Where the pictures grow, gamma follows the cube of their side, as
the paper's does from one data set to another (2 at 64, 150 at 256).
"""

from dataclasses import dataclass

from models.architectures.modern import ModernDiscriminator, ModernGenerator, default_widths
from training.recipes.growing import GrowingRecipe
from training.recipes.recipe import CPU, FAST, DataFormat
from training.system import System


@dataclass(frozen=True)
class ModernRecipe(GrowingRecipe):
    """A residual GAN without normalisation, of full size from the start or grown."""

    latent_size: int = 64  # length of the latent vector, a label's entries not included
    blocks: int = 2  # residual blocks per resolution
    conditional: bool = True  # learn the labels of data that have them
    r1_power: float = 3.0  # of the current side's share of the full one, by which gamma is multiplied

    def build(self, data: DataFormat) -> System:
        """Build the game."""
        names = data.class_names if self.conditional else ()
        widths = self.widths or default_widths(self.resolution)
        size, where = (self.resolution, widths, self.blocks), (self.growth().at(0).resolution, data.aspect)
        latent_size = self.latent_size + len(names)
        generator = ModernGenerator(*size, latent_size, data.channels, self.attention, names, *where)
        discriminator = ModernDiscriminator(*size, data.channels, self.attention, len(names), *where)
        return self.compose(discriminator, generator)


def modern() -> ModernRecipe:
    """256x256, for GPUs: 32 M parameters each."""
    return ModernRecipe(
        **FAST,
        resolution=256,
        kimg=10_000,
        batch=128,
        ema_half_life=200,
        augment=("translation", "color", "cutout"),
        augment_p=(0.0, 0.3),
        lr=(0.0002, 0.00005),
        r1=(150.0, 15.0),
    )


def modern_cpu() -> ModernRecipe:
    """64x64 for two CPU cores: narrow, bf16, channels last."""
    return ModernRecipe(
        **CPU,
        kimg=300,
        batch=16,
        ema_half_life=5,
        widths=(128, 128, 96, 48, 24),
        blocks=1,
        lr=(0.0003, 0.00003),
        r1=(2.0, 0.3),
        penalty_stride=2,
    )
