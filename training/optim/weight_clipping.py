"""Weight clipping (Arjovsky et al. 2017, arXiv 1701.07875, algorithm 1)."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import nn


@torch.no_grad()
def clip(parameters: Iterable[nn.Parameter], limit: float) -> None:
    """Cut every weight to [-limit, limit]."""
    for parameter in parameters:
        parameter.clamp_(-limit, limit)


def clip_after_steps(optimizer: torch.optim.Optimizer, limit: float) -> None:
    """Keep what the optimiser moves in [-limit, limit]: now, and after each of its steps.

    Raises:
        ValueError: the limit is not positive.
    """
    if not limit > 0:
        raise ValueError(f"the limit of weight clipping must be positive, not {limit}")

    def follow(*_: Any) -> None:
        for group in optimizer.param_groups:
            clip(group["params"], limit)

    follow()
    optimizer.register_step_post_hook(follow)
