"""SGAN: Stacked Generative Adversarial Networks (Huang et al. 2017, arXiv 1612.04357), as its code has it for MNIST.

An encoder tells labels; a stack of generators goes its way back, from a label to the encoder's last features and from
these to the picture.

Deviations: every level of the picture halves or doubles its size (the code mixes strides with valid convolutions, for
28x28); pictures end in tanh. The class logits and the noise of the discriminators of the code for CIFAR-10 are left
out.
"""

from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn

from common.aspect import Aspect, checked
from models.architectures.cgan import check_labels
from models.architectures.dcgan import draw_weights
from models.discriminator import DiscriminatorOutput
from models.layers.equalized import LEAK
from models.layers.transposed import Painter, PaintingGenerator, dense, down, root_size

_UNITS = 256  # of the discriminators' dense layers


class Encoder(nn.Module):
    """A classifier of pictures, in two parts: E_bottom, to features, and E_top, to logits."""

    def __init__(
        self,
        classes: int,  # number of labels
        resolution: int,  # shorter side of the picture, pixels
        widths: Sequence[int],  # channels of the convolutions, fine to coarse
        features: int,  # length of the features
        image_channels: int,  # 1 grey, 3 RGB, 4 RGBA
        aspect: Aspect,  # height and width of the picture at resolution 4
    ) -> None:
        super().__init__()
        height, width = root_size(resolution, widths, aspect)
        self.bottom = nn.Sequential()
        for a, b in zip((image_channels, *widths), widths, strict=False):
            self.bottom.extend([nn.Conv2d(a, b, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2)])
        self.bottom.extend([nn.Flatten(), nn.Linear(widths[-1] * height * width, features), nn.ReLU()])
        self.top = nn.Linear(features, classes)

    def forward(self, pictures: Tensor) -> Tensor:
        """E_bottom: (N, C, H, W) -> (N, features). What `top` makes of these are logits (N, classes)."""
        return cast(Tensor, self.bottom(pictures))


class TopGenerator(nn.Module):
    """G1: labels, one hot (N, classes), and noise (N, noise_size) -> features (N, features)."""

    def __init__(
        self,
        classes: int,  # number of labels
        noise_size: int,  # length of the noise
        features: int,  # length of the features
    ) -> None:
        super().__init__()
        self.noise_size = noise_size
        self.layers = nn.Sequential(
            dense(noise_size + classes, 512, nn.ReLU()),
            dense(512, 512, nn.ReLU()),
            *(nn.Linear(512, features), nn.ReLU()),
        )

    def forward(self, label: Tensor, noise: Tensor) -> Tensor:
        """Make features for a label."""
        return cast(Tensor, self.layers(torch.cat([noise, label], dim=1)))


class BottomGenerator(nn.Module):
    """G0: features (N, features) and noise (N, noise_size) -> pictures (N, C, H, W)."""

    def __init__(
        self,
        features: int,  # length of the features
        noise_size: int,  # length of the noise
        resolution: int,  # shorter side of the picture, pixels
        widths: Sequence[int],  # channels, coarse to fine
        image_channels: int,  # 1 grey, 3 RGB, 4 RGBA
        aspect: Aspect,  # height and width of the picture at resolution 4
    ) -> None:
        super().__init__()
        self.noise_size = noise_size
        self.of_noise = dense(noise_size, 128, nn.ReLU())
        self.painter = Painter(features + 128, resolution, widths, image_channels, aspect, kernel=5)

    def given(self, features: Tensor, noise: Tensor) -> Tensor:
        """The painter's input."""
        return torch.cat([self.of_noise(noise), features], dim=1)

    def forward(self, features: Tensor, noise: Tensor) -> Tensor:
        """Paint what the features are of."""
        return cast(Tensor, self.painter(self.given(features, noise)))


class StackedGenerator(PaintingGenerator):
    """G0(G1(label, z1), z0). The latent vector is z1, z0, both uniform on (0, 1), and the label."""

    def __init__(
        self,
        class_names: Sequence[str],  # name of each label, at least one
        resolution: int = 32,  # shorter side of the image, pixels
        widths: Sequence[int] = (128, 128, 64),  # channels of G0's features, up to half the resolution
        features: int = 256,  # length of the encoder's features
        noise_sizes: Sequence[int] = (50, 50),  # length of z1 and z0
        image_channels: int = 3,  # 1 grey, 3 RGB, 4 RGBA
        aspect: Sequence[int] = (4, 4),  # height and width of the picture at resolution 4
    ) -> None:
        super().__init__()
        check_labels(len(class_names))
        self.aspect = checked(aspect)
        self.widths, self.class_names = tuple(widths), tuple(class_names)
        self.features, self.noise_sizes = features, tuple(noise_sizes)
        self.latent_size, self.image_channels = sum(noise_sizes) + len(class_names), image_channels
        first, second = noise_sizes
        self.top = TopGenerator(len(class_names), first, features)
        self.bottom = BottomGenerator(features, second, resolution, self.widths, image_channels, self.aspect)
        self.resolutions = self.painter.resolutions
        draw_weights(self)

    def prior(self, count: int, rng: torch.Generator) -> Tensor:
        """U(0, 1), then a label: (count, latent_size)."""
        return self.with_drawn_labels(torch.rand(count, sum(self.noise_sizes), generator=rng), rng)

    @property
    def painter(self) -> Painter:  # type: ignore[override] # a part of G0
        """What ends G0."""
        return self.bottom.painter

    def given(self, z: Tensor, truncation: float = 1.0) -> Tensor:
        """What G0's painter is given. Truncation draws the noise towards 1/2."""
        first, second, label = torch.split(z, [*self.noise_sizes, len(self.class_names)], dim=1)
        first, second = (0.5 + (noise - 0.5) * truncation for noise in (first, second))
        return self.bottom.given(self.top(label, first), second)

    def settings(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            "class_names": list(self.class_names),
            "resolution": self.resolutions[-1],
            "widths": list(self.widths),
            "features": self.features,
            "noise_sizes": list(self.noise_sizes),
            "image_channels": self.image_channels,
            "aspect": list(self.aspect),
        }


class LevelDiscriminator(nn.Module):
    """D_i: samples of a level -> logits (N,), and Q_i, which shares its layers: the noise it takes fakes to be of."""

    def __init__(
        self,
        trunk: nn.Sequential,  # samples -> (N, 256)
        noise_size: int,  # length of the level's noise
    ) -> None:
        super().__init__()
        self.trunk = trunk
        self.logits, self.read = nn.Linear(_UNITS, 1), nn.Linear(_UNITS, noise_size)
        draw_weights(self)

    def forward(self, samples: Tensor) -> DiscriminatorOutput:
        """Judge the samples."""
        x = self.trunk(samples)
        return DiscriminatorOutput(self.logits(x).flatten(), latents=self.read(x))


def top_discriminator(features: int, noise_size: int) -> LevelDiscriminator:
    """D1: features -> two dense layers -> logits and Q1."""
    first, second = nn.Linear(features, _UNITS), nn.Linear(_UNITS, _UNITS)
    trunk = nn.Sequential(first, nn.LeakyReLU(LEAK), second, nn.LeakyReLU(LEAK))
    return LevelDiscriminator(trunk, noise_size)


def bottom_discriminator(
    resolution: int,  # shorter side of the picture, pixels
    widths: Sequence[int],  # channels of the convolutions, fine to coarse
    noise_size: int,  # length of z0
    image_channels: int,  # 1 grey, 3 RGB, 4 RGBA
    aspect: Aspect,  # height and width of the picture at resolution 4
) -> LevelDiscriminator:
    """D0: pictures -> convolutions and a dense layer -> logits and Q0."""
    height, width = root_size(resolution, widths, aspect)
    trunk = nn.Sequential()
    for a, b in zip((image_channels, *widths), widths, strict=False):
        trunk.extend([down(a, b, 5), nn.LeakyReLU(LEAK)])
    trunk.extend([nn.Flatten(), nn.Linear(widths[-1] * height * width, _UNITS), nn.LeakyReLU(LEAK)])
    return LevelDiscriminator(trunk, noise_size)
