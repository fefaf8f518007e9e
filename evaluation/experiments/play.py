"""A game played to its end on reals that are drawn as they are needed: no data set, no checkpoints, one process."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Literal

import torch
from accelerate import Accelerator
from torch import Tensor

from training.draws import Draws
from training.ema import MovingAverage
from training.game import Batch, Clock, Game
from training.growth import Stage
from training.play import Table

Precision = Literal["fp32", "bf16"]
Sample = Callable[[int, torch.Generator], Tensor]  # draws so many of something, by such numbers
Watch = Callable[[Clock, Mapping[str, Tensor]], None]


@dataclass(frozen=True)
class _TableFor(Table):
    """A table of a precision of its own: that of an Accelerator is the whole process's."""

    precision: Precision

    def _autocast(self) -> AbstractContextManager[None]:
        return torch.autocast("cpu", torch.bfloat16, enabled=self.precision == "bf16")


def unwatched(clock: Clock, scalars: Mapping[str, Tensor]) -> None:
    """Nothing."""


def play(
    game: Game,
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
    table, stage = _TableFor(game, Accelerator(cpu=True), precision), Stage(resolution, batch)
    clock = Clock(0, rounds * game.turns * batch, 0)
    for _ in range(rounds):
        before = clock.images
        said: dict[str, Tensor] = {}
        moves = {player.name: player.moves_in(clock) for player in game.players}
        for left in range(max(moves.values()), 0, -1):  # turns, the present one included
            draws = Draws(seed, clock.images, batch, slice(0, batch), torch.device("cpu"))
            drawn = None if labels is None else draws.draw("reals", labels)
            turn = Batch(draws.draw("reals", reals), drawn, draws, stage)
            for player in game.players:
                if left <= moves[player.name]:
                    scalars = table.gradients(player, turn, clock, batch)
                    table.step(player, clock, scalars)
                    player.stepped(scalars, stage)
                    said |= scalars
            clock = replace(clock, images=clock.images + batch)
        clock = replace(clock, round=clock.round + 1)
        watch(clock, said)
        if average is not None:
            average.update(game.generator, clock.images, clock.images - before)
