"""What every discriminator is: pictures at some resolutions in, a verdict out."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import NamedTuple

from torch import Tensor, nn


class Verdict(NamedTuple):
    """What a discriminator says of each picture of a batch."""

    score: Tensor  # raw logits, larger for real, (N,)
    classes: Tensor | None = None  # logits of the classes, (N, K), of networks that tell them (AC-GAN)
    latents: Tensor | None = None  # what it takes a part of fakes' latent vectors to be, (N, M) (InfoGAN's Q)


class Discriminator(nn.Module, ABC):
    """A network that judges pictures. Subclasses set `resolutions` and implement `forward`."""

    resolutions: tuple[int, ...]  # shorter sides of the pictures it takes, pixels, coarse to fine

    @abstractmethod
    def forward(self, images: Sequence[Tensor], labels: Tensor | None = None) -> Verdict:
        """Judge one picture per sample, given at each of `resolutions`: [(N, C, H, W), ...].

        `labels`, int64 (N,), are what a conditional network judges the pictures by.
        """

    def grow(self, resolution: int, blend: float) -> None:
        """Take pictures of a resolution, their newest level with weight `blend`. Nothing to do for most."""
