"""BEGAN: Boundary Equilibrium Generative Adversarial Networks (Berthelot et al. 2017, arXiv 1703.10717).

The discriminator is an auto-encoder, and its logits of a picture is minus the error with which it paints it again. Its
decoder has the shape of the generator. Convolutions and ELUs alone: no norm, no dropout, linear outputs.

Deviations:
- The paper's optional skip connections and vanishing residuals are left out, as in code that others wrote (carpedm20).
- Weights begin as N(0, 1 / inputs), biases as 0.
- The paper's generator yields one picture; ours shows its coarser features too (see `preview.py`).
"""

import math
from collections.abc import Iterator, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from common.aspect import SQUARE, checked, size_at
from models.architectures.dcgan import draw_weights
from models.discriminator import Discriminator, DiscriminatorOutput
from models.generator import check_resolution
from models.layers.equalized import conv_upsampled
from models.previewed_generator import Preview, PreviewedGenerator

_COARSEST = 8  # resolution of the first features, pixels


def _scales(resolution: int) -> tuple[int, ...]:
    """Resolutions of the features, coarse to fine: (8, 16, ..., resolution)."""
    check_resolution(resolution)
    return tuple(_COARSEST << level for level in range(resolution.bit_length() - 3))


def _conv(c_in: int, c_out: int, stride: int = 1) -> nn.Sequential:
    """A 3x3 convolution and its ELU."""
    return nn.Sequential(nn.Conv2d(c_in, c_out, 3, stride, padding=1), nn.ELU())


class _UpConv2d(nn.Conv2d):
    """Nearest upsampling by 2, then a 3x3 convolution: (N, c_in, H, W) -> (N, c_out, 2H, 2W)."""

    def forward(self, x: Tensor) -> Tensor:
        return conv_upsampled(x, self.weight, self.bias)


class Decoder(nn.Module):
    """h -> picture: at each scale two convolutions of n channels."""

    def __init__(
        self,
        resolution: int,  # shorter side of the picture, pixels
        width: int,  # n
        inputs: int,  # length of h
        image_channels: int,  # 1 grey, 3 RGB, 4 RGBA
        aspect: Sequence[int],  # height and width of the picture at resolution 4
    ) -> None:
        super().__init__()
        self.size = size_at(_COARSEST, checked(aspect))
        self.dense = nn.Linear(inputs, width * math.prod(self.size))
        self.scales = nn.ModuleList([nn.Sequential(_conv(width, width), _conv(width, width))])
        for _ in _scales(resolution)[1:]:
            up = nn.Sequential(_UpConv2d(width, width, 3), nn.ELU())
            self.scales.append(nn.Sequential(up, _conv(width, width)))
        self.to_image = nn.Conv2d(width, image_channels, 3, padding=1)

    def features(self, h: Tensor) -> Iterator[Tensor]:
        """The features (N, n, H, W) at 8, 16, ..., resolution. h: (N, inputs)."""
        x = self.dense(h).view(len(h), -1, *self.size)
        for scale in self.scales:
            yield (x := scale(x))

    def forward(self, h: Tensor) -> Tensor:
        """The picture (N, image_channels, H, W)."""
        *_, x = self.features(h)
        return cast(Tensor, self.to_image(x))


class Encoder(nn.Sequential):
    """Picture (N, C, H, W) -> h (N, outputs): n channels more at each coarser scale."""

    def __init__(
        self,
        resolution: int,  # shorter side of the picture, pixels
        width: int,  # n
        outputs: int,  # length of h
        image_channels: int,  # 1 grey, 3 RGB, 4 RGBA
        aspect: Sequence[int],  # height and width of the picture at resolution 4
    ) -> None:
        super().__init__(_conv(image_channels, width))
        channels = [width * (i + 1) for i in range(len(_scales(resolution)))]
        for before, n in zip([width, *channels], channels, strict=False):
            if len(self) > 1:
                self.append(_conv(before, before, stride=2))
            self.extend([_conv(before, n), _conv(n, n)])
        features = channels[-1] * math.prod(size_at(_COARSEST, checked(aspect)))
        self.extend([nn.Flatten(), nn.Linear(features, outputs)])


class BEGANGenerator(PreviewedGenerator):
    """The generator: z ~ U(-1, 1) -> one picture; coarser ones, from 8x8, to look at."""

    def __init__(
        self,
        resolution: int = 64,  # shorter side of the picture, pixels
        width: int = 128,  # n, channels at every scale
        latent_size: int = 64,  # length of z
        image_channels: int = 3,  # 1 grey, 3 RGB, 4 RGBA
        aspect: Sequence[int] = SQUARE,  # height and width of the picture at resolution 4
    ) -> None:
        super().__init__()
        self.resolutions, self.aspect = _scales(resolution), checked(aspect)
        self.width, self.latent_size, self.image_channels = width, latent_size, image_channels
        self.decoder = Decoder(resolution, width, latent_size, image_channels, aspect)
        self.previews = nn.ModuleList(Preview(width, image_channels) for _ in self.resolutions[:-1])
        draw_weights(self.decoder, deviation=None)

    def prior(self, count: int, rng: torch.Generator) -> Tensor:
        """U(-1, 1): (count, latent_size)."""
        return torch.rand(count, self.latent_size, generator=rng) * 2 - 1

    def _features(self, z: Tensor, truncation: float = 1.0) -> Iterator[Tensor]:
        """The features (N, width, H, W) at 8, 16, ..., resolution. Truncation makes the noise smaller."""
        return self.decoder.features(z * truncation)

    def _paint(self, x: Tensor) -> Tensor:
        return cast(Tensor, self.decoder.to_image(x))

    def settings(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            "resolution": self.resolutions[-1],
            "width": self.width,
            "latent_size": self.latent_size,
            "image_channels": self.image_channels,
            "aspect": list(self.aspect),
        }


class BEGANDiscriminator(Discriminator):
    """The auto-encoder: one picture -> minus the mean absolute error of its reconstruction, L of equation 1."""

    def __init__(
        self,
        resolution: int = 64,  # shorter side of the picture, pixels
        width: int = 128,  # n
        hidden: int = 64,  # length of the embedding
        image_channels: int = 3,  # 1 grey, 3 RGB, 4 RGBA
        aspect: Sequence[int] = SQUARE,  # height and width of the picture at resolution 4
    ) -> None:
        super().__init__()
        self.resolutions = (resolution,)
        self.encoder = Encoder(resolution, width, hidden, image_channels, aspect)
        self.decoder = Decoder(resolution, width, hidden, image_channels, aspect)
        draw_weights(self, deviation=None)

    def forward(self, images: Sequence[Tensor], labels: Tensor | None = None) -> DiscriminatorOutput:  # noqa: ARG002
        """Judge the images [(N, C, H, W)]: logits (N,), at most 0."""
        again = self.decoder(self.encoder(images[-1]))
        return DiscriminatorOutput(
            -F.l1_loss(again.float(), images[-1].float(), reduction="none").mean((1, 2, 3))
        )
