"""LAPGAN (Denton et al. 2015, arXiv 1506.05751); networks in `models/architectures/lapgan.py`, updaters in
`training/updaters/lapgan.py`.

`lapgan` is the paper's training for CIFAR-10 at any size: SGD at 0.02, divided by 1.0004 per epoch, with a momentum
that rises from 0.5 by 0.0008 per epoch to 0.8, batch 128. It halves and doubles images as the authors' code does, which
gave the paper's images: what is left to the bands depends on it. `--style lsun --base 4 --lr 0.01` uses the larger
networks, and `--margin 0.3` lets one network of a level wait while the other catches up, as the code for LSUN can.

Levels may be trained in separate runs, each with `--levels` and a `--kimg` of its own, and joined by
`python -m training.join_lapgan`; the weights are those of a run that trains all.

Deviations:
- An epoch is 50,000 images (CIFAR-10's), whatever the data, so that schedules are functions of the images shown.
- What is sampled and shipped is the moving average of the weights.
- `lapgan-cpu` uses Adam: after 6,000 steps of the 8x8 level it generates cats of many colors, SGD one grey mean.
  It keeps to the binomial filter, by which the data set's levels are made: no level is shifted against another.
"""

from dataclasses import dataclass

from models.architectures.lapgan import LAPGANGenerator, Style, discriminators
from models.layers.pyramid import PYRAMIDS, PyramidName
from training.monitoring.options import MonitoringOptions
from training.recipes.options import SGDOptions
from training.recipes.pair import DiscriminatorOptions, optimize_pair
from training.recipes.recipe import ComputeOptions, DataFormat, Recipe, check_not_negative
from training.schedules import ramp
from training.system import System, Updater
from training.updaters.lapgan import check_levels, level_updaters


@dataclass(frozen=True)
class LAPGANNetworks:
    """Networks of LAPGAN, a generator and a discriminator per level."""

    base: int = 8  # side of the coarsest image, pixels
    widths: tuple[int, ...] = ()  # units or channels of the generators, one per level; empty for the paper's
    style: Style = "cifar"  # networks of the levels from 16x16
    latent_size: int = 100  # length of the coarsest level's noise
    pyramid: PyramidName = "binomial5"  # how images are halved and doubled
    conditional: bool = False  # use the data's labels


@dataclass(frozen=True)
class LAPGANRecipe(Recipe):
    """LAPGAN: a pair of networks per level of the Laplacian pyramid, trained independently."""

    network: LAPGANNetworks = LAPGANNetworks()
    levels: tuple[int, ...] = ()  # sides of the levels to train; empty for all
    margin: float = 0.0  # by which the errors must differ for a network to wait (LSUN: 0.3); 0: never
    optimizer: SGDOptions = SGDOptions()
    discriminator: DiscriminatorOptions = DiscriminatorOptions()

    def __post_init__(self) -> None:
        super().__post_init__()
        check_levels(self.levels, self.resolution, self.network.base)
        if self.batch % 2:
            raise ValueError(f"batch must be even, half reals and half fakes, not {self.batch}")
        check_not_negative(self, "margin")

    def build(self, data: DataFormat) -> System:
        """Build all networks, and the updaters of the levels to train."""
        network, options = self.network, self.discriminator
        if network.conditional and not data.class_names:
            raise ValueError("conditional needs data with labels; train without --conditional")
        names = data.class_names if network.conditional else ()
        levels = (self.resolution, network.base, network.widths or None, network.style)
        generator = LAPGANGenerator(
            *levels, network.latent_size, data.channels, names, network.pyramid, data.aspect
        )
        updaters: list[Updater] = []
        for level, discriminator in zip(generator.cascade(), discriminators(generator), strict=True):
            if not self.levels or level.side in self.levels:
                specs = optimize_pair(self.optimizer, options, discriminator, level)
                noise, target = ramp(options.instance_noise), options.real_target
                pyramid = PYRAMIDS[network.pyramid]
                updaters += level_updaters(level, discriminator, *specs, pyramid, self.margin, noise, target)
        return System(tuple(updaters), generator)


def lapgan() -> LAPGANRecipe:
    """The paper's CIFAR-10 training, at 64x64."""
    return LAPGANRecipe(
        resolution=64,
        kimg=10_000,
        batch=128,
        monitoring=MonitoringOptions(snapshot_every=50, checkpoint_every=50),
        network=LAPGANNetworks(pyramid="bilinear"),
    )


def lapgan_cpu() -> LAPGANRecipe:
    """64x64 for two CPU cores: fewer channels at the finer levels, bf16, channels last, Adam."""
    return LAPGANRecipe(
        resolution=64,
        kimg=120,
        batch=16,
        ema_half_life=6,
        compute=ComputeOptions(precision="bf16", channels_last=True),
        network=LAPGANNetworks(widths=(600, 64, 32, 16)),
        optimizer=SGDOptions(optimizer="adam", lr=(0.0005,)),
    )
