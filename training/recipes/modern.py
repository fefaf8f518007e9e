"""A modern baseline, after R3GAN (Huang et al. 2024, arXiv 2501.05441); networks in `models/architectures/modern.py`.

Relativistic pairing with R1 and R2 on every batch; learning rate and gamma fall along a cosine. `modern` has the
paper's settings for FFHQ-256.

Deviations: those of the networks; Adam's second beta is 0.99 from the beginning, not 0.9 at first; augmentation is
DiffAugment's (see `training/data/augment.py`), not ADA's. Where images grow, gamma follows the cube of their side, as
the paper's does from one data set to another (2 at 64, 150 at 256).
"""

from dataclasses import dataclass

from models.architectures.modern import ModernDiscriminator, ModernGenerator, default_widths
from training.growth import Growth
from training.recipes.options import AugmentOptions, GrowthOptions, OptimizerOptions, PenaltyOptions
from training.recipes.pair import DiscriminatorOptions, PairOptions, build_pair
from training.recipes.recipe import ComputeOptions, DataFormat, Recipe
from training.system import System


@dataclass(frozen=True)
class ModernNetworks:
    """Residual networks without normalization."""

    widths: tuple[int, ...] = ()  # channels at 4x4, 8x8, ...; empty for those of the full size
    latent_size: int = 64  # length of the latent vector, without the label
    attention: tuple[int, ...] = ()  # sides at which both networks have self-attention (SAGAN)
    blocks: int = 2  # residual blocks per resolution
    conditional: bool = True  # use the labels of data that have them


@dataclass(frozen=True)
class ModernRecipe(Recipe):
    """A residual GAN without normalization, of full size from the start or grown."""

    network: ModernNetworks = ModernNetworks()
    growth: GrowthOptions = GrowthOptions()
    optimizer: OptimizerOptions = OptimizerOptions()
    pair: PairOptions = PairOptions()
    discriminator: DiscriminatorOptions = DiscriminatorOptions()
    penalties: PenaltyOptions = PenaltyOptions()
    augmentation: AugmentOptions = AugmentOptions()

    def __post_init__(self) -> None:
        super().__post_init__()
        self.growth.check(self.resolution)

    def growth_schedule(self) -> Growth:
        """From `grow_from` to the resolution."""
        return self.growth.schedule(self.resolution, self.batch)

    def build(self, data: DataFormat) -> System:
        """Build the system."""
        network, names = self.network, data.class_names if self.network.conditional else ()
        widths, start = network.widths or default_widths(self.resolution), self.growth_schedule().at(0)
        size, where = (self.resolution, widths, network.blocks), (start.resolution, data.aspect)
        generator = ModernGenerator(
            *size, network.latent_size, data.channels, network.attention, names, *where
        )
        discriminator = ModernDiscriminator(*size, data.channels, network.attention, len(names), *where)
        generator.grow(start.resolution, start.blend)
        d, g = build_pair(
            discriminator,
            generator,
            self.optimizer,
            self.pair,
            self.discriminator,
            self.penalties,
            self.augmentation,
            growth=(self.growth, self.resolution),
        )
        return System((d, g), generator)


def modern() -> ModernRecipe:
    """256x256, for GPUs: 32 M parameters each."""
    return ModernRecipe(
        resolution=256,
        kimg=10_000,
        batch=128,
        ema_half_life=200,
        compute=ComputeOptions(precision="bf16", channels_last=True),
        growth=GrowthOptions(r1_power=3.0),
        optimizer=OptimizerOptions(lr=(0.0002, 0.00005), betas=(0.0, 0.99)),
        pair=PairOptions(objective="rp-gan"),
        penalties=PenaltyOptions(r1=(150.0, 15.0), r2=(150.0, 15.0)),
        augmentation=AugmentOptions(augment=("translation", "color", "cutout"), augment_p=(0.0, 0.3)),
    )


def modern_cpu() -> ModernRecipe:
    """64x64 for two CPU cores: narrow, bf16, channels last."""
    return ModernRecipe(
        resolution=64,
        kimg=300,
        batch=16,
        ema_half_life=5,
        compute=ComputeOptions(precision="bf16", channels_last=True),
        network=ModernNetworks(widths=(128, 128, 96, 48, 24), blocks=1),
        growth=GrowthOptions(r1_power=3.0),
        optimizer=OptimizerOptions(lr=(0.0003, 0.00003), betas=(0.0, 0.99)),
        pair=PairOptions(objective="rp-gan"),
        penalties=PenaltyOptions(r1=(2.0, 0.3), r2=(2.0, 0.3), penalty_fraction=0.5),
    )
