"""The game of two: a discriminator against a generator, under any objective and penalties."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.discriminator import Discriminator, DiscriminatorOutput
from models.generator import Generator
from training.data.augment import Augmentation, unchanged
from training.growth import Stage
from training.objectives import Objective
from training.objectives.feature_matching import feature_matching
from training.optim.spec import OptimizerSpec
from training.penalties.fraction import logits_apart
from training.penalties.gradient import leaves, one_centered, perturbed, zero_centered
from training.system import Batch, LossOutput, Schedule, System, TrainState, Updater
from training.updaters.dropout import seed_dropout
from training.updaters.images import grow, latents, reals_for, scales, shown


def never(_: TrainState) -> float:
    """A weight that is always zero."""
    return 0.0


@dataclass(frozen=True)
class Penalties:
    """Weights of the discriminator's gradient penalties; one of zero costs nothing."""

    r1: Schedule = never  # gamma of R1, on reals
    r2: Schedule = never  # gamma of R2, on fakes
    every: int = 1  # R1 and R2 come every so many rounds, at as many times the weight (StyleGAN2's lazy form)
    gradient: float = 0.0  # lambda of WGAN-GP
    drift: float = 0.0  # weight of the reals' squared logits (ProGAN section 2.4)
    stride: int = (
        1  # R1 and R2 look at one in so many samples, at as many times the weight; see `judge_apart`
    )
    perturbed: float = 0.0  # lambda of DRAGAN


class LossTerm(NamedTuple):
    """Something that is added to a loss."""

    name: str  # under which it is logged
    value: Tensor  # scalar
    weight: float


class Fakes(NamedTuple):
    """The fakes of a move."""

    latents: Tensor  # that they are painted from, (N, latent_size)
    pictures: list[Tensor]  # as the discriminator takes them
    output: DiscriminatorOutput
    batch: Batch


AuxiliaryLosses = Callable[[Fakes], Sequence[LossTerm]]
Combine = Callable[[nn.Module, Tensor, Sequence[LossTerm]], Tensor]


def no_auxiliary_losses(_: Fakes) -> Sequence[LossTerm]:
    """What is wanted of fakes where the objective is all."""
    return ()


def weighted_sum(_: nn.Module, loss: Tensor, terms: Sequence[LossTerm]) -> Tensor:
    """The loss of a network to which terms are added."""
    for term in terms:
        loss = loss + term.value * term.weight
    return loss


@dataclass
class Discriminate(Updater):
    """The discriminator's side: tell reals from fakes at the resolutions that it takes."""

    network: Discriminator
    generator: Generator
    objective: Objective
    penalties: Penalties
    classify: float = 0.0  # weight of the class loss on reals and fakes (AC-GAN)
    augment: Augmentation = field(default_factory=unchanged)  # of all that is judged
    auxiliary_losses: AuxiliaryLosses = no_auxiliary_losses  # what else is wanted of fakes

    @property
    def state(self) -> nn.Module:
        """What the augmentation has learned."""
        return self.augment

    def after_step(self, scalars: Mapping[str, Tensor], stage: Stage) -> None:
        """Let the augmentation learn from the move."""
        self.augment.probability.learn(scalars, stage.batch)

    def compute_loss(self, batch: Batch, train_state: TrainState) -> LossOutput:
        """The objective's d, the penalties that are due, and the logits' means."""
        grow(batch, self.network, self.generator)
        seed_dropout(batch.rng, self.name, self.network, self.generator)
        z = latents(self.generator, batch)
        with torch.no_grad():
            fakes = shown(self.generator(z), self.network)
        reals = reals_for(self.network, batch)
        of_reals, r1 = self._judge(reals, "real", batch, train_state)
        of_fakes, r2 = self._judge(fakes, "fake", batch, train_state)
        real, fake = of_reals.logits.float(), of_fakes.logits.float()
        loss = self.objective.d(real, fake)
        scalars = {"loss/d": loss, "logits/real": real.mean(), "logits/fake": fake.mean()}
        scalars |= self.augment.report(real, train_state)
        others = self._others(reals, fakes, of_reals, of_fakes, batch, train_state)
        terms = (*r1, *r2, *others, *self.auxiliary_losses(Fakes(z, fakes, of_fakes, batch)))
        scalars |= {term.name: term.value for term in terms}
        return LossOutput(weighted_sum(self.network, loss, terms), scalars)

    def _judge(
        self, images: list[Tensor], of: str, batch: Batch, train_state: TrainState
    ) -> tuple[DiscriminatorOutput, list[LossTerm]]:
        """The verdict on the reals or the fakes, and R1 or R2 if it is due.

        Gradients are those by the images as they were before they were augmented, through the augmentation.
        """
        name, schedule = ("r1", self.penalties.r1) if of == "real" else ("r2", self.penalties.r2)
        gamma = schedule(train_state) if train_state.round % self.penalties.every == 0 else 0.0
        if gamma == 0:
            return self.network(self.augment(images, batch.rng, of, train_state), batch.labels), []
        images = leaves(images)
        seen = self.augment(images, batch.rng, of, train_state)
        stride = self.penalties.stride if len(seen[0]) % self.penalties.stride == 0 else 1
        output, scores = logits_apart(self.network, seen, batch.labels, stride)
        penalty = zero_centered(scores.float(), images) * stride
        return output, [LossTerm(f"penalty/{name}", penalty, gamma * self.penalties.every)]

    def _others(
        self,
        reals: list[Tensor],
        fakes: list[Tensor],
        of_reals: DiscriminatorOutput,
        of_fakes: DiscriminatorOutput,
        batch: Batch,
        train_state: TrainState,
    ) -> Iterator[LossTerm]:
        """WGAN-GP, DRAGAN, drift and the class losses, those of weight zero left out."""
        if self.penalties.gradient > 0:
            penalty = self._gradient_penalty(reals, fakes, batch, train_state)
            yield LossTerm("penalty/gradient", penalty, self.penalties.gradient)
        if self.penalties.perturbed > 0:
            uniforms = batch.rng.uniform("perturbed", *reals[-1].shape[1:])
            around = scales(perturbed(reals[-1], uniforms), self.network.resolutions)
            penalty = self._gradient_penalty(reals, around, batch, train_state)
            yield LossTerm("penalty/dragan", penalty, self.penalties.perturbed)
        if self.penalties.drift > 0:
            yield LossTerm("penalty/drift", of_reals.logits.float().square().mean(), self.penalties.drift)
        if self.classify > 0:
            yield LossTerm("loss/class_real", class_loss(of_reals, batch), self.classify)
            yield LossTerm("loss/class_fake", class_loss(of_fakes, batch), self.classify)

    def _gradient_penalty(
        self, reals: list[Tensor], others: list[Tensor], batch: Batch, train_state: TrainState
    ) -> Tensor:
        def logits(images: Sequence[Tensor]) -> Tensor:
            output: DiscriminatorOutput = self.network(
                self.augment(images, batch.rng, "mix", train_state), batch.labels
            )
            return output.logits

        return one_centered(logits, reals, others, batch.rng.uniform("mix"))


@dataclass
class Generate(Updater):
    """The generator's side: make fakes that the discriminator takes for reals."""

    network: Generator
    discriminator: Discriminator
    objective: Objective
    classify: float = 0.0  # weight of the class loss on fakes (AC-GAN)
    augment: Augmentation = field(default_factory=unchanged)  # the discriminator's side's
    auxiliary_losses: AuxiliaryLosses = no_auxiliary_losses  # what else is wanted of fakes
    combine: Combine = weighted_sum  # makes one loss of that without aims and of the aims
    matching: float = 0.0  # weight of feature matching

    def compute_loss(self, batch: Batch, train_state: TrainState) -> LossOutput:
        """The objective's g, on noise, reals and transformations that are those of the discriminator's move."""
        grow(batch, self.network, self.discriminator)
        seed_dropout(batch.rng, self.name, self.network, self.discriminator)
        z = latents(self.network, batch)
        fakes = shown(self.network(z), self.discriminator)
        fake: DiscriminatorOutput = self.discriminator(
            self.augment(fakes, batch.rng, "fake", train_state), batch.labels
        )
        real = self._of_reals(batch, train_state)
        loss = self.objective.g(real.logits.float(), fake.logits.float())
        terms = []
        if self.matching > 0:
            terms.append(LossTerm("loss/matching", feature_matching(real, fake), self.matching))
        if self.classify > 0:
            terms.append(LossTerm("loss/class_g", class_loss(fake, batch), self.classify))
        auxiliary_losses = self.auxiliary_losses(Fakes(z, fakes, fake, batch))
        scalars = {"loss/g": loss} | {term.name: term.value for term in (*terms, *auxiliary_losses)}
        loss = weighted_sum(self.network, loss, terms)
        return LossOutput(self.combine(self.network, loss, auxiliary_losses), scalars)

    def _of_reals(self, batch: Batch, train_state: TrainState) -> DiscriminatorOutput:
        """The verdict on the reals; one on none where they are not looked at."""
        if not self.objective.relative and self.matching == 0:
            return DiscriminatorOutput(torch.empty(0))
        reals = self.augment(reals_for(self.discriminator, batch), batch.rng, "real", train_state)
        output: DiscriminatorOutput = self.discriminator(reals, batch.labels)
        return output


def class_loss(output: DiscriminatorOutput, batch: Batch) -> Tensor:
    """Cross-entropy of the batch's labels (Odena et al. 2017, arXiv 1610.09585, section 3)."""
    assert output.classes is not None
    assert batch.labels is not None
    return F.cross_entropy(output.classes.float(), batch.labels)


def adversarial_pair(
    discriminator: Discriminator,
    generator: Generator,
    steps_d: OptimizerSpec,
    steps_g: OptimizerSpec,
    objective: Objective,
    penalties: Penalties | None = None,
    classify: float = 0.0,  # weight of the class losses (AC-GAN)
    augment: Augmentation | None = None,  # of all that is judged, in both sides' moves
    auxiliary_losses: AuxiliaryLosses = no_auxiliary_losses,  # what else both want of fakes
    matching: float = 0.0,  # weight of feature matching in the generator's loss
) -> System:
    """The two against one another; the discriminator moves first."""
    augment, penalties = augment or unchanged(), penalties or Penalties()
    d = Discriminate(
        "d",
        discriminator,
        steps_d.optimizer,
        steps_d.learning_rate,
        generator,
        objective,
        penalties,
        classify,
        augment,
        auxiliary_losses,
        moves=steps_d.moves,
        extra=steps_d.extra,
        momentum=steps_d.momentum,
    )
    g = Generate(
        "g",
        generator,
        steps_g.optimizer,
        steps_g.learning_rate,
        discriminator,
        objective,
        classify,
        augment,
        auxiliary_losses,
        matching=matching,
        moves=steps_g.moves,
        extra=steps_g.extra,
        momentum=steps_g.momentum,
    )
    return System((d, g), generator)
