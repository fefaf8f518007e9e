"""BEGAN's networks: sizes, shapes, what is a logits, and the coarse pictures."""

import pytest
import torch
from torch import nn

from models.architectures.began import BEGANDiscriminator, BEGANGenerator, Encoder
from models.checkpoint import load_generator, save_generator
from models.layers.resampling import upsample


def _count(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def _generator(channels: int = 3, aspect: tuple[int, int] = (4, 4)) -> BEGANGenerator:
    torch.manual_seed(0)
    return BEGANGenerator(32, 6, 5, channels, aspect)


def _discriminator(channels: int = 3, aspect: tuple[int, int] = (4, 4)) -> BEGANDiscriminator:
    torch.manual_seed(0)
    return BEGANDiscriminator(32, 6, 5, channels, aspect)


def _conv(c_in: int, c_out: int) -> int:
    return 9 * c_in * c_out + c_out


def test_the_papers_sizes_by_hand() -> None:
    n, h = 128, 64
    decoder = (h + 1) * 64 * n + 8 * _conv(n, n) + _conv(n, 3)
    encoder = _conv(3, n) + 2 * _conv(n, n)
    for i in (1, 2, 3):
        encoder += _conv(i * n, i * n) + _conv(i * n, (i + 1) * n) + _conv((i + 1) * n, (i + 1) * n)
    encoder += 64 * 4 * n * h + h
    assert _count(BEGANGenerator(64)) == decoder == 1_716_611
    assert _count(BEGANDiscriminator(64)) == encoder + decoder == 13_405_379


@pytest.mark.parametrize("resolution", [8, 16, 128])
def test_any_size(resolution: int) -> None:
    generator = BEGANGenerator(resolution, 4, 5)
    pictures = generator(generator.prior(2, torch.Generator()))
    sides = [8 << level for level in range(resolution.bit_length() - 3)]
    assert list(generator.resolutions) == sides
    assert [tuple(picture.shape) for picture in pictures] == [(2, 3, side, side) for side in sides]
    assert BEGANDiscriminator(resolution, 4, 5)(pictures).logits.shape == (2,)


@pytest.mark.parametrize(("channels", "aspect"), [(1, (4, 6)), (4, (7, 4))])
def test_pictures_of_any_channels_and_proportions(channels: int, aspect: tuple[int, int]) -> None:
    generator = _generator(channels, aspect)
    pictures = generator(generator.prior(2, torch.Generator()))
    assert pictures[-1].shape == (2, channels, 8 * aspect[0], 8 * aspect[1])
    assert _discriminator(channels, aspect)(pictures[-1:]).logits.shape == (2,)


def test_a_score_is_minus_the_mean_absolute_error() -> None:
    discriminator, images = _discriminator(), torch.rand(3, 3, 32, 32) * 2 - 1
    again = discriminator.decoder(discriminator.encoder(images))
    expected = -(images - again).abs().flatten(1).mean(1)
    torch.testing.assert_close(discriminator([images]).logits, expected)
    discriminator.decoder.to_image.weight.data.zero_()
    torch.testing.assert_close(discriminator([images]).logits, -images.abs().mean((1, 2, 3)))


def test_scales_are_doubled_to_the_nearest_pixel() -> None:
    """The second scale's first convolution is that of the enlarged first features."""
    decoder = _generator().decoder
    first, second, _ = decoder.features(torch.randn(2, 5))
    up, conv = decoder.scales[1]  # type: ignore[misc]
    expected = nn.functional.elu(nn.functional.conv2d(upsample(first), up[0].weight, up[0].bias, padding=1))
    torch.testing.assert_close(conv(expected), second, rtol=1e-4, atol=1e-5)


def test_nothing_follows_the_embedding_and_the_picture() -> None:
    """Outputs are linear: they scale with the last layer's weights."""
    encoder = Encoder(32, 6, 5, 3, (4, 4))
    decoder = _generator().decoder
    images, h = torch.randn(2, 3, 32, 32), torch.randn(2, 5)
    for network, last, x in ((encoder, encoder[-1], images), (decoder, decoder.to_image, h)):
        last.bias.data.zero_()
        before = network(x)
        last.weight.data *= -30
        torch.testing.assert_close(network(x), -30 * before)


def test_channels_grow_by_n_at_each_coarser_scale() -> None:
    channels = [m.out_channels for m in _discriminator().encoder.modules() if isinstance(m, nn.Conv2d)]
    assert channels == [6, 6, 6, 6, 12, 12, 12, 18, 18]


def test_the_prior_is_uniform() -> None:
    z = _generator().prior(4000, torch.Generator().manual_seed(0))
    assert z.min() >= -1
    assert z.max() <= 1
    assert z.mean().abs() < 0.02
    torch.testing.assert_close(z.var(), torch.tensor(1 / 3), rtol=0.02, atol=0)


def test_features_keep_their_spread_at_first() -> None:
    generator = BEGANGenerator(64, 32, 64)
    deviations = [x.std().item() for x in generator.decoder.features(torch.randn(16, 64))]
    assert 0.2 < min(deviations) < max(deviations) < 2


def test_coarse_pictures_resemble_the_finished_one() -> None:
    generator = _generator().eval()
    generator.refresh_statistics()
    *coarse, picture = generator(generator.prior(64, torch.Generator().manual_seed(1)))
    for image in coarse:
        target = nn.functional.avg_pool2d(picture, 32 // image.shape[-1])
        assert (image - target).square().mean() < 0.9 * (
            target - target.mean((0, 2, 3), keepdim=True)
        ).square().mean()


def test_truncation_makes_the_noise_smaller() -> None:
    generator = _generator()
    z = generator.prior(1, torch.Generator().manual_seed(0))
    assert torch.equal(list(generator.stream(z, 0.5))[-1], generator(z / 2)[-1])


def test_the_stream_yields_a_picture_before_it_makes_the_next() -> None:
    generator, reached = _generator(), []
    for number, scale in enumerate(generator.decoder.scales):
        scale.register_forward_hook(lambda *_, number=number: reached.append(number))
    stream = generator.stream(torch.randn(1, 5))
    for made in ([0], [0, 1], [0, 1, 2]):
        next(stream)
        assert reached == made


def test_a_model_folder_gives_the_same_pictures(tmp_path_factory: pytest.TempPathFactory) -> None:
    generator = _generator(1, (4, 6)).eval()
    generator.refresh_statistics()
    folder = tmp_path_factory.mktemp("model")
    save_generator(generator, folder, {})
    z = generator.prior(2, torch.Generator().manual_seed(0))
    for one, other in zip(load_generator(folder)(z), generator(z), strict=True):
        assert torch.equal(one, other)


def test_a_bad_resolution() -> None:
    for kind in (BEGANGenerator, BEGANDiscriminator):
        with pytest.raises(ValueError, match="resolution must be a power of two from 8 to 1024, not 48"):
            kind(48)
