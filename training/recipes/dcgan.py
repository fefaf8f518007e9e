"""DCGAN (Radford et al. 2016, arXiv 1511.06434) and its form with SELU; networks in `models/architectures/dcgan.py`.

`dcgan` has the paper's settings: Adam 0.0002 with beta1 0.5, batch 128. `selu-dcgan` is the cat experiment of
A. Jolicoeur-Martineau at 128x128: SELU without norm ("Self-Normalizing Neural Networks", arXiv 1706.02515), batch 64,
learning rates 0.00005 for the discriminator and 0.0002 for the generator; `selu-dcgan-64` is its 64x64, with 0.0005 and
0.0002. Other objectives on these networks are in `lsgan.py`, `wgan.py` and `f_gan.py`.

Deviations: images are generated from a moving average of the weights, which none of the papers of these networks has.
"""

from dataclasses import dataclass
from typing import Literal

from models.architectures.dcgan import DCGANDiscriminator, DCGANGenerator, Norm, init_weights, paper_widths
from training.recipes.options import AugmentOptions, OptimizerOptions, PenaltyOptions
from training.recipes.pair import DiscriminatorOptions, PairOptions, build_pair
from training.recipes.recipe import ComputeOptions, DataFormat, Recipe
from training.system import System


@dataclass(frozen=True)
class DCGANNetworks:
    """Networks of DCGAN."""

    widths: tuple[int, ...] = ()  # channels at 4x4, 8x8, ..., half the resolution; empty for 1024, halved
    latent_size: int = 100  # length of the latent vector
    norm_g: Norm = "batch"  # of the generator's features
    norm_d: Norm = "batch"  # of the discriminator's features
    init: Literal["normal", "lecun"] = "normal"  # initial weights: N(0, 0.02^2) or by the layer's size


@dataclass(frozen=True)
class DCGANRecipe(Recipe):
    """DCGAN's networks under any objective."""

    network: DCGANNetworks = DCGANNetworks()
    optimizer: OptimizerOptions = OptimizerOptions()
    pair: PairOptions = PairOptions()
    discriminator: DiscriminatorOptions = DiscriminatorOptions()
    penalties: PenaltyOptions = PenaltyOptions()
    augmentation: AugmentOptions = AugmentOptions()

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in self.penalties.per_sample() if self.network.norm_d == "batch" else ():
            raise ValueError(
                f"{name} needs each sample's own gradient, which batch norm mixes with the others': "
                "set norm_d to layer, selu or none"
            )

    def build(self, data: DataFormat) -> System:
        """Build the system."""
        network = self.network
        widths = network.widths or paper_widths(self.resolution)
        generator = DCGANGenerator(
            self.resolution, widths, network.latent_size, data.channels, network.norm_g, data.aspect
        )
        discriminator = DCGANDiscriminator(
            self.resolution, widths, data.channels, network.norm_d, data.aspect
        )
        if network.init == "lecun":
            for each in (generator, discriminator):
                init_weights(each, deviation=None)
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


def dcgan() -> DCGANRecipe:
    """The paper's 64x64: 12.7 M and 11.0 M parameters; for GPUs."""
    return DCGANRecipe(resolution=64, kimg=10_000, batch=128)


def dcgan_cpu() -> DCGANRecipe:
    """64x64 for two CPU cores: narrow, bf16, channels last."""
    return DCGANRecipe(
        resolution=64,
        kimg=300,
        batch=32,
        ema_half_life=6,
        compute=ComputeOptions(precision="bf16", channels_last=True),
        network=DCGANNetworks(widths=(256, 128, 64, 32)),
    )


def selu_dcgan() -> DCGANRecipe:
    """The cat experiment's 128x128: 12.8 M and 11.2 M parameters; for GPUs."""
    return DCGANRecipe(
        resolution=128,
        kimg=4_000,
        batch=64,
        network=DCGANNetworks(norm_g="selu", norm_d="selu"),
        optimizer=OptimizerOptions(ttur_ratio=0.25),
    )


def selu_dcgan_64() -> DCGANRecipe:
    """The cat experiment's 64x64: 12.7 M and 11.0 M parameters; for GPUs."""
    return DCGANRecipe(
        resolution=64,
        kimg=4_000,
        batch=64,
        network=DCGANNetworks(norm_g="selu", norm_d="selu"),
        optimizer=OptimizerOptions(ttur_ratio=2.5),
    )


def selu_dcgan_cpu() -> DCGANRecipe:
    """64x64 for two CPU cores: narrow, bf16, channels last, higher learning rates."""
    return DCGANRecipe(
        resolution=64,
        kimg=300,
        batch=32,
        ema_half_life=6,
        compute=ComputeOptions(precision="bf16", channels_last=True),
        network=DCGANNetworks(widths=(256, 128, 64, 32), norm_g="selu", norm_d="selu"),
        optimizer=OptimizerOptions(lr=(0.001,), ttur_ratio=0.2),
    )
