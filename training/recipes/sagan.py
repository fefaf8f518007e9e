"""SAGAN (Zhang et al. 2019, arXiv 1805.08318); networks in `models/architectures/sagan.py`.

`sagan` has the settings of the paper at 128x128: hinge losses, learning rates 0.0001 (generator) and 0.0004
(discriminator: TTUR), Adam's betas 0 and 0.9, batch 256, a million steps. With labeled data both networks are
conditional.

Deviations: images are generated from a moving average of the weights, with the half-life of 0.999 per step; the paper
has none.
"""

from dataclasses import dataclass

from models.architectures.sagan import SAGANDiscriminator, SAGANGenerator, paper_widths
from training.monitoring.options import MonitoringOptions
from training.recipes.options import AugmentOptions, OptimizerOptions, PenaltyOptions
from training.recipes.pair import DiscriminatorOptions, PairOptions, build_pair
from training.recipes.recipe import ComputeOptions, DataFormat, Recipe
from training.system import System


@dataclass(frozen=True)
class SAGANNetworks:
    """Networks of SAGAN."""

    widths: tuple[int, ...] = ()  # channels at 4x4, 8x8, ...; empty for the paper's
    latent_size: int = 128  # length of the latent vector, without the label
    attention: tuple[int, ...] = (32,)  # sides of the features that have self-attention, pixels


@dataclass(frozen=True)
class SAGANRecipe(Recipe):
    """SAGAN: one size, attention, spectral norm."""

    network: SAGANNetworks = SAGANNetworks()
    optimizer: OptimizerOptions = OptimizerOptions()
    pair: PairOptions = PairOptions()
    discriminator: DiscriminatorOptions = DiscriminatorOptions()
    penalties: PenaltyOptions = PenaltyOptions()
    augmentation: AugmentOptions = AugmentOptions()

    def build(self, data: DataFormat) -> System:
        """Build the system."""
        network = self.network
        size = (self.resolution, network.widths or paper_widths(self.resolution))
        generator = SAGANGenerator(
            *size, network.latent_size, data.class_names, network.attention, data.channels, data.aspect
        )
        discriminator = SAGANDiscriminator(*size, len(data.class_names), network.attention, data.channels)
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


def sagan() -> SAGANRecipe:
    """The paper's 128x128: 32.2 M and 38.4 M parameters without labels; for GPUs."""
    return SAGANRecipe(
        resolution=128,
        kimg=256_000,
        batch=256,
        ema_half_life=177.4,
        monitoring=MonitoringOptions(checkpoint_every=100),
        optimizer=OptimizerOptions(lr=(0.0001,), ttur_ratio=4.0, betas=(0.0, 0.9)),
        pair=PairOptions(objective="hinge"),
    )


def sagan_cpu() -> SAGANRecipe:
    """64x64 for two CPU cores: narrow, bf16, channels last, learning rates doubled."""
    return SAGANRecipe(
        resolution=64,
        kimg=150,
        batch=16,
        ema_half_life=5,
        compute=ComputeOptions(precision="bf16", channels_last=True),
        network=SAGANNetworks(widths=(128, 128, 128, 64, 32), latent_size=64),
        optimizer=OptimizerOptions(lr=(0.0002,), ttur_ratio=4.0, betas=(0.0, 0.9)),
        pair=PairOptions(objective="hinge"),
    )
