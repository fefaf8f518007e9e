"""Dropout whose random numbers are keyed, as all others are: see `training/rng.py`."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from models.layers.dropout import Dropout
from training.rng import KeyedRNG


@dataclass
class _Masks:
    """A layer's random numbers in an update step; each forward pass has others."""

    rng: KeyedRNG
    name: str
    passes: int = 0

    def __call__(self, shape: torch.Size) -> Tensor:
        self.passes += 1
        return self.rng.uniform_per_sample(f"{self.name}/{self.passes}", *shape[1:])


def seed_dropout(rng: KeyedRNG, name: str, *networks: nn.Module) -> None:
    """Give the networks' dropout layers the random numbers of an update step of that name.

    A sample gets the same mask on whichever rank and in whichever micro-batch it is computed.
    """
    layers = (layer for network in networks for layer in network.modules())
    for number, layer in enumerate(layers):
        if isinstance(layer, Dropout):
            layer.uniform = _Masks(rng, f"{name}/dropout/{number}")
