"""ProGAN (Karras et al. 2018, arXiv 1710.10196); networks in `models/progan.py`.

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
from functools import partial
from typing import Literal

import torch

from models.generator import check_resolution
from models.progan import ProGANDiscriminator, ProGANGenerator, paper_widths
from training.adversarial import Penalties, Steps
from training.game import Game
from training.growth import Growth, progressive
from training.recipes.duel import DuelRecipe
from training.recipes.recipe import CPU, DataFormat
from training.schedules import constant


@dataclass(frozen=True)
class ProGANRecipe(DuelRecipe):
    """ProGAN: from 4x4 up, each size faded in and held."""

    batches: tuple[int, ...] = ()  # real images per step at 4x4, 8x8, ...; `batch` from where they end
    hold: float = (
        800.0  # training at each size once faded in, thousands of images; the last is held to the end
    )
    fade: float = 800.0  # fading in of each size, thousands of images; 0 to switch at once
    widths: tuple[int, ...] = ()  # channels at 4x4, 8x8, ...; empty for the paper's
    latent_size: int = 512  # length of the latent vector, a label's entries not included
    group: int = 4  # samples per group of the minibatch standard deviation, at most
    attention: tuple[int, ...] = ()  # sides at which both networks have self-attention (SAGAN)
    objective: Literal[
        "wgan", "hinge", "non-saturating", "rp-gan", "ra-hinge", "ra-gan", "ra-least-squares"
    ] = "wgan"
    gradient_penalty: float = 10.0  # lambda of WGAN-GP; 0 for none
    r1: float = 0.0  # gamma of R1 + R2; 0 for none
    drift: float = 0.001  # weight of the squared logits of reals
    classify: float = 1.0  # weight of the class loss, of data with labels; 0 to ignore labels
    lr: float = 0.001  # Adam's step size, both networks

    def __post_init__(self) -> None:
        super().__post_init__()
        check_resolution(self.resolution)
        if any(batch <= 0 for batch in self.batches):
            raise ValueError(f"batches must be positive, not {self.batches}")
        self.check_positive("hold", "group")
        self.check_not_negative("fade", "gradient_penalty", "r1", "drift", "classify")

    def growth(self) -> Growth:
        """From 4x4 to the resolution."""
        sides = [4 << level for level in range(self.resolution.bit_length() - 2)]
        batches = [*self.batches, *[self.batch] * len(sides)][: len(sides)]
        return progressive(sides, batches, self.hold * 1000, self.fade * 1000)

    def build(self, data: DataFormat) -> Game:
        """Build the game, grown as far as it is at the beginning."""
        names = data.class_names if self.classify > 0 else ()
        classify = self.classify if names else 0.0
        size = (self.resolution, self.widths or paper_widths(self.resolution))
        shape = (self.attention, data.frame)
        generator = ProGANGenerator(*size, self.latent_size + len(names), data.channels, names, *shape)
        discriminator = ProGANDiscriminator(*size, data.channels, len(names), self.group, *shape)
        start = self.growth().at(0)
        generator.grow(start.resolution, start.blend)
        adam = partial(torch.optim.Adam, lr=self.lr, betas=(0.0, 0.99), fused=True)
        rate = constant(self.lr)
        gamma = constant(self.r1)
        penalties = Penalties(gamma, gamma, 1, self.gradient_penalty, self.drift)
        steps_d, steps_g = (Steps(adam(each.parameters()), rate) for each in (discriminator, generator))
        return self.duel(discriminator, generator, steps_d, steps_g, self.objective, penalties, classify)


def progan() -> ProGANRecipe:
    """The paper's run, to 1024x1024: 23.1 M parameters each; for GPUs."""
    return ProGANRecipe(
        resolution=1024,
        kimg=19_000,
        batch=3,
        batches=(16, 16, 16, 16, 16, 16, 14, 6),
        group=16,
        ema_half_life=11.08,
        snapshot_every=100,
        checkpoint_every=100,
    )


def progan_cpu() -> ProGANRecipe:
    """64x64 for two CPU cores: narrow, bf16, channels last; relativistic pairing; in 150 thousand images."""
    return ProGANRecipe(
        **CPU,
        kimg=150,
        batch=16,
        ema_half_life=5,
        batches=(32, 32, 32),
        hold=3,
        fade=3,
        widths=(128, 128, 128, 64, 32),
        latent_size=128,
        objective="rp-gan",
        gradient_penalty=0,
        drift=0,
        r1=1,
        lr=0.003,
    )
