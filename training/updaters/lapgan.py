"""LAPGAN's updaters: an independent pair at every level (Denton et al. 2015, arXiv 1506.05751, section 3).

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
from training.schedules import Schedule, TrainState, zero
from training.system import Batch, LossOutput, Updater
from training.updaters.dropout import seed_dropout

CHANCE = 0.7  # binary cross-entropy at chance, ln 2, as the authors' code rounds it


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


class BalanceRule:
    """Which networks of a level are updated in an iteration: both."""

    update_discriminator = True
    update_generator = True

    def observe(self, real: Tensor, fake: Tensor) -> None:
        """Receive the discriminator's errors in this iteration, means over this rank's reals and over its fakes."""


class MarginRule(BalanceRule):
    """The rule of the authors' code for LSUN: in most iterations only one of the two is updated.

    If the discriminator's error on fakes exceeds that on reals by the margin, only the discriminator is updated.
    Otherwise the generator is, and the discriminator too if its error on reals is above chance.
    """

    def __init__(
        self,
        margin: float,  # of binary cross-entropies
    ) -> None:
        self.margin = margin

    def observe(self, real: Tensor, fake: Tensor) -> None:
        """Decide for this iteration from the errors' means over all ranks."""
        on_reals, on_fakes = mean_over_ranks(torch.stack([real, fake])).tolist()
        self.update_generator = on_fakes <= on_reals + self.margin
        self.update_discriminator = not self.update_generator or on_reals > CHANCE


@dataclass
class LevelUpdater(Updater):
    """What the two updaters of a level share."""

    pyramid: Pyramid  # the levels' filters
    rule: BalanceRule  # decides which of the two is updated
    instance_noise: Schedule = field(default=zero, kw_only=True)  # its standard deviation

    def noisy(self, images: Tensor, batch: Batch, train_state: TrainState) -> list[Tensor]:
        """The images (N, C, H, W) with instance noise, as the discriminator sees them."""
        deviation = self.instance_noise(train_state)
        return [images + noise_for(images, deviation, batch.rng, self.name) if deviation > 0 else images]

    def generate(self, level: Level, images: Tensor, batch: Batch) -> Tensor:
        """The level's fakes on the coarse versions of its reals (N, C, H, W): the same shape."""
        noise = batch.rng.uniform_per_sample(f"{self.name}/noise", level.latent_size) * 2 - 1
        low = None if level.coarsest else self.pyramid.up(self.pyramid.down(images))
        return cast(Tensor, level(noise, low, one_hot(batch.labels, level.classes)))


@dataclass
class LevelDiscriminatorUpdater(LevelUpdater):
    """Trains a level's discriminator to tell its reals from its fakes, half of the batch each."""

    network: Discriminator
    level: Level  # its generator
    real_target: float = 1.0  # target probability of reals

    def compute_loss(self, batch: Batch, train_state: TrainState) -> LossOutput:
        """Binary cross-entropy, the mean over reals and fakes together."""
        seed_dropout(batch.rng, self.name, self.network, self.level)
        images = reduced(batch.reals, self.level.side, self.pyramid)
        with torch.no_grad():
            fakes = self.generate(self.level, images, batch)
        real = are_real(batch.rng)
        mixed = torch.where(real.view(-1, 1, 1, 1), images, fakes)
        output: DiscriminatorOutput = self.network(self.noisy(mixed, batch, train_state), batch.labels)
        logits = output.logits.float()
        errors = F.binary_cross_entropy_with_logits(logits, real * self.real_target, reduction="none")
        loss, side = errors.mean(), self.level.side
        scalars = {f"loss/d{side}": loss}
        for kind, which in (("real", real), ("fake", ~real)):  # half of the batch each
            scalars[f"logits/{kind}{side}"] = 2 * (logits * which).mean()
            scalars[f"error/{kind}{side}"] = 2 * (errors * which).mean()
        return LossOutput(loss, scalars)

    def step(self, scalars: Mapping[str, Tensor]) -> None:
        """Pass the errors to the rule, and step if it allows."""
        self.rule.observe(*(scalars[f"error/{kind}{self.level.side}"] for kind in ("real", "fake")))
        if self.rule.update_discriminator:
            super().step(scalars)


@dataclass
class LevelGeneratorUpdater(LevelUpdater):
    """Trains a level's generator to make bands that the discriminator takes for real ones."""

    network: Level
    discriminator: Discriminator

    def compute_loss(self, batch: Batch, train_state: TrainState) -> LossOutput:
        """Minus the log of the probability that the fakes are real (the non-saturating loss)."""
        seed_dropout(batch.rng, self.name, self.network, self.discriminator)
        fakes = self.generate(self.network, reduced(batch.reals, self.network.side, self.pyramid), batch)
        output: DiscriminatorOutput = self.discriminator(self.noisy(fakes, batch, train_state), batch.labels)
        loss = F.softplus(-output.logits.float()).mean()
        return LossOutput(loss, {f"loss/g{self.network.side}": loss})

    def step(self, scalars: Mapping[str, Tensor]) -> None:
        """Step if the rule allows, by the errors of the discriminator's step before."""
        if self.rule.update_generator:
            super().step(scalars)


def level_updaters(
    level: Level,
    discriminator: Discriminator,
    spec_d: OptimizerSpec,
    spec_g: OptimizerSpec,
    pyramid: Pyramid,  # the levels' filters
    margin: float,  # of `MarginRule`; 0 for no such rule
    instance_noise: Schedule,  # its standard deviation
    real_target: float,  # target probability of reals
) -> tuple[LevelDiscriminatorUpdater, LevelGeneratorUpdater]:
    """The two updaters of a level; the discriminator's steps first."""
    rule = MarginRule(margin) if margin > 0 else BalanceRule()
    side = level.side
    d = LevelDiscriminatorUpdater(
        f"d{side}",
        discriminator,
        spec_d,
        pyramid,
        rule,
        level,
        real_target,
        instance_noise=instance_noise,
    )
    g = LevelGeneratorUpdater(
        f"g{side}", level, spec_g, pyramid, rule, discriminator, instance_noise=instance_noise
    )
    return d, g
