"""VAE (Kingma and Welling 2014, arXiv 1312.6114); networks in `models/architectures/vae.py`.

Deviations: Adam, not Adagrad; images are generated from a moving average of the decoder's weights.
"""

from dataclasses import dataclass

from models.architectures.vae import VAE
from training.recipes.options import AdamOptions
from training.recipes.recipe import ComputeOptions, DataFormat, Recipe
from training.system import System
from training.updaters.autoencoder import AutoencoderUpdater


@dataclass(frozen=True)
class VAENetworks:
    """Encoder and decoder."""

    widths: tuple[int, ...] = ()  # channels at 4x4, 8x8, ..., half the resolution; empty for DCGAN's
    latent_size: int = 128  # length of the latent vector


@dataclass(frozen=True)
class VAERecipe(Recipe):
    """VAE: one updater, one size."""

    network: VAENetworks = VAENetworks()
    optimizer: AdamOptions = AdamOptions()

    def build(self, data: DataFormat) -> System:
        """Build the system."""
        widths, latent_size = self.network.widths or None, self.network.latent_size
        vae = VAE(self.resolution, widths, latent_size, data.channels, data.aspect)
        return System((AutoencoderUpdater("vae", vae, self.optimizer.spec(vae)),), vae.decoder)


def vae() -> VAERecipe:
    """64x64, with the widths of DCGAN; for GPUs."""
    return VAERecipe(resolution=64, kimg=3_000, batch=128, optimizer=AdamOptions(lr=(0.0005,)))


def vae_cpu() -> VAERecipe:
    """64x64 for two CPU cores: narrow, bf16, channels last."""
    return VAERecipe(
        resolution=64,
        kimg=300,
        batch=32,
        ema_half_life=6,
        compute=ComputeOptions(precision="bf16", channels_last=True),
        network=VAENetworks(widths=(256, 128, 64, 32)),
        optimizer=AdamOptions(lr=(0.001,)),
    )
