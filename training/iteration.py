"""One training iteration of a system: the only code that steps an optimizer.

The trainer, the preflight and the experiments call `train_iteration`; they differ in where batches come from and in
what happens when memory runs out.
"""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Protocol

import torch
from torch import Tensor

from training.distributed import collective
from training.optim.ema import MovingAverage
from training.recipes.recipe import DataFormat, Recipe
from training.schedules import TrainState
from training.system import Batch, System, Updater

Autocast = Callable[[], AbstractContextManager[None]]  # the precision that losses are computed in
NextBatch = Callable[[TrainState], Batch]
OnStep = Callable[[Updater, Mapping[str, Tensor]], None]  # receives what an update step logs


def set_up_system(recipe: Recipe, data: DataFormat, device: torch.device) -> System:
    """Build the recipe's system on a device, with weights drawn from the recipe's seed."""
    torch.manual_seed(recipe.seed)
    system = recipe.build(data)
    system.generator.to(device)  # including the parts that no updater trains
    for updater in system.updaters:
        updater.network.to(device).to(memory_format=memory_format(recipe))
        updater.extra_state.to(device)
        collective.use_global_batch(updater.network)
    return system


def memory_format(recipe: Recipe) -> torch.memory_format:
    """Memory layout of the recipe's networks and images."""
    return torch.channels_last if recipe.compute.channels_last else torch.contiguous_format


class MicroBatching(Protocol):
    """How many samples a rank computes at once."""

    def size(self, batch: Batch, /) -> int:
        """Samples at once, at most."""

    def out_of_memory(self, batch: Batch, train_state: TrainState, error: torch.OutOfMemoryError, /) -> None:
        """Choose a smaller size from here on, or raise. No weight has changed."""


class FixedMicroBatch:
    """Micro-batches of one size; memory that runs out is an error."""

    def __init__(
        self,
        samples: int,  # at once, at most
    ) -> None:
        self._samples = samples

    def size(self, _batch: Batch) -> int:
        """The same for every batch."""
        return self._samples

    def out_of_memory(self, _batch: Batch, _train_state: TrainState, error: torch.OutOfMemoryError) -> None:
        """Raise the error."""
        raise error


def train_iteration(
    system: System,
    train_state: TrainState,
    next_batch: NextBatch,  # this rank's part of the batch that follows the images shown
    autocast: Autocast,
    micro_batching: MicroBatching,
    average: MovingAverage | None = None,  # of the generator; updated at the end
    lr_scale: float = 1.0,  # factor of every learning rate
    on_step: OnStep = lambda _updater, _scalars: None,
) -> TrainState:
    """Train for one iteration. In each of its sub-steps the updaters whose turn it is step in order, on a fresh batch.

    When a new phase of the growth begins, the optimizers' moments start anew.

    Returns:
        the state after the iteration.
    """
    start, iteration = train_state.images, train_state
    steps = {updater.name: updater.steps_at(train_state) for updater in system.updaters}
    for remaining in range(max(steps.values()), 0, -1):  # sub-steps, this one included
        batch = next_batch(train_state)
        if batch.stage.phase != train_state.phase:
            for updater in system.updaters:
                updater.spec.optimizer.state.clear()
            train_state = replace(train_state, phase=batch.stage.phase)
        for updater in system.updaters:
            if remaining <= steps[updater.name]:
                scalars = compute_gradients(system, updater, batch, train_state, autocast, micro_batching)
                scalars[f"gradient/{updater.name}"] = apply_gradients(updater, train_state, scalars, lr_scale)
                updater.after_step(scalars, batch.stage)
                on_step(updater, scalars)
        train_state = replace(train_state, images=train_state.images + batch.stage.batch)
    if average is not None:
        average.update(system.generator, train_state.images, train_state.images - start)
    return replace(train_state, iteration=iteration.iteration + 1)


def compute_gradients(
    system: System,
    updater: Updater,
    batch: Batch,
    train_state: TrainState,
    autocast: Autocast,
    micro_batching: MicroBatching,
) -> dict[str, Tensor]:
    """Leave the gradients of this rank's part of the batch in the updater's network. Returns what is to be logged.

    The gradients of micro-batches are summed, weighted by their fractions of the batch. For a loss that is a mean over
    samples this is the gradient of the whole; batch statistics are those of a micro-batch. Only the updater's own
    network is differentiated. Where memory runs out, `micro_batching` decides, and the batch is computed again.
    """
    for other in system.updaters:
        other.network.requires_grad_(other is updater)
    while True:
        try:
            return _accumulate(updater, batch, train_state, autocast, micro_batching.size(batch))
        except torch.OutOfMemoryError as error:
            micro_batching.out_of_memory(batch, train_state, error)


def _accumulate(
    updater: Updater, batch: Batch, train_state: TrainState, autocast: Autocast, largest: int
) -> dict[str, Tensor]:
    updater.spec.optimizer.zero_grad()
    scalars: dict[str, Tensor] = {}
    for micro_batch in batch.micro_batches(largest):
        fraction = len(micro_batch.reals) / len(batch.reals)
        with autocast():
            output = updater.compute_loss(micro_batch, train_state)
        (output.loss * fraction).backward()  # type: ignore[no-untyped-call]
        for name, value in output.scalars.items():
            scalars[name] = scalars.get(name, 0) + value.detach().float() * fraction
    return scalars


def apply_gradients(
    updater: Updater,
    train_state: TrainState,
    scalars: Mapping[str, Tensor],  # of the loss, on this rank
    lr_scale: float = 1.0,  # factor of the learning rate
) -> Tensor:
    """Average the updater's gradients over ranks and step its optimizer. Returns the gradients' norm."""
    updater.spec.apply_schedules(train_state, lr_scale)
    collective.average_gradients(updater.network.parameters())
    norm = torch.nn.utils.get_total_norm(
        [parameter.grad for parameter in updater.network.parameters() if parameter.grad is not None]
    )
    updater.step(scalars)
    return norm
