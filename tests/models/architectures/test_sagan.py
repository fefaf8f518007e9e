"""SAGAN's networks: sizes, shapes, labels, and the coarse pictures."""

import copy

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.architectures.sagan import SAGANDiscriminator, SAGANGenerator, paper_widths
from models.layers.attention import Attention
from models.layers.normalization import BatchNorm, power_iteration

NAMES = ("cat", "dog", "fox")
SMALL = (8, 6, 4)


def _count(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def _generator(names: tuple[str, ...] = (), resolution: int = 16, channels: int = 3) -> SAGANGenerator:
    torch.manual_seed(0)
    return SAGANGenerator(resolution, SMALL, 12, names, (8,), channels)


def _discriminator(classes: int = 0, channels: int = 3) -> SAGANDiscriminator:
    torch.manual_seed(0)
    return SAGANDiscriminator(16, SMALL, classes, (8,), channels)


def _open_attention(*networks: nn.Module) -> None:
    for network in networks:
        for module in network.modules():
            if isinstance(module, Attention):
                nn.init.constant_(module.gamma, 0.5)


def _prior(generator: SAGANGenerator, count: int = 6) -> Tensor:
    return generator.prior(count, torch.Generator().manual_seed(0))


def test_the_papers_widths() -> None:
    assert paper_widths(128) == (1024, 1024, 512, 256, 128, 64)
    assert paper_widths(64) == (1024, 512, 256, 128, 64)
    assert paper_widths(256) == (1024, 1024, 1024, 512, 256, 128, 64)


def _up(c_in: int, c_out: int) -> int:
    """A block's convolutions, without biases; scales and shifts not included."""
    return 9 * c_in * c_out + 9 * c_out * c_out + c_in * c_out


def _attend(c: int) -> int:
    return 2 * c * c // 8 + 2 * c * c // 2 + 1


@pytest.mark.parametrize("classes", [0, 1000])
def test_the_papers_generator_has_its_size_by_hand(classes: int) -> None:
    normalized = (
        1024 + 1024 + 1024 + 512 + 512 + 256 + 256 + 128 + 128 + 64
    )  # inputs and middles of the five blocks
    by_hand = (
        (128 * 16 * 1024 + 16 * 1024)
        + _up(1024, 1024) + _up(1024, 512) + _up(512, 256) + _up(256, 128) + _up(128, 64)
        + 2 * max(1, classes) * normalized
        + _attend(256)
        + 2 * 64 + (9 * 64 * 3 + 3)
    )  # fmt: skip
    assert _count(SAGANGenerator(128, class_names=[str(i) for i in range(classes)])) == by_hand


@pytest.mark.parametrize("classes", [0, 1000])
def test_the_papers_discriminator_has_its_size_by_hand(classes: int) -> None:
    def down(a: int, b: int) -> int:
        return (9 * a * b + b) + (9 * b * b + b) + (a * b + b)

    by_hand = (
        down(3, 64) + down(64, 128) + _attend(128) + down(128, 256) + down(256, 512) + down(512, 1024)
        + 2 * (9 * 1024 * 1024 + 1024)  # the last block's skip is the identity
        + (1024 + 1) + classes * 1024
    )  # fmt: skip
    assert _count(SAGANDiscriminator(128, classes=classes)) == by_hand


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("names", [(), NAMES])
def test_a_picture_at_every_resolution(names: tuple[str, ...], channels: int) -> None:
    generator = _generator(names, channels=channels)
    assert generator.resolutions == (4, 8, 16)
    assert generator.input_size == 12 + len(names)
    images = generator(_prior(generator, 2))
    assert [tuple(image.shape) for image in images] == [(2, channels, r, r) for r in (4, 8, 16)]
    assert images[-1].abs().max() < 1
    discriminator = _discriminator(len(names), channels)
    assert discriminator.resolutions == (16,)
    assert discriminator(images[-1:], torch.tensor([0, 0])).logits.shape == (2,)


def test_attention_is_where_it_is_asked_for() -> None:
    generator, discriminator = _generator(), _discriminator()
    assert [isinstance(module, Attention) for module in generator.attentions] == [False, True, False]
    sides: list[torch.Size] = []
    for network in (generator, discriminator):
        for module in network.modules():
            if isinstance(module, Attention):
                module.register_forward_hook(lambda _m, _i, y: sides.append(y.shape[2:]))
    discriminator(generator(_prior(generator))[-1:])
    assert sides == [(8, 8), (8, 8)]


def test_the_stream_yields_a_picture_before_it_makes_the_next() -> None:
    generator = _generator()
    reached: list[int] = []
    for level, block in enumerate(generator.blocks):
        block.register_forward_hook(lambda *_, level=level: reached.append(level))
    stream = generator.stream(_prior(generator))
    for level in range(3):
        next(stream)
        assert reached == list(range(level))


def test_the_prior_is_normal_and_its_labels_even() -> None:
    generator = _generator(NAMES)
    z = _prior(generator, 6000)
    torch.testing.assert_close(z[:, :12].T @ z[:, :12] / 6000, torch.eye(12), rtol=0, atol=0.08)
    assert z[:, 12:].sum(1).eq(1).all()
    torch.testing.assert_close(z[:, 12:].mean(0), torch.full((3,), 1 / 3), rtol=0, atol=0.03)


def test_truncation_shrinks_the_noise_and_keeps_the_label() -> None:
    generator = _generator(NAMES).eval()
    nn.init.normal_(generator.blocks[0].norm1.scale)  # so that labels matter
    z = _prior(generator)
    smaller = torch.cat([z[:, :12] * 0.3, z[:, 12:]], dim=1)
    torch.testing.assert_close(list(generator.stream(z, 0.3))[-1], generator(smaller)[-1])


def _distinct_classes(generator: SAGANGenerator) -> None:
    for module in generator.modules():
        if isinstance(module, BatchNorm):
            nn.init.normal_(module.scale, 1, 0.3)
            nn.init.normal_(module.shift, 0, 0.3)


def test_other_labels_other_pictures() -> None:
    generator = _generator(NAMES).eval()
    _distinct_classes(generator)
    z = _prior(generator, 4)
    one, other = (
        generator(generator.with_labels(z, torch.tensor(labels)))[-1]
        for labels in ([0, 1, 2, 0], [0, 2, 2, 1])
    )
    changed = [not torch.allclose(a, b) for a, b in zip(one, other, strict=True)]
    assert changed == [False, True, False, True]


def test_the_projection_is_of_the_own_label() -> None:
    """logits = v . h + b + <embedding of y, h>: another label adds the difference of two embeddings."""
    discriminator = _discriminator(3)
    picture = torch.randn(2, 3, 16, 16)
    seen: list[Tensor] = []
    discriminator.logits.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    one = discriminator([picture], torch.tensor([0, 1])).logits
    other = discriminator([picture], torch.tensor([0, 2])).logits
    embedding = discriminator.embed.weight  # (4, 3), columns by class
    torch.testing.assert_close(
        other - one, torch.stack([torch.zeros(()), (embedding[:, 2] - embedding[:, 1]) @ seen[0][1]])
    )
    assert abs(other[1] - one[1]) > 1e-4
    assert discriminator.embed.weight.shape == (8, 3)


def test_the_features_are_summed_over_the_picture() -> None:
    discriminator = _discriminator()
    seen: list[Tensor] = []
    discriminator.blocks[0].register_forward_hook(lambda _m, _i, y: seen.append(y))
    discriminator.logits.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    discriminator([torch.randn(2, 3, 16, 16)])
    assert seen[0].shape == (2, 8, 4, 4)
    torch.testing.assert_close(seen[1], seen[0].clamp(min=0).sum((2, 3)))


def test_a_discriminator_of_labels_wants_labels() -> None:
    with pytest.raises(
        ValueError, match="the discriminator is conditional on 3 classes: pass the images' labels"
    ):
        _discriminator(3)([torch.randn(2, 3, 16, 16)])


@pytest.mark.parametrize("names", [(), NAMES])
def test_every_parameter_receives_a_gradient(names: tuple[str, ...]) -> None:
    generator, discriminator = _generator(names), _discriminator(len(names))
    _open_attention(generator, discriminator)
    z = generator.prior(6, torch.Generator().manual_seed(0))
    labels = torch.tensor([0, 1, 2, 0, 1, 2])
    if names:
        z = generator.with_labels(z, labels)
    discriminator(generator(z)[-1:], labels).logits.square().sum().backward()
    for network in (generator, discriminator):
        largest = {
            n: 0.0 if p.grad is None else p.grad.abs().max().item() for n, p in network.named_parameters()
        }
        typical = sorted(largest.values())[len(largest) // 2]
        assert all(value > typical * 1e-4 for value in largest.values()), largest  # none is rounding


@pytest.mark.parametrize("classes", [0, 3])
def test_the_discriminator_is_twice_differentiable(classes: int) -> None:
    discriminator = SAGANDiscriminator(16, (4, 3, 2), classes, (8,), 1).double()
    _open_attention(discriminator)
    labels = torch.tensor([0, 2])

    def judge(image: Tensor) -> Tensor:
        return discriminator([image], labels).logits  # type: ignore[no-any-return]

    x = torch.randn(2, 1, 16, 16, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    assert torch.autograd.gradcheck(judge, x.requires_grad_(), fast_mode=True)
    assert torch.autograd.gradgradcheck(judge, x, fast_mode=True)


def test_judging_is_the_same_alone_and_together() -> None:
    discriminator = _discriminator()
    images = torch.randn(3, 3, 16, 16)
    alone = torch.cat([discriminator([image[None]]).logits for image in images])
    torch.testing.assert_close(discriminator([images]).logits, alone)


@pytest.mark.parametrize("names", [(), NAMES])
def test_settings_build_the_same_network(names: tuple[str, ...]) -> None:
    generator = _generator(names, channels=1).eval()
    generator.refresh_statistics()
    again = SAGANGenerator(**generator.settings()).eval()
    again.load_state_dict(generator.state_dict())
    z = _prior(generator, 2)
    for one, other in zip(generator(z), again(z), strict=True):
        assert torch.equal(one, other)


def test_measured_pictures_are_those_of_training() -> None:
    """Where the batch is what the statistics are of, evaluation paints what training painted."""
    generator = _generator(NAMES)
    _distinct_classes(generator)
    with torch.no_grad():
        batch = generator.prior(64, torch.Generator().manual_seed(5))
        trained = generator(batch)[-1]
        generator.eval()
        before = (generator(batch)[-1] - trained).abs().mean()
        generator.refresh_statistics()
        after = (generator(batch)[-1] - trained).abs().mean()
    assert after < 0.1 * before


def test_measuring_leaves_the_weights_and_is_repeatable() -> None:
    generator = _generator().eval()
    weights = [parameter.clone() for parameter in generator.parameters()]
    power_iteration(generator, 500)  # at their end, so that more iterations change nothing but last bits
    again = copy.deepcopy(generator)
    generator.refresh_statistics()
    again.refresh_statistics()
    assert all(torch.equal(a, b) for a, b in zip(weights, generator.parameters(), strict=True))
    for one, other in zip(generator.state_dict().values(), again.state_dict().values(), strict=True):
        assert torch.equal(one, other)


def test_coarse_pictures_are_the_best_linear_guess_of_the_finished_one() -> None:
    generator = _generator().eval()
    assert all(image.eq(0).all() for image in generator(_prior(generator))[:-1])
    generator.refresh_statistics()
    *coarse, finished = generator(_prior(generator, 256))
    for image in coarse:
        target = F.avg_pool2d(finished, 16 // image.shape[-1])
        error = (image - target).square().mean()
        assert error < 0.9 * target.var()
        torch.testing.assert_close(image.mean((0, 2, 3)), target.mean((0, 2, 3)), rtol=0, atol=0.02)
        assert (
            abs(((image - target) * image).mean()) < 0.1 * error
        )  # least squares: the error is at right angles


def test_coarse_pictures_take_no_part_in_training() -> None:
    generator = _generator()
    assert not any(name.startswith("previews") for name, _ in generator.named_parameters())


@pytest.mark.parametrize("network", [SAGANGenerator, SAGANDiscriminator])
def test_bad_settings(network: type[nn.Module]) -> None:
    with pytest.raises(ValueError, match="resolution must be a power of two from 8 to 1024, not 48"):
        network(48)
    for widths in ((), (8, 8), (8, 8, 8, 8), (8, 0, 8), (8, 8, 5000)):
        with pytest.raises(ValueError, match="widths must be 3 numbers from 1 to 4096"):
            network(16, widths, attention=())
    with pytest.raises(
        ValueError, match=r"attention must be at some of the resolutions 4, 8, 16, not at \[32\]"
    ):
        network(32)
