"""Networks with labels and codes: CGAN, AC-GAN, InfoGAN, Stacked GAN, and the statistics network of MINE."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.architectures.ac_gan import ACGANDiscriminator, ACGANGenerator
from models.architectures.cgan import CGANDiscriminator, CGANGenerator
from models.architectures.dcgan_blocks import DecoderGenerator, strided_conv, transposed_conv
from models.architectures.infogan import Codes, InfoGANDiscriminator, InfoGANGenerator
from models.architectures.mine import Statistics
from models.architectures.stacked_gan import (
    Encoder,
    StackedGenerator,
    bottom_discriminator,
    top_discriminator,
)
from models.checkpoint import ARCHITECTURES
from models.discriminator import Discriminator
from models.generator import Generator
from models.layers.normalization import PlainBatchNorm

NAMES = ("cat", "dog", "fox")
CODES = Codes(2, (3, 4))
Aspect = tuple[int, int]
GENERATORS: dict[str, Callable[[int, Aspect], Generator]] = {
    "cgan": lambda c, f: CGANGenerator(NAMES, 16, 5, 6, 7, 8, c, f),
    "ac-gan": lambda c, f: ACGANGenerator(NAMES, 16, (6, 4), 5, c, f),
    "infogan": lambda c, f: InfoGANGenerator(16, (6, 4), 8, 5, 2, (3, 4), c, f),
    "stacked-gan": lambda c, f: StackedGenerator(NAMES, 16, (6, 4), 9, (5, 4), c, f),
}
DISCRIMINATORS: dict[str, Callable[[int, Aspect], Discriminator]] = {
    "cgan": lambda c, f: CGANDiscriminator(3, 16, 6, 5, 4, c, f),
    "ac-gan": lambda c, f: ACGANDiscriminator(3, 16, (4, 4, 6, 6, 8, 8), c, f),
    "infogan": lambda c, f: InfoGANDiscriminator(CODES, 16, (6, 4), 8, c, f),
}
EVERY = pytest.mark.parametrize("name", GENERATORS)
DECODERS = pytest.mark.parametrize("name", [name for name in GENERATORS if name != "cgan"])


def _count(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def _generator(name: str, channels: int = 3, aspect: Aspect = (4, 4)) -> Generator:
    torch.manual_seed(0)
    return GENERATORS[name](channels, aspect)


def _prior(generator: Generator, count: int = 6) -> Tensor:
    return generator.prior(count, torch.Generator().manual_seed(0))


def _pictures(count: int = 6) -> Tensor:
    return torch.rand(count, 3, 16, 16, generator=torch.Generator().manual_seed(1)) * 2 - 1


def test_cgans_networks_have_their_sizes_by_hand() -> None:
    names = [str(i) for i in range(10)]
    assert _count(CGANGenerator(names, image_channels=1)) == 101 * 200 + 11 * 1000 + 1201 * (1200 + 1024)
    by_hand = 1025 * 240 * 5 + 11 * 50 * 5 + (240 + 50 + 1) * 240 * 4 + 241
    assert _count(CGANDiscriminator(10, image_channels=1)) == by_hand


def test_ac_gans_networks_have_their_sizes_by_hand() -> None:
    by_hand = (
        110 * 768 * 64 + 2 * 768
        + 25 * (768 * 384 + 384 * 256 + 256 * 192) + 2 * (384 + 256 + 192)
        + 25 * 192 * 3 + 3
    )  # fmt: skip
    assert _count(ACGANGenerator([str(i) for i in range(10)])) == by_hand
    by_hand = (
        9 * 3 * 16 + 16
        + 9 * (16 * 32 + 32 * 64 + 64 * 128 + 128 * 256 + 256 * 512) + 2 * (32 + 64 + 128 + 256 + 512)
        + (512 * 16 * 16 + 1) * 11
    )  # fmt: skip
    assert _count(ACGANDiscriminator(10)) == by_hand


def test_infogans_networks_have_their_sizes_by_hand() -> None:
    by_hand = 74 * 1024 + 2 * 1024 + 1024 * 128 * 64 + 2 * 128 + 16 * 128 * 64 + 2 * 64 + 16 * 64 + 1
    assert _count(InfoGANGenerator(image_channels=1)) == by_hand
    by_hand = 16 * 64 + 64 + 16 * 64 * 128 + 2 * 128 + 128 * 64 * 1024 + 2 * 1024 + 1025
    of_q = 1024 * 128 + 2 * 128 + 129 * 12
    assert _count(InfoGANDiscriminator(Codes(2, (10,)), image_channels=1)) == by_hand + of_q


def test_stacked_gans_networks_have_their_sizes_by_hand() -> None:
    generator = StackedGenerator([str(i) for i in range(10)], image_channels=1)
    assert _count(generator.top) == (50 + 10 + 2) * 512 + (512 + 2) * 512 + 513 * 256
    by_hand = (
        (50 + 2) * 128 + (256 + 128) * 128 * 16 + 2 * 128
        + 25 * (128 * 128 + 128 * 64) + 2 * (128 + 64) + 25 * 64 + 1
    )  # fmt: skip
    assert _count(generator.bottom) == by_hand
    encoder = Encoder(10, 32, (32, 32), 256, 1, (4, 4))
    assert _count(encoder) == 26 * 32 + (25 * 32 + 1) * 32 + (32 * 64 + 1) * 256 + 2570
    heads = 257 * (1 + 50)
    assert _count(top_discriminator(256, 50)) == 2 * 257 * 256 + heads
    by_hand = 26 * 32 + (25 * 32 + 1) * 64 + (25 * 64 + 1) * 128 + (128 * 16 + 1) * 256 + heads
    assert _count(bottom_discriminator(32, (32, 64, 128), 50, 1, (4, 4))) == by_hand


@EVERY
@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("aspect", [(4, 4), (4, 6), (5, 4)])
def test_pictures_of_any_channels_and_proportions(name: str, channels: int, aspect: Aspect) -> None:
    generator = _generator(name, channels, aspect)
    images = generator(_prior(generator, 2))
    assert generator.resolutions[-1] == 16
    shapes = [(2, channels, r * aspect[0] // 4, r * aspect[1] // 4) for r in generator.resolutions]
    assert [tuple(image.shape) for image in images] == shapes
    assert images[-1].abs().max() <= 1
    if name in DISCRIMINATORS:
        assert DISCRIMINATORS[name](channels, aspect)(images[-1:], torch.tensor([0, 1])).logits.shape == (2,)
    else:
        encoder = Encoder(3, 16, (4, 4), 9, channels, aspect)
        assert encoder(images[-1]).shape == (2, 9)
        assert bottom_discriminator(16, (4, 4), 5, channels, aspect)(images[-1]).logits.shape == (2,)
    code = torch.randn(2, 3)
    assert Statistics(16, (6, 4), 3, channels, aspect)(images[-1], code).shape == (2,)


@EVERY
def test_settings_build_the_same_network(name: str) -> None:
    generator = _generator(name, 1, (4, 6)).eval()
    generator.refresh_statistics()
    again = ARCHITECTURES[name](**generator.settings()).eval()
    again.load_state_dict(generator.state_dict())
    z = _prior(generator, 2)
    for one, other in zip(generator(z), again(z), strict=True):
        assert torch.equal(one, other)


@DECODERS
def test_measured_pictures_are_those_of_training_and_coarse_ones_their_means(name: str) -> None:
    generator = _generator(name)
    assert isinstance(generator, DecoderGenerator)
    for module in generator.modules():
        if isinstance(module, nn.Linear | nn.ConvTranspose2d):
            nn.init.normal_(module.weight, std=0.3)
    with torch.no_grad():
        z = generator.prior(256, torch.Generator().manual_seed(5))
        trained = generator(z)[-1]
        generator.eval()
        before = (generator(z)[-1] - trained).abs().mean()
        assert all(image.eq(0).all() for image in generator(z)[:-1])
        generator.refresh_statistics()
        *coarse, finished = generator(z)
    assert (finished - trained).abs().mean() < 0.3 * before
    assert len(coarse) == 2
    for image in coarse:
        target = F.avg_pool2d(finished, 16 // image.shape[-1])
        assert (image - target).square().mean() < 0.9 * target.var()
    assert not any("previews" in name for name, _ in generator.named_parameters())


@pytest.mark.parametrize("name", ["cgan", "ac-gan", "stacked-gan"])
def test_other_labels_other_pictures(name: str) -> None:
    generator = _generator(name).eval()
    generator.refresh_statistics()
    assert generator.class_names == NAMES
    z = _prior(generator, 4)
    one, other = (
        generator(generator.with_labels(z, torch.tensor(labels)))[-1]
        for labels in ([0, 1, 2, 0], [0, 2, 2, 1])
    )
    changed = [not torch.equal(a, b) for a, b in zip(one, other, strict=True)]
    assert changed == [False, True, False, True]


@EVERY
def test_truncation_draws_noise_to_its_middle_and_keeps_what_is_one_hot(name: str) -> None:
    generator = _generator(name).eval()
    hot = 7 if name == "infogan" else 3
    middle = 0.5 if name in ("cgan", "stacked-gan") else 0.0
    z = _prior(generator)
    smaller = torch.cat([middle + (z[:, :-hot] - middle) * 0.3, z[:, -hot:]], dim=1)
    torch.testing.assert_close(list(generator.stream(z, 0.3))[-1], generator(smaller)[-1])


@pytest.mark.parametrize(
    ("name", "low", "high"), [("cgan", 0, 1), ("infogan", -1, 1), ("stacked-gan", 0, 1), ("ac-gan", -9, 9)]
)
def test_the_priors(name: str, low: float, high: float) -> None:
    generator = _generator(name)
    z = _prior(generator, 6000)
    hot = 7 if name == "infogan" else 3
    noise = z[:, :-hot]
    assert noise.min() >= low
    assert noise.max() <= high
    uniform = (high - low) / math.sqrt(12)
    expected = 1.0 if name == "ac-gan" else uniform
    torch.testing.assert_close(noise.std(0), torch.full((noise.shape[1],), expected), rtol=0.05, atol=0)
    for label in torch.split(z[:, -hot:], [3, 4] if hot == 7 else [3], dim=1):
        assert label.sum(1).eq(1).all()
        torch.testing.assert_close(
            label.mean(0), torch.full((label.shape[1],), 1 / label.shape[1]), rtol=0, atol=0.03
        )


def test_codes_are_split_as_they_are_drawn() -> None:
    drawn = CODES.draw(5, torch.Generator().manual_seed(0))
    numbers, choices = CODES.split(drawn)
    assert (CODES.size, drawn.shape) == (9, (5, 9))
    assert [choice.shape[1] for choice in choices] == [3, 4]
    assert torch.equal(torch.cat([numbers, *choices], 1), drawn)
    assert not numbers.eq(numbers.round()).any()
    with pytest.raises(ValueError, match=r"codes must be .* got 0 and \[\]"):
        Codes(0, ())
    with pytest.raises(ValueError, match=r"at least 2 categories each; got 1 and \[1\]"):
        Codes(1, (1,))


@pytest.mark.parametrize("name", DISCRIMINATORS)
def test_every_parameter_receives_a_gradient_from_all_of_the_output(name: str) -> None:
    generator, discriminator = _generator(name), DISCRIMINATORS[name](3, (4, 4))
    output = discriminator(generator(_prior(generator))[-1:], torch.tensor([0, 1, 2, 0, 1, 2]))
    heads = [head for head in (output.logits, output.classes, output.latents) if head is not None]
    assert len(heads) == {"cgan": 1, "ac-gan": 2, "infogan": 2}[name]
    torch.cat([head.flatten() for head in heads]).square().sum().backward()
    for network in (generator, discriminator):
        for parameter, value in network.named_parameters():
            assert value.grad is not None, parameter
            assert value.grad.abs().max() > 0, parameter


def test_heads_share_the_trunk_and_nothing_else() -> None:
    discriminator = DISCRIMINATORS["infogan"](3, (4, 4))
    output = discriminator([_pictures()])
    assert output.latents is not None
    assert output.latents.shape == (6, CODES.size)
    output.logits.sum().backward()
    untouched = {name for name, value in discriminator.named_parameters() if value.grad is None}
    assert untouched == {name for name, _ in discriminator.named_parameters() if name.startswith("read")}


def test_what_a_conditional_discriminator_says_depends_on_the_label() -> None:
    discriminator = DISCRIMINATORS["cgan"](3, (4, 4)).eval()
    one, other = (discriminator([_pictures(2)], torch.tensor(labels)).logits for labels in ([0, 1], [0, 2]))
    assert one[0] == other[0]
    assert one[1] != other[1]
    with pytest.raises(
        ValueError, match="the discriminator is conditional on 3 classes: pass the images' labels"
    ):
        discriminator([_pictures(2)])
    blind = DISCRIMINATORS["ac-gan"](3, (4, 4)).eval()
    one, other = (blind([_pictures(2)], torch.tensor(labels)).logits for labels in ([0, 1], [0, 2]))
    assert torch.equal(one, other)


def test_statistics_see_picture_and_code() -> None:
    torch.manual_seed(0)
    statistics, pictures, codes = Statistics(16, (6, 4), 3), _pictures(4), torch.randn(4, 3)
    for parameter in statistics.parameters():
        nn.init.normal_(parameter, std=0.2)
    pairs = statistics(pictures, codes)
    assert pairs.shape == (4,)
    assert not torch.allclose(pairs, statistics(pictures, codes.roll(1, 0)))
    assert not torch.allclose(pairs, statistics(pictures.roll(1, 0), codes))
    torch.testing.assert_close(pairs.roll(1, 0), statistics(pictures.roll(1, 0), codes.roll(1, 0)))


def test_dense_batch_norm_is_that_of_maps_of_one_pixel() -> None:
    torch.manual_seed(0)
    norm, x = PlainBatchNorm(5), torch.randn(8, 5) * 3 + 1
    expected = (x - x.mean(0)) / (x.var(0, correction=0) + 1e-5).sqrt()
    torch.testing.assert_close(norm(x), expected)
    torch.testing.assert_close(norm(x[:, :, None, None])[:, :, 0, 0], norm(x))


@pytest.mark.parametrize("kernel", [4, 5])
def test_transposed_convolutions_double_and_strided_ones_halve(kernel: int) -> None:
    x = torch.randn(1, 2, 4, 6)
    assert transposed_conv(2, 3, kernel)(x).shape == (1, 3, 8, 12)
    assert strided_conv(2, 3, kernel)(x).shape == (1, 3, 2, 3)


def test_the_encoder_pools_and_its_features_are_not_negative() -> None:
    torch.manual_seed(0)
    encoder = Encoder(3, 16, (4, 6), 9, 3, (4, 4))
    features = encoder(_pictures())
    assert features.shape == (6, 9)
    assert features.min() >= 0
    assert encoder.top(features).shape == (6, 3)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: CGANGenerator(()), "conditional: prepare the data with labels"),
        (lambda: CGANDiscriminator(0), "conditional: prepare the data with labels"),
        (lambda: ACGANGenerator(()), "conditional: prepare the data with labels"),
        (lambda: ACGANDiscriminator(0), "conditional: prepare the data with labels"),
        (lambda: StackedGenerator(()), "conditional: prepare the data with labels"),
        (lambda: CGANGenerator(NAMES, 48), "resolution must be a power of two from 8 to 1024, not 48"),
        (lambda: InfoGANGenerator(48), "resolution must be a power of two from 8 to 1024, not 48"),
        (lambda: InfoGANGenerator(16, (4, 4, 4)), "widths must be 1 to 2 numbers from 1 to 4096"),
        (lambda: ACGANGenerator(NAMES, 16, ()), "widths must be 1 to 2 numbers from 1 to 4096"),
        (lambda: StackedGenerator(NAMES, 16, (4, 0)), "widths must be 1 to 2 numbers from 1 to 4096"),
        (lambda: ACGANDiscriminator(3, 16, (4, 4)), "widths must be 6 numbers from 1 to 4096"),
        (lambda: CGANGenerator(NAMES, aspect=(3, 4)), "aspect must be"),
    ],
)
def test_bad_settings(build: Callable[[], Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build()
