"""A game on a device, and one player's move in it: gradients, in pieces where memory asks for it, then the step."""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass

import torch
from accelerate import Accelerator
from torch import Tensor

from training import collective
from training.game import Batch, Clock, Game, Player
from training.recipes.recipe import DataFormat, Recipe


def set_up_game(recipe: Recipe, data: DataFormat, device: torch.device) -> Game:
    """Build the recipe's game on a device, its weights from the recipe's seed."""
    torch.manual_seed(recipe.seed)
    game = recipe.build(data)
    game.generator.to(device)  # also the parts of it that no player trains
    for player in game.players:
        player.network.to(device).to(memory_format=memory_format(recipe))
        player.state.to(device)
        collective.use_global_batch(player.network)
    return game


def memory_format(recipe: Recipe) -> torch.memory_format:
    """How the recipe's networks and images lie in memory."""
    return torch.channels_last if recipe.channels_last else torch.contiguous_format


@dataclass(frozen=True)
class Table:
    """Where a game is played."""

    game: Game
    accelerator: Accelerator

    def gradients(self, player: Player, batch: Batch, clock: Clock, largest: int) -> dict[str, Tensor]:
        """Leave the gradients of this rank's part of the batch in the player's network. Returns what is to be logged.

        The part is played in pieces of at most `largest` samples, whose gradients are summed by their shares. For a
        loss that is a mean over samples this is the gradient of the whole; statistics over a batch are the piece's.
        Only the player's own network is differentiated.

        Raises:
            torch.OutOfMemoryError: a piece does not fit. No weight has moved.
        """
        for other in self.game.players:
            other.network.requires_grad_(other is player)
        player.optimizer.zero_grad()
        scalars: dict[str, Tensor] = {}
        for piece in batch.pieces(largest):
            share = len(piece.reals) / len(batch.reals)
            with self._autocast():
                move = player.play(piece, clock)
            (move.loss * share).backward()  # type: ignore[no-untyped-call]
            for name, value in move.scalars.items():
                scalars[name] = scalars.get(name, 0) + value.detach().float() * share
        return scalars

    def step(self, player: Player, clock: Clock, scalars: Mapping[str, Tensor], share: float = 1.0) -> Tensor:
        """Average the player's gradients over ranks and let it step, by its move's scalars. Returns their norm.

        Of the player's step size a share is taken.
        """
        player.pace(clock, share)
        collective.average_gradients(player.network.parameters())
        norm = torch.nn.utils.get_total_norm(
            [parameter.grad for parameter in player.network.parameters() if parameter.grad is not None]
        )
        player.step(scalars)
        return norm

    def _autocast(self) -> AbstractContextManager[None]:
        context: AbstractContextManager[None] = self.accelerator.autocast()
        return context
