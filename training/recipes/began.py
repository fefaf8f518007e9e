"""BEGAN (Berthelot et al. 2017, arXiv 1703.10717); networks in `models/architectures/began.py`, k in
`training/updaters/began.py`.

`began` has the paper's settings at 64x64: n = 128, 64 latent numbers, gamma 0.5, Adam 0.0001, batch 16.

Deviations:
- The learning rate is halved every 1.6 million images, down to 0.00002, as in a reimplementation (carpedm20); the paper
  halves it when the convergence measure stalls.
- Images are generated from a moving average of the weights.
"""

from dataclasses import dataclass
from functools import partial

from models.architectures.began import BEGANDiscriminator, BEGANGenerator
from training.recipes.options import AugmentOptions, OptimizerOptions, PenaltyOptions
from training.recipes.pair import DiscriminatorOptions, PairOptions, build_pair
from training.recipes.recipe import ComputeOptions, DataFormat, Recipe
from training.system import System
from training.updaters.began import Equilibrium, EquilibriumDiscriminatorUpdater


@dataclass(frozen=True)
class BEGANNetworks:
    """Networks of BEGAN."""

    width: int = 128  # n, channels at the finest scale
    latent_size: int = 64  # length of the latent vector and of the embedding


@dataclass(frozen=True)
class EquilibriumOptions:
    """The balance of the errors of reals and fakes."""

    gamma: float = 0.5  # error of the fakes over that of the reals: lower is sharper and less diverse
    k_rate: float = 0.001  # lambda_k, the learning rate of the weight k of the fakes

    def __post_init__(self) -> None:
        if not 0 < self.gamma <= 1:
            raise ValueError(f"gamma must be above 0 and at most 1, not {self.gamma}")


@dataclass(frozen=True)
class BEGANRecipe(Recipe):
    """BEGAN: an auto-encoder as discriminator. Its losses are WGAN's with a weight k of the fakes."""

    network: BEGANNetworks = BEGANNetworks()
    equilibrium: EquilibriumOptions = EquilibriumOptions()
    optimizer: OptimizerOptions = OptimizerOptions()
    pair: PairOptions = PairOptions(objective="wgan")
    discriminator: DiscriminatorOptions = DiscriminatorOptions()
    penalties: PenaltyOptions = PenaltyOptions()
    augmentation: AugmentOptions = AugmentOptions()

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.pair.objective != "wgan":
            raise ValueError(f"objective must be wgan, of which BEGAN is a form, not {self.pair.objective}")

    def build(self, data: DataFormat) -> System:
        """Build the system."""
        sizes = (self.resolution, self.network.width, self.network.latent_size, data.channels, data.aspect)
        generator, discriminator = BEGANGenerator(*sizes), BEGANDiscriminator(*sizes)
        equilibrium = Equilibrium(self.equilibrium.gamma, self.equilibrium.k_rate)
        d, g = build_pair(
            discriminator,
            generator,
            self.optimizer,
            self.pair,
            self.discriminator,
            self.penalties,
            self.augmentation,
            objective=equilibrium.objective(),
            discriminator_updater=partial(EquilibriumDiscriminatorUpdater, equilibrium=equilibrium),
        )
        return System((d, g), generator)


def began() -> BEGANRecipe:
    """The paper's 64x64; for GPUs."""
    return BEGANRecipe(
        resolution=64,
        kimg=6_000,
        batch=16,
        optimizer=OptimizerOptions(lr=(0.0001, 0.00002), lr_halve_every=1600),
    )


def began_cpu() -> BEGANRecipe:
    """64x64 for two CPU cores: narrow, bf16, channels last, higher learning rates."""
    return BEGANRecipe(
        resolution=64,
        kimg=200,
        batch=16,
        ema_half_life=5,
        compute=ComputeOptions(precision="bf16", channels_last=True),
        network=BEGANNetworks(width=24),
        equilibrium=EquilibriumOptions(k_rate=0.002),
        optimizer=OptimizerOptions(lr=(0.0004, 0.00002), lr_halve_every=1600),
    )
