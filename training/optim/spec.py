"""How a network is optimized: the optimizer, its learning rate, and its momentum where that changes."""

from dataclasses import dataclass

import torch
from torch import nn

from training.schedules import Schedule, TrainState, constant


@dataclass(frozen=True)
class OptimizerSpec:
    """An optimizer and the schedules of its settings."""

    optimizer: torch.optim.Optimizer
    lr: Schedule  # learning rate
    momentum: Schedule | None = None  # None: as the optimizer was built

    def apply_schedules(self, train_state: TrainState, lr_scale: float = 1.0) -> None:
        """Set the learning rate, times `lr_scale`, and the momentum."""
        for group in self.optimizer.param_groups:
            group["lr"] = self.lr(train_state) * lr_scale
            if self.momentum is not None:
                group["momentum"] = self.momentum(train_state)


def adam(
    network: nn.Module,
    lr: float | Schedule,
    betas: tuple[float, float] = (0.5, 0.999),
    weight_decay: float = 0.0,
) -> OptimizerSpec:
    """Adam with a constant or a scheduled learning rate."""
    schedule = lr if callable(lr) else constant(lr)
    first, parameters = schedule(TrainState(0, 1, 0)), network.parameters()
    optimizer = torch.optim.Adam(parameters, first, betas, weight_decay=weight_decay, fused=True)
    return OptimizerSpec(optimizer, schedule)
