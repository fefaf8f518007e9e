"""Dropout whose random numbers come from the training loop, so that they are the same on any number of processes."""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn


class Dropout(nn.Module):
    """Zero features in training, each with the same probability, and scale up the others to keep the mean.

    `uniform` draws U(0, 1) of a given shape (N, ...). The training loop sets it; without it, torch's default generator
    is used.
    """

    def __init__(
        self,
        rate: float = 0.5,  # probability of being zeroed
        maps: bool = False,  # zero a whole map (H, W) of (N, C, H, W) at once
    ) -> None:
        super().__init__()
        self.rate, self.maps = rate, maps
        self.uniform: Callable[[torch.Size], Tensor] | None = None

    def forward(self, x: Tensor) -> Tensor:
        """Drop features of x (N, C, ...) in training; the shape is kept."""
        if not self.training:
            return x
        uniform = self.uniform or partial(torch.rand, device=x.device)
        kept = uniform(x.shape[:2] if self.maps else x.shape) >= self.rate
        return x * (kept.to(x.dtype) / (1 - self.rate)).view(*kept.shape, *[1] * (x.ndim - kept.ndim))
