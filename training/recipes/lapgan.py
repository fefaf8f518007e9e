"""LAPGAN (Denton et al. 2015, arXiv 1506.05751); networks in `models/architectures/lapgan.py`, players in `training/updaters/lapgan.py`.

`lapgan` is the paper's training for CIFAR-10 at any size: SGD at 0.02, divided by 1.0004 per epoch, with a momentum
that grows from 0.5 by 0.0008 per epoch to 0.8, batch 128. It halves and doubles images as the authors' code does, which
gave the paper's pictures: what is left to the bands depends on it. `--style lsun --base 4 --lr 0.01` takes the larger
networks, and `--margin 0.3` lets one side of a level wait while the other catches up, as the code for LSUN can.

Levels may be trained by processes of their own, each with `--levels` and a `--kimg` of its own, and joined by
`python -m training.join_lapgan`; the weights are those of a run that trains all.

Deviations:
- An epoch is 50,000 images (CIFAR-10's), whatever the data, so that schedules are functions of the images shown.
- What is sampled and shipped is the moving average of the weights.
- `lapgan-cpu` uses Adam: after 6,000 steps of the 8x8 level it paints cats of many colours, SGD one grey mean.
  It keeps to the binomial filter, by which the data set's levels are made: no level is shifted against another.
"""

from dataclasses import dataclass

from models.architectures.lapgan import LAPGANGenerator, discriminators
from models.architectures.lapgan_networks import Style
from models.layers.pyramid import PYRAMIDS, PyramidName
from training.recipes.descent import DescentRecipe
from training.recipes.judged import JudgedRecipe
from training.recipes.recipe import CPU, DataFormat
from training.schedules import ramp
from training.system import System, Updater
from training.updaters.lapgan import check_levels, level_updaters


@dataclass(frozen=True)
class LAPGANRecipe(DescentRecipe, JudgedRecipe):
    """LAPGAN: a pair of networks per level of the Laplacian pyramid, each trained on its own."""

    base: int = 8  # side of the coarsest image, pixels
    widths: tuple[int, ...] = ()  # units or channels of the generators, one per level; empty for the paper's
    style: Style = "cifar"  # networks of the levels from 16x16
    coarsest_noise: int = 100  # length of the coarsest level's noise
    pyramid: PyramidName = "binomial5"  # how images are halved and doubled
    conditional: bool = False  # paint and judge by the data's labels
    levels: tuple[int, ...] = ()  # sides of the levels to train; empty for all
    margin: float = 0.0  # of the fakes' error above the reals', by which a side waits (LSUN: 0.3); 0: none

    def __post_init__(self) -> None:
        super().__post_init__()
        check_levels(self.levels, self.resolution, self.base)
        if self.batch % 2:
            raise ValueError(f"batch must be even, half reals and half fakes, not {self.batch}")
        self.check_not_negative("margin")

    def build(self, data: DataFormat) -> System:
        """Build the game: all networks, and the players of the levels to train."""
        if self.conditional and not data.class_names:
            raise ValueError("conditional needs data with labels; train without --conditional")
        names = data.class_names if self.conditional else ()
        levels = (self.resolution, self.base, self.widths or None, self.style, self.coarsest_noise)
        generator = LAPGANGenerator(*levels, data.channels, names, self.pyramid, data.aspect)
        updaters: list[Updater] = []
        for level, discriminator in zip(generator.cascade(), discriminators(generator), strict=True):
            if not self.levels or level.side in self.levels:
                steps = self.moved(discriminator, level, self.steps, self.steps)
                tricks = self.margin, ramp(self.noise), self.real_target
                updaters += level_updaters(level, discriminator, steps, PYRAMIDS[self.pyramid], *tricks)
        return System(tuple(updaters), generator)


def lapgan() -> LAPGANRecipe:
    """The paper's CIFAR-10 training, at 64x64."""
    return LAPGANRecipe(
        resolution=64, kimg=10_000, batch=128, snapshot_every=50, checkpoint_every=50, pyramid="bilinear"
    )


def lapgan_cpu() -> LAPGANRecipe:
    """64x64 for two CPU cores: fewer channels at the finer levels, bf16, channels last, Adam."""
    return LAPGANRecipe(
        **CPU, kimg=120, batch=16, ema_half_life=6, widths=(600, 64, 32, 16), optimizer="adam", lr=0.0005
    )
