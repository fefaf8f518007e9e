"""BEGAN (Berthelot et al. 2017, arXiv 1703.10717); networks in `models/architectures/began.py`, k in `training/updaters/began.py`.

`began` has the paper's settings at 64x64: n = 128, 64 latent numbers, gamma 0.5, Adam 0.0001, batch 16.

Deviations:
- The step size is halved every 1.6 million images, down to 0.00002, as in code that others wrote (carpedm20); the paper
  halves it when the measure of convergence stalls.
- Pictures are of a moving average of the weights.
"""

from dataclasses import dataclass

from models.architectures.began import BEGANDiscriminator, BEGANGenerator
from training.optim.spec import adam
from training.recipes.adversarial_pair import DuelRecipe
from training.recipes.recipe import CPU, DataFormat
from training.schedules import halved
from training.system import System
from training.updaters.began import DiscriminateInEquilibrium, Equilibrium


@dataclass(frozen=True)
class BEGANRecipe(DuelRecipe):
    """BEGAN: an auto-encoder for a discriminator."""

    width: int = 128  # n, channels at the finest scale
    latent_size: int = 64  # length of the latent vector and of the embedding
    gamma: float = 0.5  # error of fakes in that of reals: lower is sharper and less diverse
    k_rate: float = 0.001  # by which the weight k of the fakes learns
    lr: float = 0.0001  # Adam's step size at first, both networks
    lr_end: float = 0.00002  # the least it becomes
    halve_every: float = 1600.0  # thousands of images after which it is halved

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.gamma <= 1:
            raise ValueError(f"gamma must be above 0 and at most 1, not {self.gamma}")
        self.check_positive("halve_every")

    def build(self, data: DataFormat) -> System:
        """Build the game."""
        sizes = (self.resolution, self.width, self.latent_size, data.channels, data.aspect)
        generator, discriminator = BEGANGenerator(*sizes), BEGANDiscriminator(*sizes)
        equilibrium = Equilibrium(self.gamma, self.k_rate)
        objective, rate = equilibrium.objective(), halved(self.lr, self.lr_end, self.halve_every * 1000)
        move = adam(rate)
        d, g = self.adversarial_pair(
            discriminator, generator, move, move, "wgan", objective=objective
        ).updaters
        return System((DiscriminateInEquilibrium(**vars(d), equilibrium=equilibrium), g), generator)


def began() -> BEGANRecipe:
    """The paper's 64x64; for GPUs."""
    return BEGANRecipe(resolution=64, kimg=6_000, batch=16)


def began_cpu() -> BEGANRecipe:
    """64x64 for two CPU cores: narrow, bf16, channels last, larger steps."""
    return BEGANRecipe(**CPU, kimg=200, batch=16, ema_half_life=5, width=24, lr=0.0004, k_rate=0.002)
