"""A game on a device, and one player's move in it: gradients, in pieces where memory asks for it, then the step."""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass

import torch
from accelerate import Accelerator
from torch import Tensor

from training.distributed import collective
from training.recipes.recipe import DataFormat, Recipe
from training.system import Batch, System, TrainState, Updater


def set_up_system(recipe: Recipe, data: DataFormat, device: torch.device) -> System:
    """Build the recipe's game on a device, its weights from the recipe's seed."""
    torch.manual_seed(recipe.seed)
    system = recipe.build(data)
    system.generator.to(device)  # also the parts of it that no player trains
    for updater in system.updaters:
        updater.network.to(device).to(memory_format=memory_format(recipe))
        updater.state.to(device)
        collective.use_global_batch(updater.network)
    return system


def memory_format(recipe: Recipe) -> torch.memory_format:
    """How the recipe's networks and images lie in memory."""
    return torch.channels_last if recipe.channels_last else torch.contiguous_format


@dataclass(frozen=True)
class Table:
    """Where a game is played."""

    system: System
    accelerator: Accelerator

    def gradients(
        self, updater: Updater, batch: Batch, train_state: TrainState, largest: int
    ) -> dict[str, Tensor]:
        """Leave the gradients of this rank's part of the batch in the player's network. Returns what is to be logged.

        The part is played in pieces of at most `largest` samples, whose gradients are summed by their shares. For a
        loss that is a mean over samples this is the gradient of the whole; statistics over a batch are the piece's.
        Only the player's own network is differentiated.

        Raises:
            torch.OutOfMemoryError: a piece does not fit. No weight has moved.
        """
        for other in self.system.updaters:
            other.network.requires_grad_(other is updater)
        updater.optimizer.zero_grad()
        scalars: dict[str, Tensor] = {}
        for micro_batch in batch.micro_batches(largest):
            share = len(micro_batch.reals) / len(batch.reals)
            with self._autocast():
                move = updater.compute_loss(micro_batch, train_state)
            (move.loss * share).backward()  # type: ignore[no-untyped-call]
            for name, value in move.scalars.items():
                scalars[name] = scalars.get(name, 0) + value.detach().float() * share
        return scalars

    def step(
        self, updater: Updater, train_state: TrainState, scalars: Mapping[str, Tensor], share: float = 1.0
    ) -> Tensor:
        """Average the player's gradients over ranks and let it step, by its move's scalars. Returns their norm.

        Of the player's step size a share is taken.
        """
        updater.pace(train_state, share)
        collective.average_gradients(updater.network.parameters())
        norm = torch.nn.utils.get_total_norm(
            [parameter.grad for parameter in updater.network.parameters() if parameter.grad is not None]
        )
        updater.step(scalars)
        return norm

    def _autocast(self) -> AbstractContextManager[None]:
        context: AbstractContextManager[None] = self.accelerator.autocast()
        return context
