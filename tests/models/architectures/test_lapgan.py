"""LAPGAN's networks: the pyramid they share with the data, sizes, shapes, labels, and the ways of the gradient."""

import json
from itertools import pairwise
from pathlib import Path
from typing import cast, get_args

import pytest
import torch
from torch import Tensor, nn

from common.aspect import Aspect, size_at
from data_prep import pyramid as prepared
from models.architectures.lapgan import (
    ConvolutionalDiscriminator,
    DenseDiscriminator,
    FeaturePool,
    LAPGANGenerator,
    Style,
    discriminators,
    level_sides,
    paper_widths,
)
from models.checkpoint import load_generator, save_generator
from models.generator import Generator
from models.layers.normalization import RunningBatchNorm
from models.layers.pyramid import PYRAMIDS, PyramidName

STYLES = get_args(Style)
SMALL = {"cifar": (8, 6, 6), "lsun": (8, 32, 32)}  # widths at 8, 16, 32


def _count(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def _small(
    style: Style = "cifar",
    channels: int = 3,
    class_names: tuple[str, ...] = (),
    pyramid: PyramidName = "binomial5",
) -> LAPGANGenerator:
    torch.manual_seed(0)
    return LAPGANGenerator(32, 8, SMALL[style], style, 5, channels, class_names, pyramid)


@pytest.mark.parametrize("step", ["down", "up"])
@pytest.mark.parametrize("size", [(4, 4), (8, 8), (8, 12), (32, 32)])
def test_the_pyramid_is_that_of_the_prepared_data(step: str, size: tuple[int, int]) -> None:
    images = torch.rand(2, 3, *size, dtype=torch.float64) * 2 - 1
    ours, theirs = getattr(PYRAMIDS["binomial5"], step), getattr(prepared, step)
    torch.testing.assert_close(ours(images), theirs(images), rtol=0, atol=1e-14)
    torch.testing.assert_close(ours(images.float()), theirs(images.float()), rtol=0, atol=1e-6)


def _torch7(line: Tensor, length: int) -> Tensor:
    """A line of numbers resized as Torch7's `image.scale` does, bilinear, to twice or half its length."""
    if length < len(line):
        return torch.stack([line[2 * i : 2 * i + 2].mean() for i in range(length)])
    places = [i * (len(line) - 1) / (length - 1) for i in range(length)]
    after = [*line.tolist(), 0.0]
    numbers = [after[int(p)] * (1 - p % 1) + after[int(p) + 1] * (p % 1) for p in places[:-1]]
    return torch.tensor([*numbers, after[-2]], dtype=line.dtype)


@pytest.mark.parametrize("size", [(4, 6), (16, 8)])
def test_the_bilinear_steps_are_those_of_the_authors_code(size: tuple[int, int]) -> None:
    height, width = size
    image = torch.rand(size, dtype=torch.float64)
    for step, scale in ((PYRAMIDS["bilinear"].down, 0.5), (PYRAMIDS["bilinear"].up, 2)):
        rows = torch.stack([_torch7(row, int(width * scale)) for row in image])
        expected = torch.stack([_torch7(column, int(height * scale)) for column in rows.T]).T
        torch.testing.assert_close(step(image[None, None])[0, 0], expected)


def test_the_bilinear_steps_in_numbers() -> None:
    down, up = PYRAMIDS["bilinear"]
    line = torch.tensor([0.0, 3, 6, 9]).expand(4, 4)[None, None]
    assert down(line)[0, 0, 0].tolist() == [1.5, 7.5]
    torch.testing.assert_close(up(line)[0, 0, 0], torch.arange(8) * 9 / 7)


@pytest.mark.parametrize("name", PYRAMIDS)
def test_bands_and_the_coarsest_image_are_the_image(name: PyramidName) -> None:
    """With the other pair of filters they are not."""
    other = next(other for other in PYRAMIDS if other != name)
    levels = [torch.rand(2, 3, 16, 24, dtype=torch.float64) * 2 - 1]
    while len(levels) < 3:
        levels.append(PYRAMIDS[name].down(levels[-1]))
    bands = [fine - PYRAMIDS[name].up(coarse) for fine, coarse in pairwise(levels)]
    for up, same in ((PYRAMIDS[name].up, True), (PYRAMIDS[other].up, False)):
        image = levels[-1]
        for band in reversed(bands):
            image = up(image) + band
        assert torch.allclose(image, levels[0], rtol=0, atol=1e-14) == same


@pytest.mark.parametrize("name", PYRAMIDS)
def test_the_pyramid_keeps_constants_and_stays_in_float32_where_convolutions_do_not(
    name: PyramidName,
) -> None:
    images = torch.rand(2, 3, 8, 8) * 2 - 1
    for step in PYRAMIDS[name]:
        constant = step(torch.full_like(images, 0.3))
        torch.testing.assert_close(constant, torch.full_like(constant, 0.3))
        with torch.autocast("cpu", torch.bfloat16):
            found = step(images)
        assert found.dtype == torch.float32
        torch.testing.assert_close(found, step(images.double()).float())


def test_the_papers_widths() -> None:
    assert level_sides(64, 4) == (4, 8, 16, 32, 64)
    assert level_sides(8, 8) == (8,)
    assert paper_widths(32, 8) == (1200, 64, 64)
    assert paper_widths(32, 4) == (1200, 1200, 64, 64)
    assert paper_widths(16, 16) == (64,)


def test_the_cifar_networks_have_their_sizes_by_hand() -> None:
    with torch.device("meta"):
        generator = LAPGANGenerator(32)
        dense, _, convolved = discriminators(generator)
    top, _, fine = generator.levels
    assert _count(top) == (100 * 1200 + 1200) + (1200 * 1200 + 1200) + (1200 * 192 + 192)
    assert _count(fine) == (49 * 4 * 64 + 64) + (49 * 64 * 64 + 64) + (25 * 64 * 3 + 3)
    assert _count(dense) == (192 * 600 + 600) + (600 * 600 + 600) + (600 + 1)
    # 32 -> 28 by the first 5x5, 12 by the second with stride 2
    assert _count(convolved) == (25 * 3 * 64 + 64) + (25 * 64 * 64 + 64) + (64 * 12 * 12 + 1)


def test_the_lsun_networks_have_their_sizes_by_hand() -> None:
    with torch.device("meta"):
        generator = LAPGANGenerator(32, base=4, style="lsun")
        convolved = discriminators(generator)[-1]
    assert _count(generator.levels[-1]) == (
        (49 * 4 * 64 + 64)
        + (49 * 64 * 368 // 4 + 368)
        + (49 * 368 * 128 // 4 + 128)
        + (25 * 64 * 224 // 2 + 224)  # of pooled pairs
        + (49 * 224 * 3 + 3)
    )
    assert _count(convolved) == (
        (9 * 3 * 48 + 48) + (25 * 48 * 448 // 4 + 448) + (49 * 448 * 416 // 16 + 416) + (166_400 + 1)
    )


def test_labels_add_a_plane_or_a_place_each() -> None:
    with torch.device("meta"):
        plain, labelled = LAPGANGenerator(16), LAPGANGenerator(16, class_names=tuple("abcdefghij"))
    plane = 10 * 16 * 16 + 16 * 16
    for one, other, more in (
        (plain.levels[0], labelled.levels[0], 10 * 1200),
        (plain.levels[1], labelled.levels[1], 49 * 64 + plane),
        (discriminators(plain)[0], discriminators(labelled)[0], 10 * 600),
        (discriminators(plain)[1], discriminators(labelled)[1], 25 * 64 + plane),
    ):
        assert _count(other) - _count(one) == more
    assert labelled.input_size - plain.input_size == 10


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("channels", [1, 4])
def test_a_picture_and_a_verdict_at_every_level(style: Style, channels: int) -> None:
    generator = _small(style, channels)
    assert generator.input_size == 5 + 16 * 16 + 32 * 32
    z = generator.prior(3, torch.Generator().manual_seed(0))
    images = generator(z)
    assert [tuple(image.shape) for image in images] == [(3, channels, r, r) for r in (8, 16, 32)]
    for image, discriminator in zip(images, discriminators(generator), strict=True):
        assert discriminator.resolutions == (image.shape[-1],)
        assert discriminator([image]).logits.shape == (3,)


def test_levels_below_16_are_mlps() -> None:
    generator = LAPGANGenerator(16, 4, (8, 8, 8))
    assert [type(d) for d in discriminators(generator)] == [DenseDiscriminator] * 2 + [
        ConvolutionalDiscriminator
    ]
    assert generator.latent_sizes == [100, 64, 256]
    assert [image.shape[-1] for image in generator(torch.randn(2, generator.input_size))] == [4, 8, 16]


@pytest.mark.parametrize("name", PYRAMIDS)
@pytest.mark.parametrize("base", [4, 8])
def test_each_image_is_the_one_before_enlarged_and_a_band(base: int, name: PyramidName) -> None:
    """Where the last layers give nothing but a constant, the picture is the coarsest one enlarged and the constants."""
    generator = LAPGANGenerator(32, base, [8] * len(level_sides(32, base)), pyramid=name)
    with torch.no_grad():
        for number, level in enumerate(generator.cascade()):
            last = [layer for layer in level.modules() if isinstance(layer, nn.Conv2d | nn.Linear)][-1]
            last.weight.zero_()
            assert last.bias is not None
            last.bias.fill_(0.5**number)
    with torch.no_grad():
        image = torch.randn(2, 3, base, base)
        generator.levels[0].layers[-2].bias.copy_(image[0].flatten())  # type: ignore[union-attr, index]
    images = generator(torch.randn(2, generator.input_size))
    expected = image[:1].expand(2, -1, -1, -1)
    torch.testing.assert_close(images[0], expected)
    for number, found in enumerate(images[1:], 1):
        expected = PYRAMIDS[name].up(expected) + 0.5**number
        torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("aspect", [(4, 6), (5, 4)])
def test_pictures_that_are_not_square(style: Style, aspect: Aspect) -> None:
    """At a dense level, at the smallest convolved one, and at the next; with labels, which have planes there."""
    widths = (8, 8, *SMALL[style][1:])
    generator = LAPGANGenerator(32, 4, widths, style, 5, class_names=("a", "b"), aspect=aspect)
    assert generator.latent_sizes == [5, *(r * r * max(aspect) // 4 for r in (8, 16, 32))]
    images = generator(generator.prior(2, torch.Generator().manual_seed(0)))
    assert [tuple(image.shape[2:]) for image in images] == [size_at(r, aspect) for r in (4, 8, 16, 32)]
    labels = torch.tensor([0, 1])
    for image, discriminator in zip(images, discriminators(generator), strict=True):
        assert discriminator.resolutions == (min(image.shape[2:]),)
        assert discriminator([image], labels).logits.shape == (2,)
    again = LAPGANGenerator(**generator.settings())
    again.load_state_dict(generator.state_dict())
    assert again.aspect == aspect


def test_every_level_has_noise_of_its_own() -> None:
    """Other noise at a level changes its picture and those after it, and none before."""
    generator = _small()
    z = generator.prior(1, torch.Generator().manual_seed(0))
    images = generator(z)
    start = 0
    for level, size in enumerate(generator.latent_sizes):
        other = z.clone()
        other[:, start : start + size] *= -1
        same = [torch.equal(a, b) for a, b in zip(images, generator(other), strict=True)]
        assert same == [number < level for number in range(3)]
        start += size


def test_a_level_sees_the_coarse_image_where_it_is() -> None:
    """A change of the coarse image reaches as far as windows of 7x7, 7x7 and 5x5 pixels: 8 pixels."""
    level = next(level for level in _small().cascade() if level.side == 32)
    noise, low = torch.randn(1, 32 * 32), torch.randn(1, 3, 32, 32)
    other = low.clone()
    other[..., 2, 2] += 1
    changed = (level(noise, low, None) != level(noise, other, None)).any(1)[0]
    assert changed[:11, :11].any()
    assert not changed[11:].any()
    assert not changed[:, 11:].any()


def test_the_prior_is_uniform_and_ends_in_a_label() -> None:
    generator = _small(class_names=("a", "b", "c"))
    z = generator.prior(3000, torch.Generator().manual_seed(0))
    noise, label = z[:, :-3], z[:, -3:]
    assert noise.min() >= -1
    assert noise.max() <= 1
    assert noise.mean().abs() < 0.01
    torch.testing.assert_close(noise.var(), torch.tensor(1 / 3), rtol=0.01, atol=0)
    assert torch.equal(label.sort().values, torch.tensor([0.0, 0, 1]).expand(3000, 3))
    assert label.mean(0).sub(1 / 3).abs().max() < 0.05


def test_truncation_scales_the_noise_and_not_the_label() -> None:
    generator = _small(class_names=("a", "b"))
    z = generator.prior(2, torch.Generator().manual_seed(0))
    half = torch.cat([z[:, :-2] / 2, z[:, -2:]], 1)
    for one, other in zip(generator.stream(z, 0.5), generator.stream(half), strict=True):
        torch.testing.assert_close(one, other)
    still = list(generator.stream(generator.with_labels(z, torch.tensor([0, 0])), 0))[-1]
    assert torch.equal(still[0], still[1])


@pytest.mark.parametrize("level", [0, 1, 2])
def test_a_label_changes_what_is_painted_and_how_it_is_judged(level: int) -> None:
    generator = _small(class_names=("a", "b"))
    z = generator.prior(1, torch.Generator().manual_seed(0))
    a, b = (generator(generator.with_labels(z, torch.tensor([label])))[level] for label in (0, 1))
    assert not torch.equal(a, b)
    discriminator = discriminators(generator)[level].eval()
    scores = [discriminator([a], torch.tensor([label])).logits for label in (0, 1)]
    assert not torch.equal(*scores)


def test_the_stream_yields_a_picture_before_it_makes_the_next() -> None:
    generator = _small()
    reached: list[str] = []
    for level in generator.cascade():
        level.register_forward_hook(lambda level, *_: reached.append(level.side))
    stream = generator.stream(torch.randn(1, generator.input_size))
    for sides in ([8], [8, 16], [8, 16, 32]):
        next(stream)
        assert reached == sides


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("class_names", [(), ("a", "b")])
def test_every_parameter_receives_a_gradient(style: Style, class_names: tuple[str, ...]) -> None:
    generator = _small(style, class_names=class_names)
    z = generator.prior(4, torch.Generator().manual_seed(0))
    labels = torch.arange(4) % 2 if class_names else None
    if labels is not None:
        z = generator.with_labels(z, labels)
    for image, discriminator in zip(generator(z), discriminators(generator), strict=True):
        discriminator([image], labels).logits.square().sum().backward(retain_graph=True)
        for name, parameter in discriminator.named_parameters():
            assert parameter.grad is not None, name
            assert parameter.grad.ne(0).any(), name
    for name, parameter in generator.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.ne(0).any(), name


@pytest.mark.parametrize("style", STYLES)
def test_a_discriminator_is_differentiable(style: Style) -> None:
    generator = LAPGANGenerator(16, 8, (4, 32) if style == "lsun" else (4, 4), style, image_channels=1)
    for discriminator in discriminators(generator):
        side = discriminator.resolutions[0]
        image = torch.randn(1, 1, side, side, dtype=torch.float64, requires_grad=True)
        judge = discriminator.double().eval()
        assert torch.autograd.gradcheck(lambda x, judge=judge: judge([x]).logits, image, fast_mode=True)


def test_batch_norm_is_torchs() -> None:
    torch.manual_seed(0)
    ours, theirs = RunningBatchNorm(3), nn.BatchNorm2d(3, affine=False)
    for _ in range(3):
        x = torch.randn(8, 3, 5, 5) * 3 + 1
        torch.testing.assert_close(ours(x), theirs(x))
    assert theirs.running_mean is not None
    torch.testing.assert_close(ours.mean.flatten(), theirs.running_mean)
    x = torch.randn(2, 3, 5, 5)
    torch.testing.assert_close(ours.eval()(x), theirs.eval()(x), rtol=1e-2, atol=1e-2)  # torch's is unbiased


def test_features_are_pooled_in_neighbouring_pairs() -> None:
    x = torch.tensor([3.0, 4, 0, -2]).view(1, 4, 1, 1).requires_grad_()
    pooled = FeaturePool()(x)
    assert pooled.flatten().tolist() == [5, 2]
    FeaturePool()(torch.zeros(1, 4, 1, 1, requires_grad=True) + x * 0).sum().backward()
    assert x.grad is not None
    assert x.grad.isfinite().all()


@pytest.mark.parametrize("style", STYLES)
def test_a_model_folder_gives_the_same_pictures(
    style: Style, tmp_path_factory: pytest.TempPathFactory
) -> None:
    generator: Generator = _small(style, class_names=("a", "b")).eval()
    folder = tmp_path_factory.mktemp("model")
    save_generator(generator, folder, {})
    again = load_generator(folder)
    z = generator.prior(2, torch.Generator().manual_seed(0))
    assert again.class_names == ("a", "b")
    for one, other in zip(generator(z), again(z), strict=True):
        assert torch.equal(one, other)


def test_a_model_from_before_there_was_a_choice_of_pyramids(tmp_path: Path) -> None:
    generator = _small()
    save_generator(generator, tmp_path, {})
    config = json.loads((tmp_path / "config.json").read_text())
    for name in ("pyramid", "aspect"):
        del config["generator"][name]
    (tmp_path / "config.json").write_text(json.dumps(config))
    again = load_generator(tmp_path)
    assert again.settings() == generator.settings()
    assert again.settings()["pyramid"] == "binomial5"


def test_a_model_folder_keeps_its_pyramid(tmp_path: Path) -> None:
    """Which matters to the pictures."""
    generator = _small(pyramid="bilinear").eval()
    save_generator(generator, tmp_path, {})
    z = generator.prior(2, torch.Generator().manual_seed(0))
    found = load_generator(tmp_path)(z)[-1]
    assert torch.equal(found, generator(z)[-1])
    assert not torch.allclose(found, _small().eval()(z)[-1], atol=1e-3)


@pytest.mark.parametrize("base", [0, 2, 6, 32, -4])
def test_a_bad_base(base: int) -> None:
    with pytest.raises(
        ValueError, match=rf"base must be a power of two from 4 to the resolution \(16\), not {base}"
    ):
        LAPGANGenerator(16, base)


@pytest.mark.parametrize("resolution", [0, 12, 2048])
def test_a_bad_resolution(resolution: int) -> None:
    with pytest.raises(
        ValueError, match=f"resolution must be a power of two from 8 to 1024, not {resolution}"
    ):
        LAPGANGenerator(resolution)


@pytest.mark.parametrize("widths", [(), (8,), (8, 8, 8), (8, 1), (8, 9000)])
def test_bad_widths(widths: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"widths must be 2 numbers from 2 to 8192, one per level \(8, 16\)"):
        LAPGANGenerator(16, 8, widths)


def test_lsun_widths_divide_among_their_groups() -> None:
    with pytest.raises(ValueError, match="widths of lsun networks must be multiples of 32"):
        LAPGANGenerator(16, 8, (8, 48), "lsun")
    assert cast(Tensor, LAPGANGenerator(16, 8, (10, 32), "lsun")(torch.randn(1, 356))[-1]).shape[-1] == 16
