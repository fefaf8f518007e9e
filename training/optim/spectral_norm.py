"""When spectral norm is brought up to date (Miyato et al. 2018, arXiv 1802.05957, algorithm 1)."""

from typing import Any

import torch
from torch import nn

from models.layers.normalization import power_iteration, spectral_norms


def iterate_after_steps(optimizer: torch.optim.Optimizer, network: nn.Module) -> None:
    """Let a power iteration of a network's spectral norms follow each of the optimiser's steps: one per real batch."""
    if not spectral_norms(network):
        return

    def follow(*_: Any) -> None:
        power_iteration(network)

    optimizer.register_step_post_hook(follow)
