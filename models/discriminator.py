"""The interface of all discriminators: images at some resolutions in, logits out."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from torch import Tensor, nn

from models.settings import RecordsSettings


class DiscriminatorOutput(NamedTuple):
    """What a discriminator returns for a batch of images."""

    logits: Tensor  # larger for real images, (N,)
    classes: Tensor | None = None  # logits of the classes, (N, K), of networks that classify (AC-GAN)
    latents: Tensor | None = (
        None  # estimates of some entries of the fakes' input vectors, (N, M) (InfoGAN's Q)
    )
    features: Tensor | None = None  # last hidden features, from which the logits are computed, (N, K)


class Discriminator(nn.Module, ABC):
    """A network that tells real images from generated ones. Subclasses set `resolutions` and implement `forward`."""

    resolutions: tuple[int, ...]  # shorter sides of the images that it takes, pixels, coarse to fine
    predicts_classes: bool = False  # whether its output has logits of the classes
    feature_size: int = 0  # length of the features that it returns; 0 for none

    @abstractmethod
    def forward(self, images: Sequence[Tensor], labels: Tensor | None = None) -> DiscriminatorOutput:
        """Evaluate a batch of images.

        Args:
            images: the batch at each of `resolutions`: [(N, C, H, W), ...].
            labels: int64 (N,), for conditional networks.
        """

    def grow(self, resolution: int, blend: float) -> None:
        """Take images of a resolution, the newest level with weight `blend`. Networks that do not grow ignore this."""


class FeatureDiscriminator(RecordsSettings, Discriminator):
    """A discriminator whose features can be read, and that can be built again from its settings."""

    @abstractmethod
    def levels(self, image: Tensor) -> Iterator[Tensor]:
        """Yield the features (N, C, H, W) after each level's activation, fine to coarse."""

    @abstractmethod
    def filters(self) -> Tensor:
        """The first layer's weights: (c_out, image_channels, k, k)."""
