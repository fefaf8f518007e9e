"""GRAN (Im et al. 2016, arXiv 1602.05110); networks in `models/architectures/gran.py`, the discriminator in
`models/architectures/dcgan.py`.

`gran` has the settings of the authors' code for CIFAR-10: three steps, Adam with learning rates 0.00004 for the
discriminator and 0.0001 for the generator, weight decay 0.000005 on the discriminator, batch 100, 20 epochs.

Deviations: Adam's beta1 is 0, which the code's decay of it amounts to; weight decay is applied to all of the
discriminator's parameters, not to its dense layers alone; images are generated from a moving average of the weights.
"""

from dataclasses import dataclass

from models.architectures.dcgan import DCGANDiscriminator, paper_widths
from models.architectures.gran import GRANGenerator
from training.recipes.options import AugmentOptions, OptimizerOptions, PenaltyOptions
from training.recipes.pair import DiscriminatorOptions, PairOptions, build_pair
from training.recipes.recipe import ComputeOptions, DataFormat, Recipe
from training.system import System


@dataclass(frozen=True)
class GRANNetworks:
    """Networks of GRAN."""

    widths: tuple[int, ...] = ()  # channels at 4x4, 8x8, ..., half the resolution; empty for 1024, halved
    steps: int = 3  # T, increments of the canvas
    latent_size: int = 100  # length of each step's latent vector
    shared_z: bool = False  # one latent vector for all steps


@dataclass(frozen=True)
class GRANRecipe(Recipe):
    """GRAN: a recurrent generator."""

    network: GRANNetworks = GRANNetworks()
    optimizer: OptimizerOptions = OptimizerOptions()
    pair: PairOptions = PairOptions()
    discriminator: DiscriminatorOptions = DiscriminatorOptions()
    penalties: PenaltyOptions = PenaltyOptions()
    augmentation: AugmentOptions = AugmentOptions()

    def build(self, data: DataFormat) -> System:
        """Build the system."""
        network = self.network
        widths = network.widths or paper_widths(self.resolution)
        steps = (network.steps, network.latent_size, network.shared_z)
        generator = GRANGenerator(self.resolution, widths, *steps, data.channels, data.aspect)
        discriminator = DCGANDiscriminator(self.resolution, widths, data.channels, aspect=data.aspect)
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


def gran() -> GRANRecipe:
    """The authors' CIFAR-10 training, at 32x32; for GPUs."""
    return GRANRecipe(
        resolution=32,
        kimg=1_000,
        batch=100,
        optimizer=OptimizerOptions(lr=(0.0001,), ttur_ratio=0.4, betas=(0.0, 0.999), weight_decay_d=0.000005),
    )


def gran_cpu() -> GRANRecipe:
    """64x64 for two CPU cores: narrow, bf16, channels last, higher learning rates."""
    return GRANRecipe(
        resolution=64,
        kimg=200,
        batch=32,
        ema_half_life=6,
        compute=ComputeOptions(precision="bf16", channels_last=True),
        network=GRANNetworks(widths=(128, 64, 32, 32)),
        optimizer=OptimizerOptions(lr=(0.0004,), ttur_ratio=0.5, betas=(0.5, 0.999), weight_decay_d=0.000005),
    )
