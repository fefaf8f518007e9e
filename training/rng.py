"""Keyed random numbers: a pure function of the run's seed, the images shown and a name.

Nothing here has a state, so a resumed run samples the same numbers as an uninterrupted one. Numbers are sampled for the
whole global batch, of which each rank takes its part, so they do not depend on the number of ranks.
"""

from collections.abc import Callable
from dataclasses import dataclass
from hashlib import blake2b

import torch
from torch import Tensor


def derive_seed(*key: object) -> int:
    """A 63-bit seed that depends on every part of the key."""
    digest = blake2b(repr(key).encode(), digest_size=8).digest()
    return int.from_bytes(digest) >> 1


@dataclass(frozen=True)
class KeyedRNG:
    """The random numbers of one batch."""

    seed: int  # the run's
    images: int  # real images shown before the batch
    count: int  # samples in the global batch
    part: slice  # this rank's samples among them
    device: torch.device  # where the numbers are used

    def draw(self, name: str, sample: Callable[[int, torch.Generator], Tensor]) -> Tensor:
        """Rows of `sample(count, rng)`, those of this rank. Its first dimension is the global batch."""
        rng = torch.Generator().manual_seed(derive_seed(self.seed, self.images, name))
        return sample(self.count, rng)[self.part].to(self.device)

    def uniform(self, name: str, *shape: int) -> Tensor:
        """U(0, 1): (samples of this rank, *shape)."""
        return self.draw(name, lambda count, rng: torch.rand(count, *shape, generator=rng))

    def uniform_per_sample(self, name: str, *shape: int) -> Tensor:
        """U(0, 1): (samples of this rank, *shape), where each sample has its own key.

        For shapes that are too large for every rank to sample the whole global batch. The numbers are generated on the
        device that uses them, so they differ between kinds of devices.
        """
        rng = torch.Generator(self.device)
        positions = range(self.part.start, self.part.stop)
        rows = torch.empty(len(positions), *shape, device=self.device)
        for row, position in zip(rows, positions, strict=True):
            row.uniform_(generator=rng.manual_seed(derive_seed(self.seed, self.images, name, position)))
        return rows
