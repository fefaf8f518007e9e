"""Networks for points of Stacked GAN (see `models/architectures/stacked_gan.py`): dense_block, of one run.

Each is what the network of pictures is to the players, and is called alike.
"""

from collections.abc import Iterator
from typing import cast

import torch
from torch import Tensor, nn

from models.architectures.dcgan_blocks import dense_block
from models.architectures.stacked_gan import BottomGenerator, Encoder, LevelDiscriminator, TopGenerator
from models.generator import Generator


def _hidden(n_in: int, hidden: int) -> nn.Sequential:
    """Two layers of ReLUs: (N, ...) of n_in numbers -> (N, hidden)."""
    return nn.Sequential(
        *(nn.Flatten(), nn.Linear(n_in, hidden), nn.ReLU()),
        *(nn.Linear(hidden, hidden), nn.ReLU()),
    )


def _normed(n_in: int, hidden: int) -> nn.Sequential:
    """Two layers of ReLUs with batch norm: (N, n_in) -> (N, hidden)."""
    return nn.Sequential(dense_block(n_in, hidden, nn.ReLU()), dense_block(hidden, hidden, nn.ReLU()))


class PointEncoder(Encoder):
    """A classifier of points (N, 2, 1, 1), in two parts: to features (N, hidden), and to logits."""

    def __init__(
        self,
        classes: int,  # number of labels
        hidden: int,  # units of both hidden layers, the features the last ones
    ) -> None:
        nn.Module.__init__(self)
        self.bottom, self.top = _hidden(2, hidden), nn.Linear(hidden, classes)


class FeatureGenerator(TopGenerator):
    """G1: labels, one hot (N, classes), and noise (N, latent_size) -> features (N, hidden)."""

    def __init__(
        self,
        classes: int,  # number of labels
        latent_size: int,  # length of the noise
        hidden: int,  # units of both hidden layers and length of the features
    ) -> None:
        nn.Module.__init__(self)
        self.latent_size = latent_size
        self.layers = _normed(latent_size + classes, hidden).extend([nn.Linear(hidden, hidden), nn.ReLU()])


class FeaturePointGenerator(BottomGenerator):
    """G0: features (N, hidden) and noise (N, latent_size) -> points (N, 2, 1, 1)."""

    def __init__(
        self,
        latent_size: int,  # length of the noise
        hidden: int,  # length of the features and units of both hidden layers
    ) -> None:
        nn.Module.__init__(self)
        self.latent_size = latent_size
        self.of_noise = nn.Sequential()
        self.layers = _normed(latent_size + hidden, hidden).append(nn.Linear(hidden, 2))

    def forward(self, features: Tensor, noise: Tensor) -> Tensor:
        """Make points that the features are of."""
        return cast(Tensor, self.layers(self.decoder_input(features, noise)).view(-1, 2, 1, 1))


class StackedPointGenerator(Generator):
    """G0(G1(label, z1), z0). The latent vector is z1, z0, both uniform on (0, 1), and the label."""

    def __init__(
        self,
        hidden: int,  # units of all hidden layers
        latent_size: int,  # length of z1 and of z0
        classes: int,  # number of labels
    ) -> None:
        super().__init__()
        self.resolutions, self.image_channels = (1,), 2
        self.hidden, self.latent_size, self.class_names = hidden, latent_size, tuple(map(str, range(classes)))
        self.input_size = 2 * latent_size + classes
        self.top = FeatureGenerator(classes, latent_size, hidden)
        self.bottom = FeaturePointGenerator(latent_size, hidden)

    def prior(self, count: int, rng: torch.Generator) -> Tensor:
        """U(0, 1), then a label: (count, input_size)."""
        return self.with_random_labels(torch.rand(count, 2 * self.latent_size, generator=rng), rng)

    def stream(self, z: Tensor, truncation: float = 1.0) -> Iterator[Tensor]:
        """Yield the points (N, 2, 1, 1). Truncation draws the noise towards 1/2."""
        noise, label = torch.split(z, [2 * self.latent_size, len(self.class_names)], 1)
        first, second = (0.5 + (noise - 0.5) * truncation).chunk(2, 1)
        yield self.bottom(self.top(label, first), second)


class PointLevelDiscriminator(LevelDiscriminator):
    """D_i: samples of a level -> logits (N,), and Q_i, which shares its layers."""

    def __init__(
        self,
        n_in: int,  # numbers of a sample
        hidden: int,  # units of both hidden layers
        latent_size: int,  # length of the level's noise
    ) -> None:
        nn.Module.__init__(self)
        self.trunk = _hidden(n_in, hidden)
        self.logits, self.read = nn.Linear(hidden, 1), nn.Linear(hidden, latent_size)
