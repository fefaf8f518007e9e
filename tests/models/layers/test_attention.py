"""Self-attention against its formula, written out pixel by pixel."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.layers.attention import Attention, attend, check_attention
from models.layers.equalized import EqualizedConv1x1


def _open(attention: Attention) -> Attention:
    with torch.no_grad():
        attention.gamma.fill_(0.7)
    return attention


def _count(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def test_the_identity_at_first() -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 16, 8, 8)
    attention = Attention(16)
    assert torch.equal(attention(x), x)
    assert not torch.equal(_open(attention)(x), x)


@pytest.mark.parametrize(("ratio", "pool"), [(2, 2), (8, 1), (4, 2)])
def test_every_pixel_is_a_weighted_mean_of_the_values(ratio: int, pool: int) -> None:
    torch.manual_seed(0)
    attention = _open(Attention(16, ratio, pool)).double()
    x = torch.randn(2, 16, 4, 6, dtype=torch.float64)

    def pixels(layer: nn.Module, pool: int) -> Tensor:
        """(N, pixels, channels)."""
        y = torch.einsum("oi,nihw->nohw", layer.weight[:, :, 0, 0], x)
        return F.max_pool2d(y, pool).flatten(2).transpose(1, 2)

    queries = pixels(attention.query, 1)
    keys, values = pixels(attention.key, pool), pixels(attention.value, pool)
    assert keys.shape == (2, 24 // pool**2, 2)
    assert values.shape == (2, 24 // pool**2, 16 // ratio)
    out = attention.out.weight[:, :, 0, 0]
    for n in range(2):
        for place in range(24):
            raw = torch.stack([queries[n, place] @ key for key in keys[n]]).exp()
            mixture = (raw / raw.sum()) @ values[n]
            expected = x[n].flatten(1)[:, place] + 0.7 * out @ mixture
            torch.testing.assert_close(attention(x)[n].flatten(1)[:, place], expected)


def test_sizes_by_hand() -> None:
    # Query and key C x C/8, value and output C x C/2; gamma.
    assert _count(Attention(64)) == 2 * 64 * 8 + 2 * 64 * 32 + 1
    assert _count(Attention(64, value_ratio=8, pool=1)) == 4 * 64 * 8 + 1
    assert _count(Attention(4)) == 2 * 4 * 1 + 2 * 4 * 2 + 1
    assert _count(Attention(64, conv=EqualizedConv1x1)) == _count(Attention(64))


def test_equalised_weights_are_unit_normal_and_scaled() -> None:
    torch.manual_seed(0)
    attention = Attention(64, conv=EqualizedConv1x1)
    assert attention.value.weight.std().item() == pytest.approx(1, abs=0.05)
    assert attention.value.scale == pytest.approx(1 / 8)
    assert attention.out.scale == pytest.approx(1 / 32**0.5)


def test_a_far_pixel_is_seen() -> None:
    torch.manual_seed(0)
    attention = _open(Attention(16))
    x = torch.randn(1, 16, 8, 8, requires_grad=True)
    attention(x)[0, :, 0, 0].sum().backward()
    assert x.grad is not None
    assert x.grad[0, :, 6:, 6:].abs().sum() > 0


def test_pictures_of_a_batch_do_not_see_each_other() -> None:
    torch.manual_seed(0)
    attention = _open(Attention(16))
    x = torch.randn(3, 16, 4, 4)
    alone = torch.cat([attention(picture[None]) for picture in x])
    torch.testing.assert_close(attention(x), alone)


def test_no_pixel_is_left_out_where_patches_do_not_fit() -> None:
    torch.manual_seed(0)
    attention = _open(Attention(8))
    x = torch.randn(1, 8, 4, 5, requires_grad=True)
    attention(x)[..., 0, 0].sum().backward()
    assert x.grad is not None
    assert x.grad[..., 4].any()


@pytest.mark.parametrize(("ratio", "pool", "width"), [(2, 2, 4), (8, 1, 4), (2, 2, 5)])
def test_it_is_twice_differentiable(ratio: int, pool: int, width: int) -> None:
    torch.manual_seed(0)
    attention = _open(Attention(8, ratio, pool)).double()
    x = torch.randn(2, 8, 4, width, dtype=torch.float64, requires_grad=True)
    parameters = [*attention.parameters()]

    def run(x: Tensor, *_: Tensor) -> Tensor:
        return attention(x)  # type: ignore[no-any-return]

    assert torch.autograd.gradcheck(run, (x, *parameters))
    assert torch.autograd.gradgradcheck(run, (x, *parameters))


def test_every_parameter_receives_a_gradient_and_gamma_does_from_the_start() -> None:
    torch.manual_seed(0)
    attention = Attention(16)
    x = torch.randn(2, 16, 4, 4)
    attention(x).square().sum().backward()
    assert {name for name, p in attention.named_parameters() if p.grad.ne(0).any()} == {"gamma"}
    _open(attention)(x).square().sum().backward()
    for name, parameter in attention.named_parameters():
        assert parameter.grad.ne(0).any(), name


def test_the_mixture_is_not_computed_in_bf16() -> None:
    rng = torch.Generator().manual_seed(0)
    query, key, value = (torch.randn(2, 8, 16, generator=rng).bfloat16() for _ in range(3))
    with torch.autocast("cpu", torch.bfloat16):
        mixed = attend(query, key, value)
    expected = attend(query.double(), key.double(), value.double())
    assert (mixed.dtype, expected.dtype) == (torch.float32, torch.float64)
    torch.testing.assert_close(mixed.double(), expected, rtol=1e-5, atol=1e-6)


def test_bf16_in_bf16_out() -> None:
    torch.manual_seed(0)
    attention = _open(Attention(16))
    x = torch.randn(2, 16, 4, 4).bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        assert attention(x).dtype == torch.bfloat16


def test_a_side_that_is_not_there() -> None:
    check_attention((), (4, 8))
    check_attention((8, 4), (4, 8))
    with pytest.raises(
        ValueError, match=r"attention must be at some of the resolutions 4, 8, not at \[8, 16\]"
    ):
        check_attention((8, 16), (4, 8))
