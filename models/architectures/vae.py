"""VAE: Auto-Encoding Variational Bayes (Kingma and Welling 2014, arXiv 1312.6114), with convolutions.

An encoder tells the mean and the standard deviation of a picture's latent vector, a decoder those of the picture's
pixels. The decoder is DCGAN's generator (`dcgan.py`), and it is what ships.

Deviations:
- Both networks are convolutional, mirror images of each other; the paper's have one hidden layer. They have no batch
  norm: pictures are painted from the prior, whose statistics need not be those of training's latent vectors.
- Every pixel has the same standard deviation, which is learned (as in sigma-VAE, Rybkin et al. 2021, arXiv 2006.13202).
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Normal

from common.aspect import SQUARE, checked
from models.architectures.dcgan import DCGANGenerator, draw_weights
from models.generator import Generator
from models.layers.transposed import down


class Reconstruction(NamedTuple):
    """What an auto-encoder makes of a batch of pictures."""

    posterior: Distribution  # q(z | x) of each latent number, (N, latent_size)
    likelihood: Distribution  # p(x | z) of each number of the picture in [0, 1], (N, C, H, W)


class Autoencoder(nn.Module, ABC):
    """A network that infers a picture's latent vector, and paints the picture again."""

    decoder: Generator  # whose prior is N(0, I)

    @abstractmethod
    def forward(self, images: Tensor, noise: Tensor) -> Reconstruction:
        """Reconstruct the images.

        Args:
            images: (N, C, H, W) in [-1, 1].
            noise: drawn from the decoder's prior, (N, latent_size); it makes the sample of the posterior.
        """


def gaussian(parameters: Tensor) -> Normal:
    """The Gaussians (N, n) whose means, then logarithms of standard deviations, are parameters (N, 2n)."""
    mean, log_deviation = parameters.float().chunk(2, dim=1)
    return Normal(mean, log_deviation.exp(), validate_args=False)


class VAE(Autoencoder):
    """A convolutional auto-encoder with Gaussian latent vectors and Gaussian pixels."""

    def __init__(
        self,
        resolution: int = 64,  # shorter side of the image, pixels
        widths: Sequence[int] | None = None,  # channels at 4x4, ..., resolution / 2; None for DCGAN's
        latent_size: int = 128,  # length of z
        image_channels: int = 3,  # 1 grey, 3 RGB, 4 RGBA
        aspect: Sequence[int] = SQUARE,  # height and width of the picture at resolution 4
    ) -> None:
        super().__init__()
        decoder = DCGANGenerator(resolution, widths, latent_size, image_channels, "none", aspect)
        channels = [image_channels, *reversed(decoder.widths)]
        self.encoder = nn.Sequential()
        for c_in, c_out in pairwise(channels):
            self.encoder.extend([down(c_in, c_out, 4), nn.ReLU()])
        features = channels[-1] * math.prod(checked(aspect))
        self.encoder.extend([nn.Flatten(), nn.Linear(features, 2 * latent_size)])
        self.decoder = decoder
        self.log_deviation = nn.Parameter(torch.tensor(-2.0))  # of a pixel in [0, 1]
        draw_weights(self, deviation=None)

    def forward(self, images: Tensor, noise: Tensor) -> Reconstruction:
        """Reconstruct images (N, C, H, W) in [-1, 1] by noise (N, latent_size)."""
        posterior = gaussian(self.encoder(images))
        latents = posterior.mean + posterior.stddev * noise
        picture = cast(list[Tensor], self.decoder(latents))[-1].float()
        pixels = Normal((picture + 1) / 2, self.log_deviation.exp(), validate_args=False)
        return Reconstruction(posterior, pixels)
