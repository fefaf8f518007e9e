"""InfoGAN: Interpretable Representation Learning by Information Maximizing GANs (Chen et al. 2016, arXiv 1606.03657),
appendix C.

The input vector ends in codes, which Q estimates from the image. Q shares the discriminator's convolutions.

Deviations: Q's distribution of a continuous code is normal with deviation 1, as in the authors' code for MNIST. Images
end in tanh. See also `dcgan_blocks.py`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from common.aspect import SQUARE, checked_aspect
from models.architectures.dcgan import init_weights
from models.architectures.dcgan_blocks import (
    DecoderGenerator,
    ImageDecoder,
    coarsest_size,
    dense_block,
    strided_conv,
)
from models.discriminator import Discriminator, DiscriminatorOutput
from models.layers.normalization import PlainBatchNorm

_LEAKY_SLOPE = 0.1  # negative slope of leaky ReLUs (0.01 in the authors' code)
_Q_UNITS = 128  # units of Q's hidden layer


@dataclass(frozen=True)
class Codes:
    """The codes: continuous ones, uniform on (-1, 1), then categorical ones, one-hot and uniform."""

    continuous: int  # number of continuous codes
    categorical: tuple[int, ...]  # number of categories of each categorical code

    def __post_init__(self) -> None:
        if self.continuous < 0 or any(count < 2 for count in self.categorical) or self.size == 0:
            raise ValueError(
                "codes must be continuous ones, or categorical ones of at least 2 categories each; "
                f"got {self.continuous} and {list(self.categorical)}"
            )

    @property
    def size(self) -> int:
        """Number of entries in the input vector, and of parameters of Q's distributions."""
        return self.continuous + sum(self.categorical)

    def draw(self, count: int, rng: torch.Generator) -> Tensor:
        """Draw codes: (count, size)."""
        parts = [torch.rand(count, self.continuous, generator=rng) * 2 - 1]
        for categories in self.categorical:
            parts.append(F.one_hot(torch.randint(categories, (count,), generator=rng), categories).float())
        return torch.cat(parts, dim=1)

    def split(self, codes: Tensor) -> tuple[Tensor, list[Tensor]]:
        """(N, size) -> the continuous codes (N, continuous), and each categorical one (N, categories)."""
        first, *others = torch.split(codes, [self.continuous, *self.categorical], dim=1)
        return first, others


class InfoGANGenerator(DecoderGenerator):
    """z ~ U(-1, 1) and codes -> one image; coarser previews. The codes come last in the input vector."""

    architecture = "infogan"

    def __init__(
        self,
        resolution: int = 32,  # shorter side of the image, pixels
        widths: Sequence[int] = (128, 64),  # channels of the features, up to half the resolution
        hidden: int = 1024,  # units of the first layer
        latent_size: int = 62,  # length of z
        continuous: int = 2,  # number of continuous codes
        categorical: Sequence[int] = (10,),  # number of categories of each categorical code
        image_channels: int = 3,  # 1 grey, 3 RGB, 4 RGBA
        aspect: Sequence[int] = SQUARE,  # height and width of the image at resolution 4
    ) -> None:
        super().__init__()
        self.codes = Codes(continuous, tuple(categorical))
        self.latent_size, self.input_size = latent_size, latent_size + self.codes.size
        self.image_channels, self.aspect = image_channels, checked_aspect(aspect)
        self.dense = dense_block(self.input_size, hidden, nn.ReLU())
        self.painter = ImageDecoder(hidden, resolution, widths, image_channels, self.aspect, kernel=4)
        self.resolutions = self.painter.resolutions
        init_weights(self)

    def prior(self, count: int, rng: torch.Generator) -> Tensor:
        """Z ~ U(-1, 1), then the codes: (count, input_size)."""
        z = torch.rand(count, self.latent_size, generator=rng) * 2 - 1
        return torch.cat([z, self.codes.draw(count, rng)], dim=1)

    def decoder_input(self, z: Tensor, truncation: float = 1.0) -> Tensor:
        """The first layer's features. Truncation scales z and the continuous codes."""
        scaled = self.latent_size + self.codes.continuous  # number of entries
        z = torch.cat([z[:, :scaled] * truncation, z[:, scaled:]], dim=1)
        return cast(Tensor, self.dense(z))


class InfoGANDiscriminator(Discriminator):
    """One image -> logits, and Q: the means of the continuous codes and the logits of each categorical one."""

    def __init__(
        self,
        codes: Codes,
        resolution: int = 32,  # shorter side of the image, pixels
        widths: Sequence[int] = (128, 64),  # channels of the features, up to half the resolution
        hidden: int = 1024,  # units of the last layer that the logits and Q share
        image_channels: int = 3,  # 1 grey, 3 RGB, 4 RGBA
        aspect: Sequence[int] = SQUARE,  # height and width of the image at resolution 4
    ) -> None:
        super().__init__()
        self.resolutions, self.feature_size = (resolution,), hidden
        height, width = coarsest_size(resolution, widths, checked_aspect(aspect))
        self.layers = nn.Sequential(strided_conv(image_channels, widths[-1], 4), nn.LeakyReLU(_LEAKY_SLOPE))
        for a, b in zip(widths[:0:-1], widths[-2::-1], strict=True):
            self.layers.extend(
                [strided_conv(a, b, 4, bias=False), PlainBatchNorm(b), nn.LeakyReLU(_LEAKY_SLOPE)]
            )
        self.layers.append(nn.Flatten())
        self.layers.append(dense_block(widths[0] * height * width, hidden, nn.LeakyReLU(_LEAKY_SLOPE)))
        self.logits = nn.Linear(hidden, 1)
        self.read = nn.Sequential(  # Q
            dense_block(hidden, _Q_UNITS, nn.LeakyReLU(_LEAKY_SLOPE)), nn.Linear(_Q_UNITS, codes.size)
        )
        init_weights(self)

    def forward(self, images: Sequence[Tensor], labels: Tensor | None = None) -> DiscriminatorOutput:  # noqa: ARG002
        """Evaluate images [(N, C, H, W)]: logits (N,), latents (N, codes.size)."""
        features = self.layers(images[-1])
        return DiscriminatorOutput(
            self.logits(features).flatten(), latents=self.read(features), features=features
        )
