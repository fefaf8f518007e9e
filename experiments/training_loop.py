"""Train a system on reals that are sampled as they are needed: no data set, no checkpoints, one process."""

from collections.abc import Callable, Mapping
from functools import partial

import torch
from torch import Tensor

from training.growth import Stage
from training.iteration import FixedMicroBatch, train_iteration
from training.optim.ema import MovingAverage
from training.recipes.recipe import Precision
from training.rng import KeyedRNG
from training.schedules import TrainState
from training.system import Batch, System, Updater

Sample = Callable[[int, torch.Generator], Tensor]  # samples so many of something, with such random numbers
Watch = Callable[[TrainState, Mapping[str, Tensor]], None]


def unwatched(train_state: TrainState, scalars: Mapping[str, Tensor]) -> None:
    """Ignore them."""


def train(
    system: System,
    reals: Sample,  # samples (count, C, r, r)
    resolution: int,  # r
    iterations: int,
    batch: int,  # reals per sub-step
    seed: int,  # of all random numbers
    labels: Sample | None = None,  # those of `reals`, from the same random numbers
    average: MovingAverage | None = None,  # of the generator; updated in every iteration
    precision: Precision = "fp32",  # of matrix products and convolutions
    watch: Watch = unwatched,  # called after each iteration, with what the updaters logged in their last steps
) -> None:
    """Train for so many iterations, as the trainer does."""
    stage = Stage(resolution, batch)

    def next_batch(train_state: TrainState) -> Batch:
        rng = KeyedRNG(seed, train_state.images, batch, slice(0, batch), torch.device("cpu"))
        own = None if labels is None else rng.draw("reals", labels)
        return Batch(rng.draw("reals", reals), own, rng, stage)

    logged: dict[str, Tensor] = {}

    def log(_updater: Updater, scalars: Mapping[str, Tensor]) -> None:
        logged.update(scalars)

    # An Accelerator's precision is the whole process's, this is one system's.
    autocast = partial(torch.autocast, "cpu", torch.bfloat16, enabled=precision == "bf16")
    train_state = TrainState(0, iterations * system.sub_steps * batch, 0)
    for _ in range(iterations):
        logged.clear()
        train_state = train_iteration(
            system, train_state, next_batch, autocast, FixedMicroBatch(batch), average, on_step=log
        )
        watch(train_state, logged)
