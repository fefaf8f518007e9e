"""What every generator is: one flat latent vector in, the picture at each of its resolutions out."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn


class Generator(nn.Module, ABC):
    """A network that grows a picture.

    Subclasses set the attributes below, implement `stream`, and take the fields of `settings()` as keyword arguments.
    """

    latent_size: int  # length of the latent vector
    resolutions: tuple[int, ...]  # sides of the pictures it yields, pixels, coarse to fine
    image_channels: int  # 1 grey, 3 RGB, 4 RGBA

    @abstractmethod
    def prior(self, count: int, rng: torch.Generator) -> Tensor:
        """Draw latent vectors from the prior with mean zero: (count, latent_size), float32, on the CPU."""

    @abstractmethod
    def stream(self, z: Tensor, truncation: float = 1.0) -> Iterator[Tensor]:
        """Yield the picture (N, image_channels, r, r), nominally in [-1, 1], at each r of `resolutions` once it exists.

        `truncation` in [0, 1] draws the picture towards the typical one; 1 is the distribution that was trained.
        """

    @abstractmethod
    def settings(self) -> dict[str, Any]:
        """The keyword arguments, as JSON values, that build this generator again."""

    def find_center(self) -> None:
        """Measure what truncation draws towards, once the weights are final. Nothing to do for most."""

    def forward(self, z: Tensor) -> list[Tensor]:
        """All pictures of `stream`, coarse to fine. z: (N, latent_size)."""
        return list(self.stream(z))


def check_resolution(resolution: int) -> None:
    """Raise ValueError unless the resolution is a power of two from 8 to 1024."""
    if resolution not in {8, 16, 32, 64, 128, 256, 512, 1024}:
        raise ValueError(f"resolution must be a power of two from 8 to 1024, not {resolution}")
