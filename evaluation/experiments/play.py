"""A game played to its end on reals that are drawn as they are needed: no data set, no checkpoints, one process."""

from collections.abc import Callable
from dataclasses import replace

import torch
from accelerate import Accelerator
from torch import Tensor

from training.draws import Draws
from training.game import Batch, Clock, Game
from training.growth import Stage
from training.play import Table


def play(
    game: Game,
    reals: Callable[[int, torch.Generator], Tensor],  # draws (count, C, r, r)
    resolution: int,  # r
    rounds: int,
    batch: int,  # reals per turn
    seed: int,  # of all draws
) -> None:
    """Play the rounds as the trainer does: in every turn a fresh batch, on which each player whose turn it is moves."""
    table, stage = Table(game, Accelerator(cpu=True)), Stage(resolution, batch)
    clock = Clock(0, rounds * game.turns * batch, 0)
    for _ in range(rounds):
        moves = {player.name: player.moves_in(clock) for player in game.players}
        for left in range(max(moves.values()), 0, -1):  # turns, the present one included
            draws = Draws(seed, clock.images, batch, slice(0, batch), torch.device("cpu"))
            turn = Batch(draws.draw("reals", reals), None, draws, stage)
            for player in game.players:
                if left <= moves[player.name]:
                    scalars = table.gradients(player, turn, clock, batch)
                    table.step(player, player.learning_rate(clock), scalars)
                    player.stepped(scalars, stage)
            clock = replace(clock, images=clock.images + batch)
        clock = replace(clock, round=clock.round + 1)
