"""How a network is moved: its optimiser, and what of that changes over a run."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import nn

from training.schedules import constant
from training.system import Count, Schedule, TrainState, none


class OptimizerSpec(NamedTuple):
    """How a network is moved."""

    optimizer: torch.optim.Optimizer
    learning_rate: Schedule
    moves: int = 1  # per ordinary round, each on a batch of its own
    extra: Count = none  # moves beyond these in special rounds
    momentum: Schedule | None = None  # the optimiser's, where that changes


Mover = Callable[[nn.Module], OptimizerSpec]


def adam(lr: float | Schedule, betas: tuple[float, float] = (0.5, 0.999), weight_decay: float = 0.0) -> Mover:
    """Adam with a step size that stays, or that changes."""
    rate = lr if callable(lr) else constant(lr)

    def steps(network: nn.Module) -> OptimizerSpec:
        first, parameters = rate(TrainState(0, 1, 0)), network.parameters()
        optimizer = torch.optim.Adam(parameters, first, betas, weight_decay=weight_decay, fused=True)
        return OptimizerSpec(optimizer, rate)

    return steps
