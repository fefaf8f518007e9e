"""The players of LAPGAN: a pair at every level, each on its own (Denton et al. 2015, arXiv 1506.05751, section 3).

A level's generator is given real coarse images, so no level waits for another and none sees the cascade's output.
Everything that a pair draws is keyed by its level: it computes the same whatever else is trained beside it.

Deviations:
- The generator's step paints over the coarse images of the whole batch, of which the discriminator has seen half as
  reals and half as what it painted over; the authors' code draws new ones.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.discriminator import Discriminator, Verdict
from models.lapgan import BatchNorm, Dropout, Level, one_hot
from models.pyramid import down, up
from training.collective import global_batch_mean
from training.draws import Draws, derive_seed
from training.game import Batch, Clock, Move, Player, Schedule


def uniform(draws: Draws, name: str, size: int) -> Tensor:
    """U(0, 1), (samples of this rank, size), each sample from a key of its own.

    Noise planes and dropout are too large to be drawn for the global batch by every rank, as `Draws.draw` does.
    """

    def rows() -> Iterator[Tensor]:
        for place in range(draws.part.start, draws.part.stop):
            rng = torch.Generator(draws.device).manual_seed(
                derive_seed(draws.seed, draws.images, name, place)
            )
            yield torch.rand(size, generator=rng, device=draws.device)

    return torch.stack(list(rows()))


def reduced(images: Tensor, side: int) -> Tensor:
    """The level of the images' pyramid with that side: (N, C, r, r) -> (N, C, side, side)."""
    while images.shape[-1] > side:
        images = down(images)
    return images


def _coins(draws: Draws, name: str, x: Tensor) -> Tensor:
    """What `Dropout` asks for, (N, C), of x."""
    return uniform(draws, name, x.shape[1])


def are_real(draws: Draws) -> Tensor:
    """Which samples of the batch the discriminator is shown as they are, bool (N,): every other of the global batch."""
    return torch.arange(draws.part.start, draws.part.stop, device=draws.device) % 2 == 0


@dataclass
class LevelPlayer(Player):
    """What the two sides of a level share."""

    momentum: Schedule | None  # of SGD; None for an optimiser that has none to be set

    def prepare(self, batch: Batch, clock: Clock, *networks: nn.Module) -> None:
        """Set the momentum; let dropout draw what belongs to this move, and batch norms see all ranks."""
        if self.momentum is not None:
            for group in self.optimizer.param_groups:
                group["momentum"] = self.momentum(clock)
        layers = [layer for network in networks for layer in network.modules()]
        for number, layer in enumerate(layers):
            if isinstance(layer, Dropout):
                layer.uniform = partial(_coins, batch.draws, f"{self.name}/dropout/{number}")
            elif isinstance(layer, BatchNorm):
                layer.batch_mean = global_batch_mean

    def paint(self, level: Level, images: Tensor, batch: Batch) -> Tensor:
        """The level's fakes over the coarse images of its reals (N, C, side, side): the same shape."""
        noise = uniform(batch.draws, f"{self.name}/noise", level.noise_size) * 2 - 1
        low = None if level.coarsest else up(down(images))
        label = one_hot(batch.labels, level.classes) if level.classes else None
        return cast(Tensor, level(noise, low, label))


@dataclass
class DiscriminateLevel(LevelPlayer):
    """The discriminator of a level: tell its reals from its fakes, half of the batch each."""

    network: Discriminator
    level: Level  # its generator

    def play(self, batch: Batch, clock: Clock) -> Move:
        """Binary cross-entropy, the mean over reals and fakes together."""
        self.prepare(batch, clock, self.network, self.level)
        images = reduced(batch.reals, self.level.side)
        with torch.no_grad():
            fakes = self.paint(self.level, images, batch)
        real = are_real(batch.draws)
        verdict: Verdict = self.network([torch.where(real.view(-1, 1, 1, 1), images, fakes)], batch.labels)
        score = verdict.score.float()
        loss = F.binary_cross_entropy_with_logits(score, real.float())
        side = self.level.side
        means = {"real": 2 * (score * real).mean(), "fake": 2 * (score * ~real).mean()}
        return Move(loss, {f"loss/d{side}": loss} | {f"score/{which}{side}": means[which] for which in means})


@dataclass
class GenerateLevel(LevelPlayer):
    """The generator of a level: make bands that the discriminator takes for real ones."""

    network: Level
    discriminator: Discriminator

    def play(self, batch: Batch, clock: Clock) -> Move:
        """Minus the log of the probability that the fakes are real (the non-saturating loss)."""
        self.prepare(batch, clock, self.network, self.discriminator)
        fakes = self.paint(self.network, reduced(batch.reals, self.network.side), batch)
        verdict: Verdict = self.discriminator([fakes], batch.labels)
        loss = F.softplus(-verdict.score.float()).mean()
        return Move(loss, {f"loss/g{self.network.side}": loss})
