"""The game of two: a discriminator against a generator, under any objective and penalties."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from models.discriminator import Discriminator, Verdict
from models.generator import Generator
from models.layers import upsample
from training.game import Batch, Clock, Game, Move, Player, Schedule
from training.objectives import Objective
from training.terms.gradient import leaves, one_centered, zero_centered


def scales(images: Tensor, resolutions: Sequence[int]) -> list[Tensor]:
    """The images averaged down to each resolution, every one from the full size (MSG-GAN): [(N, C, r, r), ...]."""
    full = images.shape[-1]
    return [images if r == full else F.avg_pool2d(images, full // r) for r in resolutions]


def faded(images: Tensor, blend: float) -> Tensor:
    """The images with their finest detail at weight `blend` (ProGAN section 2): shape kept."""
    return images if blend == 1 else torch.lerp(upsample(F.avg_pool2d(images, 2)), images, blend)


@dataclass(frozen=True)
class Penalties:
    """Weights of the discriminator's gradient penalties; one of zero costs nothing."""

    r1: Schedule  # gamma of R1, on reals
    r2: Schedule  # gamma of R2, on fakes
    every: int  # R1 and R2 come every so many rounds, at as many times the weight (StyleGAN2's lazy form)
    gradient: float  # lambda of WGAN-GP
    drift: float  # weight of the reals' squared logits (ProGAN section 2.4)


@dataclass
class Discriminate(Player):
    """The discriminator's side: tell reals from fakes at the resolutions that it takes."""

    network: Discriminator
    generator: Generator
    objective: Objective
    penalties: Penalties
    classify: float = 0.0  # weight of the class loss on reals and fakes (AC-GAN)

    def play(self, batch: Batch, clock: Clock) -> Move:
        """The objective's d, the penalties that are due, and the logits' means."""
        grow(batch, self.network, self.generator)
        with torch.no_grad():
            fakes = shown(self.generator(latents(self.generator, batch)), self.network)
        reals = reals_for(self.network, batch)
        gamma1, gamma2 = self.penalties.r1(clock), self.penalties.r2(clock)
        due = clock.round % self.penalties.every == 0
        if due and gamma1 > 0:
            reals = leaves(reals)
        if due and gamma2 > 0:
            fakes = leaves(fakes)
        of_reals, of_fakes = self.network(reals, batch.labels), self.network(fakes, batch.labels)
        real, fake = of_reals.score.float(), of_fakes.score.float()
        loss = self.objective.d(real, fake)
        scalars = {"loss/d": loss, "score/real": real.mean(), "score/fake": fake.mean()}
        if due and gamma1 > 0:
            scalars["penalty/r1"] = penalty = zero_centered(real, reals)
            loss = loss + penalty * gamma1 * self.penalties.every
        if due and gamma2 > 0:
            scalars["penalty/r2"] = penalty = zero_centered(fake, fakes)
            loss = loss + penalty * gamma2 * self.penalties.every
        if self.penalties.gradient > 0:
            scalars["penalty/gradient"] = penalty = self._gradient_penalty(batch, reals, fakes)
            loss = loss + penalty * self.penalties.gradient
        if self.penalties.drift > 0:
            loss = loss + real.square().mean() * self.penalties.drift
        if self.classify > 0:
            scalars["loss/class_real"] = class_loss(of_reals, batch)
            scalars["loss/class_fake"] = class_loss(of_fakes, batch)
            loss = loss + (scalars["loss/class_real"] + scalars["loss/class_fake"]) * self.classify
        return Move(loss, scalars)

    def _gradient_penalty(self, batch: Batch, reals: Sequence[Tensor], fakes: Sequence[Tensor]) -> Tensor:
        def score(images: Sequence[Tensor]) -> Tensor:
            verdict: Verdict = self.network(images, batch.labels)
            return verdict.score

        return one_centered(score, reals, fakes, batch.draws.uniform("mix"))


@dataclass
class Generate(Player):
    """The generator's side: make fakes that the discriminator takes for reals."""

    network: Generator
    discriminator: Discriminator
    objective: Objective
    classify: float = 0.0  # weight of the class loss on fakes (AC-GAN)

    def play(self, batch: Batch, _clock: Clock) -> Move:
        """The objective's g, on the noise and the reals that the discriminator has just seen."""
        grow(batch, self.network, self.discriminator)
        fakes = shown(self.network(latents(self.network, batch)), self.discriminator)
        real: Verdict = self.discriminator(reals_for(self.discriminator, batch), batch.labels)
        fake: Verdict = self.discriminator(fakes, batch.labels)
        loss = self.objective.g(real.score.float(), fake.score.float())
        scalars = {"loss/g": loss}
        if self.classify > 0:
            scalars["loss/class_g"] = class_loss(fake, batch)
            loss = loss + scalars["loss/class_g"] * self.classify
        return Move(loss, scalars)


def grow(batch: Batch, *networks: Generator | Discriminator) -> None:
    """Let the networks be as far as the batch's stage."""
    for network in networks:
        network.grow(batch.stage.resolution, batch.stage.blend)


def latents(generator: Generator, batch: Batch) -> Tensor:
    """The batch's latent vectors: (N, latent_size). A conditional generator's labels are those of the reals."""
    z = batch.draws.draw("latents", generator.prior)
    return generator.with_labels(z, batch.labels) if generator.class_names and batch.labels is not None else z


def shown(pictures: Sequence[Tensor], discriminator: Discriminator) -> list[Tensor]:
    """Those of a generator's pictures, coarse to fine, that the discriminator takes."""
    return [picture for picture in pictures if picture.shape[-1] in discriminator.resolutions]


def reals_for(discriminator: Discriminator, batch: Batch) -> list[Tensor]:
    """The batch's reals as the discriminator takes them, faded as far as the fakes are."""
    return scales(faded(batch.reals, batch.stage.blend), discriminator.resolutions)


def class_loss(verdict: Verdict, batch: Batch) -> Tensor:
    """Cross-entropy of the batch's labels (Odena et al. 2017, arXiv 1610.09585, section 3)."""
    assert verdict.classes is not None
    assert batch.labels is not None
    return F.cross_entropy(verdict.classes.float(), batch.labels)


def duel(discriminate: Discriminate, generate: Generate) -> Game:
    """The two as a game; the discriminator moves first."""
    return Game((discriminate, generate), generate.network)
