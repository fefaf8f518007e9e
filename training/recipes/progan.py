"""ProGAN (Karras et al. 2018, arXiv 1710.10196); networks in `models/architectures/progan.py`.

`progan` is the paper's CelebA-HQ run (appendix A): 800 thousand images for each fade and each hold, WGAN-GP with drift,
Adam 0.001 with betas (0, 0.99), batch 16, then 14, 6 and 3 from 256x256 on, the minibatch standard deviation over the
whole batch (a group of 16). Data with labels train the AC-GAN form, as in the authors' code; `--classify 0` ignores
labels.

Deviations:
- The moving average has one half-life in images, that of 0.999 per step at batch 16; at the paper's smaller batches of
  large pictures it averages over more steps.
- `progan-cpu` pairs reals with fakes (relativistic, with R1 and R2) at a step size of 0.003: in short trials at 8x8
  WGAN-GP at 0.001 moved away from the reals (see docs/experiments.md).
"""

from dataclasses import dataclass

from models.architectures.progan import ProGANDiscriminator, ProGANGenerator, paper_widths
from training.recipes.growing import GrowingRecipe
from training.recipes.multiscale import NARROW
from training.recipes.recipe import DataFormat
from training.system import System


@dataclass(frozen=True)
class ProGANRecipe(GrowingRecipe):
    """ProGAN: from 4x4 up, each size faded in and held."""

    grow_from: int = 4  # side that training begins at, pixels; 0 for the full one
    group: int = 4  # samples per group of the minibatch standard deviation, at most
    classify: float = 1.0  # weight of the class loss, of data with labels; 0 to ignore labels

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_positive("group")
        self.check_not_negative("classify")

    def build(self, data: DataFormat) -> System:
        """Build the game."""
        names = data.class_names if self.classify > 0 else ()
        size = (self.resolution, self.widths or paper_widths(self.resolution))
        shape = (self.attention, data.aspect)
        generator = ProGANGenerator(*size, self.latent_size + len(names), data.channels, names, *shape)
        discriminator = ProGANDiscriminator(*size, data.channels, len(names), self.group, *shape)
        return self.compose(discriminator, generator, self.classify if names else 0.0)


def progan() -> ProGANRecipe:
    """The paper's run, to 1024x1024: 23.1 M parameters each; for GPUs."""
    return ProGANRecipe(
        resolution=1024,
        kimg=19_000,
        batch=3,
        batches=(16, 16, 16, 16, 16, 16, 14, 6),
        hold=800,
        fade=800,
        group=16,
        ema_half_life=11.08,
        snapshot_every=100,
        checkpoint_every=100,
        objective="wgan",
        gradient_penalty=10.0,
        drift=0.001,
        lr=(0.001,),
    )


def progan_cpu() -> ProGANRecipe:
    """64x64 for two CPU cores: narrow, bf16, channels last; relativistic pairing; in 150 thousand images."""
    return ProGANRecipe(**NARROW, batches=(32, 32, 32), hold=3, fade=3, latent_size=128, r1=(1.0,))
