"""MSG-GAN's networks: sizes, shapes, and the ways of the gradient."""

from typing import get_args

import pytest
import torch
from torch import Tensor, nn

from models.architectures.msg_gan import Combination, MSGDiscriminator, MSGGenerator
from models.architectures.progan import paper_widths
from models.layers.attention import Attention

COMBINATIONS = get_args(Combination)


def _count(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def _images(
    count: int, resolution: int, channels: int = 3, dtype: torch.dtype = torch.float32
) -> list[Tensor]:
    rng = torch.Generator().manual_seed(1)
    sides = [4 << level for level in range(resolution.bit_length() - 2)]
    return [torch.randn(count, channels, side, side, generator=rng, dtype=dtype) for side in sides]


def test_the_papers_widths() -> None:
    assert paper_widths(1024) == (512, 512, 512, 512, 256, 128, 64, 32, 16)
    assert paper_widths(64) == (512, 512, 512, 512, 256)
    assert paper_widths(8) == (512, 512)


def test_the_papers_generator_has_the_papers_size() -> None:
    with torch.device("meta"):
        assert _count(MSGGenerator(1024)) == 23_086_795


def test_the_papers_discriminator_has_its_size_by_hand() -> None:
    # Per convolution: kernel^2 x inputs x outputs + outputs. Half of a block's inputs come from its image (lin_cat).
    by_hand = (
        (3 * 16 + 16)  # the 1024x1024 image
        + (9 * 16 * 16 + 16) + (9 * 16 * 16 + 16)  # 1024 -> 512
        + (3 * 16 + 16) + (9 * 32 * 32 + 32) + (9 * 32 * 32 + 32)  # 512 -> 256
        + (3 * 32 + 32) + (9 * 64 * 64 + 64) + (9 * 64 * 64 + 64)  # 256 -> 128
        + (3 * 64 + 64) + (9 * 128 * 128 + 128) + (9 * 128 * 128 + 128)  # 128 -> 64
        + (3 * 128 + 128) + (9 * 256 * 256 + 256) + (9 * 256 * 256 + 256)  # 64 -> 32
        + (3 * 256 + 256) + (9 * 512 * 512 + 512) + (9 * 512 * 256 + 256)  # 32 -> 16
        + 2 * ((3 * 256 + 256) + (9 * 512 * 512 + 512) + (9 * 512 * 256 + 256))  # 16 -> 8 -> 4
        + (3 * 256 + 256)  # the 4x4 image
        + (9 * 513 * 512 + 512) + (16 * 512 * 512 + 512) + (512 + 1)  # with the deviation's channel -> logits
    )  # fmt: skip
    with torch.device("meta"):
        assert _count(MSGDiscriminator(1024)) == by_hand


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_a_picture_at_every_resolution(channels: int) -> None:
    generator = MSGGenerator(64, (16, 16, 8, 8, 4), latent_size=12, image_channels=channels)
    assert generator.resolutions == (4, 8, 16, 32, 64)
    images = generator(torch.randn(2, 12))
    assert [tuple(image.shape) for image in images] == [(2, channels, r, r) for r in (4, 8, 16, 32, 64)]
    discriminator = MSGDiscriminator(64, (16, 16, 8, 8, 4), image_channels=channels)
    assert discriminator(images).logits.shape == (2,)


def test_the_stream_is_forward_in_order() -> None:
    torch.manual_seed(0)
    generator = MSGGenerator(16, (8, 6, 4), latent_size=12)
    z = torch.randn(3, 12)
    streamed = list(generator.stream(z))
    assert [image.shape[-1] for image in streamed] == [4, 8, 16]
    for one, other in zip(streamed, generator(z), strict=True):
        assert torch.equal(one, other)


def test_the_stream_yields_a_picture_before_it_makes_the_next() -> None:
    generator = MSGGenerator(8, (8, 8), latent_size=12)
    reached: list[str] = []
    generator.blocks[0].register_forward_hook(lambda *_: reached.append("8x8"))
    stream = generator.stream(torch.randn(1, 12))
    next(stream)
    assert reached == []
    next(stream)
    assert reached == ["8x8"]


def test_settings_build_the_same_network() -> None:
    generator = MSGGenerator(16, (8, 6, 4), latent_size=12, image_channels=1)
    again = MSGGenerator(**generator.settings())
    again.load_state_dict(generator.state_dict())
    z = torch.randn(2, 12)
    assert torch.equal(generator(z)[-1], again(z)[-1])


def test_the_prior_is_uniform_on_the_sphere() -> None:
    z = MSGGenerator(8, (4, 4), latent_size=64).prior(4000, torch.Generator().manual_seed(0))
    torch.testing.assert_close(z.norm(dim=1), torch.full((4000,), 8.0))
    assert z.mean(0).abs().max() < 0.08  # five standard errors
    torch.testing.assert_close(z.T @ z / 4000, torch.eye(64), rtol=0, atol=0.09)


def test_pixel_norm_ends_the_first_block_and_follows_every_later_convolution() -> None:
    torch.manual_seed(0)
    generator = MSGGenerator(16, (8, 6, 4), latent_size=12)
    seen: list[Tensor] = []
    for to_rgb in generator.to_rgb:
        to_rgb.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    generator(torch.randn(2, 12) * 100)
    for x in seen:
        torch.testing.assert_close(x.square().mean(1), torch.ones_like(x[:, 0]), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("combine", COMBINATIONS)
def test_every_parameter_receives_a_gradient(combine: Combination) -> None:
    torch.manual_seed(0)
    generator = MSGGenerator(16, (8, 6, 4), latent_size=12)
    discriminator = MSGDiscriminator(16, (8, 6, 4), combine=combine)
    discriminator(generator(torch.randn(4, 12))).logits.square().sum().backward()
    for network in (generator, discriminator):
        for name, parameter in network.named_parameters():
            assert parameter.grad is not None, name
            assert parameter.grad.isfinite().all(), name
            assert parameter.grad.ne(0).any(), name


@pytest.mark.parametrize("combine", COMBINATIONS)
@pytest.mark.parametrize("scale", [0, 1, 2])
def test_the_discriminator_teaches_each_scale_directly(combine: Combination, scale: int) -> None:
    """Where only one scale keeps its graph, the gradient reaches its toRGB and no other."""
    torch.manual_seed(0)
    generator = MSGGenerator(16, (8, 6, 4), latent_size=12)
    discriminator = MSGDiscriminator(16, (8, 6, 4), combine=combine)
    images = [
        image if place == scale else image.detach()
        for place, image in enumerate(generator(torch.randn(4, 12)))
    ]
    discriminator(images).logits.sum().backward()
    for place, to_rgb in enumerate(generator.to_rgb):
        gradient = to_rgb.weight.grad
        assert (gradient is not None and gradient.ne(0).any().item()) == (place == scale)


@pytest.mark.parametrize("combine", COMBINATIONS)
def test_the_discriminator_is_twice_differentiable(combine: Combination) -> None:
    torch.manual_seed(0)
    discriminator = MSGDiscriminator(8, (2, 2), image_channels=1, combine=combine).double()
    images = [image.requires_grad_() for image in _images(2, 8, 1, torch.float64)]

    def judge(coarse: Tensor, fine: Tensor) -> Tensor:
        return discriminator([coarse, fine]).logits  # type: ignore[no-any-return]

    assert torch.autograd.gradcheck(judge, images, fast_mode=True)
    assert torch.autograd.gradgradcheck(judge, images, fast_mode=True)


def test_combine_forms() -> None:
    """What each phi hands to the 8x8 block, and how the picture's and the features' channels share it."""
    inputs, features = {}, {}
    for combine in COMBINATIONS:
        discriminator = MSGDiscriminator(16, (8, 6, 4), combine=combine)
        inputs[combine] = discriminator.blocks[0].conv1.weight.shape[1]
        features[combine] = discriminator.blocks[1].conv2.weight.shape[0]
    assert inputs == {"simple": 3 + 6, "lin_cat": 6, "cat_lin": 6}
    assert features == {"simple": 6, "lin_cat": 3, "cat_lin": 6}


def test_judging_depends_on_the_rest_of_the_batch_by_the_deviation_alone() -> None:
    torch.manual_seed(0)
    discriminator = MSGDiscriminator(8, (8, 8))
    images = _images(4, 8)
    alone = [discriminator([image[i : i + 1] for image in images]).logits for i in range(4)]
    together = discriminator(images).logits
    assert not torch.allclose(torch.cat(alone), together)
    with torch.no_grad():
        discriminator.conv.weight[:, -1].zero_()  # the deviation's channel
    alone = [discriminator([image[i : i + 1] for image in images]).logits for i in range(4)]
    torch.testing.assert_close(torch.cat(alone), discriminator(images).logits)


@pytest.mark.parametrize("network", [MSGGenerator, MSGDiscriminator])
@pytest.mark.parametrize("resolution", [0, 4, 12, 48, 2048, -64])
def test_a_bad_resolution(network: type[nn.Module], resolution: int) -> None:
    with pytest.raises(
        ValueError, match=f"resolution must be a power of two from 8 to 1024, not {resolution}"
    ):
        network(resolution)


@pytest.mark.parametrize("network", [MSGGenerator, MSGDiscriminator])
@pytest.mark.parametrize("widths", [(), (8, 8), (8, 8, 8, 8), (8, 7, 8), (8, 0, 8), (8, -2, 8), (8, 8, 5000)])
def test_bad_widths(network: type[nn.Module], widths: tuple[int, ...]) -> None:
    with pytest.raises(
        ValueError, match="widths must be 3 even numbers from 2 to 4096, one per resolution from 4 to 16"
    ):
        network(16, widths)


def test_attention_at_some_resolutions() -> None:
    torch.manual_seed(0)
    generator = MSGGenerator(16, (8, 6, 4), latent_size=12, attention=(4, 8))
    discriminator = MSGDiscriminator(16, (8, 6, 4), attention=(8, 16))
    sides: list[int] = []
    for network in (generator, discriminator):
        for module in network.modules():
            if isinstance(module, Attention):
                module.register_forward_hook(lambda _m, _i, y: sides.append(y.shape[-1]))
                torch.nn.init.constant_(module.gamma, 0.5)
    discriminator(generator(torch.randn(4, 12))).logits.square().sum().backward()
    assert sides == [4, 8, 16, 8]
    for network in (generator, discriminator):
        for name, parameter in network.named_parameters():
            assert parameter.grad is not None, name
            assert parameter.grad.ne(0).any(), name
    again = MSGGenerator(**generator.settings())
    again.load_state_dict(generator.state_dict())
    assert again.settings()["attention"] == [4, 8]


def test_attention_is_the_identity_at_first() -> None:
    networks = []
    for attention in ((), (8,)):
        torch.manual_seed(0)
        networks.append(MSGGenerator(16, (8, 6, 4), latent_size=12, attention=attention))
    plain, attentive = networks
    attentive.load_state_dict(plain.state_dict(), strict=False)
    z = torch.randn(2, 12)
    assert torch.equal(plain(z)[-1], attentive(z)[-1])


def test_a_model_from_before_attention_still_loads() -> None:
    settings = MSGGenerator(16, (8, 6, 4), latent_size=12).settings()
    del settings["attention"]
    again = MSGGenerator(**settings)
    assert not any("attention" in name for name in again.state_dict())


@pytest.mark.parametrize("combine", COMBINATIONS)
def test_attention_fits_every_combination_and_is_twice_differentiable(combine: Combination) -> None:
    torch.manual_seed(0)
    discriminator = MSGDiscriminator(8, (2, 2), 1, combine, (4, 8)).double()
    for module in discriminator.modules():
        if isinstance(module, Attention):
            torch.nn.init.constant_(module.gamma, 0.5)
    images = [image.requires_grad_() for image in _images(2, 8, 1, torch.float64)]

    def judge(coarse: Tensor, fine: Tensor) -> Tensor:
        return discriminator([coarse, fine]).logits  # type: ignore[no-any-return]

    assert torch.autograd.gradgradcheck(judge, images, fast_mode=True)


@pytest.mark.parametrize("network", [MSGGenerator, MSGDiscriminator])
def test_attention_at_a_side_that_is_not_there(network: type[nn.Module]) -> None:
    with pytest.raises(
        ValueError, match=r"attention must be at some of the resolutions 4, 8, 16, not at \[32\]"
    ):
        network(16, (8, 6, 4), attention=(32,))
