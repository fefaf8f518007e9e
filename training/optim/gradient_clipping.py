"""A limit on the norm of gradients (Pascanu et al. 2013, arXiv 1211.5063, algorithm 1), of each tensor's own."""

from typing import Any

import torch


def limit_gradients(optimizer: torch.optim.Optimizer, limit: float) -> None:
    """Shorten each parameter's gradient to a norm of at most the limit, before each of the optimiser's steps.

    Raises:
        ValueError: the limit is not positive.
    """
    if not limit > 0:
        raise ValueError(f"the limit of gradients must be positive, not {limit}")

    def shorten(*_: Any) -> None:
        for group in optimizer.param_groups:
            for parameter in group["params"]:
                torch.nn.utils.clip_grad_norm_(parameter, limit)

    optimizer.register_step_pre_hook(shorten)
