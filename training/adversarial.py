"""The game of two: a discriminator against a generator, under any objective and penalties."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.generator import Generator
from training.game import Batch, Clock, Game, Move, Player, Schedule
from training.objectives import Objective
from training.terms.gradient import leaves, one_centered, zero_centered


def scales(images: Tensor, resolutions: tuple[int, ...]) -> list[Tensor]:
    """The images averaged down to each resolution, every one from the full size (MSG-GAN): [(N, C, r, r), ...]."""
    full = images.shape[-1]
    return [images if r == full else F.avg_pool2d(images, full // r) for r in resolutions]


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
    """The discriminator's side: tell reals from fakes at every scale of the generator."""

    generator: Generator
    objective: Objective
    penalties: Penalties

    def play(self, batch: Batch, clock: Clock) -> Move:
        """The objective's d, the penalties that are due, and the logits' means."""
        with torch.no_grad():
            fakes = self.generator(latents(self.generator, batch))
        reals = scales(batch.reals, self.generator.resolutions)
        gamma1, gamma2 = self.penalties.r1(clock), self.penalties.r2(clock)
        due = clock.round % self.penalties.every == 0
        if due and gamma1 > 0:
            reals = leaves(reals)
        if due and gamma2 > 0:
            fakes = leaves(fakes)
        real, fake = self.network(reals).float(), self.network(fakes).float()
        loss = self.objective.d(real, fake)
        scalars = {"loss/d": loss, "score/real": real.mean(), "score/fake": fake.mean()}
        if due and gamma1 > 0:
            scalars["penalty/r1"] = penalty = zero_centered(real, reals)
            loss = loss + penalty * gamma1 * self.penalties.every
        if due and gamma2 > 0:
            scalars["penalty/r2"] = penalty = zero_centered(fake, fakes)
            loss = loss + penalty * gamma2 * self.penalties.every
        if self.penalties.gradient > 0:
            mix = batch.draws.uniform("mix")
            scalars["penalty/gradient"] = penalty = one_centered(self.network, reals, fakes, mix)
            loss = loss + penalty * self.penalties.gradient
        if self.penalties.drift > 0:
            loss = loss + real.square().mean() * self.penalties.drift
        return Move(loss, scalars)


@dataclass
class Generate(Player):
    """The generator's side: make fakes that the discriminator takes for reals."""

    generator: Generator
    discriminator: nn.Module
    objective: Objective

    def play(self, batch: Batch, _clock: Clock) -> Move:
        """The objective's g, on the noise and the reals that the discriminator has just seen."""
        fakes = self.generator(latents(self.generator, batch))
        real = self.discriminator(scales(batch.reals, self.generator.resolutions)).float()
        loss = self.objective.g(real, self.discriminator(fakes).float())
        return Move(loss, {"loss/g": loss})


def latents(generator: Generator, batch: Batch) -> Tensor:
    """The batch's latent vectors: (N, latent_size)."""
    return batch.draws.draw("latents", generator.prior)


def duel(discriminate: Discriminate, generate: Generate) -> Game:
    """The two as a game; the discriminator moves first."""
    return Game((discriminate, generate), generate.generator)
