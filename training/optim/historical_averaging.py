"""Historical averaging (Salimans et al. 2016, "Improved Techniques for Training GANs", arXiv 1606.03498, section 3.3).

The term |theta - mean over t of theta[t]|^2 holds each player's weights near where they have been.

Deviations: its gradient, with the mean held fixed, is added where the optimiser steps, so the logged loss is without
it. The mean is of the weights after each step since the optimiser's moments were last forgotten (growth does that).
"""

from typing import Any

import torch


def average_history(optimizer: torch.optim.Optimizer, weight: float) -> None:
    """Pull what the optimiser moves towards its mean over all steps so far, by `weight` times the term.

    Mean and number of steps are kept, and saved, with the optimiser's own state.

    Raises:
        ValueError: the weight is not positive.
    """
    if not weight > 0:
        raise ValueError(f"the weight of historical averaging must be positive, not {weight}")

    def moved() -> list[torch.nn.Parameter]:
        parameters = (parameter for group in optimizer.param_groups for parameter in group["params"])
        return [parameter for parameter in parameters if parameter.grad is not None]

    @torch.no_grad()
    def pull(*_: Any) -> None:
        for parameter in moved():
            if "history" in optimizer.state[parameter]:
                assert parameter.grad is not None
                apart = parameter - optimizer.state[parameter]["history"]
                parameter.grad.add_(apart, alpha=2 * weight)

    @torch.no_grad()
    def remember(*_: Any) -> None:
        for parameter in moved():
            slots = optimizer.state[parameter]
            if "history" not in slots:
                slots["history"] = torch.zeros_like(parameter)
                slots["history_steps"] = torch.zeros((), device=parameter.device)
            slots["history_steps"] += 1
            slots["history"] += (parameter - slots["history"]) / slots["history_steps"]

    optimizer.register_step_pre_hook(pull)
    optimizer.register_step_post_hook(remember)
