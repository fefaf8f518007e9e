"""Stacked GAN's updaters (Huang et al. 2017, arXiv 1612.04357, section 3): of an encoder, and of a generator and a
discriminator at each of two levels.

The encoder is trained first and then frozen. Next each level is trained independently, from the encoder's features of
reals. Finally the lower level takes the upper one's output, and the upper one's loss includes a fraction of the
lower's.

Deviations: the encoder is trained in the same run; discriminator and generator share the noise of an iteration.
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
from training.schedules import Schedule, TrainState, zero
from training.system import Batch, LossOutput, LossTerm, Updater
from training.updaters.adversarial import weighted_sum


@dataclass
class TimedUpdater(Updater):
    """An updater that steps only in a part of the run."""

    begin: float  # images shown before its first step
    end: float  # images shown after its last

    def steps_at(self, train_state: TrainState) -> int:
        """Update steps in this iteration."""
        return super().steps_at(train_state) if self.begin <= train_state.images < self.end else 0


@dataclass
class EncoderUpdater(TimedUpdater):
    """Trains the encoder to classify."""

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
    """A level of the stack: its networks, and their inputs and targets."""

    name: str  # suffix of what is logged
    encoder: Encoder
    generator: TopGenerator | BottomGenerator
    discriminator: LevelDiscriminator
    entropy: float  # weight of the entropy loss
    instance_noise: Schedule = field(default=zero, kw_only=True)  # its standard deviation
    real_target: float = field(default=1.0, kw_only=True)  # target probability of reals

    @abstractmethod
    def real(self, batch: Batch) -> Tensor:
        """The reals at this level."""

    @abstractmethod
    def condition(self, batch: Batch, train_state: TrainState) -> Tensor:
        """The generator's input, from reals or from the level above."""

    @abstractmethod
    def conditional(self, fake: Tensor, condition: Tensor) -> Tensor:
        """The conditional loss, a scalar: distance of the encoder's features of fakes to the generator's input."""

    def noise(self, batch: Batch) -> Tensor:
        """U(0, 1): (N, latent_size)."""
        return batch.rng.uniform(f"noise{self.name}", self.generator.latent_size)

    def generate(self, batch: Batch, train_state: TrainState) -> Tensor:
        """Fakes, without a graph."""
        with torch.no_grad():
            return cast(Tensor, self.generator(self.condition(batch, train_state), self.noise(batch)))

    def discriminate(
        self, samples: Tensor, batch: Batch, train_state: TrainState, of: str
    ) -> DiscriminatorOutput:
        """The output for samples, with instance noise; `of` says which, real or fake."""
        deviation = self.instance_noise(train_state)
        if deviation > 0:
            samples = samples + noise_for(samples, deviation, batch.rng, f"{of}{self.name}")
        return cast(DiscriminatorOutput, self.discriminator(samples))

    def entropy_loss(self, latents: Tensor | None, batch: Batch) -> LossTerm:
        """The entropy loss: the error of Q's prediction of the noise."""
        assert latents is not None
        error = F.mse_loss(latents.float(), self.noise(batch))
        return LossTerm(f"loss/entropy{self.name}", error, self.entropy)

    def loss_terms(
        self, fake: Tensor, condition: Tensor, batch: Batch, train_state: TrainState
    ) -> list[LossTerm]:
        """The generator's three losses."""
        output = self.discriminate(fake, batch, train_state, "fake")
        return [
            LossTerm(f"loss/g{self.name}", F.softplus(-output.logits.float()).mean(), 1.0),
            LossTerm(f"loss/conditional{self.name}", self.conditional(fake, condition), 1.0),
            self.entropy_loss(output.latents, batch),
        ]


@dataclass(frozen=True)
class Top(Level):
    """Level 1: labels -> features."""

    def real(self, batch: Batch) -> Tensor:
        """Features of the reals."""
        with torch.no_grad():
            return cast(Tensor, self.encoder(batch.reals))

    def condition(self, batch: Batch, train_state: TrainState) -> Tensor:  # noqa: ARG002
        """The reals' labels, one hot."""
        assert batch.labels is not None
        return F.one_hot(batch.labels, self.encoder.top.out_features).float()

    def conditional(self, fake: Tensor, condition: Tensor) -> Tensor:
        """Cross-entropy of the label."""
        return F.cross_entropy(self.encoder.top(fake).float(), condition)


@dataclass(frozen=True)
class Bottom(Level):
    """Level 0: features -> images."""

    above: Top
    joint: float  # images shown before it takes the output of the level above

    def real(self, batch: Batch) -> Tensor:
        """The reals."""
        return batch.reals

    def condition(self, batch: Batch, train_state: TrainState) -> Tensor:
        """Features of the reals or, once joined, of the level above."""
        return (
            self.above.generate(batch, train_state)
            if train_state.images >= self.joint
            else self.above.real(batch)
        )

    def conditional(self, fake: Tensor, condition: Tensor) -> Tensor:
        """Mean squared error of the features."""
        return F.mse_loss(self.encoder(fake).float(), condition.float())


@dataclass
class LevelDiscriminatorUpdater(TimedUpdater):
    """Trains a level's discriminator, including Q."""

    network: LevelDiscriminator
    level: Level

    def compute_loss(self, batch: Batch, train_state: TrainState) -> LossOutput:
        """Cross-entropy of telling reals from fakes, the mean over both, and the entropy loss."""
        of_real = self.level.discriminate(self.level.real(batch), batch, train_state, "real")
        of_fake = self.level.discriminate(self.level.generate(batch, train_state), batch, train_state, "fake")
        real, fake = of_real.logits.float(), of_fake.logits.float()
        loss = non_saturating_d(real, fake, self.level.real_target) / 2
        entropy = self.level.entropy_loss(of_fake.latents, batch)
        means = {"real": real.mean(), "fake": fake.mean()}
        scalars = {f"loss/d{self.level.name}": loss, f"{entropy.name}_d": entropy.value}
        scalars |= {f"logits/{which}{self.level.name}": mean for which, mean in means.items()}
        return LossOutput(weighted_sum(self.network, loss, [entropy]), scalars)


@dataclass
class LevelGeneratorUpdater(TimedUpdater):
    """Trains a level's generator."""

    network: TopGenerator | BottomGenerator
    level: Level
    below: Level | None  # the level that takes this one's output
    joint_weight: Schedule  # of that level's loss in this one's

    def compute_loss(self, batch: Batch, train_state: TrainState) -> LossOutput:
        """The losses of the level, and the weighted ones of the level below."""
        condition = self.level.condition(batch, train_state)
        fake = self.network(condition, self.level.noise(batch))
        terms = self.level.loss_terms(fake, condition, batch, train_state)
        scalars = {term.name: term.value for term in terms}
        weight = self.joint_weight(train_state)
        if self.below is not None and weight > 0:
            lower = self.below.generator(fake, self.below.noise(batch))
            terms += [
                term._replace(weight=term.weight * weight)
                for term in self.below.loss_terms(lower, fake, batch, train_state)
            ]
        return LossOutput(weighted_sum(self.network, fake.new_zeros(()), terms), scalars)
