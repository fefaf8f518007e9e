"""The game of two: a discriminator against a generator, under any objective and penalties."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.discriminator import Discriminator, Verdict
from models.generator import Generator
from training.augment import Augmentation, unchanged
from training.dropout import toss
from training.game import Batch, Clock, Game, Move, Player, Schedule
from training.growth import Stage
from training.objectives import Objective
from training.steps import Steps
from training.terms.gradient import leaves, one_centered, perturbed, zero_centered
from training.terms.matching import feature_matching
from training.terms.stride import judge_apart
from training.views import grow, latents, reals_for, scales, shown


def never(_: Clock) -> float:
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


class Term(NamedTuple):
    """Something that is added to a loss."""

    name: str  # under which it is logged
    value: Tensor  # scalar
    weight: float


class Fakes(NamedTuple):
    """The fakes of a move."""

    latents: Tensor  # that they are painted from, (N, latent_size)
    pictures: list[Tensor]  # as the discriminator takes them
    verdict: Verdict
    batch: Batch


Aims = Callable[[Fakes], Sequence[Term]]
Combine = Callable[[nn.Module, Tensor, Sequence[Term]], Tensor]


def no_aims(_: Fakes) -> Sequence[Term]:
    """What is wanted of fakes where the objective is all."""
    return ()


def weighted_sum(_: nn.Module, loss: Tensor, terms: Sequence[Term]) -> Tensor:
    """The loss of a network to which terms are added."""
    for term in terms:
        loss = loss + term.value * term.weight
    return loss


@dataclass
class Discriminate(Player):
    """The discriminator's side: tell reals from fakes at the resolutions that it takes."""

    network: Discriminator
    generator: Generator
    objective: Objective
    penalties: Penalties
    classify: float = 0.0  # weight of the class loss on reals and fakes (AC-GAN)
    augment: Augmentation = field(default_factory=unchanged)  # of all that is judged
    aims: Aims = no_aims  # what else is wanted of fakes

    @property
    def state(self) -> nn.Module:
        """What the augmentation has learned."""
        return self.augment

    def stepped(self, scalars: Mapping[str, Tensor], stage: Stage) -> None:
        """Let the augmentation learn from the move."""
        self.augment.probability.learn(scalars, stage.batch)

    def play(self, batch: Batch, clock: Clock) -> Move:
        """The objective's d, the penalties that are due, and the logits' means."""
        grow(batch, self.network, self.generator)
        toss(batch.draws, self.name, self.network, self.generator)
        z = latents(self.generator, batch)
        with torch.no_grad():
            fakes = shown(self.generator(z), self.network)
        reals = reals_for(self.network, batch)
        of_reals, r1 = self._judge(reals, "real", batch, clock)
        of_fakes, r2 = self._judge(fakes, "fake", batch, clock)
        real, fake = of_reals.score.float(), of_fakes.score.float()
        loss = self.objective.d(real, fake)
        scalars = {"loss/d": loss, "score/real": real.mean(), "score/fake": fake.mean()}
        scalars |= self.augment.report(real, clock)
        others = self._others(reals, fakes, of_reals, of_fakes, batch, clock)
        terms = (*r1, *r2, *others, *self.aims(Fakes(z, fakes, of_fakes, batch)))
        scalars |= {term.name: term.value for term in terms}
        return Move(weighted_sum(self.network, loss, terms), scalars)

    def _judge(self, images: list[Tensor], of: str, batch: Batch, clock: Clock) -> tuple[Verdict, list[Term]]:
        """The verdict on the reals or the fakes, and R1 or R2 if it is due.

        Gradients are those by the images as they were before they were augmented, through the augmentation.
        """
        name, schedule = ("r1", self.penalties.r1) if of == "real" else ("r2", self.penalties.r2)
        gamma = schedule(clock) if clock.round % self.penalties.every == 0 else 0.0
        if gamma == 0:
            return self.network(self.augment(images, batch.draws, of, clock), batch.labels), []
        images = leaves(images)
        seen = self.augment(images, batch.draws, of, clock)
        stride = self.penalties.stride if len(seen[0]) % self.penalties.stride == 0 else 1
        verdict, scores = judge_apart(self.network, seen, batch.labels, stride)
        penalty = zero_centered(scores.float(), images) * stride
        return verdict, [Term(f"penalty/{name}", penalty, gamma * self.penalties.every)]

    def _others(
        self,
        reals: list[Tensor],
        fakes: list[Tensor],
        of_reals: Verdict,
        of_fakes: Verdict,
        batch: Batch,
        clock: Clock,
    ) -> Iterator[Term]:
        """WGAN-GP, DRAGAN, drift and the class losses, those of weight zero left out."""
        if self.penalties.gradient > 0:
            penalty = self._gradient_penalty(reals, fakes, batch, clock)
            yield Term("penalty/gradient", penalty, self.penalties.gradient)
        if self.penalties.perturbed > 0:
            uniforms = batch.draws.uniform("perturbed", *reals[-1].shape[1:])
            around = scales(perturbed(reals[-1], uniforms), self.network.resolutions)
            penalty = self._gradient_penalty(reals, around, batch, clock)
            yield Term("penalty/dragan", penalty, self.penalties.perturbed)
        if self.penalties.drift > 0:
            yield Term("penalty/drift", of_reals.score.float().square().mean(), self.penalties.drift)
        if self.classify > 0:
            yield Term("loss/class_real", class_loss(of_reals, batch), self.classify)
            yield Term("loss/class_fake", class_loss(of_fakes, batch), self.classify)

    def _gradient_penalty(
        self, reals: list[Tensor], others: list[Tensor], batch: Batch, clock: Clock
    ) -> Tensor:
        def score(images: Sequence[Tensor]) -> Tensor:
            verdict: Verdict = self.network(self.augment(images, batch.draws, "mix", clock), batch.labels)
            return verdict.score

        return one_centered(score, reals, others, batch.draws.uniform("mix"))


@dataclass
class Generate(Player):
    """The generator's side: make fakes that the discriminator takes for reals."""

    network: Generator
    discriminator: Discriminator
    objective: Objective
    classify: float = 0.0  # weight of the class loss on fakes (AC-GAN)
    augment: Augmentation = field(default_factory=unchanged)  # the discriminator's side's
    aims: Aims = no_aims  # what else is wanted of fakes
    combine: Combine = weighted_sum  # makes one loss of that without aims and of the aims
    matching: float = 0.0  # weight of feature matching

    def play(self, batch: Batch, clock: Clock) -> Move:
        """The objective's g, on noise, reals and transformations that are those of the discriminator's move."""
        grow(batch, self.network, self.discriminator)
        toss(batch.draws, self.name, self.network, self.discriminator)
        z = latents(self.network, batch)
        fakes = shown(self.network(z), self.discriminator)
        fake: Verdict = self.discriminator(self.augment(fakes, batch.draws, "fake", clock), batch.labels)
        real = self._of_reals(batch, clock)
        loss = self.objective.g(real.score.float(), fake.score.float())
        terms = []
        if self.matching > 0:
            terms.append(Term("loss/matching", feature_matching(real, fake), self.matching))
        if self.classify > 0:
            terms.append(Term("loss/class_g", class_loss(fake, batch), self.classify))
        aims = self.aims(Fakes(z, fakes, fake, batch))
        scalars = {"loss/g": loss} | {term.name: term.value for term in (*terms, *aims)}
        loss = weighted_sum(self.network, loss, terms)
        return Move(self.combine(self.network, loss, aims), scalars)

    def _of_reals(self, batch: Batch, clock: Clock) -> Verdict:
        """The verdict on the reals; one on none where they are not looked at."""
        if not self.objective.relative and self.matching == 0:
            return Verdict(torch.empty(0))
        reals = self.augment(reals_for(self.discriminator, batch), batch.draws, "real", clock)
        verdict: Verdict = self.discriminator(reals, batch.labels)
        return verdict


def class_loss(verdict: Verdict, batch: Batch) -> Tensor:
    """Cross-entropy of the batch's labels (Odena et al. 2017, arXiv 1610.09585, section 3)."""
    assert verdict.classes is not None
    assert batch.labels is not None
    return F.cross_entropy(verdict.classes.float(), batch.labels)


def duel(
    discriminator: Discriminator,
    generator: Generator,
    steps_d: Steps,
    steps_g: Steps,
    objective: Objective,
    penalties: Penalties | None = None,
    classify: float = 0.0,  # weight of the class losses (AC-GAN)
    augment: Augmentation | None = None,  # of all that is judged, in both sides' moves
    aims: Aims = no_aims,  # what else both want of fakes
    matching: float = 0.0,  # weight of feature matching in the generator's loss
) -> Game:
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
        aims,
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
        aims,
        matching=matching,
        moves=steps_g.moves,
        extra=steps_g.extra,
        momentum=steps_g.momentum,
    )
    return Game((d, g), generator)
