"""MINE as a GAN's regularizer (Belghazi et al. 2018, arXiv 1801.04062, section 5.1); networks in
`models/architectures/dcgan.py` and `models/architectures/mine.py`, updaters in `training/updaters/mine.py`.

The generator maximizes the mutual information between its images and a part of its latent vector, so it cannot map all
of them to the same image. The gradient of that is clipped to the norm of the adversarial one.

Deviations: the paper gives no settings of networks and optimizers for images; these are DCGAN's. What is sampled and
shipped is a moving average of the weights.
"""

from dataclasses import dataclass

from models.architectures.dcgan import DCGANDiscriminator, DCGANGenerator, paper_widths
from models.architectures.mine import Statistics
from training.objectives.mutual_information import UnbiasedBound, adaptively_clipped
from training.recipes.options import AugmentOptions, OptimizerOptions, PenaltyOptions
from training.recipes.pair import DiscriminatorOptions, PairOptions, build_pair
from training.recipes.recipe import ComputeOptions, DataFormat, Recipe
from training.system import System
from training.updaters.mine import CodeBound, InformationLoss, StatisticsUpdater


@dataclass(frozen=True)
class MINENetworks:
    """DCGAN's networks, and the code that a statistics network relates to images."""

    widths: tuple[int, ...] = ()  # channels at 4x4, 8x8, ..., half the resolution; empty for 1024, halved
    latent_size: int = 100  # length of the latent vector
    code_size: int = 10  # length of its end, the code
    weight: float = 1.0  # beta, of the mutual information

    def __post_init__(self) -> None:
        if not 1 <= self.code_size <= self.latent_size:
            raise ValueError(
                f"code_size must be from 1 to latent_size, {self.latent_size}, not {self.code_size}"
            )


@dataclass(frozen=True)
class MINERecipe(Recipe):
    """A GAN of three networks: discriminator, statistics network, generator."""

    network: MINENetworks = MINENetworks()
    optimizer: OptimizerOptions = OptimizerOptions()
    pair: PairOptions = PairOptions()
    discriminator: DiscriminatorOptions = DiscriminatorOptions()
    penalties: PenaltyOptions = PenaltyOptions()
    augmentation: AugmentOptions = AugmentOptions()

    def build(self, data: DataFormat) -> System:
        """Build the system."""
        network = self.network
        size = (self.resolution, network.widths or paper_widths(self.resolution))
        generator = DCGANGenerator(*size, network.latent_size, data.channels, "batch", data.aspect)
        discriminator = DCGANDiscriminator(*size, data.channels, "batch", data.aspect)
        statistics = Statistics(*size, network.code_size, data.channels, data.aspect)
        information = CodeBound(generator, statistics, network.code_size, UnbiasedBound())
        t = StatisticsUpdater("t", statistics, self.optimizer.generator_spec(statistics), information)
        d, g = build_pair(
            discriminator,
            generator,
            self.optimizer,
            self.pair,
            self.discriminator,
            self.penalties,
            self.augmentation,
            auxiliary_losses_g=InformationLoss(information, network.weight),
            combine_g=adaptively_clipped,
        )
        return System((d, t, g), generator)


def mine() -> MINERecipe:
    """64x64; for GPUs."""
    return MINERecipe(resolution=64, kimg=10_000, batch=128)


def mine_cpu() -> MINERecipe:
    """64x64 for two CPU cores: narrow, bf16, channels last."""
    return MINERecipe(
        resolution=64,
        kimg=300,
        batch=32,
        ema_half_life=6,
        compute=ComputeOptions(precision="bf16", channels_last=True),
        network=MINENetworks(widths=(256, 128, 64, 32)),
    )
