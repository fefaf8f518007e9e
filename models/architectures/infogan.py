"""InfoGAN: Interpretable Representation Learning by Information Maximizing GANs (Chen et al. 2016, arXiv 1606.03657),
appendix C.

A part of the latent vector are codes, which Q is to read off the picture. Q shares the discriminator's convolutions.

Deviations: codes that are continuous have a normal distribution of deviation 1 around what Q says, as in the authors'
code for its MNIST. See also `blocks.py`; pictures end in tanh.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from common.aspect import checked
from models.architectures.dcgan import draw_weights
from models.discriminator import Discriminator, DiscriminatorOutput
from models.layers.transposed import Painter, PaintingGenerator, PlainBatchNorm, dense, down, root_size

_LEAK = 0.1  # negative slope of leaky ReLUs (0.01 in the authors' code)
_READ = 128  # features of Q


@dataclass(frozen=True)
class Codes:
    """What the codes are: continuous ones, uniform on (-1, 1), then categorical ones, one hot, each drawn evenly."""

    continuous: int  # number of them
    categorical: tuple[int, ...]  # categories of each

    def __post_init__(self) -> None:
        if self.continuous < 0 or any(count < 2 for count in self.categorical) or self.size == 0:
            raise ValueError(
                "codes must be some continuous ones, or categorical ones of at least 2 categories each; "
                f"got {self.continuous} and {list(self.categorical)}"
            )

    @property
    def size(self) -> int:
        """Entries of the latent vector that they take, and parameters of Q's distributions."""
        return self.continuous + sum(self.categorical)

    def draw(self, count: int, rng: torch.Generator) -> Tensor:
        """Draw codes: (count, size)."""
        parts = [torch.rand(count, self.continuous, generator=rng) * 2 - 1]
        for categories in self.categorical:
            parts.append(F.one_hot(torch.randint(categories, (count,), generator=rng), categories).float())
        return torch.cat(parts, dim=1)

    def split(self, codes: Tensor) -> tuple[Tensor, list[Tensor]]:
        """(N, size) -> continuous ones (N, continuous), and each categorical one (N, categories)."""
        first, *others = torch.split(codes, [self.continuous, *self.categorical], dim=1)
        return first, others


class InfoGANGenerator(PaintingGenerator):
    """Noise, uniform on (-1, 1), and codes -> one image; coarser ones to look at.

    The codes are the end of the latent vector.
    """

    def __init__(
        self,
        resolution: int = 32,  # shorter side of the image, pixels
        widths: Sequence[int] = (128, 64),  # channels of the features, up to half the resolution
        hidden: int = 1024,  # units of the first layer
        noise_size: int = 62,  # length of the latent vector without the codes
        continuous: int = 2,  # codes that are continuous
        categorical: Sequence[int] = (10,),  # categories of each code that is categorical
        image_channels: int = 3,  # 1 grey, 3 RGB, 4 RGBA
        aspect: Sequence[int] = (4, 4),  # height and width of the picture at resolution 4
    ) -> None:
        super().__init__()
        self.codes = Codes(continuous, tuple(categorical))
        self.aspect = checked(aspect)
        self.widths, self.hidden, self.noise_size = tuple(widths), hidden, noise_size
        self.latent_size, self.image_channels = noise_size + self.codes.size, image_channels
        self.dense = dense(self.latent_size, hidden, nn.ReLU())
        self.painter = Painter(hidden, resolution, self.widths, image_channels, self.aspect, kernel=4)
        self.resolutions = self.painter.resolutions
        draw_weights(self)

    def prior(self, count: int, rng: torch.Generator) -> Tensor:
        """U(-1, 1), then the codes: (count, latent_size)."""
        noise = torch.rand(count, self.noise_size, generator=rng) * 2 - 1
        return torch.cat([noise, self.codes.draw(count, rng)], dim=1)

    def given(self, z: Tensor, truncation: float = 1.0) -> Tensor:
        """The first layer's features. Truncation makes noise and continuous codes smaller."""
        numbers = self.noise_size + self.codes.continuous
        z = torch.cat([z[:, :numbers] * truncation, z[:, numbers:]], dim=1)
        return cast(Tensor, self.dense(z))

    def settings(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            "resolution": self.resolutions[-1],
            "widths": list(self.widths),
            "hidden": self.hidden,
            "noise_size": self.noise_size,
            "continuous": self.codes.continuous,
            "categorical": list(self.codes.categorical),
            "image_channels": self.image_channels,
            "aspect": list(self.aspect),
        }


class InfoGANDiscriminator(Discriminator):
    """One image -> logits, and Q: the means of the continuous codes, and each categorical one's logits."""

    def __init__(
        self,
        codes: Codes,
        resolution: int = 32,  # shorter side of the image, pixels
        widths: Sequence[int] = (128, 64),  # channels of the features, up to half the resolution
        hidden: int = 1024,  # units of the last layer that logits and Q share
        image_channels: int = 3,  # 1 grey, 3 RGB, 4 RGBA
        aspect: Sequence[int] = (4, 4),  # height and width of the picture at resolution 4
    ) -> None:
        super().__init__()
        self.resolutions, self.feature_size = (resolution,), hidden
        height, width = root_size(resolution, widths, checked(aspect))
        self.layers = nn.Sequential(down(image_channels, widths[-1], 4), nn.LeakyReLU(_LEAK))
        for a, b in zip(widths[:0:-1], widths[-2::-1], strict=True):
            self.layers.extend([down(a, b, 4, bias=False), PlainBatchNorm(b), nn.LeakyReLU(_LEAK)])
        self.layers.append(nn.Flatten())
        self.layers.append(dense(widths[0] * height * width, hidden, nn.LeakyReLU(_LEAK)))
        self.logits = nn.Linear(hidden, 1)
        self.read = nn.Sequential(
            dense(hidden, _READ, nn.LeakyReLU(_LEAK)), nn.Linear(_READ, codes.size)
        )  # Q
        draw_weights(self)

    def forward(self, images: Sequence[Tensor], labels: Tensor | None = None) -> DiscriminatorOutput:  # noqa: ARG002
        """Judge the images [(N, C, H, W)]: logits (N,), latents (N, codes.size)."""
        features = self.layers(images[-1])
        return DiscriminatorOutput(
            self.logits(features).flatten(), latents=self.read(features), features=features
        )
