"""DCGAN's networks: sizes, shapes, norms, first weights, and the coarse pictures."""

import pytest
import torch
from torch import Tensor, nn

from models.architectures.dcgan import DCGANDiscriminator, DCGANGenerator, Norm, init_weights, paper_widths
from models.layers.normalization import BatchNorm

NORMS: tuple[Norm, ...] = ("batch", "layer", "none", "selu")
EVERY_NORM = pytest.mark.parametrize("norm", NORMS)
SMALL = (8, 6, 4)  # of 32x32


def _count(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def _generator(norm: Norm = "batch", channels: int = 3, aspect: tuple[int, int] = (4, 4)) -> DCGANGenerator:
    torch.manual_seed(0)
    return DCGANGenerator(32, SMALL, 12, channels, norm, aspect)


def _discriminator(
    norm: Norm = "batch", channels: int = 3, aspect: tuple[int, int] = (4, 4)
) -> DCGANDiscriminator:
    torch.manual_seed(0)
    return DCGANDiscriminator(32, SMALL, channels, norm, aspect)


def _prior(generator: DCGANGenerator, count: int = 6) -> Tensor:
    return generator.prior(count, torch.Generator().manual_seed(0))


def _pictures(count: int = 4) -> Tensor:
    return torch.rand(count, 3, 32, 32, generator=torch.Generator().manual_seed(1)) * 2 - 1


def test_the_papers_widths() -> None:
    assert paper_widths(64) == (1024, 512, 256, 128)
    assert paper_widths(128) == (1024, 512, 256, 128, 64)
    assert paper_widths(1024)[-1] == 8


def test_the_papers_networks_have_their_sizes_by_hand() -> None:
    chain = 16 * (1024 * 512 + 512 * 256 + 256 * 128 + 128 * 3)
    norms = 2 * (512 + 256 + 128)
    assert _count(DCGANGenerator(64)) == 100 * 1024 * 16 + 2 * 1024 + chain + norms == 12_658_432
    assert _count(DCGANDiscriminator(64)) == 16 * 1024 + 2 * 1024 + chain + norms - 2 * 128


def test_the_cat_experiments_networks_have_their_sizes() -> None:
    generator = DCGANGenerator(128, norm="selu")
    assert _count(generator) == 12_782_592
    assert _count(DCGANDiscriminator(128, norm="selu")) == 11_160_576
    assert not [module for module in generator.modules() if isinstance(module, BatchNorm)]


@pytest.mark.parametrize("resolution", [8, 16, 64, 256])
def test_any_size(resolution: int) -> None:
    widths = [4] * (resolution.bit_length() - 3)
    images = DCGANGenerator(resolution, widths, 5)(torch.randn(2, 5))
    assert [image.shape[-1] for image in images] == [4 << level for level in range(len(widths) + 1)]
    assert DCGANDiscriminator(resolution, widths)(images[-1:]).logits.shape == (2,)


@pytest.mark.parametrize("aspect", [(4, 4), (4, 6), (7, 4)])
@pytest.mark.parametrize("channels", [1, 3, 4])
@EVERY_NORM
def test_a_picture_at_every_resolution(norm: Norm, channels: int, aspect: tuple[int, int]) -> None:
    generator = _generator(norm, channels, aspect)
    assert (generator.resolutions, generator.aspect) == ((4, 8, 16, 32), aspect)
    images = generator(_prior(generator, 2))
    sizes = [(r * aspect[0] // 4, r * aspect[1] // 4) for r in (4, 8, 16, 32)]
    assert [tuple(image.shape) for image in images] == [(2, channels, *size) for size in sizes]
    assert images[-1].abs().max() < 1
    discriminator = _discriminator(norm, channels, aspect)
    assert discriminator.resolutions == (32,)
    assert discriminator(images[-1:]).logits.shape == (2,)


def test_the_stream_yields_a_picture_before_it_makes_the_next() -> None:
    generator = _generator()
    reached: list[int] = []
    for level, block in enumerate([*generator.blocks, generator.to_rgb]):
        block.register_forward_hook(lambda *_, level=level: reached.append(level))
    stream = generator.stream(_prior(generator))
    for level in range(4):
        next(stream)
        assert reached == list(range(level))


@EVERY_NORM
def test_every_parameter_receives_a_gradient(norm: Norm) -> None:
    generator, discriminator = _generator(norm), _discriminator(norm)
    discriminator(generator(_prior(generator))[-1:]).logits.square().sum().backward()
    for network in (generator, discriminator):
        for name, parameter in network.named_parameters():
            assert parameter.grad is not None, name
            assert parameter.grad.abs().sum() > 0, name


@pytest.mark.parametrize("norm", ["layer", "none", "selu"])
def test_gradients_of_the_critic_by_its_pictures(norm: Norm) -> None:
    """What the gradient penalty goes through, twice."""
    torch.manual_seed(0)
    critic = DCGANDiscriminator(16, (3, 2), 1, norm).double()
    init_weights(critic, deviation=None)
    images = torch.randn(2, 1, 16, 16, dtype=torch.float64, requires_grad=True)
    part = torch.randn(2, 1, 16, 16, dtype=torch.float64)

    def logits(x: Tensor) -> Tensor:
        found: Tensor = critic([images.detach() + x * part]).logits
        return found

    x = torch.tensor(0.1, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(logits, (x,))  # type: ignore[no-untyped-call]
    assert torch.autograd.gradgradcheck(logits, (x,))  # type: ignore[no-untyped-call]


@pytest.mark.parametrize("norm", ["layer", "none", "selu"])
def test_without_batch_norm_a_score_is_of_its_picture_alone(norm: Norm) -> None:
    pictures = _pictures()
    discriminator = _discriminator(norm)
    torch.testing.assert_close(
        discriminator([pictures]).logits[:2], discriminator([pictures[:2]]).logits, rtol=1e-4, atol=1e-6
    )
    batch = _discriminator("batch")
    assert not torch.allclose(batch([pictures]).logits[:2], batch([pictures[:2]]).logits, rtol=0.01)


def test_layer_norm_does_not_see_the_contrast_of_features() -> None:
    _, norm = _discriminator("layer").blocks[0], _discriminator("layer").blocks[0][1]
    x = torch.randn(3, 6, 8, 8)
    torch.testing.assert_close(norm(x * 5 + 2), norm(x), rtol=1e-3, atol=1e-4)
    y = norm[0](x)
    torch.testing.assert_close(y.square().mean((1, 2, 3)), torch.ones(3), rtol=1e-3, atol=1e-3)


def test_a_pass_changes_no_batch_norm() -> None:
    generator, discriminator = _generator(), _discriminator()
    before = {key: value.clone() for key, value in generator.state_dict().items()}
    judged = {key: value.clone() for key, value in discriminator.state_dict().items()}
    discriminator(generator(_prior(generator))[-1:])
    assert all(torch.equal(value, before[key]) for key, value in generator.state_dict().items())
    assert all(torch.equal(value, judged[key]) for key, value in discriminator.state_dict().items())


def _spread(generator: DCGANGenerator) -> list[float]:
    """Root mean square of the features after each level."""
    return [x.square().mean().sqrt().item() for x in generator._features(_prior(generator, 64))]


def test_lecuns_first_weights_keep_the_variance_under_selu() -> None:
    torch.manual_seed(0)
    generator = DCGANGenerator(128, (64, 48, 32, 24, 16), 64, norm="selu")
    init_weights(generator, deviation=None)
    assert _spread(generator) == pytest.approx([1.0] * 5, abs=0.25)
    init_weights(generator, deviation=0.02)
    assert _spread(generator)[-1] < 0.1


def test_lecuns_first_weights_are_those_of_the_inputs_an_output_sees() -> None:
    torch.manual_seed(0)
    discriminator = DCGANDiscriminator(32, (200, 100, 50), norm="selu")
    init_weights(discriminator, deviation=None)
    layers = [m for m in discriminator.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    found = [layer.weight.std().item() for layer in layers]
    assert found == pytest.approx([(16 * c) ** -0.5 for c in (3, 50, 100, 200)], rel=0.1)


def test_the_papers_first_weights() -> None:
    layers = [m for m in DCGANGenerator(64).modules() if isinstance(m, nn.ConvTranspose2d | nn.Linear)]
    assert len(layers) == 5
    assert [layer.weight.std().item() for layer in layers] == pytest.approx([0.02] * 5, rel=0.03)


def test_statistics_and_coarse_pictures_are_measured() -> None:
    generator = _generator().eval()
    weights = {key: value.clone() for key, value in generator.named_parameters()}
    coarse = generator(_prior(generator))[:-1]
    assert all(image.eq(0).all() for image in coarse)
    generator.refresh_statistics()
    assert all(torch.equal(value, weights[key]) for key, value in generator.named_parameters())
    *coarse, finest = generator(_prior(generator, 256))
    assert all(image.std() > 0 for image in coarse)
    for image, side in zip(coarse, (4, 8, 16), strict=True):
        target = nn.functional.avg_pool2d(finest, 32 // side)
        assert (image - target).square().mean() < target.var()
    generator.train()
    torch.testing.assert_close(generator(_prior(generator, 256))[-1], finest, rtol=0, atol=0.02)


def test_truncation_shrinks_the_noise() -> None:
    generator = _generator().eval()
    z = _prior(generator)
    torch.testing.assert_close(list(generator.stream(z, 0.3))[-1], generator(z * 0.3)[-1])


@EVERY_NORM
def test_settings_build_the_same_network(norm: Norm) -> None:
    generator = _generator(norm, 4, (4, 5))
    other = DCGANGenerator(**generator.settings())
    other.load_state_dict(generator.state_dict())
    assert other.settings() == generator.settings()
    z = _prior(generator)
    assert torch.equal(other(z)[-1], generator(z)[-1])


@pytest.mark.parametrize(
    ("resolution", "widths", "said"),
    [
        (48, (8,), "resolution must be a power of two from 8 to 1024, not 48"),
        (4, (8,), "resolution must be a power of two from 8 to 1024, not 4"),
        (32, (8, 4), "widths must be 3 numbers from 1 to 4096, one per side from 4 to 16"),
        (32, (8, 4, 0), "widths must be 3 numbers"),
    ],
)
def test_bad_sizes_are_refused(resolution: int, widths: tuple[int, ...], said: str) -> None:
    for network in (DCGANGenerator, DCGANDiscriminator):
        with pytest.raises(ValueError, match=said):
            network(resolution, widths)
