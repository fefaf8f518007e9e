"""SGAN: Stacked Generative Adversarial Networks (Huang et al. 2017, arXiv 1612.04357), after its code for MNIST.

An encoder classifies images; a stack of generators inverts it, from a label to the encoder's last features and from
these to the image.

Deviations: every level halves or doubles the image's size (the code mixes strides with valid convolutions, for 28x28);
images end in tanh. The class logits and the noise in the discriminators of the code for CIFAR-10 are left out.
"""

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn

from common.aspect import SQUARE, Aspect, checked_aspect
from models.architectures.dcgan import init_weights
from models.architectures.dcgan_blocks import (
    LEAKY_SLOPE,
    DecoderGenerator,
    ImageDecoder,
    coarsest_size,
    dense_block,
    strided_conv,
)
from models.discriminator import DiscriminatorOutput
from models.generator import check_labels

_UNITS = 256  # units of the discriminators' dense layers


class Encoder(nn.Module):
    """A classifier of images in two parts: E_bottom, from images to features, and E_top, from features to logits."""

    def __init__(
        self,
        classes: int,  # number of labels
        resolution: int,  # shorter side of the image, pixels
        widths: Sequence[int],  # channels of the convolutions, fine to coarse
        features: int,  # length of the features
        image_channels: int,  # 1 grey, 3 RGB, 4 RGBA
        aspect: Aspect,  # height and width of the image at resolution 4
    ) -> None:
        super().__init__()
        height, width = coarsest_size(resolution, widths, aspect)
        self.bottom = nn.Sequential()
        for a, b in zip((image_channels, *widths), widths, strict=False):
            self.bottom.extend([nn.Conv2d(a, b, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2)])
        self.bottom.extend([nn.Flatten(), nn.Linear(widths[-1] * height * width, features), nn.ReLU()])
        self.top = nn.Linear(features, classes)

    def forward(self, images: Tensor) -> Tensor:
        """E_bottom: (N, C, H, W) -> (N, features). `top` maps these to logits (N, classes)."""
        return cast(Tensor, self.bottom(images))


class TopGenerator(nn.Module):
    """G1: labels, one-hot (N, classes), and z1 (N, latent_size) -> features (N, features)."""

    def __init__(
        self,
        classes: int,  # number of labels
        latent_size: int,  # length of z1
        features: int,  # length of the features
    ) -> None:
        super().__init__()
        self.latent_size = latent_size
        self.layers = nn.Sequential(
            dense_block(latent_size + classes, 512, nn.ReLU()),
            dense_block(512, 512, nn.ReLU()),
            *(nn.Linear(512, features), nn.ReLU()),
        )

    def forward(self, label: Tensor, z: Tensor) -> Tensor:
        """Generate features for labels."""
        return cast(Tensor, self.layers(torch.cat([z, label], dim=1)))


class BottomGenerator(nn.Module):
    """G0: features (N, features) and z0 (N, latent_size) -> images (N, C, H, W)."""

    def __init__(
        self,
        features: int,  # length of the features
        latent_size: int,  # length of z0
        resolution: int,  # shorter side of the image, pixels
        widths: Sequence[int],  # channels, coarse to fine
        image_channels: int,  # 1 grey, 3 RGB, 4 RGBA
        aspect: Aspect,  # height and width of the image at resolution 4
    ) -> None:
        super().__init__()
        self.latent_size = latent_size
        self.of_noise = dense_block(latent_size, 128, nn.ReLU())
        self.painter = ImageDecoder(features + 128, resolution, widths, image_channels, aspect, kernel=5)

    def decoder_input(self, features: Tensor, z: Tensor) -> Tensor:
        """The decoder's input."""
        return torch.cat([self.of_noise(z), features], dim=1)

    def forward(self, features: Tensor, z: Tensor) -> Tensor:
        """Generate images for features."""
        return cast(Tensor, self.painter(self.decoder_input(features, z)))


class StackedGenerator(DecoderGenerator):
    """G0(G1(label, z1), z0). The input vector is z1, z0, both uniform on (0, 1), and the label."""

    architecture = "stacked-gan"

    def __init__(
        self,
        class_names: Sequence[str],  # names of the labels, at least one
        resolution: int = 32,  # shorter side of the image, pixels
        widths: Sequence[int] = (128, 128, 64),  # channels of G0's features, up to half the resolution
        features: int = 256,  # length of the encoder's features
        latent_sizes: Sequence[int] = (50, 50),  # length of z1 and of z0
        image_channels: int = 3,  # 1 grey, 3 RGB, 4 RGBA
        aspect: Sequence[int] = SQUARE,  # height and width of the image at resolution 4
    ) -> None:
        super().__init__()
        check_labels(len(class_names))
        self.aspect = checked_aspect(aspect)
        self.class_names, self.latent_sizes = tuple(class_names), tuple(latent_sizes)
        self.latent_size, self.image_channels = sum(latent_sizes), image_channels
        self.input_size = self.latent_size + len(class_names)
        first, second = latent_sizes
        self.top = TopGenerator(len(class_names), first, features)
        self.bottom = BottomGenerator(features, second, resolution, widths, image_channels, self.aspect)
        self.resolutions = self.painter.resolutions
        init_weights(self)

    def prior(self, count: int, rng: torch.Generator) -> Tensor:
        """z1, z0 ~ U(0, 1), then a label: (count, input_size)."""
        return self.with_random_labels(torch.rand(count, self.latent_size, generator=rng), rng)

    @property
    def painter(self) -> ImageDecoder:  # type: ignore[override] # a part of G0
        """The last part of G0."""
        return self.bottom.painter

    def decoder_input(self, z: Tensor, truncation: float = 1.0) -> Tensor:
        """The input of G0's decoder. Truncation moves z1 and z0 toward 1/2."""
        z1, z0, label = torch.split(z, [*self.latent_sizes, len(self.class_names)], dim=1)
        z1, z0 = (0.5 + (latent - 0.5) * truncation for latent in (z1, z0))
        return self.bottom.decoder_input(self.top(label, z1), z0)


class LevelDiscriminator(nn.Module):
    """D_i: samples of a level -> logits (N,), and Q_i, which shares its layers: estimates of the fakes' z_i."""

    def __init__(
        self,
        trunk: nn.Sequential,  # samples -> (N, 256)
        latent_size: int,  # length of z_i
    ) -> None:
        super().__init__()
        self.trunk = trunk
        self.logits, self.read = nn.Linear(_UNITS, 1), nn.Linear(_UNITS, latent_size)
        init_weights(self)

    def forward(self, samples: Tensor) -> DiscriminatorOutput:
        """Evaluate the samples."""
        x = self.trunk(samples)
        return DiscriminatorOutput(self.logits(x).flatten(), latents=self.read(x))


def top_discriminator(features: int, latent_size: int) -> LevelDiscriminator:
    """D1: features -> two dense layers -> logits and Q1."""
    first, second = nn.Linear(features, _UNITS), nn.Linear(_UNITS, _UNITS)
    trunk = nn.Sequential(first, nn.LeakyReLU(LEAKY_SLOPE), second, nn.LeakyReLU(LEAKY_SLOPE))
    return LevelDiscriminator(trunk, latent_size)


def bottom_discriminator(
    resolution: int,  # shorter side of the image, pixels
    widths: Sequence[int],  # channels of the convolutions, fine to coarse
    latent_size: int,  # length of z0
    image_channels: int,  # 1 grey, 3 RGB, 4 RGBA
    aspect: Aspect,  # height and width of the image at resolution 4
) -> LevelDiscriminator:
    """D0: images -> convolutions and a dense layer -> logits and Q0."""
    height, width = coarsest_size(resolution, widths, aspect)
    trunk = nn.Sequential()
    for a, b in zip((image_channels, *widths), widths, strict=False):
        trunk.extend([strided_conv(a, b, 5), nn.LeakyReLU(LEAKY_SLOPE)])
    trunk.extend([nn.Flatten(), nn.Linear(widths[-1] * height * width, _UNITS), nn.LeakyReLU(LEAKY_SLOPE)])
    return LevelDiscriminator(trunk, latent_size)
