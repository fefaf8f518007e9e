"""ProGAN (Karras et al. 2018, arXiv 1710.10196); networks in `models/architectures/progan.py`.

`progan` is the paper's CelebA-HQ run (appendix A): 800 thousand images for each fade and each hold, WGAN-GP with drift,
Adam 0.001 with betas (0, 0.99), batch 16, then 14, 6 and 3 from 256x256 on, the minibatch standard deviation over the
whole batch (a group of 16). Data with labels train the AC-GAN form, as in the authors' code; `--classify 0` ignores
labels.

Deviations:
- The moving average has one half-life in images, that of 0.999 per step at batch 16; at the paper's smaller batches of
  large images it averages over more steps.
- `progan-cpu` pairs reals with fakes (relativistic, with R1 and R2) at a learning rate of 0.003: in short trials at 8x8
  WGAN-GP at 0.001 diverged from the reals (see docs/experiments.md).
"""

from dataclasses import dataclass

from models.architectures.progan import ProGANDiscriminator, ProGANGenerator, paper_widths
from training.growth import Growth
from training.monitoring.options import MonitoringOptions
from training.recipes.options import AugmentOptions, GrowthOptions, OptimizerOptions, PenaltyOptions
from training.recipes.pair import DiscriminatorOptions, PairOptions, build_pair
from training.recipes.recipe import ComputeOptions, DataFormat, Recipe, check_positive
from training.system import System


@dataclass(frozen=True)
class ProGANNetworks:
    """Networks of ProGAN."""

    widths: tuple[int, ...] = ()  # channels at 4x4, 8x8, ...; empty for the paper's
    latent_size: int = 512  # length of the latent vector, without the label
    attention: tuple[int, ...] = ()  # sides at which both networks have self-attention (SAGAN)
    group: int = 4  # samples per group of the minibatch standard deviation, at most

    def __post_init__(self) -> None:
        check_positive(self, "group")


@dataclass(frozen=True)
class ProGANRecipe(Recipe):
    """ProGAN: from 4x4 up, each size faded in and held. Labels are used where `classify` is positive."""

    network: ProGANNetworks = ProGANNetworks()
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
        """From 4x4 to the resolution."""
        return self.growth.schedule(self.resolution, self.batch)

    def build(self, data: DataFormat) -> System:
        """Build the system."""
        network, names = self.network, data.class_names if self.pair.classify > 0 else ()
        size = (self.resolution, network.widths or paper_widths(self.resolution))
        shape = (network.attention, data.aspect)
        generator = ProGANGenerator(*size, network.latent_size, data.channels, names, *shape)
        discriminator = ProGANDiscriminator(*size, data.channels, len(names), network.group, *shape)
        start = self.growth_schedule().at(0)
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
            classify=self.pair.classify if names else 0.0,
        )
        return System((d, g), generator)


def progan() -> ProGANRecipe:
    """The paper's run, up to 1024x1024: 23.1 M parameters each; for GPUs."""
    return ProGANRecipe(
        resolution=1024,
        kimg=19_000,
        batch=3,
        ema_half_life=11.08,
        monitoring=MonitoringOptions(snapshot_every=100, checkpoint_every=100),
        network=ProGANNetworks(group=16),
        growth=GrowthOptions(grow_from=4, hold=800, fade=800, batches=(16, 16, 16, 16, 16, 16, 14, 6)),
        optimizer=OptimizerOptions(lr=(0.001,), betas=(0.0, 0.99)),
        pair=PairOptions(objective="wgan", classify=1.0),
        penalties=PenaltyOptions(gradient_penalty=10.0, drift=0.001),
    )


def progan_cpu() -> ProGANRecipe:
    """64x64 for two CPU cores: narrow, bf16, channels last; relativistic pairing; in 150 thousand images."""
    return ProGANRecipe(
        resolution=64,
        kimg=150,
        batch=16,
        ema_half_life=5,
        compute=ComputeOptions(precision="bf16", channels_last=True),
        network=ProGANNetworks(widths=(128, 128, 128, 64, 32), latent_size=128),
        growth=GrowthOptions(grow_from=4, hold=3, fade=3, batches=(32, 32, 32)),
        optimizer=OptimizerOptions(lr=(0.003,), betas=(0.0, 0.99)),
        pair=PairOptions(objective="rp-gan", classify=1.0),
        penalties=PenaltyOptions(r1=(1.0,), r2=(1.0,)),
    )
