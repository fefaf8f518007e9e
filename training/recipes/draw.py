"""DRAW (Gregor et al. 2015, arXiv 1502.04623); networks in `models/architectures/draw.py`.

`draw` has the paper's sizes for MNIST (table 3). Adam's settings, the batch, and the limit of each tensor's gradient
are of code that others wrote; `draw-cpu` has that code's sizes too.

Deviations: pictures are of a moving average of the decoder's weights.
"""

from dataclasses import dataclass, replace

from models.architectures.draw import DRAW, DRAWGenerator
from training.optim.gradient_clipping import limit_gradients
from training.optim.spec import adam
from training.recipes.recipe import DataFormat, Recipe
from training.system import System
from training.updaters.autoencoder import Reconstruct


@dataclass(frozen=True)
class DRAWRecipe(Recipe):
    """DRAW: one player, one size, many steps."""

    steps: int = 64  # strokes that make a picture, T
    step_size: int = 100  # latent numbers of each step
    hidden: int = 256  # units of each LSTM
    read: int = 2  # filters along each side of the encoder's grid
    write: int = 5  # filters along each side of the decoder's grid
    lr: float = 0.001  # Adam's step size
    gradient_limit: float = 5.0  # largest norm of each tensor's gradient

    def build(self, data: DataFormat) -> System:
        """Build the game."""
        sizes = (self.resolution, self.steps, self.step_size, self.hidden, self.write)
        decoder = DRAWGenerator(*sizes, data.channels, data.aspect)
        network = DRAW(decoder, self.read)
        steps = adam(self.lr)(network)
        limit_gradients(steps.optimizer, self.gradient_limit)
        return System((Reconstruct("draw", network, *steps[:2]),), decoder)


def draw() -> DRAWRecipe:
    """The paper's sizes for MNIST, at 32x32: 1.0 M parameters; digits are not mirrored."""
    return DRAWRecipe(resolution=32, kimg=6_000, batch=100, flip=False)


def draw_cpu() -> DRAWRecipe:
    """10 steps of 10 latent numbers, for two CPU cores."""
    return replace(draw(), kimg=600, steps=10, step_size=10, read=5, ema_half_life=6)
