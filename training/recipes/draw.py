"""DRAW (Gregor et al. 2015, arXiv 1502.04623); networks in `models/architectures/draw.py`.

`draw` has the paper's sizes for MNIST (table 3). Adam's settings, the batch, and the limit of each tensor's gradient
norm are those of a reimplementation; `draw-cpu` has that code's sizes too.

Deviations: images are generated from a moving average of the decoder's weights.
"""

from dataclasses import dataclass

from models.architectures.draw import DRAW, DRAWGenerator
from training.recipes.options import AdamOptions
from training.recipes.recipe import DataFormat, Recipe
from training.system import System
from training.updaters.autoencoder import AutoencoderUpdater


@dataclass(frozen=True)
class DRAWNetworks:
    """A recurrent auto-encoder with attention windows."""

    steps: int = 64  # T, steps that make an image
    latent_size: int = 100  # length of each step's latent vector
    hidden: int = 256  # units of each LSTM
    read: int = 2  # filters along each side of the encoder's grid
    write: int = 5  # filters along each side of the decoder's grid


@dataclass(frozen=True)
class DRAWRecipe(Recipe):
    """DRAW: one updater, one size, many steps."""

    network: DRAWNetworks = DRAWNetworks()
    optimizer: AdamOptions = AdamOptions()

    def build(self, data: DataFormat) -> System:
        """Build the system."""
        network = self.network
        sizes = (self.resolution, network.steps, network.latent_size, network.hidden, network.write)
        decoder = DRAWGenerator(*sizes, data.channels, data.aspect)
        draw = DRAW(decoder, network.read)
        return System((AutoencoderUpdater("draw", draw, self.optimizer.spec(draw)),), decoder)


def draw() -> DRAWRecipe:
    """The paper's sizes for MNIST, at 32x32: 1.0 M parameters; digits are not mirrored."""
    return DRAWRecipe(
        resolution=32,
        kimg=6_000,
        batch=100,
        flip=False,
        optimizer=AdamOptions(lr=(0.001,), betas=(0.5, 0.999), clip_grad_norm=5.0),
    )


def draw_cpu() -> DRAWRecipe:
    """10 steps of 10 latent numbers, for two CPU cores."""
    return DRAWRecipe(
        resolution=32,
        kimg=600,
        batch=100,
        flip=False,
        ema_half_life=6,
        network=DRAWNetworks(steps=10, latent_size=10, read=5),
        optimizer=AdamOptions(lr=(0.001,), betas=(0.5, 0.999), clip_grad_norm=5.0),
    )
