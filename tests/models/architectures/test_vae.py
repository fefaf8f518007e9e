"""The convolutional VAE: sizes, what it infers, and what it paints again."""

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Normal

from models.architectures.dcgan import DCGANGenerator
from models.architectures.vae import VAE, Reconstruction, gaussian


def _count(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def _vae(channels: int = 3, aspect: tuple[int, int] = (4, 4)) -> VAE:
    torch.manual_seed(0)
    return VAE(16, (8, 6), 5, channels, aspect)


def _reconstruct(vae: VAE, images: Tensor, noise: Tensor) -> tuple[Normal, Normal]:
    found: Reconstruction = vae(images, noise)
    assert isinstance(found.posterior, Normal)
    assert isinstance(found.likelihood, Normal)
    return found.posterior, found.likelihood


def test_its_size_by_hand() -> None:
    vae = VAE(64, (256, 128, 64, 32), latent_size=20)
    down = 16 * (3 * 32 + 32 * 64 + 64 * 128 + 128 * 256) + 32 + 64 + 128 + 256
    up = 16 * (256 * 128 + 128 * 64 + 64 * 32 + 32 * 3) + 128 + 64 + 32 + 3
    assert _count(vae.encoder) == down + 256 * 16 * 40 + 40
    assert _count(vae.decoder) == up + 20 * 256 * 16 + 256 * 16
    assert _count(vae) == _count(vae.encoder) + _count(vae.decoder) + 1


def test_gaussians_by_their_parameters() -> None:
    found = gaussian(torch.tensor([[1.0, 2.0, 0.0, -1.0]]))
    torch.testing.assert_close(found.mean, torch.tensor([[1.0, 2.0]]))
    torch.testing.assert_close(found.stddev, torch.tensor([[1.0, torch.e**-1]]))


@pytest.mark.parametrize(("channels", "aspect"), [(1, (4, 4)), (3, (4, 6)), (4, (7, 4))])
def test_pictures_of_any_channels_and_proportions(channels: int, aspect: tuple[int, int]) -> None:
    vae = _vae(channels, aspect)
    images = torch.rand(2, channels, 4 * aspect[0], 4 * aspect[1]) * 2 - 1
    posterior, likelihood = _reconstruct(vae, images, torch.randn(2, 5))
    assert posterior.mean.shape == (2, 5)
    assert likelihood.mean.shape == images.shape
    assert isinstance(vae.decoder, DCGANGenerator)
    assert vae.decoder.aspect == aspect


def test_the_decoder_paints_what_is_drawn_from_the_posterior() -> None:
    vae = _vae()
    images, noise = torch.rand(2, 3, 16, 16) * 2 - 1, torch.randn(2, 5)
    posterior, likelihood = _reconstruct(vae, images, noise)
    painted = vae.decoder(posterior.mean + noise * posterior.stddev)[-1]
    torch.testing.assert_close(likelihood.mean, (painted + 1) / 2)
    assert not torch.equal(likelihood.mean, _reconstruct(vae, images, -noise)[1].mean)


def test_pixels_share_a_deviation_that_is_learned() -> None:
    vae = _vae()
    with torch.no_grad():
        vae.log_deviation.fill_(-3)
    _, likelihood = _reconstruct(vae, torch.zeros(1, 3, 16, 16), torch.zeros(1, 5))
    torch.testing.assert_close(likelihood.stddev, torch.full((1, 3, 16, 16), torch.e**-3))
