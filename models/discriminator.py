"""What every discriminator is: pictures at some resolutions in, a verdict out."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from torch import Tensor, nn


class DiscriminatorOutput(NamedTuple):
    """What a discriminator says of each picture of a batch."""

    logits: Tensor  # raw logits, larger for real, (N,)
    classes: Tensor | None = None  # logits of the classes, (N, K), of networks that tell them (AC-GAN)
    latents: Tensor | None = None  # what it takes a part of fakes' latent vectors to be, (N, M) (InfoGAN's Q)
    features: Tensor | None = None  # the last hidden ones, that the logits is read off, (N, K)


class Discriminator(nn.Module, ABC):
    """A network that judges pictures. Subclasses set `resolutions` and implement `forward`."""

    resolutions: tuple[int, ...]  # shorter sides of the pictures it takes, pixels, coarse to fine
    predicts_classes: bool = False  # whether its output has logits of the classes
    feature_size: int = 0  # length of a verdict's features; 0 for none

    @abstractmethod
    def forward(self, images: Sequence[Tensor], labels: Tensor | None = None) -> DiscriminatorOutput:
        """Judge one picture per sample, given at each of `resolutions`: [(N, C, H, W), ...].

        `labels`, int64 (N,), are what a conditional network judges the pictures by.
        """

    def grow(self, resolution: int, blend: float) -> None:
        """Take pictures of a resolution, their newest level with weight `blend`. Nothing to do for most."""


class FeatureDiscriminator(Discriminator):
    """A discriminator whose features can be read, and that can be built again from its settings."""

    @abstractmethod
    def levels(self, image: Tensor) -> Iterator[Tensor]:
        """Yield the features (N, C, H, W) after each level's activation, fine to coarse."""

    @abstractmethod
    def filters(self) -> Tensor:
        """The first layer's weights: (c_out, image_channels, k, k)."""

    @abstractmethod
    def settings(self) -> dict[str, Any]:
        """The constructor's arguments, as JSON values."""
