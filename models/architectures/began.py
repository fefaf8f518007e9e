"""BEGAN: Boundary Equilibrium Generative Adversarial Networks (Berthelot et al. 2017, arXiv 1703.10717).

The discriminator is an autoencoder; an image's logit is minus its reconstruction error. The decoder has the
architecture of the generator. Convolutions and ELUs only: no norm, no dropout, linear outputs.

Deviations:
- The paper's optional skip connections and vanishing residuals are left out, as in carpedm20's implementation.
- Weights are drawn from N(0, 1 / inputs), biases are 0 at first.
- The paper's generator yields one image; ours also yields coarser previews (see `previewed_generator.py`).
"""

import math
from collections.abc import Iterator, Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from common.aspect import SQUARE, checked_aspect, size_at
from models.architectures.dcgan import init_weights
from models.discriminator import Discriminator, DiscriminatorOutput
from models.generator import check_resolution
from models.layers.resampling import upsample_conv
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
    """Nearest-neighbor upsampling by 2, then a 3x3 convolution: (N, c_in, H, W) -> (N, c_out, 2H, 2W)."""

    def forward(self, x: Tensor) -> Tensor:
        return upsample_conv(x, self.weight, self.bias)


class Decoder(nn.Module):
    """h -> image: two convolutions of n channels at each scale."""

    def __init__(
        self,
        resolution: int,  # shorter side of the image, pixels
        width: int,  # n
        inputs: int,  # length of h
        image_channels: int,  # 1 grey, 3 RGB, 4 RGBA
        aspect: Sequence[int],  # height and width of the image at resolution 4
    ) -> None:
        super().__init__()
        self.size = size_at(_COARSEST, checked_aspect(aspect))
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
        """The image (N, image_channels, H, W)."""
        *_, x = self.features(h)
        return cast(Tensor, self.to_image(x))


class Encoder(nn.Sequential):
    """Image (N, C, H, W) -> h (N, outputs): n channels more at each coarser scale."""

    def __init__(
        self,
        resolution: int,  # shorter side of the image, pixels
        width: int,  # n
        outputs: int,  # length of h
        image_channels: int,  # 1 grey, 3 RGB, 4 RGBA
        aspect: Sequence[int],  # height and width of the image at resolution 4
    ) -> None:
        super().__init__(_conv(image_channels, width))
        channels = [width * (i + 1) for i in range(len(_scales(resolution)))]
        for before, n in zip([width, *channels], channels, strict=False):
            if len(self) > 1:
                self.append(_conv(before, before, stride=2))
            self.extend([_conv(before, n), _conv(n, n)])
        features = channels[-1] * math.prod(size_at(_COARSEST, checked_aspect(aspect)))
        self.extend([nn.Flatten(), nn.Linear(features, outputs)])


class BEGANGenerator(PreviewedGenerator):
    """The generator: z ~ U(-1, 1) -> one image; coarser previews from 8x8 on."""

    architecture = "began"

    def __init__(
        self,
        resolution: int = 64,  # shorter side of the image, pixels
        width: int = 128,  # n, channels at every scale
        latent_size: int = 64,  # length of z
        image_channels: int = 3,  # 1 grey, 3 RGB, 4 RGBA
        aspect: Sequence[int] = SQUARE,  # height and width of the image at resolution 4
    ) -> None:
        super().__init__()
        self.resolutions, self.aspect = _scales(resolution), checked_aspect(aspect)
        self.latent_size = self.input_size = latent_size
        self.image_channels = image_channels
        self.decoder = Decoder(resolution, width, latent_size, image_channels, aspect)
        self.previews = nn.ModuleList(Preview(width, image_channels) for _ in self.resolutions[:-1])
        init_weights(self.decoder, deviation=None)

    def prior(self, count: int, rng: torch.Generator) -> Tensor:
        """Z ~ U(-1, 1): (count, input_size)."""
        return torch.rand(count, self.latent_size, generator=rng) * 2 - 1

    def _features(self, z: Tensor, truncation: float = 1.0) -> Iterator[Tensor]:
        """The features (N, width, H, W) at 8, 16, ..., resolution. Truncation scales z."""
        return self.decoder.features(z * truncation)

    def _to_image(self, x: Tensor) -> Tensor:
        return cast(Tensor, self.decoder.to_image(x))


class BEGANDiscriminator(Discriminator):
    """The autoencoder: one image -> minus the mean absolute error of its reconstruction, L of equation 1."""

    def __init__(
        self,
        resolution: int = 64,  # shorter side of the image, pixels
        width: int = 128,  # n
        hidden: int = 64,  # length of the embedding
        image_channels: int = 3,  # 1 grey, 3 RGB, 4 RGBA
        aspect: Sequence[int] = SQUARE,  # height and width of the image at resolution 4
    ) -> None:
        super().__init__()
        self.resolutions = (resolution,)
        self.encoder = Encoder(resolution, width, hidden, image_channels, aspect)
        self.decoder = Decoder(resolution, width, hidden, image_channels, aspect)
        init_weights(self, deviation=None)

    def forward(self, images: Sequence[Tensor], labels: Tensor | None = None) -> DiscriminatorOutput:  # noqa: ARG002
        """Evaluate images [(N, C, H, W)]: logits (N,), at most 0."""
        reconstructed = self.decoder(self.encoder(images[-1]))
        errors = F.l1_loss(reconstructed.float(), images[-1].float(), reduction="none")
        return DiscriminatorOutput(-errors.mean((1, 2, 3)))
