"""Equalized layers and their activation, against closed forms."""

import pytest
import torch
from torch.nn import functional as F

from models.layers.equalized import (
    EqualizedConv2d,
    EqualizedDownConv2d,
    EqualizedLinear,
    EqualizedUpConv2d,
    leaky_relu,
)
from models.layers.resampling import upsample


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
        x = leaky_relu(EqualizedLinear(256, 256)(x))
    assert x.square().mean().item() == pytest.approx(1, rel=0.35)  # the leak adds 4 % a layer: 1.04^6 = 1.27


def test_the_leak() -> None:
    assert leaky_relu(torch.tensor([-10.0, 0, 3])).tolist() == pytest.approx([-2, 0, 3])
