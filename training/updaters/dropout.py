"""Dropout that rng, as all else does, as a function of where training is: see `rng.py`."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from models.layers.equalized import Dropout
from training.rng import KeyedRNG


@dataclass
class _Coins:
    """What a layer rng in a move: in each pass through it something else."""

    rng: KeyedRNG
    name: str
    passes: int = 0

    def __call__(self, shape: torch.Size) -> Tensor:
        self.passes += 1
        return self.rng.uniform_per_sample(f"{self.name}/{self.passes}", *shape[1:])


def seed_dropout(rng: KeyedRNG, name: str, *networks: nn.Module) -> None:
    """Let the networks' dropout draw what belongs to a move of that name.

    It is the same for a sample whichever rank or piece of the batch it falls to.
    """
    layers = (layer for network in networks for layer in network.modules())
    for number, layer in enumerate(layers):
        if isinstance(layer, Dropout):
            layer.uniform = _Coins(rng, f"{name}/dropout/{number}")
