"""A game played to its end on reals that are drawn as they are needed: no data set, no checkpoints, one process."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Literal

import torch
from accelerate import Accelerator
from torch import Tensor

from training.growth import Stage
from training.iteration import Table
from training.optim.ema import MovingAverage
from training.rng import KeyedRNG
from training.system import Batch, System, TrainState

Precision = Literal["fp32", "bf16"]
Sample = Callable[[int, torch.Generator], Tensor]  # draws so many of something, by such numbers
Watch = Callable[[TrainState, Mapping[str, Tensor]], None]


@dataclass(frozen=True)
class _TableFor(Table):
    """A table of a precision of its own: that of an Accelerator is the whole process's."""

    precision: Precision

    def _autocast(self) -> AbstractContextManager[None]:
        return torch.autocast("cpu", torch.bfloat16, enabled=self.precision == "bf16")


def unwatched(train_state: TrainState, scalars: Mapping[str, Tensor]) -> None:
    """Nothing."""


def train(
    system: System,
    reals: Sample,  # draws (count, C, r, r)
    resolution: int,  # r
    rounds: int,
    batch: int,  # reals per turn
    seed: int,  # of all draws
    labels: Sample | None = None,  # those of `reals`, by the same numbers
    average: MovingAverage | None = None,  # of the generator; follows every round
    precision: Precision = "fp32",  # of matrix products and convolutions
    watch: Watch = unwatched,  # called after each round, with what the players log of their last moves
) -> None:
    """Play the rounds as the trainer does: in every turn a fresh batch, on which each player whose turn it is moves."""
    table, stage = _TableFor(system, Accelerator(cpu=True), precision), Stage(resolution, batch)
    train_state = TrainState(0, rounds * system.turns * batch, 0)
    for _ in range(rounds):
        before = train_state.images
        said: dict[str, Tensor] = {}
        moves = {updater.name: updater.moves_in(train_state) for updater in system.updaters}
        for left in range(max(moves.values()), 0, -1):  # turns, the present one included
            draws = KeyedRNG(seed, train_state.images, batch, slice(0, batch), torch.device("cpu"))
            drawn = None if labels is None else draws.draw("reals", labels)
            turn = Batch(draws.draw("reals", reals), drawn, draws, stage)
            for updater in system.updaters:
                if left <= moves[updater.name]:
                    scalars = table.gradients(updater, turn, train_state, batch)
                    table.step(updater, train_state, scalars)
                    updater.after_step(scalars, stage)
                    said |= scalars
            train_state = replace(train_state, images=train_state.images + batch)
        train_state = replace(train_state, round=train_state.round + 1)
        watch(train_state, said)
        if average is not None:
            average.update(system.generator, train_state.images, train_state.images - before)
