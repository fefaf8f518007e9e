"""VAE: Auto-Encoding Variational Bayes (Kingma and Welling 2014, arXiv 1312.6114), with convolutions.

An encoder infers mean and standard deviation of an image's latent vector, a decoder those of the image's pixels. The
decoder is DCGAN's generator (`dcgan.py`); it is what is exported.

Deviations:
- Both networks are convolutional, mirror images of each other; the paper's have one hidden layer. They have no batch
  norm: images are sampled from the prior, where features may have other statistics than in training.
- All pixels have the same standard deviation, which is learned (as in sigma-VAE, Rybkin et al. 2021, arXiv 2006.13202).
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Normal

from common.aspect import SQUARE, checked_aspect
from models.architectures.dcgan import DCGANGenerator, init_weights
from models.architectures.dcgan_blocks import strided_conv
from models.generator import Generator


class Reconstruction(NamedTuple):
    """An autoencoder's distributions for a batch of images."""

    posterior: Distribution  # q(z | x) of each entry of z, (N, latent_size)
    likelihood: Distribution  # p(x | z) of each value of the image in [0, 1], (N, C, H, W)


class Autoencoder(nn.Module, ABC):
    """A network that infers an image's latent vector and reconstructs the image from it."""

    decoder: Generator  # whose prior is N(0, I)

    @abstractmethod
    def forward(self, images: Tensor, noise: Tensor) -> Reconstruction:
        """Reconstruct the images.

        Args:
            images: (N, C, H, W) in [-1, 1].
            noise: drawn from the decoder's prior, (N, latent_size); the posterior is sampled with it.
        """


def gaussian(parameters: Tensor) -> Normal:
    """The Gaussians (N, n) with parameters (N, 2n): means, then logarithms of standard deviations."""
    mean, log_deviation = parameters.float().chunk(2, dim=1)
    return Normal(mean, log_deviation.exp(), validate_args=False)


class VAE(Autoencoder):
    """A convolutional autoencoder with Gaussian latent vectors and Gaussian pixels."""

    def __init__(
        self,
        resolution: int = 64,  # shorter side of the image, pixels
        widths: Sequence[int] | None = None,  # channels at 4x4, ..., resolution / 2; None for DCGAN's
        latent_size: int = 128,  # length of z
        image_channels: int = 3,  # 1 grey, 3 RGB, 4 RGBA
        aspect: Sequence[int] = SQUARE,  # height and width of the image at resolution 4
    ) -> None:
        super().__init__()
        decoder = DCGANGenerator(resolution, widths, latent_size, image_channels, "none", aspect)
        channels = [image_channels, *reversed(decoder.widths)]
        self.encoder = nn.Sequential()
        for c_in, c_out in pairwise(channels):
            self.encoder.extend([strided_conv(c_in, c_out, 4), nn.ReLU()])
        features = channels[-1] * math.prod(checked_aspect(aspect))
        self.encoder.extend([nn.Flatten(), nn.Linear(features, 2 * latent_size)])
        self.decoder = decoder
        self.log_deviation = nn.Parameter(torch.tensor(-2.0))  # of a pixel in [0, 1]
        init_weights(self, deviation=None)

    def forward(self, images: Tensor, noise: Tensor) -> Reconstruction:
        """Reconstruct images (N, C, H, W) in [-1, 1] from noise (N, latent_size)."""
        posterior = gaussian(self.encoder(images))
        latents = posterior.mean + posterior.stddev * noise
        image = cast(list[Tensor], self.decoder(latents))[-1].float()
        pixels = Normal((image + 1) / 2, self.log_deviation.exp(), validate_args=False)
        return Reconstruction(posterior, pixels)
