"""The adversarial pair: a discriminator against a generator, under any objective and penalties."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

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
from training.penalties.fraction import logits_with_fraction
from training.penalties.gradient import leaves, one_centered, perturbed, zero_centered
from training.schedules import Count, Schedule, TrainState, none, zero
from training.system import Batch, LossOutput, LossTerm, Updater
from training.updaters.dropout import seed_dropout
from training.updaters.images import fakes_for, grow, latents, reals_for, scales


@dataclass(frozen=True)
class Penalties:
    """Weights of the discriminator's gradient penalties; a weight of 0 costs nothing."""

    r1: Schedule = zero  # gamma of R1, on reals
    r2: Schedule = zero  # gamma of R2, on fakes
    every: int = (
        1  # iterations between two computations of R1 and R2, weighted as many times (StyleGAN2's lazy form)
    )
    one_in: int = 1  # R1 and R2 are computed on one in so many samples, weighted as many times
    gradient_penalty: float = 0.0  # lambda of WGAN-GP
    dragan: float = 0.0  # lambda of DRAGAN
    drift: float = 0.0  # weight of the reals' squared logits (ProGAN section 2.4)


class Fakes(NamedTuple):
    """The fakes of an update step."""

    latents: Tensor  # their latent vectors, (N, input_size)
    images: list[Tensor]  # at the resolutions that the discriminator takes, coarse to fine
    output: DiscriminatorOutput
    batch: Batch


AuxiliaryLosses = Callable[[Fakes], Sequence[LossTerm]]
CombineLosses = Callable[[nn.Module, Tensor, Sequence[LossTerm]], Tensor]


def no_auxiliary_losses(_: Fakes) -> Sequence[LossTerm]:
    """None."""
    return ()


def weighted_sum(_: nn.Module, loss: Tensor, terms: Sequence[LossTerm]) -> Tensor:
    """The loss plus the weighted terms."""
    for term in terms:
        loss = loss + term.value * term.weight
    return loss


@dataclass
class DiscriminatorUpdater(Updater):
    """Trains the discriminator to tell reals from fakes at the resolutions that it takes."""

    network: Discriminator
    generator: Generator
    objective: Objective
    penalties: Penalties = field(default_factory=Penalties)
    classify: float = 0.0  # weight of the class loss on reals and fakes (AC-GAN)
    augment: Augmentation = field(default_factory=unchanged)  # of all images that the discriminator sees
    auxiliary_losses: AuxiliaryLosses = no_auxiliary_losses  # on the fakes

    @property
    def extra_state(self) -> nn.Module:
        """What the augmentation has learned."""
        return self.augment

    def after_step(self, scalars: Mapping[str, Tensor], stage: Stage) -> None:
        """Adapt the augmentation."""
        self.augment.probability.learn(scalars, stage.batch)

    def compute_loss(self, batch: Batch, train_state: TrainState) -> LossOutput:
        """The objective's d, the penalties that are due, and the means of the logits."""
        grow(batch, self.network, self.generator)
        seed_dropout(batch.rng, self.name, self.network, self.generator)
        z = latents(self.generator, batch)
        with torch.no_grad():
            fakes = fakes_for(self.network, self.generator(z))
        reals = reals_for(self.network, batch)
        on_reals, r1 = self._discriminate(reals, "real", batch, train_state)
        on_fakes, r2 = self._discriminate(fakes, "fake", batch, train_state)
        real, fake = on_reals.logits.float(), on_fakes.logits.float()
        loss = self.objective.d(real, fake)
        scalars = {"loss/d": loss, "logits/real": real.mean(), "logits/fake": fake.mean()}
        scalars |= self.augment.report(real, train_state)
        others = self._other_terms(reals, fakes, on_reals, on_fakes, batch, train_state)
        terms = (*r1, *r2, *others, *self.auxiliary_losses(Fakes(z, fakes, on_fakes, batch)))
        scalars |= {term.name: term.value for term in terms}
        return LossOutput(weighted_sum(self.network, loss, terms), scalars)

    def _discriminate(
        self, images: list[Tensor], of: str, batch: Batch, train_state: TrainState
    ) -> tuple[DiscriminatorOutput, list[LossTerm]]:
        """The output for the reals or the fakes, and R1 or R2 if it is due.

        Gradients are with respect to the images before augmentation, through the augmentation.
        """
        name, schedule = ("r1", self.penalties.r1) if of == "real" else ("r2", self.penalties.r2)
        gamma = schedule(train_state) if train_state.iteration % self.penalties.every == 0 else 0.0
        if gamma == 0:
            return self.network(self.augment(images, batch.rng, of, train_state), batch.labels), []
        images = leaves(images)
        augmented = self.augment(images, batch.rng, of, train_state)
        one_in = self.penalties.one_in if len(augmented[0]) % self.penalties.one_in == 0 else 1
        output, logits = logits_with_fraction(self.network, augmented, batch.labels, one_in)
        penalty = zero_centered(logits.float(), images) * one_in
        return output, [LossTerm(f"penalty/{name}", penalty, gamma * self.penalties.every)]

    def _other_terms(
        self,
        reals: list[Tensor],
        fakes: list[Tensor],
        on_reals: DiscriminatorOutput,
        on_fakes: DiscriminatorOutput,
        batch: Batch,
        train_state: TrainState,
    ) -> Iterator[LossTerm]:
        """WGAN-GP, DRAGAN, drift and the class losses, without those of weight 0."""
        if self.penalties.gradient_penalty > 0:
            penalty = self._gradient_penalty(reals, fakes, batch, train_state)
            yield LossTerm("penalty/gradient", penalty, self.penalties.gradient_penalty)
        if self.penalties.dragan > 0:
            uniforms = batch.rng.uniform("perturbed", *reals[-1].shape[1:])
            around = scales(perturbed(reals[-1], uniforms), self.network.resolutions)
            penalty = self._gradient_penalty(reals, around, batch, train_state)
            yield LossTerm("penalty/dragan", penalty, self.penalties.dragan)
        if self.penalties.drift > 0:
            yield LossTerm("penalty/drift", on_reals.logits.float().square().mean(), self.penalties.drift)
        if self.classify > 0:
            yield LossTerm("loss/class_real", class_loss(on_reals, batch), self.classify)
            yield LossTerm("loss/class_fake", class_loss(on_fakes, batch), self.classify)

    def _gradient_penalty(
        self, reals: list[Tensor], others: list[Tensor], batch: Batch, train_state: TrainState
    ) -> Tensor:
        def logits(images: Sequence[Tensor]) -> Tensor:
            augmented = self.augment(images, batch.rng, "mix", train_state)
            output: DiscriminatorOutput = self.network(augmented, batch.labels)
            return output.logits

        return one_centered(logits, reals, others, batch.rng.uniform("mix"))


@dataclass
class GeneratorUpdater(Updater):
    """Trains the generator to make fakes that the discriminator takes for reals."""

    network: Generator
    discriminator: Discriminator
    objective: Objective
    classify: float = 0.0  # weight of the class loss on fakes (AC-GAN)
    augment: Augmentation = field(default_factory=unchanged)  # the discriminator updater's
    auxiliary_losses: AuxiliaryLosses = no_auxiliary_losses  # on the fakes
    combine: CombineLosses = weighted_sum  # of the other losses with the auxiliary ones
    feature_matching: float = 0.0  # weight of feature matching

    def compute_loss(self, batch: Batch, train_state: TrainState) -> LossOutput:
        """The objective's g, on the noise, reals and augmentation of the discriminator's step."""
        grow(batch, self.network, self.discriminator)
        seed_dropout(batch.rng, self.name, self.network, self.discriminator)
        z = latents(self.network, batch)
        fakes = fakes_for(self.discriminator, self.network(z))
        augmented = self.augment(fakes, batch.rng, "fake", train_state)
        fake: DiscriminatorOutput = self.discriminator(augmented, batch.labels)
        real = self._on_reals(batch, train_state)
        loss = self.objective.g(real.logits.float(), fake.logits.float())
        terms = []
        if self.feature_matching > 0:
            terms.append(LossTerm("loss/matching", feature_matching(real, fake), self.feature_matching))
        if self.classify > 0:
            terms.append(LossTerm("loss/class_g", class_loss(fake, batch), self.classify))
        auxiliary = self.auxiliary_losses(Fakes(z, fakes, fake, batch))
        scalars = {"loss/g": loss} | {term.name: term.value for term in (*terms, *auxiliary)}
        loss = weighted_sum(self.network, loss, terms)
        return LossOutput(self.combine(self.network, loss, auxiliary), scalars)

    def _on_reals(self, batch: Batch, train_state: TrainState) -> DiscriminatorOutput:
        """The output for the reals; for no images where it is not needed."""
        if not self.objective.relative and self.feature_matching == 0:
            return DiscriminatorOutput(torch.empty(0))
        reals = self.augment(reals_for(self.discriminator, batch), batch.rng, "real", train_state)
        output: DiscriminatorOutput = self.discriminator(reals, batch.labels)
        return output


def class_loss(output: DiscriminatorOutput, batch: Batch) -> Tensor:
    """Cross-entropy of the batch's labels (Odena et al. 2017, arXiv 1610.09585, section 3)."""
    assert output.classes is not None
    assert batch.labels is not None
    return F.cross_entropy(output.classes.float(), batch.labels)


class MakeDiscriminatorUpdater(Protocol):
    """`DiscriminatorUpdater`, or a subclass of it whose further arguments are bound."""

    def __call__(
        self,
        name: str,
        network: Discriminator,
        spec: OptimizerSpec,
        generator: Generator,
        objective: Objective,
        penalties: Penalties,
        classify: float,
        augment: Augmentation,
        auxiliary_losses: AuxiliaryLosses,
        *,
        steps: int,
        extra_steps: Count,
    ) -> DiscriminatorUpdater:
        """Make the updater."""


def adversarial_pair(
    discriminator: Discriminator,
    generator: Generator,
    spec_d: OptimizerSpec,
    spec_g: OptimizerSpec,
    objective: Objective,
    *,
    penalties: Penalties | None = None,
    classify: float = 0.0,  # weight of the class losses (AC-GAN)
    augment: Augmentation | None = None,  # of all images that the discriminator sees, in both updaters' steps
    auxiliary_losses_d: AuxiliaryLosses = no_auxiliary_losses,
    auxiliary_losses_g: AuxiliaryLosses = no_auxiliary_losses,
    combine_g: CombineLosses = weighted_sum,  # of the generator's losses with its auxiliary ones
    feature_matching: float = 0.0,  # weight in the generator's loss
    n_critic: int = 1,  # the discriminator's steps per iteration
    extra_critic_steps: Count = none,  # beyond these in special iterations
    discriminator_updater: MakeDiscriminatorUpdater = DiscriminatorUpdater,
) -> tuple[DiscriminatorUpdater, GeneratorUpdater]:
    """The updaters of a discriminator and a generator that are trained against each other, in this order."""
    augment, penalties = augment or unchanged(), penalties or Penalties()
    d = discriminator_updater(
        "d",
        discriminator,
        spec_d,
        generator,
        objective,
        penalties,
        classify,
        augment,
        auxiliary_losses_d,
        steps=n_critic,
        extra_steps=extra_critic_steps,
    )
    g = GeneratorUpdater(
        "g",
        generator,
        spec_g,
        discriminator,
        objective,
        classify,
        augment,
        auxiliary_losses_g,
        combine_g,
        feature_matching,
    )
    return d, g
