"""VAE (Kingma and Welling 2014, arXiv 1312.6114); networks in `models/architectures/vae.py`.

Deviations: Adam, not Adagrad; pictures are of a moving average of the decoder's weights.
"""

from dataclasses import dataclass

from models.architectures.vae import VAE
from training.optim.spec import adam
from training.recipes.recipe import CPU, DataFormat, Recipe
from training.system import System
from training.updaters.autoencoder import Reconstruct


@dataclass(frozen=True)
class VAERecipe(Recipe):
    """VAE: one player, one size."""

    widths: tuple[int, ...] = ()  # channels at 4x4, 8x8, ..., half the resolution; empty for DCGAN's
    latent_size: int = 128  # length of the latent vector
    lr: float = 0.0005  # Adam's step size

    def build(self, data: DataFormat) -> System:
        """Build the game."""
        vae = VAE(self.resolution, self.widths or None, self.latent_size, data.channels, data.aspect)
        steps = adam(self.lr, betas=(0.9, 0.999))(vae)
        return System((Reconstruct("vae", vae, *steps[:2]),), vae.decoder)


def vae() -> VAERecipe:
    """64x64, with the widths of DCGAN; for GPUs."""
    return VAERecipe(resolution=64, kimg=3_000, batch=128)


def vae_cpu() -> VAERecipe:
    """64x64 for two CPU cores: narrow, bf16, channels last."""
    return VAERecipe(
        **CPU,
        kimg=300,
        batch=32,
        ema_half_life=6,
        widths=(256, 128, 64, 32),
        lr=0.001,
    )
