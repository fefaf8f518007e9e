"""Random numbers as a pure function of where training is.

Nothing here has a state: every draw is keyed by the run's seed, the number of images shown and a name, so a resumed run
draws what the uninterrupted one drew. A draw is made for the whole global batch and cut to this rank's part, so the
number of ranks does not change it.
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
    images: int  # real images shown before this batch
    count: int  # samples of the global batch
    part: slice  # this rank's samples among them
    device: torch.device  # where the numbers are used

    def draw(self, name: str, sample: Callable[[int, torch.Generator], Tensor]) -> Tensor:
        """Rows, those of this rank, of `sample(count, rng)`, whose first dimension is the global batch."""
        rng = torch.Generator().manual_seed(derive_seed(self.seed, self.images, name))
        return sample(self.count, rng)[self.part].to(self.device)

    def uniform(self, name: str, *shape: int) -> Tensor:
        """U(0, 1): (samples of this rank, *shape)."""
        return self.draw(name, lambda count, rng: torch.rand(count, *shape, generator=rng))

    def uniform_per_sample(self, name: str, *shape: int) -> Tensor:
        """The same where it is too large to be drawn for the global batch by every rank: each sample by itself.

        The numbers are drawn where they are used, and another kind of device draws others.
        """
        rng = torch.Generator(self.device)
        places = range(self.part.start, self.part.stop)
        rows = torch.empty(len(places), *shape, device=self.device)
        for row, place in zip(rows, places, strict=True):
            row.uniform_(generator=rng.manual_seed(derive_seed(self.seed, self.images, name, place)))
        return rows
