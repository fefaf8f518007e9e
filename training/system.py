"""What is trained: an ordered set of updaters, each with a network, an optimizer and a loss of its own.

The trainer knows nothing else of a system.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import NamedTuple

from torch import Tensor, nn

from models.generator import Generator
from training.growth import Stage
from training.optim.spec import OptimizerSpec
from training.rng import KeyedRNG
from training.schedules import Count, TrainState, none


@dataclass(frozen=True)
class Batch:
    """The input of one sub-step: this rank's part of the global batch, or a micro-batch of it."""

    reals: Tensor  # (N, C, r, r), float32 in [-1, 1], r the stage's resolution
    labels: Tensor | None  # of the reals, int64 (N,); None for data without labels
    rng: KeyedRNG  # random numbers of this sub-step
    stage: Stage  # of the growth

    def micro_batches(self, largest: int) -> Iterator["Batch"]:
        """The batch in as few micro-batches of at most `largest` samples as possible, of sizes as even as possible."""
        size, start = len(self.reals), self.rng.part.start
        count = math.ceil(size / largest)
        for a, b in pairwise(size * i // count for i in range(count + 1)):
            rng = replace(self.rng, part=slice(start + a, start + b))
            labels = None if self.labels is None else self.labels[a:b]
            yield replace(self, reals=self.reals[a:b], labels=labels, rng=rng)


class LossTerm(NamedTuple):
    """Something that is added to a loss."""

    name: str  # in the logs
    value: Tensor  # scalar
    weight: float


@dataclass
class LossOutput:
    """What an updater computes in an update step."""

    loss: Tensor  # scalar, to be minimized
    scalars: dict[str, Tensor] = field(default_factory=dict)  # to be logged, by name


@dataclass
class Updater(ABC):
    """Trains one network of a system."""

    name: str  # short, unique in the system; prefixes what is logged and saved
    network: nn.Module  # what its optimizer updates
    spec: OptimizerSpec
    steps: int = field(default=1, kw_only=True)  # per iteration, each on a batch of its own (WGAN's n_critic)
    extra_steps: Count = field(default=none, kw_only=True)  # beyond these in special iterations

    def steps_at(self, train_state: TrainState) -> int:
        """Update steps in this iteration."""
        return self.steps + self.extra_steps(train_state)

    @property
    def extra_state(self) -> nn.Module:
        """What else of the updater changes in training and is saved, in buffers."""
        return nn.Module()

    @abstractmethod
    def compute_loss(self, batch: Batch, train_state: TrainState, /) -> LossOutput:
        """Compute the loss of one update step. Only the updater's own network needs gradients."""

    def step(self, scalars: Mapping[str, Tensor], /) -> None:  # noqa: ARG002
        """Step the optimizer. An updater may skip the step, depending on its loss's scalars on this rank."""
        self.spec.optimizer.step()

    def after_step(self, scalars: Mapping[str, Tensor], stage: Stage, /) -> None:  # noqa: B027
        """Called after each update step with its scalars on this rank. Does nothing by default."""


@dataclass(frozen=True)
class System:
    """Updaters in the order in which they step, and the generator that they train."""

    updaters: tuple[Updater, ...]
    generator: Generator

    @property
    def sub_steps(self) -> int:
        """Batches of real images that an ordinary iteration takes."""
        return max(updater.steps for updater in self.updaters)
