"""The modern baseline's networks: sizes by hand, pictures that hold their coarser ones, growth, labels, gradients."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.architectures.modern import ModernDiscriminator, ModernGenerator, default_widths
from models.layers.resampling import upsample

WIDTHS = (8, 6, 4)  # of 16x16
NAMES = ("a", "b", "c")


def _count(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def _randomize(network: nn.Module) -> None:
    """Away from where it starts, where blocks and attention are the identity."""
    rng = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=rng, dtype=parameter.dtype) * 0.2)


def _generator(**more: object) -> ModernGenerator:
    torch.manual_seed(0)
    generator = ModernGenerator(16, WIDTHS, blocks=1, latent_size=12, **more)  # type: ignore[arg-type]
    _randomize(generator)
    return generator


def _discriminator(**more: object) -> ModernDiscriminator:
    torch.manual_seed(0)
    discriminator = ModernDiscriminator(16, WIDTHS, blocks=1, **more)  # type: ignore[arg-type]
    _randomize(discriminator)
    return discriminator


def _images(count: int, side: int, channels: int = 3, dtype: torch.dtype = torch.float32) -> Tensor:
    rng = torch.Generator().manual_seed(1)
    return torch.randn(count, channels, side, side, generator=rng, dtype=dtype)


def test_default_widths() -> None:
    assert default_widths(256) == (512, 512, 512, 256, 128, 64, 32)
    assert default_widths(1024) == (512, 512, 512, 256, 128, 64, 32, 16, 16)
    assert default_widths(8) == (512, 512)


def test_sizes_by_hand() -> None:
    """Of 64x64 with widths 128, 128, 96, 48, 24, and the default of 256x256 with two blocks per size."""
    block = {width: 2 * 9 * width * width + width for width in (512, 256, 128, 96, 64, 48, 32, 24)}
    body = 2 * block[128] + block[96] + block[48] + block[24]
    between = 128 * 128 + 128 * 96 + 96 * 48 + 48 * 24
    small = (64, (128, 128, 96, 48, 24), 1)
    assert _count(ModernDiscriminator(*small)) == body + between + 24 * 3 + 16 * 128 + 128 == 844_656
    assert _count(ModernGenerator(*small)) == body + between + 3 * 24 + 16 * 128 + 64 * 128 == 852_720
    grown = 3 * (24 + 48)  # toRGB
    assert _count(ModernGenerator(*small, smallest=32)) == body + between + grown + 16 * 128 + 64 * 128
    body = 2 * (3 * block[512] + block[256] + block[128] + block[64] + block[32])
    between = 2 * 512 * 512 + 512 * 256 + 256 * 128 + 128 * 64 + 64 * 32
    assert _count(ModernDiscriminator()) == body + between + 32 * 3 + 17 * 512 == 32_156_192
    assert _count(ModernGenerator()) == body + between + 3 * 32 + 16 * 512 + 64 * 512


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_a_picture_at_every_resolution(channels: int) -> None:
    generator = _generator(image_channels=channels)
    assert generator.resolutions == (4, 8, 16)
    images = generator(torch.randn(2, 12))
    assert [tuple(image.shape) for image in images] == [(2, channels, r, r) for r in (4, 8, 16)]
    discriminator = _discriminator(image_channels=channels)
    assert discriminator.resolutions == (16,)
    assert discriminator(images[-1:]).logits.shape == (2,)


def test_pictures_have_the_spread_of_data_at_first() -> None:
    torch.manual_seed(0)
    generator = ModernGenerator(64, (128, 128, 96, 48, 24), blocks=1)
    assert 0.5 < generator(torch.randn(64, 64))[-1].std() < 1.5


def test_coarse_pictures_are_fitted_to_the_finished_one() -> None:
    generator, z = _generator(), torch.randn(64, 12)
    assert [image.abs().max().item() > 0 for image in generator(z)] == [False, False, True]
    generator.refresh_statistics()
    *coarse, finished = (picture.detach() for picture in generator(z))
    for image in coarse:
        target = F.avg_pool2d(finished, 16 // image.shape[-1])
        assert (image - target).var() < 0.5 * target.var()


def test_the_stream_yields_a_picture_before_it_makes_the_next() -> None:
    generator = _generator()
    reached: list[int] = []
    for stage in generator.stages:
        stage.register_forward_hook(lambda _, __, x: reached.append(x.shape[-1]))
    z = torch.randn(1, 12)
    for number, image in enumerate(generator.stream(z)):
        assert reached == [4, 8, 16][: number + 1]
        assert image.shape[-1] == reached[-1]


@pytest.mark.parametrize("name", ["conv1", "conv2"])
def test_each_convolution_of_a_block_counts_and_the_second_starts_at_nothing(name: str) -> None:
    torch.manual_seed(0)
    block = ModernGenerator(8, (6, 6), blocks=1).stages[0][0]
    x = torch.randn(2, 6, 4, 4)
    assert torch.equal(block(x), x)
    with torch.no_grad():
        block.conv2.weight.normal_()
        before = block(x)
        getattr(block, name).weight.mul_(2)
    assert not torch.allclose(block(x), before)


def test_blocks_start_weaker_in_deeper_networks() -> None:
    """Fixup: the first convolution's spread falls with the root of the number of blocks, 7 and 28 here."""
    torch.manual_seed(0)
    spread = {}
    for blocks in (1, 4):
        network = ModernDiscriminator(256, (64,) * 7, blocks)
        weights = [m.weight for n, m in network.named_modules() if n.endswith("conv1")]
        assert len(weights) == 7 * blocks
        spread[blocks] = torch.stack(weights).std().item()  # type: ignore[arg-type]
    assert spread[1] == pytest.approx((2 / 1.04) ** 0.5 * (7 * 9 * 64) ** -0.5, rel=0.02)
    assert spread[1] / spread[4] == pytest.approx(2, rel=0.02)


def test_halving_is_the_transpose_of_doubling_and_keeps_constants() -> None:
    up = ModernGenerator(8, (3, 3)).stages[1][1]
    down = ModernDiscriminator(8, (3, 3), blocks=1).stages[1][1]
    coarse, fine = _images(2, 4).double(), _images(2, 8).double()
    torch.testing.assert_close((up(coarse) * fine).sum(), (coarse * down(fine)).sum() * 4)
    torch.testing.assert_close(down(torch.ones(1, 3, 8, 8)), torch.ones(1, 3, 4, 4))
    row = torch.zeros(1, 1, 1, 8)
    row[..., 2:6] = torch.tensor([1.0, 10.0, 100.0, 1000.0])
    weights = down(row.expand(1, 1, 8, 8).contiguous())[0, 0, 1]
    torch.testing.assert_close(weights[1:3] * 8, torch.tensor([3 + 30 + 100.0, 10 + 300 + 3000.0]))


def test_the_prior() -> None:
    z = _generator(class_names=NAMES).prior(4000, torch.Generator().manual_seed(0))
    noise, label = z[:, :12], z[:, 12:]
    assert noise.mean(0).abs().max() < 0.08  # five standard errors
    torch.testing.assert_close(noise.T @ noise / 4000, torch.eye(12), rtol=0, atol=0.12)
    assert label.sum(1).eq(1).all()
    assert label.mean(0).sub(1 / 3).abs().max() < 0.04


@pytest.mark.parametrize("class_names", [(), NAMES])
def test_truncation_draws_to_one_picture_of_each_label(class_names: tuple[str, ...]) -> None:
    generator = _generator(class_names=class_names)
    z = generator.prior(6, torch.Generator().manual_seed(0))
    if class_names:
        z = generator.with_labels(z, torch.tensor([0, 1, 2, 0, 1, 2]))
    full, half, none = (list(generator.stream(z, psi))[-1] for psi in (1.0, 0.5, 0.0))
    assert torch.equal(full, generator(z)[-1])
    torch.testing.assert_close(none[:3], none[3:])
    assert not torch.allclose(half, none)
    assert half.sub(none).norm() < full.sub(none).norm()
    assert torch.allclose(none[0], none[1]) == (class_names == ())


def test_other_labels_other_pictures_and_other_scores() -> None:
    generator, discriminator = _generator(class_names=NAMES), _discriminator(classes=3)
    generator.refresh_statistics()
    z = torch.cat([torch.randn(1, 12).expand(3, 12), torch.eye(3)], dim=1)
    pictures = generator(z)
    assert all(not torch.allclose(image[0], image[1]) for image in pictures)
    same = pictures[-1][:1].expand(3, -1, -1, -1)
    scores = discriminator([same], torch.tensor([0, 1, 1])).logits
    assert scores[0] != scores[1]
    torch.testing.assert_close(scores[1], scores[2])


def test_the_label_weighs_as_much_as_the_noise_at_first() -> None:
    torch.manual_seed(0)
    weight = ModernGenerator(8, (512, 8), latent_size=64, class_names=NAMES).modulate.weight
    assert weight[:, :64].square().sum(1).mean().item() == pytest.approx(1, abs=0.1)
    assert weight[:, 64:].square().mean().item() == pytest.approx(1, abs=0.15)


@pytest.mark.parametrize("attention", [(), (8,), (4, 16)])
def test_settings_build_the_same_network(attention: tuple[int, ...]) -> None:
    generator = _generator(image_channels=1, attention=attention, class_names=NAMES, smallest=4)
    generator.grow(8, 0.5)
    again = ModernGenerator(**generator.settings())
    again.load_state_dict(generator.state_dict())
    assert again.resolutions == (4, 8)
    assert again.class_names == NAMES
    z = generator.prior(2, torch.Generator().manual_seed(0))
    assert torch.equal(generator(z)[-1], again(z)[-1])


def test_growing_fades_from_the_upsampled_coarser_picture_to_the_new_one() -> None:
    generator, z = _generator(smallest=8), torch.randn(3, 12)

    def picture(resolution: int, blend: float) -> Tensor:
        generator.grow(resolution, blend)
        return generator(z)[-1]  # type: ignore[no-any-return]

    before, after = upsample(picture(8, 1.0)), picture(16, 1.0)
    torch.testing.assert_close(picture(16, 0.0), before)
    torch.testing.assert_close(picture(16, 0.25), torch.lerp(before, after, 0.25))
    assert not torch.allclose(before, after)


def test_judging_grows_from_the_coarser_picture() -> None:
    discriminator, fine = _discriminator(smallest=8), _images(3, 16)
    discriminator.grow(8, 1.0)
    assert discriminator.resolutions == (8,)
    coarse = discriminator([F.avg_pool2d(fine, 2)]).logits
    discriminator.grow(16, 0.0)
    assert discriminator.resolutions == (16,)
    torch.testing.assert_close(discriminator([fine]).logits, coarse)
    discriminator.grow(16, 0.5)
    half = discriminator([fine]).logits
    discriminator.grow(16, 1.0)
    assert not torch.allclose(half, coarse)
    assert not torch.allclose(half, discriminator([fine]).logits)


@pytest.mark.parametrize("attention", [(), (8, 16)])
def test_every_parameter_receives_a_gradient(attention: tuple[int, ...]) -> None:
    generator = _generator(attention=attention, class_names=NAMES, smallest=8)
    discriminator = _discriminator(attention=attention, classes=3, smallest=8)
    for network in (generator, discriminator):
        network.grow(16, 0.5)
    z = generator.prior(6, torch.Generator().manual_seed(0))
    labels = torch.tensor([0, 1, 2, 0, 1, 2])
    images = generator(generator.with_labels(z, labels))[-1:]
    discriminator(images, labels).logits.square().sum().backward()
    for network in (generator, discriminator):
        for name, parameter in network.named_parameters():
            assert parameter.grad is not None, name
            assert parameter.grad.isfinite().all(), name
            assert parameter.grad.ne(0).any(), name


def test_what_has_not_grown_receives_no_gradient() -> None:
    generator, discriminator = _generator(smallest=8), _discriminator(smallest=8)
    for network in (generator, discriminator):
        network.grow(8, 1.0)
    discriminator(generator(torch.randn(4, 12))[-1:]).logits.square().sum().backward()
    unused = {
        name
        for network in (generator, discriminator)
        for name, parameter in network.named_parameters()
        if parameter.grad is None
    }
    assert unused == {
        *(f"stages.2.{place}" for place in ("2.conv1.weight", "2.conv1.bias", "2.conv2.weight")),  # G's
        *("stages.2.0.weight", "to_rgb.16.weight"),
        *(f"stages.2.{place}" for place in ("0.conv1.weight", "0.conv1.bias", "0.conv2.weight")),  # D's
        *("stages.2.2.weight", "from_rgb.16.weight"),
    }


@pytest.mark.parametrize(("attention", "classes"), [((), 0), ((4, 8), 3)])
def test_the_discriminator_is_twice_differentiable(attention: tuple[int, ...], classes: int) -> None:
    torch.manual_seed(0)
    discriminator = ModernDiscriminator(8, (3, 2), 1, 1, attention, classes, smallest=4).double()
    _randomize(discriminator)
    discriminator.grow(8, 0.5)
    labels = torch.tensor([0, 2]) if classes else None
    image = _images(2, 8, 1, torch.float64).requires_grad_()

    def judge(image: Tensor) -> Tensor:
        return discriminator([image], labels).logits  # type: ignore[no-any-return]

    assert torch.autograd.gradcheck(judge, [image], fast_mode=True)
    assert torch.autograd.gradgradcheck(judge, [image], fast_mode=True)


def test_pictures_and_scores_are_float32_under_autocast() -> None:
    generator, discriminator = _generator(), _discriminator()
    with torch.autocast("cpu", torch.bfloat16):
        images = generator(torch.randn(2, 12))
        assert discriminator(images[-1:]).logits.dtype == torch.float32
    assert {image.dtype for image in images} == {torch.float32}


@pytest.mark.parametrize("network", [ModernGenerator, ModernDiscriminator])
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((12,), "resolution must be a power of two from 8 to 1024, not 12"),
        ((2048,), "resolution must be a power of two from 8 to 1024, not 2048"),
        ((16, (8, 8)), "widths must be 3 numbers from 1 to 4096, one per resolution from 4 to 16"),
        ((16, (8, 0, 8)), "widths must be 3 numbers from 1 to 4096, one per resolution from 4 to 16"),
        ((16, WIDTHS, 0), "blocks must be at least 1, not 0"),
    ],
)
def test_bad_arguments(network: type[nn.Module], arguments: tuple[object, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        network(*arguments)


def test_attention_where_there_is_no_level() -> None:
    for network in (ModernGenerator, ModernDiscriminator):
        with pytest.raises(ValueError, match="attention must be at some of the resolutions 4, 8, 16, not at"):
            network(16, WIDTHS, attention=(32,))


def test_no_room_for_noise_beside_the_labels() -> None:
    with pytest.raises(ValueError, match="latent_size must be at least 1, not 0"):
        ModernGenerator(16, WIDTHS, latent_size=0, class_names=NAMES)
