"""What is trained: players who move in turn, each with networks, an optimiser and a loss of its own.

A system is an ordered set of players; the trainer knows nothing else of it.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import pairwise

import torch
from torch import Tensor, nn

from models.generator import Generator
from training.growth import Stage
from training.rng import KeyedRNG


@dataclass(frozen=True)
class TrainState:
    """Where training is. Every schedule is a pure function of it."""

    images: int  # real images shown so far
    total: int  # real images that the run will show
    round: int  # rounds played so far
    phase: int = 0  # of the growth, in the last round played

    @property
    def fraction(self) -> float:
        """Share of the run that is over, in [0, 1]."""
        return min(1.0, self.images / self.total)


@dataclass(frozen=True)
class Batch:
    """What one turn is played with: this rank's part, or a piece of it where memory asks for several."""

    reals: Tensor  # (N, C, r, r), float32 in [-1, 1], r the stage's resolution
    labels: Tensor | None  # of the reals, int64 (N,); None for data without
    rng: KeyedRNG  # random numbers of this turn
    stage: Stage  # how far the pictures have grown

    def micro_batches(self, largest: int) -> Iterator["Batch"]:
        """The batch in as few pieces of at most `largest` samples as can be, their sizes as even as can be."""
        size, start = len(self.reals), self.rng.part.start
        count = math.ceil(size / largest)
        for a, b in pairwise(size * i // count for i in range(count + 1)):
            rng = replace(self.rng, part=slice(start + a, start + b))
            labels = None if self.labels is None else self.labels[a:b]
            yield replace(self, reals=self.reals[a:b], labels=labels, rng=rng)


@dataclass
class LossOutput:
    """What a player computes in its turn."""

    loss: Tensor  # scalar, to be minimised
    scalars: dict[str, Tensor] = field(default_factory=dict)  # to be logged, by name


Schedule = Callable[[TrainState], float]
Count = Callable[[TrainState], int]


def none(_: TrainState) -> int:
    """A count that is always zero."""
    return 0


@dataclass
class Updater(ABC):
    """One side of the game."""

    name: str  # short, unique in the game; prefixes what is logged and saved
    network: nn.Module  # what its optimiser moves
    optimizer: torch.optim.Optimizer
    learning_rate: Schedule  # the optimiser's step size
    moves: int = field(default=1, kw_only=True)  # per ordinary round, each on a batch of its own
    extra: Count = field(default=none, kw_only=True)  # moves beyond these in special rounds (WGAN's critic)
    momentum: Schedule | None = field(default=None, kw_only=True)  # the optimiser's, where that changes

    def moves_in(self, train_state: TrainState) -> int:
        """Moves in the clock's round."""
        return self.moves + self.extra(train_state)

    @property
    def state(self) -> nn.Module:
        """What else of the player changes in training and is saved, in buffers."""
        return nn.Module()

    @abstractmethod
    def compute_loss(self, batch: Batch, train_state: TrainState, /) -> LossOutput:
        """Compute the loss of one move. Only the player's own network needs gradients."""

    def pace(self, train_state: TrainState, share: float = 1.0) -> None:
        """Set the optimiser's step size, of which a share is taken, and its momentum."""
        for group in self.optimizer.param_groups:
            group["lr"] = self.learning_rate(train_state) * share
            if self.momentum is not None:
                group["momentum"] = self.momentum(train_state)

    def step(self, scalars: Mapping[str, Tensor], /) -> None:  # noqa: ARG002
        """Let the optimiser step. A player may sit a move out, by the move's scalars on this rank."""
        self.optimizer.step()

    def after_step(self, scalars: Mapping[str, Tensor], stage: Stage, /) -> None:  # noqa: B027
        """Called after the player's move, with its scalars on this rank. Nothing to do for most."""


@dataclass(frozen=True)
class System:
    """Players in the order in which they move, and the generator that they train."""

    updaters: tuple[Updater, ...]
    generator: Generator

    @property
    def turns(self) -> int:
        """Batches of real images that an ordinary round takes."""
        return max(updater.moves for updater in self.updaters)
