"""Generative Adversarial Nets (Goodfellow et al. 2014, arXiv 1406.2661): the dense networks for digits.

Sizes and initialization are those of the authors' code for MNIST.

Deviations: z is N(0, I), and images end in tanh, the counterpart of the sigmoid for the range [-1, 1]; the output's
bias is 0 at first, not the data's mean; sizes are powers of two.
"""

import math
from collections.abc import Iterator, Sequence
from typing import cast

import torch
from torch import Tensor, nn

from common.aspect import SQUARE, checked_aspect, size_at
from models.discriminator import Discriminator, DiscriminatorOutput
from models.generator import Generator, check_resolution
from models.layers.dropout import Dropout


def _dense(n_in: int, n_out: int, limit: float) -> nn.Linear:
    """A dense layer, its weights from U(-limit, limit), its bias 0."""
    layer = nn.Linear(n_in, n_out)
    nn.init.uniform_(layer.weight, -limit, limit)
    nn.init.zeros_(layer.bias)
    return layer


class MLPGenerator(Generator):
    """z ~ N(0, I) -> two ReLU layers -> the image, in [-1, 1] by tanh."""

    architecture = "mlp"

    def __init__(
        self,
        resolution: int = 32,  # shorter side of the image, pixels
        hidden: int = 1200,  # units of each hidden layer
        latent_size: int = 100,  # length of z
        image_channels: int = 3,  # 1 grey, 3 RGB, 4 RGBA
        aspect: Sequence[int] = SQUARE,  # height and width of the image at resolution 4
    ) -> None:
        super().__init__()
        check_resolution(resolution)
        self.resolutions, self.aspect = (resolution,), checked_aspect(aspect)
        self.latent_size = self.input_size = latent_size
        self.image_channels = image_channels
        self.shape = (image_channels, *size_at(resolution, self.aspect))
        self.layers = nn.Sequential(
            *(_dense(latent_size, hidden, 0.05), nn.ReLU()),
            *(_dense(hidden, hidden, 0.05), nn.ReLU()),
            *(_dense(hidden, math.prod(self.shape), 0.05), nn.Tanh()),
        )

    def prior(self, count: int, rng: torch.Generator) -> Tensor:
        """Z ~ N(0, I): (count, input_size)."""
        return torch.randn(count, self.latent_size, generator=rng)

    def stream(self, z: Tensor, truncation: float = 1.0) -> Iterator[Tensor]:
        """Yield the image (N, image_channels, H, W). Truncation scales z."""
        yield self.layers(z * truncation).view(z.shape[0], *self.shape)


class Maxout(nn.Module):
    """The maximum of several dense layers, unit by unit (Goodfellow et al. 2013, arXiv 1302.4389).

    (N, n_in) -> (N, units).
    """

    def __init__(
        self,
        n_in: int,  # input features
        units: int,  # output features
        pieces: int,  # number of dense layers
    ) -> None:
        super().__init__()
        self.dense = _dense(n_in, units * pieces, 0.005)
        self.pieces = pieces

    def forward(self, x: Tensor) -> Tensor:
        """Take the maximum over the pieces."""
        return cast(Tensor, self.dense(x).view(len(x), -1, self.pieces).amax(2))


class MaxoutDiscriminator(Discriminator):
    """The image -> two maxout layers -> logits, with dropout of 0.2 before the first and 0.5 before the others."""

    def __init__(
        self,
        resolution: int = 32,  # shorter side of the image, pixels
        units: int = 240,  # of each hidden layer
        pieces: int = 5,  # dense layers that maxout takes the maximum of
        image_channels: int = 3,  # 1 grey, 3 RGB, 4 RGBA
        aspect: Sequence[int] = SQUARE,  # height and width of the image at resolution 4
    ) -> None:
        super().__init__()
        check_resolution(resolution)
        self.resolutions, self.feature_size = (resolution,), units
        inputs = image_channels * math.prod(size_at(resolution, checked_aspect(aspect)))
        self.layers = nn.Sequential(
            *(Dropout(0.2), Maxout(inputs, units, pieces)),
            *(Dropout(0.5), Maxout(units, units, pieces)),
            *(Dropout(0.5), _dense(units, 1, 0.005)),
        )

    def forward(self, images: Sequence[Tensor], labels: Tensor | None = None) -> DiscriminatorOutput:  # noqa: ARG002
        """Evaluate images [(N, C, H, W)]: logits (N,)."""
        features = self.layers[:-2](images[-1].flatten(1))
        return DiscriminatorOutput(self.layers[-2:](features).flatten(), features=features)
