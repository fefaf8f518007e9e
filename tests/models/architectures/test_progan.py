"""ProGAN's networks: sizes, shapes, growth, labels, and the ways of the gradient."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.architectures.progan import ProGANDiscriminator, ProGANGenerator, paper_widths
from models.checkpoint import load_generator, save_generator
from models.layers.normalization import PixelNorm
from models.layers.resampling import upsample

WIDTHS = (8, 6, 4)  # at 4x4, 8x8, 16x16
STAGES = [(4, 1.0), (8, 0.25), (8, 1.0), (16, 0.75), (16, 1.0)]


def _count(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def _generator(seed: int = 0, **changes: object) -> ProGANGenerator:
    torch.manual_seed(seed)
    return ProGANGenerator(**{"resolution": 16, "widths": WIDTHS, "latent_size": 12, **changes})  # type: ignore[arg-type]


def _discriminator(**changes: object) -> ProGANDiscriminator:
    torch.manual_seed(0)
    return ProGANDiscriminator(**{"resolution": 16, "widths": WIDTHS, **changes})  # type: ignore[arg-type]


def _latents(count: int = 3) -> Tensor:
    return torch.randn(count, 12, generator=torch.Generator().manual_seed(1))


def _images(side: int, count: int = 4, channels: int = 3) -> Tensor:
    return torch.randn(count, channels, side, side, generator=torch.Generator().manual_seed(2))


def _touched(network: nn.Module) -> set[str]:
    """Names of the parameters with a gradient that is not zero everywhere, up to `.weight` or `.bias`."""
    return {
        name.rpartition(".")[0]
        for name, parameter in network.named_parameters()
        if parameter.grad is not None and parameter.grad.ne(0).any()
    }


def test_table_2s_widths() -> None:
    assert paper_widths(1024) == (512, 512, 512, 512, 256, 128, 64, 32, 16)
    assert paper_widths(64) == (512, 512, 512, 512, 256)
    assert paper_widths(8) == (512, 512)


def test_the_papers_networks_have_their_sizes() -> None:
    """As the authors' code reports them at 1024x1024."""
    with torch.device("meta"):
        assert _count(ProGANGenerator(1024)) == 23_079_115
        assert _count(ProGANDiscriminator(1024)) == 23_087_249


def test_the_sizes_by_hand() -> None:
    # Per convolution: kernel^2 x inputs x outputs + outputs.
    generator = (
        (16 * 12 * 8 + 8) + (9 * 8 * 8 + 8)  # 4x4
        + (9 * 8 * 6 + 6) + (9 * 6 * 6 + 6)  # 8x8
        + (9 * 6 * 4 + 4) + (9 * 4 * 4 + 4)  # 16x16
        + (8 * 3 + 3) + (6 * 3 + 3) + (4 * 3 + 3)  # toRGB
    )  # fmt: skip
    discriminator = (
        (3 * 8 + 8) + (3 * 6 + 6) + (3 * 4 + 4)  # fromRGB
        + (9 * 4 * 4 + 4) + (9 * 4 * 6 + 6)  # 16x16
        + (9 * 6 * 6 + 6) + (9 * 6 * 8 + 8)  # 8x8
        + (9 * 9 * 8 + 8) + (16 * 8 * 8 + 8) + (8 + 1)  # 4x4, with the deviation's channel
    )  # fmt: skip
    assert _count(_generator()) == generator
    assert _count(_discriminator()) == discriminator
    assert _count(_discriminator(classes=5)) == discriminator + 5 * (8 + 1)


def test_the_first_layer_is_table_2s_convolution_with_the_authors_gain() -> None:
    layer = _generator().latent_conv
    with torch.no_grad():
        layer.bias.copy_(torch.arange(8.0).view(8, 1, 1))
    assert layer.scale == pytest.approx(2**0.5 / 4 / 12**0.5)
    z = _latents()
    kernel = layer.weight.flip(2, 3) * layer.scale
    expected = F.conv2d(z[:, :, None, None], kernel, layer.bias.flatten(), padding=3)
    torch.testing.assert_close(layer(z), expected)


def test_the_last_layers_have_gain_one() -> None:
    generator, discriminator = _generator(), _discriminator()
    assert [layer.scale for layer in generator.to_rgb] == pytest.approx([8**-0.5, 6**-0.5, 4**-0.5])
    assert discriminator.output.scale == pytest.approx(8**-0.5)
    assert [layer.scale for layer in discriminator.from_rgb] == pytest.approx([(2 / 3) ** 0.5] * 3)


def test_pixel_norm_on_the_latent_vector_and_after_every_convolution() -> None:
    generator = _generator()
    normalised: list[Tensor] = []
    for module in generator.modules():
        if isinstance(module, PixelNorm):
            module.register_forward_hook(lambda *hooked: normalised.append(hooked[2]))
    fed: list[Tensor] = []
    for layer in (generator.latent_conv, generator.conv, *generator.to_rgb):
        layer.register_forward_pre_hook(lambda _, inputs: fed.append(inputs[0]))
    generator(_latents() * 100)
    assert len(normalised) == 1 + 2 * 3
    for x in (*normalised, *fed):
        torch.testing.assert_close(x.square().mean(1), torch.ones_like(x[:, 0]), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_a_picture_at_every_resolution(channels: int) -> None:
    generator, discriminator = _generator(image_channels=channels), _discriminator(image_channels=channels)
    assert generator.resolutions == (4, 8, 16)
    assert discriminator.resolutions == (16,)
    images = generator(_latents(4))
    assert [tuple(image.shape) for image in images] == [(4, channels, r, r) for r in (4, 8, 16)]
    output = discriminator(images[-1:])
    assert output.logits.shape == (4,)
    assert output.classes is None


@pytest.mark.parametrize(("resolution", "blend"), STAGES)
def test_pictures_as_far_as_grown(resolution: int, blend: float) -> None:
    generator, discriminator = _generator(), _discriminator()
    for network in (generator, discriminator):
        network.grow(resolution, blend)
    sides = tuple(side for side in (4, 8, 16) if side <= resolution)
    assert generator.resolutions == sides
    assert discriminator.resolutions == (resolution,)
    images = generator(_latents(4))
    assert tuple(image.shape[-1] for image in images) == sides
    assert discriminator(images[-1:]).logits.shape == (4,)


@pytest.mark.parametrize("side", [8, 16])
def test_a_fade_goes_from_the_upsampled_coarser_picture_to_the_new_one(side: int) -> None:
    generator, z = _generator(), _latents()

    def picture(resolution: int, blend: float) -> Tensor:
        generator.grow(resolution, blend)
        return generator(z)[-1]  # type: ignore[no-any-return]

    before, after = upsample(picture(side // 2, 1.0)), picture(side, 1.0)
    assert torch.equal(picture(side, 0.0), before)
    torch.testing.assert_close(picture(side, 0.25), 0.75 * before + 0.25 * after)
    assert not torch.allclose(before, after)


@pytest.mark.parametrize("side", [8, 16])
def test_the_discriminator_fades_from_judging_the_pooled_picture(side: int) -> None:
    discriminator, images = _discriminator(), _images(side)

    def logits(resolution: int, blend: float, images: Tensor) -> Tensor:
        discriminator.grow(resolution, blend)
        return discriminator([images]).logits  # type: ignore[no-any-return]

    assert torch.equal(logits(side, 0.0, images), logits(side // 2, 1.0, F.avg_pool2d(images, 2)))
    near_zero, near_one = logits(side, 1e-6, images), logits(side, 1 - 1e-6, images)
    torch.testing.assert_close(near_zero, logits(side, 0.0, images), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(near_one, logits(side, 1.0, images), rtol=1e-4, atol=1e-4)
    assert not torch.allclose(near_zero, near_one)


def test_coarse_pictures_that_no_loss_sees_are_fitted_to_the_finished_one() -> None:
    generator, z = _generator(), _latents(64)

    def shares() -> list[float]:
        """Of the finished picture's variance, averaged down, what the coarse pictures leave unexplained."""
        *coarse, finished = (picture.detach() for picture in generator(z))
        targets = [F.avg_pool2d(finished, finished.shape[-1] // image.shape[-1]) for image in coarse]
        return [float((a - b).var() / b.var()) for a, b in zip(coarse, targets, strict=True)]

    generator.refresh_statistics()
    assert max(shares()) < 0.7
    generator.to_rgb[2].weight.data.neg_()
    assert min(shares()) > 1.5
    generator.refresh_statistics()
    assert max(shares()) < 0.7


def test_a_fade_s_coarser_picture_is_the_trained_one() -> None:
    generator, z = _generator(), _latents()
    generator.grow(8, 1.0)
    trained = generator(z)[1]
    generator.grow(16, 0.5)
    assert torch.equal(generator(z)[1], trained)
    generator.grow(16, 1.0)
    assert not torch.equal(generator(z)[1], trained)


def test_the_stream_yields_a_picture_before_it_makes_the_next() -> None:
    generator = _generator()
    reached: list[str] = []
    generator.blocks[0].register_forward_hook(lambda *_: reached.append("8x8"))
    generator.blocks[1].register_forward_hook(lambda *_: reached.append("16x16"))
    stream = generator.stream(_latents(1))
    next(stream)
    assert reached == []
    next(stream)
    assert reached == ["8x8"]
    generator.grow(8, 0.5)
    assert len(list(generator.stream(_latents(1)))) == 2
    assert reached == ["8x8", "8x8"]  # what has not grown costs nothing


def test_growth_goes_with_the_weights(tmp_path: Path) -> None:
    generator = _generator()
    generator.grow(8, 0.25)
    again = _generator(seed=1)
    again.load_state_dict(generator.state_dict())
    save_generator(generator, tmp_path, {})
    for other in (again, load_generator(tmp_path)):
        assert other.resolutions == (4, 8)
        for one, two in zip(generator(_latents()), other(_latents()), strict=True):
            assert torch.equal(one, two)


def test_settings_build_the_same_network() -> None:
    generator = _generator(image_channels=1, class_names=("a", "b"), attention=(8,))
    generator.grow(4, 1.0)
    again = ProGANGenerator(**generator.settings())
    assert again.resolutions == (4, 8, 16)
    again.load_state_dict(generator.state_dict())
    z = generator.prior(2, torch.Generator().manual_seed(0))
    assert torch.equal(generator(z)[-1], again(z)[-1])


TRUNK = {"latent_conv", "conv"}
BLOCK_8 = {"blocks.0.conv1", "blocks.0.conv2"}
BLOCK_16 = {"blocks.1.conv1", "blocks.1.conv2"}
END = {"conv", "conv_last", "output"}


@pytest.mark.parametrize(
    ("stage", "of_generator", "of_discriminator"),
    [
        ((4, 1.0), TRUNK | {"to_rgb.0"}, END | {"from_rgb.0"}),
        ((8, 0.25), TRUNK | BLOCK_8 | {"to_rgb.0", "to_rgb.1"}, END | BLOCK_8 | {"from_rgb.0", "from_rgb.1"}),
        ((8, 1.0), TRUNK | BLOCK_8 | {"to_rgb.1"}, END | BLOCK_8 | {"from_rgb.1"}),
        (
            (16, 0.75),
            TRUNK | BLOCK_8 | BLOCK_16 | {"to_rgb.1", "to_rgb.2"},
            END | BLOCK_8 | BLOCK_16 | {"from_rgb.1", "from_rgb.2"},
        ),
        ((16, 1.0), TRUNK | BLOCK_8 | BLOCK_16 | {"to_rgb.2"}, END | BLOCK_8 | BLOCK_16 | {"from_rgb.2"}),
    ],
)
def test_what_has_grown_and_no_more_receives_a_gradient(
    stage: tuple[int, float], of_generator: set[str], of_discriminator: set[str]
) -> None:
    generator, discriminator = _generator(), _discriminator()
    for network in (generator, discriminator):
        network.grow(*stage)
    discriminator(generator(_latents(4))[-1:]).logits.square().sum().backward()
    assert _touched(generator) == of_generator
    assert _touched(discriminator) == of_discriminator
    for network in (generator, discriminator):
        for name, parameter in network.named_parameters():
            grown = name.rpartition(".")[0] in of_generator | of_discriminator
            assert grown or parameter.grad is None, name  # none, not zero: Adam leaves it alone
            assert parameter.grad is None or parameter.grad.isfinite().all(), name


def test_every_parameter_receives_a_gradient_by_the_end() -> None:
    generator, discriminator = _generator(attention=(8,)), _discriminator(attention=(8,))
    for network in (generator, discriminator):
        nn.init.ones_(network.attentions[1].gamma)
    for stage in STAGES:
        for network in (generator, discriminator):
            network.grow(*stage)
        discriminator(generator(_latents(4))[-1:]).logits.square().sum().backward()
    for network in (generator, discriminator):
        for name, parameter in network.named_parameters():
            assert parameter.grad is not None, name
            assert parameter.grad.ne(0).any(), name


@pytest.mark.parametrize("stage", [(4, 1.0), (8, 0.25), (8, 1.0)])
@pytest.mark.parametrize("attention", [(), (8,)])
def test_the_discriminator_is_twice_differentiable(
    stage: tuple[int, float], attention: tuple[int, ...]
) -> None:
    torch.manual_seed(0)
    discriminator = ProGANDiscriminator(8, (3, 2), 1, classes=2, group=2, attention=attention).double()
    for module in discriminator.attentions:
        for parameter in module.parameters():
            nn.init.normal_(parameter)  # gamma too
    discriminator.grow(*stage)
    images = _images(stage[0], channels=1).double().requires_grad_()

    def judge(images: Tensor) -> tuple[Tensor, Tensor]:
        output = discriminator([images])
        assert output.classes is not None
        return output.logits, output.classes

    assert torch.autograd.gradcheck(judge, images, fast_mode=True)
    assert torch.autograd.gradgradcheck(judge, images, fast_mode=True)


def test_attention_begins_as_the_identity_in_both_networks() -> None:
    generator, discriminator = _generator(attention=(8,)), _discriminator(attention=(8,))
    plain, judge = _generator(), _discriminator()
    plain.load_state_dict(generator.state_dict(), strict=False)
    judge.load_state_dict(discriminator.state_dict(), strict=False)
    z = _latents(4)

    def differ() -> list[bool]:
        generator.refresh_statistics()
        plain.refresh_statistics()
        images = generator(z)
        scores = discriminator(plain(z)[-1:]).logits, judge(plain(z)[-1:]).logits
        return [
            not torch.equal(a, b) for a, b in zip((*images, scores[0]), (*plain(z), scores[1]), strict=True)
        ]

    assert differ() == [False] * 4
    for network in (generator, discriminator):
        nn.init.ones_(network.attentions[1].gamma)
    assert differ() == [True, True, True, True]  # the picture at 4x4 is fitted to the finished one


def test_judging_depends_on_the_samples_group_by_the_deviation_alone() -> None:
    discriminator, images = _discriminator(group=2), _images(16)
    together = discriminator([images]).logits
    alone = torch.cat([discriminator([image]).logits for image in images.split(1)])
    assert not torch.allclose(alone, together)
    groups = torch.cat(
        [discriminator([images[[i, i + 2]]]).logits for i in (0, 1)]
    )  # sample i is in group i mod 2
    torch.testing.assert_close(groups[[0, 2, 1, 3]], together)
    with torch.no_grad():
        discriminator.conv.weight[:, -1].zero_()  # the deviation's channel
    alone = torch.cat([discriminator([image]).logits for image in images.split(1)])
    torch.testing.assert_close(alone, discriminator([images]).logits)


def test_the_prior_is_normal_and_ends_in_a_label() -> None:
    generator = ProGANGenerator(8, (4, 4), latent_size=16, class_names=("a", "b", "c"))
    z = generator.prior(3000, torch.Generator().manual_seed(0))
    assert z.shape == (3000, 19)
    noise, labels = z[:, :-3], z[:, -3:]
    assert noise.mean().abs() < 0.03
    assert noise.std().item() == pytest.approx(1, abs=0.03)
    assert set(labels.unique().tolist()) == {0.0, 1.0}
    assert labels.sum(1).eq(1).all()
    torch.testing.assert_close(labels.mean(0), torch.full((3,), 1 / 3), rtol=0, atol=0.05)
    assert _generator().prior(5, torch.Generator()).shape == (5, 12)


def test_another_label_another_picture() -> None:
    generator = _generator(class_names=("a", "b"))
    z = generator.prior(4, torch.Generator().manual_seed(0))
    of_a, of_b = (generator(generator.with_labels(z, torch.full((4,), label)))[-1] for label in (0, 1))
    assert (of_a - of_b).abs().flatten(1).amax(1).min() > 1e-3


def test_the_class_logits_are_beside_the_score() -> None:
    discriminator, images = _discriminator(classes=3), _images(16)
    output = discriminator([images])
    assert output.classes is not None
    assert output.classes.shape == (4, 3)
    with torch.no_grad():
        discriminator.output.bias[0] += 1
    torch.testing.assert_close(discriminator([images]).logits, output.logits + 1)
    torch.testing.assert_close(discriminator([images]).classes, output.classes)


def test_truncation_draws_towards_the_mean_picture() -> None:
    generator, z = _generator(), _latents(2)
    generator.refresh_statistics()
    assert torch.equal(torch.cat(list(generator.stream(z, 1.0))[2:]), generator(z)[-1])
    full, half, none = (list(generator.stream(z, truncation))[-1] for truncation in (1.0, 0.5, 0.0))
    assert torch.equal(none[0], none[1])
    assert 0 < (half[0] - half[1]).norm() < (full[0] - full[1]).norm()


def test_truncation_keeps_the_label() -> None:
    generator = _generator(class_names=("a", "b"))
    generator.refresh_statistics()
    z = generator.prior(4, torch.Generator().manual_seed(1))
    z = generator.with_labels(z, torch.tensor([0, 1, 0, 1]))
    none = list(generator.stream(z, 0.0))[-1]
    assert torch.equal(none[0], none[2])
    assert torch.equal(none[1], none[3])
    assert not torch.allclose(none[0], none[1])


@pytest.mark.parametrize("network", [ProGANGenerator, ProGANDiscriminator])
@pytest.mark.parametrize("resolution", [0, 4, 12, 48, 2048, -64])
def test_a_bad_resolution(network: type[nn.Module], resolution: int) -> None:
    with pytest.raises(
        ValueError, match=f"resolution must be a power of two from 8 to 1024, not {resolution}"
    ):
        network(resolution)


@pytest.mark.parametrize("network", [ProGANGenerator, ProGANDiscriminator])
@pytest.mark.parametrize("widths", [(), (8, 8), (8, 8, 8, 8), (8, 0, 8), (8, -2, 8), (8, 8, 5000)])
def test_bad_widths(network: type[nn.Module], widths: tuple[int, ...]) -> None:
    with pytest.raises(
        ValueError, match="widths must be 3 numbers from 1 to 4096, one per resolution from 4 to 16"
    ):
        network(16, widths)


def test_an_empty_latent_vector() -> None:
    with pytest.raises(ValueError, match="latent_size must be at least 1, not 0"):
        _generator(latent_size=0, class_names=("a", "b"))


@pytest.mark.parametrize("make", [_generator, _discriminator])
def test_attention_at_a_side_that_is_not_there(make: object) -> None:
    with pytest.raises(ValueError, match="attention must be at some of the resolutions 4, 8, 16"):
        make(attention=(32,))  # type: ignore[operator]
