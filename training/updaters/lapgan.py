"""The players of LAPGAN: a pair at every level, each on its own (Denton et al. 2015, arXiv 1506.05751, section 3).

A level's generator is given real coarse images, so no level waits for another and none sees the cascade's output.
Everything that a pair draws is keyed by its level: it computes the same whatever else is trained beside it.

Deviations:
- The generator's step paints over the coarse images of the whole batch, of which the discriminator has seen half as
  reals and half as what it painted over; the authors' code draws new ones.
- The margin rule looks at the errors of the pass that the discriminator learns from; the code makes a pass for each.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import cast

import torch
from torch import Tensor
from torch.nn import functional as F

from common.aspect import resolution_of
from models.architectures.lapgan import Level, level_sides, one_hot
from models.discriminator import Discriminator, DiscriminatorOutput
from models.layers.pyramid import Pyramid
from training.data.instance_noise import noise_for
from training.distributed.collective import mean_over_ranks
from training.optim.spec import OptimizerSpec
from training.rng import KeyedRNG
from training.system import Batch, LossOutput, Schedule, TrainState, Updater
from training.updaters.adversarial import never
from training.updaters.dropout import seed_dropout

GUESSING = 0.7  # binary cross-entropy of one who guesses, ln 2, as the authors' code rounds it


def check_levels(levels: Sequence[int], resolution: int, base: int) -> None:
    """Raise ValueError unless these are sides of different levels of that pyramid."""
    sides = level_sides(resolution, base)
    if len(set(levels)) < len(levels) or not set(levels) <= set(sides):
        raise ValueError(f"levels must be different ones of {', '.join(map(str, sides))}, not {levels}")


def reduced(images: Tensor, side: int, pyramid: Pyramid) -> Tensor:
    """The level of the images' pyramid with that shorter side: (N, C, H, W) -> (N, C, h, w)."""
    while resolution_of(images) > side:
        images = pyramid.down(images)
    return images


def are_real(rng: KeyedRNG) -> Tensor:
    """Which samples of the batch the discriminator is shown as they are, bool (N,): every other of the global batch."""
    return torch.arange(rng.part.start, rng.part.stop, device=rng.device) % 2 == 0


class Rule:
    """Which sides of a level move in a round: both."""

    discriminator_moves = True
    generator_moves = True

    def judge(self, real: Tensor, fake: Tensor) -> None:
        """Take the discriminator's errors in this round, means over this rank's reals and over its fakes."""


class MarginRule(Rule):
    """That of the authors' code for LSUN: in most rounds one side waits.

    A discriminator that errs more on fakes than on reals, by the margin, moves alone. Else the generator moves, and the
    discriminator with it only if it errs on reals more than by guessing.
    """

    def __init__(
        self,
        margin: float,  # of binary cross-entropies
    ) -> None:
        self.margin = margin

    def judge(self, real: Tensor, fake: Tensor) -> None:
        """Let the errors, means over all ranks, decide this round."""
        on_reals, on_fakes = mean_over_ranks(torch.stack([real, fake])).tolist()
        self.generator_moves = on_fakes <= on_reals + self.margin
        self.discriminator_moves = not self.generator_moves or on_reals > GUESSING


@dataclass
class LevelUpdater(Updater):
    """What the two sides of a level share."""

    pyramid: Pyramid  # the levels' filters
    rule: Rule  # who moves
    noise: Schedule = field(default=never, kw_only=True)  # deviation of instance noise

    def shown(self, images: Tensor, batch: Batch, train_state: TrainState) -> list[Tensor]:
        """The images (N, C, H, W) as the discriminator sees them."""
        deviation = self.noise(train_state)
        return [images + noise_for(images, deviation, batch.rng, self.name) if deviation > 0 else images]

    def paint(self, level: Level, images: Tensor, batch: Batch) -> Tensor:
        """The level's fakes over the coarse images of its reals (N, C, H, W): the same shape."""
        noise = batch.rng.uniform_per_sample(f"{self.name}/noise", level.noise_size) * 2 - 1
        low = None if level.coarsest else self.pyramid.up(self.pyramid.down(images))
        return cast(Tensor, level(noise, low, one_hot(batch.labels, level.classes)))


@dataclass
class DiscriminateLevel(LevelUpdater):
    """The discriminator of a level: tell its reals from its fakes, half of the batch each."""

    network: Discriminator
    level: Level  # its generator
    target: float = 1.0  # probability to be given to reals

    def compute_loss(self, batch: Batch, train_state: TrainState) -> LossOutput:
        """Binary cross-entropy, the mean over reals and fakes together."""
        seed_dropout(batch.rng, self.name, self.network, self.level)
        images = reduced(batch.reals, self.level.side, self.pyramid)
        with torch.no_grad():
            fakes = self.paint(self.level, images, batch)
        real = are_real(batch.rng)
        mixed = torch.where(real.view(-1, 1, 1, 1), images, fakes)
        output: DiscriminatorOutput = self.network(self.shown(mixed, batch, train_state), batch.labels)
        logits = output.logits.float()
        errors = F.binary_cross_entropy_with_logits(logits, real * self.target, reduction="none")
        loss, side = errors.mean(), self.level.side
        scalars = {f"loss/d{side}": loss}
        for kind, which in (("real", real), ("fake", ~real)):  # half of the batch each
            scalars[f"logits/{kind}{side}"] = 2 * (logits * which).mean()
            scalars[f"error/{kind}{side}"] = 2 * (errors * which).mean()
        return LossOutput(loss, scalars)

    def step(self, scalars: Mapping[str, Tensor]) -> None:
        """Let the rule hear of the errors, and step if it says so."""
        self.rule.judge(*(scalars[f"error/{kind}{self.level.side}"] for kind in ("real", "fake")))
        if self.rule.discriminator_moves:
            super().step(scalars)


@dataclass
class GenerateLevel(LevelUpdater):
    """The generator of a level: make bands that the discriminator takes for real ones."""

    network: Level
    discriminator: Discriminator

    def compute_loss(self, batch: Batch, train_state: TrainState) -> LossOutput:
        """Minus the log of the probability that the fakes are real (the non-saturating loss)."""
        seed_dropout(batch.rng, self.name, self.network, self.discriminator)
        fakes = self.paint(self.network, reduced(batch.reals, self.network.side, self.pyramid), batch)
        output: DiscriminatorOutput = self.discriminator(self.shown(fakes, batch, train_state), batch.labels)
        loss = F.softplus(-output.logits.float()).mean()
        return LossOutput(loss, {f"loss/g{self.network.side}": loss})

    def step(self, scalars: Mapping[str, Tensor]) -> None:
        """Step if the rule says so, by the errors of the discriminator's move before."""
        if self.rule.generator_moves:
            super().step(scalars)


def level_updaters(
    level: Level,
    discriminator: Discriminator,
    steps: tuple[OptimizerSpec, OptimizerSpec],  # of the discriminator, of the level
    pyramid: Pyramid,  # the levels' filters
    margin: float,  # of `MarginRule`; 0 for no such rule
    noise: Schedule,  # deviation of instance noise
    target: float,  # probability that the discriminator is to give reals
) -> tuple[DiscriminateLevel, GenerateLevel]:
    """The two sides of a level; the discriminator moves first."""
    rule = MarginRule(margin) if margin > 0 else Rule()
    of_d, of_g = steps
    d = DiscriminateLevel(
        f"d{level.side}",
        discriminator,
        *of_d[:2],
        pyramid,
        rule,
        level,
        momentum=of_d.momentum,
        noise=noise,
        target=target,
    )
    g = GenerateLevel(
        f"g{level.side}", level, *of_g[:2], pyramid, rule, discriminator, momentum=of_g.momentum, noise=noise
    )
    return d, g
