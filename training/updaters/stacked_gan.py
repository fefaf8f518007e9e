"""The players of Stacked GAN (Huang et al. 2017, arXiv 1612.04357, section 3): an encoder, and a generator and a
discriminator on each of two levels.

The encoder is trained first and moves no more. Then each level is trained on its own, from what the encoder makes of
reals. At last the lower level takes what the upper one makes, and the upper one's loss has a share of the lower's.

Deviations: the encoder is trained in the same run; noise of a round is the same in the moves of both sides.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import cast

import torch
from torch import Tensor
from torch.nn import functional as F

from models.architectures.stacked_gan import BottomGenerator, Encoder, LevelDiscriminator, TopGenerator
from models.discriminator import DiscriminatorOutput
from training.data.instance_noise import noise_for
from training.objectives.logistic import non_saturating_d
from training.system import Batch, LossOutput, Schedule, TrainState, Updater
from training.updaters.adversarial import LossTerm, never, weighted_sum


@dataclass
class TimedUpdater(Updater):
    """A player that moves in a part of the run only."""

    begin: float  # images shown before its first move
    end: float  # images shown after its last

    def moves_in(self, train_state: TrainState) -> int:
        """Moves in the clock's round."""
        return super().moves_in(train_state) if self.begin <= train_state.images < self.end else 0


@dataclass
class Encode(TimedUpdater):
    """The encoder's side: tell labels."""

    network: Encoder

    def compute_loss(self, batch: Batch, train_state: TrainState) -> LossOutput:  # noqa: ARG002
        """Cross-entropy of the labels."""
        assert batch.labels is not None
        logits = self.network.top(self.network(batch.reals)).float()
        loss = F.cross_entropy(logits, batch.labels)
        right = (logits.argmax(1) == batch.labels).float().mean()
        return LossOutput(loss, {"loss/encoder": loss, "encoder/accuracy": right})


@dataclass(frozen=True)
class Level(ABC):
    """A level of the stack: its networks, and what they are given and compared with."""

    name: str  # suffix of what is logged
    encoder: Encoder
    generator: TopGenerator | BottomGenerator
    discriminator: LevelDiscriminator
    entropy: float  # weight of the entropy loss
    blur: Schedule = field(default=never, kw_only=True)  # deviation of instance noise
    target: float = field(default=1.0, kw_only=True)  # probability that the discriminator is to give reals

    @abstractmethod
    def real(self, batch: Batch) -> Tensor:
        """What reals are on this level."""

    @abstractmethod
    def given(self, batch: Batch, train_state: TrainState) -> Tensor:
        """What the generator goes out from, of reals or of the level above."""

    @abstractmethod
    def conditional(self, fake: Tensor, given: Tensor) -> Tensor:
        """How far what the encoder makes of fakes is from what they were made of: a scalar."""

    def noise(self, batch: Batch) -> Tensor:
        """U(0, 1): (N, noise_size)."""
        return batch.rng.uniform(f"noise{self.name}", self.generator.noise_size)

    def paint(self, batch: Batch, train_state: TrainState) -> Tensor:
        """Fakes, without a graph."""
        with torch.no_grad():
            return cast(Tensor, self.generator(self.given(batch, train_state), self.noise(batch)))

    def judged(self, samples: Tensor, batch: Batch, train_state: TrainState, of: str) -> DiscriminatorOutput:
        """The verdict on samples of a kind, `of`, with instance noise."""
        deviation = self.blur(train_state)
        if deviation > 0:
            samples = samples + noise_for(samples, deviation, batch.rng, f"{of}{self.name}")
        return cast(DiscriminatorOutput, self.discriminator(samples))

    def unread(self, latents: Tensor | None, batch: Batch) -> LossTerm:
        """The entropy loss: how far Q's reading of the noise is from it."""
        assert latents is not None
        error = F.mse_loss(latents.float(), self.noise(batch))
        return LossTerm(f"loss/entropy{self.name}", error, self.entropy)

    def terms(self, fake: Tensor, given: Tensor, batch: Batch, train_state: TrainState) -> list[LossTerm]:
        """The three losses of the generator."""
        output = self.judged(fake, batch, train_state, "fake")
        return [
            LossTerm(f"loss/g{self.name}", F.softplus(-output.logits.float()).mean(), 1.0),
            LossTerm(f"loss/conditional{self.name}", self.conditional(fake, given), 1.0),
            self.unread(output.latents, batch),
        ]


@dataclass(frozen=True)
class Top(Level):
    """Level 1: labels -> features."""

    def real(self, batch: Batch) -> Tensor:
        """Features of the reals."""
        with torch.no_grad():
            return cast(Tensor, self.encoder(batch.reals))

    def given(self, batch: Batch, train_state: TrainState) -> Tensor:  # noqa: ARG002
        """The reals' labels, one hot."""
        assert batch.labels is not None
        return F.one_hot(batch.labels, self.encoder.top.out_features).float()

    def conditional(self, fake: Tensor, given: Tensor) -> Tensor:
        """Cross-entropy of the label."""
        return F.cross_entropy(self.encoder.top(fake).float(), given)


@dataclass(frozen=True)
class Bottom(Level):
    """Level 0: features -> pictures."""

    above: Top
    joint: float  # images shown before it takes the features of the level above

    def real(self, batch: Batch) -> Tensor:
        """The reals."""
        return batch.reals

    def given(self, batch: Batch, train_state: TrainState) -> Tensor:
        """Features, of the reals or, at last, of the level above."""
        return (
            self.above.paint(batch, train_state)
            if train_state.images >= self.joint
            else self.above.real(batch)
        )

    def conditional(self, fake: Tensor, given: Tensor) -> Tensor:
        """Mean squared error of the features."""
        return F.mse_loss(self.encoder(fake).float(), given.float())


@dataclass
class DiscriminateLevel(TimedUpdater):
    """The discriminator's side of a level, Q's included."""

    network: LevelDiscriminator
    level: Level

    def compute_loss(self, batch: Batch, train_state: TrainState) -> LossOutput:
        """Cross-entropy of telling reals from fakes, the mean over both, and the entropy loss."""
        of_real = self.level.judged(self.level.real(batch), batch, train_state, "real")
        of_fake = self.level.judged(self.level.paint(batch, train_state), batch, train_state, "fake")
        real, fake = of_real.logits.float(), of_fake.logits.float()
        loss = non_saturating_d(real, fake, self.level.target) / 2
        unread = self.level.unread(of_fake.latents, batch)
        means = {"real": real.mean(), "fake": fake.mean()}
        scalars = {f"loss/d{self.level.name}": loss, f"{unread.name}_d": unread.value}
        scalars |= {f"logits/{which}{self.level.name}": mean for which, mean in means.items()}
        return LossOutput(weighted_sum(self.network, loss, [unread]), scalars)


@dataclass
class GenerateLevel(TimedUpdater):
    """The generator's side of a level."""

    network: TopGenerator | BottomGenerator
    level: Level
    below: Level | None  # the level that takes what this one makes
    share: Schedule  # weight of that level's loss in this one's

    def compute_loss(self, batch: Batch, train_state: TrainState) -> LossOutput:
        """The losses of the level, and a share of those below."""
        given = self.level.given(batch, train_state)
        fake = self.network(given, self.level.noise(batch))
        terms = self.level.terms(fake, given, batch, train_state)
        scalars = {term.name: term.value for term in terms}
        share = self.share(train_state)
        if self.below is not None and share > 0:
            lower = self.below.generator(fake, self.below.noise(batch))
            terms += [
                term._replace(weight=term.weight * share)
                for term in self.below.terms(lower, fake, batch, train_state)
            ]
        return LossOutput(weighted_sum(self.network, fake.new_zeros(()), terms), scalars)
