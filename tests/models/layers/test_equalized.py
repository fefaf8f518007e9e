"""The shared layers, against closed forms."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from models.layers.equalized import (
    Dropout,
    EqualizedConv2d,
    EqualizedDownConv2d,
    EqualizedLinear,
    EqualizedUpConv2d,
    GroupStdDev,
    MinibatchStdDev,
    PerSample,
    PixelNorm,
    leaky,
    local_moments,
    upsample,
)


@pytest.mark.parametrize("gain", [1.0, 2**0.5])
def test_an_equalised_convolution_scales_a_unit_normal_weight(gain: float) -> None:
    torch.manual_seed(0)
    layer = EqualizedConv2d(64, 96, 3, gain=gain)
    assert layer.weight.std().item() == pytest.approx(1, abs=0.01)
    assert layer.weight.mean().item() == pytest.approx(0, abs=0.02)
    assert layer.bias.eq(0).all()
    x = torch.randn(2, 64, 5, 5)
    expected = F.conv2d(x, layer.weight * (gain / (64 * 9) ** 0.5), padding=1)
    torch.testing.assert_close(layer(x), expected)


def test_an_equalised_convolution_adds_its_bias_as_it_is() -> None:
    layer = EqualizedConv2d(3, 4, 1)
    with torch.no_grad():
        layer.weight.zero_()
        layer.bias.copy_(torch.arange(4.0))
    assert layer(torch.randn(2, 3, 5, 5))[0, :, 2, 2].tolist() == [0, 1, 2, 3]


def test_an_upsampling_convolution_is_upsampling_then_convolving() -> None:
    torch.manual_seed(0)
    layer = EqualizedUpConv2d(5, 4, gain=1.5).double()
    with torch.no_grad():
        layer.bias.copy_(torch.arange(4.0))
    x = torch.randn(2, 5, 6, 3, dtype=torch.float64)
    expected = F.conv2d(upsample(x), layer.weight * layer.scale, layer.bias, padding=1)
    torch.testing.assert_close(layer(x), expected)
    assert layer.scale == pytest.approx(1.5 / 45**0.5)


def test_a_downsampling_convolution_is_convolving_then_pooling() -> None:
    torch.manual_seed(0)
    layer = EqualizedDownConv2d(5, 4, gain=1.5).double()
    with torch.no_grad():
        layer.bias.copy_(torch.arange(4.0))
    x = torch.randn(2, 5, 6, 4, dtype=torch.float64)
    expected = F.avg_pool2d(F.conv2d(x, layer.weight * layer.scale, layer.bias, padding=1), 2)
    torch.testing.assert_close(layer(x), expected)
    assert layer.scale == pytest.approx(1.5 / 45**0.5)


@pytest.mark.parametrize(("kernel", "padding", "side"), [(1, None, 8), (3, None, 8), (4, 0, 5), (3, 0, 6)])
def test_a_convolution_keeps_the_size_unless_told(kernel: int, padding: int | None, side: int) -> None:
    assert EqualizedConv2d(3, 6, kernel, padding)(torch.zeros(2, 3, 8, 8)).shape == (2, 6, side, side)


@pytest.mark.parametrize("gain", [1.0, 2**0.5])
def test_an_equalised_dense_layer_scales_a_unit_normal_weight(gain: float) -> None:
    torch.manual_seed(0)
    layer = EqualizedLinear(200, 300, gain=gain)
    assert layer.weight.std().item() == pytest.approx(1, abs=0.01)
    assert layer.bias.eq(0).all()
    x = torch.randn(7, 200)
    torch.testing.assert_close(layer(x), x @ layer.weight.T * (gain / 200**0.5))


def test_hes_gain_keeps_the_mean_square_through_layers() -> None:
    torch.manual_seed(0)
    x = torch.randn(64, 256)
    for _ in range(6):
        x = leaky(EqualizedLinear(256, 256)(x))
    assert x.square().mean().item() == pytest.approx(1, rel=0.35)  # the leak adds 4 % a layer: 1.04^6 = 1.27


def test_pixel_norm_in_closed_form() -> None:
    x = torch.tensor([3.0, 4.0]).view(1, 2, 1, 1).expand(2, 2, 3, 3)
    expected = torch.tensor([3.0, 4.0]) / 12.5**0.5  # the mean square is (9 + 16) / 2
    torch.testing.assert_close(PixelNorm()(x)[1, :, 2, 0], expected)
    assert PixelNorm()(torch.zeros(1, 2, 3, 3)).eq(0).all()


def test_pixel_norm_treats_every_pixel_by_itself() -> None:
    torch.manual_seed(0)
    x = torch.randn(3, 8, 4, 4) * torch.rand(3, 1, 4, 4) * 50
    y = PixelNorm()(x)
    torch.testing.assert_close(y.square().mean(1), torch.ones(3, 4, 4))
    assert PixelNorm()(x.bfloat16()).dtype == torch.bfloat16


def _stddev(x: NDArray[np.float64]) -> float:
    """One scalar: biased standard deviation over the batch, averaged over channels and pixels."""
    return float(np.sqrt(x.var(axis=0) + 1e-8).mean())


@pytest.mark.parametrize("shape", [(12, 1, 1, 1), (5, 3, 4, 4), (2, 8, 2, 2), (1, 3, 4, 4)])
def test_minibatch_stddev_is_one_scalar_over_the_whole_batch(shape: tuple[int, ...]) -> None:
    x = np.random.default_rng(0).normal(size=shape)
    y = MinibatchStdDev()(torch.from_numpy(x))
    assert y.shape == (shape[0], shape[1] + 1, *shape[2:])
    np.testing.assert_array_equal(y[:, :-1], x)
    np.testing.assert_allclose(y[:, -1], np.full((shape[0], *shape[2:]), _stddev(x)), rtol=1e-9)


def test_minibatch_stddev_by_hand() -> None:
    x = torch.tensor([0.0, 0, 0, 0, 1, 2, 3, 4, 100, 200, 300, 400], dtype=torch.float64).view(12, 1, 1, 1)
    # mean 1010 / 12, mean square 300030 / 12
    expected = (300030 / 12 - (1010 / 12) ** 2) ** 0.5
    assert MinibatchStdDev()(x)[:, 1].flatten().tolist() == pytest.approx([expected] * 12)


def test_minibatch_stddev_computes_in_float32_under_bf16() -> None:
    x = (torch.randn(16, 4, 4, 4, generator=torch.Generator().manual_seed(0)) * 0.01 + 1).bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        y = MinibatchStdDev()(x)
    assert y.dtype == torch.bfloat16
    assert y[0, -1, 0, 0].item() == pytest.approx(_stddev(x.double().numpy()), rel=2**-8)


def test_minibatch_stddev_derivatives() -> None:
    torch.manual_seed(0)
    x = torch.randn(4, 2, 2, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(MinibatchStdDev(), x)
    assert torch.autograd.gradgradcheck(MinibatchStdDev(), x)


def test_minibatch_stddev_takes_its_moments_from_whoever_trains() -> None:
    layer = MinibatchStdDev()
    x = torch.randn(6, 2, 3, 3, generator=torch.Generator().manual_seed(0))
    whole = layer(x)[:3]
    layer.moments = lambda own, dims: local_moments(
        torch.cat([own, x[3:]]), dims
    )  # with another process's samples
    torch.testing.assert_close(layer(x[:3]), whole)


SCALARS = torch.tensor([0.0, 0, 0, 0, 1, 2, 3, 4, 100, 200, 300, 400]).view(12, 1, 1, 1)


def test_groups_are_dealt_out_in_turn() -> None:
    """Groups {0, 0, 3, 200}... would be wrong twice over: neither neighbours, nor tiled along the wrong axis."""
    y = GroupStdDev(4)(SCALARS)
    assert torch.equal(y[:, :1], SCALARS)
    assert y[:, 1].flatten().tolist() == pytest.approx([86.1782, 129.1905, 163.5566] * 4, abs=1e-4)


@pytest.mark.parametrize(
    ("batch", "group", "size"),
    [(12, 4, 4), (12, 5, 4), (14, 4, 2), (3, 4, 3), (6, 4, 3), (14, 16, 14), (1, 4, 1), (5, 4, 1)],
)
def test_a_group_is_as_large_as_divides_the_batch(batch: int, group: int, size: int) -> None:
    x = np.random.default_rng(0).normal(size=(batch, 3, 2, 4))
    y = GroupStdDev(group)(torch.from_numpy(x))
    assert y.shape == (batch, 4, 2, 4)
    np.testing.assert_array_equal(y[:, :-1], x)
    groups = batch // size
    expected = [_stddev(x[i % groups :: groups]) for i in range(batch)]
    np.testing.assert_allclose(
        y[:, -1], np.array(expected)[:, None, None].repeat(2, 1).repeat(4, 2), rtol=1e-9
    )


def test_one_group_of_all_is_the_one_scalar_form() -> None:
    x = torch.randn(6, 3, 4, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    torch.testing.assert_close(GroupStdDev(8)(x), MinibatchStdDev()(x))
    assert not torch.allclose(GroupStdDev(3)(x), MinibatchStdDev()(x))


def test_group_stddev_computes_in_float32_under_bf16() -> None:
    x = (torch.randn(4, 4, 4, 4, generator=torch.Generator().manual_seed(0)) * 0.01 + 1).bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        y = GroupStdDev(4)(x)
    assert y.dtype == torch.bfloat16
    assert y[0, -1, 0, 0].item() == pytest.approx(_stddev(x.double().numpy()), rel=2**-8)


def test_group_stddev_derivatives() -> None:
    torch.manual_seed(0)
    x = torch.randn(6, 2, 2, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(GroupStdDev(3), x)
    assert torch.autograd.gradgradcheck(GroupStdDev(3), x)


def test_groups_are_of_the_batch_that_whoever_trains_knows() -> None:
    layer = GroupStdDev(4)

    def second_half(function: PerSample, own: Tensor) -> Tensor:
        return function(torch.cat([SCALARS[:6], own]))[6:]  # the first half is another process's

    whole = layer(SCALARS)
    layer.over_batch = second_half
    torch.testing.assert_close(layer(SCALARS[6:]), whole[6:])


def test_upsampling_repeats_each_pixel() -> None:
    x = torch.tensor([[1.0, 2.0], [3.0, 4.0]]).view(1, 1, 2, 2)
    assert upsample(x).tolist() == [[[[1, 1, 2, 2], [1, 1, 2, 2], [3, 3, 4, 4], [3, 3, 4, 4]]]]


def test_the_leak() -> None:
    assert leaky(torch.tensor([-10.0, 0, 3])).tolist() == pytest.approx([-2, 0, 3])


def test_dropout_zeroes_features_in_training_alone_and_keeps_the_mean() -> None:
    drop, x = Dropout(0.2), torch.ones(50, 40)
    torch.manual_seed(0)
    assert set(drop(x).unique().tolist()) == {0.0, 1.25}
    assert drop(x).mean() == pytest.approx(1, abs=0.05)
    assert torch.equal(drop.eval()(x), x)


def test_dropout_zeroes_single_features_or_whole_maps() -> None:
    torch.manual_seed(0)
    single, maps = (Dropout(maps=maps)(torch.ones(5, 8, 3, 3)).flatten(2) for maps in (False, True))
    assert torch.equal(maps, maps[..., :1].expand(5, 8, 9))
    assert not torch.equal(single, single[..., :1].expand(5, 8, 9))


def test_dropout_takes_its_coins_from_who_trains() -> None:
    drop = Dropout(0.5)
    drop.uniform = lambda shape: torch.tensor([[0.4, 0.5], [0.6, 0.4]]).expand(shape)
    assert torch.equal(drop(torch.ones(2, 2)), torch.tensor([[0.0, 2], [2, 0]]))
