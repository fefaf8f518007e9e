"""Update steps of one updater in full precision, outside of a run."""

from collections.abc import Mapping
from contextlib import nullcontext

from torch import Tensor

from training.iteration import FixedMicroBatch, apply_gradients, compute_gradients
from training.schedules import TrainState
from training.system import Batch, System, Updater


def gradients(
    system: System, updater: Updater, batch: Batch, train_state: TrainState, largest: int = 8
) -> dict[str, Tensor]:
    """Leave the gradients in the updater's network, computed on at most `largest` samples at once."""
    return compute_gradients(system, updater, batch, train_state, nullcontext, FixedMicroBatch(largest))


def step(
    system: System, updater: Updater, batch: Batch, train_state: TrainState, lr_scale: float = 1.0
) -> Mapping[str, Tensor]:
    """A whole update step. Returns what it logs."""
    scalars = gradients(system, updater, batch, train_state)
    apply_gradients(updater, train_state, scalars, lr_scale)
    return scalars
