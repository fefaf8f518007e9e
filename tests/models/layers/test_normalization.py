"""Spectral norm against the singular values; batch norm against its closed form."""

import copy
from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.layers.equalized import EqualizedConv2d, EqualizedDownConv2d, EqualizedLinear
from models.layers.normalization import (
    BatchNorm,
    PixelNorm,
    SpectralConv2d,
    SpectralDownConv2d,
    SpectralLinear,
    SpectralNorm,
    SpectralUpConv2d,
    apply_spectral_norm,
    local_moments,
    measure_statistics,
    power_iteration,
    spectral_norms,
    standardize,
    standardize_with,
)
from models.layers.resampling import upsample

SpectralLayer = SpectralConv2d | SpectralLinear
LAYERS: dict[str, Callable[[], SpectralLayer]] = {
    "conv": partial(SpectralConv2d, 5, 7, 3),
    "up": partial(SpectralUpConv2d, 5, 7),
    "down": partial(SpectralDownConv2d, 5, 7),
    "linear": partial(SpectralLinear, 11, 6),
}


def _layer(name: str) -> SpectralLayer:
    torch.manual_seed(0)
    layer = LAYERS[name]()
    assert layer.bias is not None
    with torch.no_grad():
        layer.bias.normal_()
    return layer


def _gain(weight: Tensor) -> float:
    """Largest singular value."""
    return torch.linalg.matrix_norm(weight.flatten(1), 2).item()


def _norm(layer: nn.Module) -> tuple[SpectralNorm, Tensor]:
    """A layer's spectral norm, and the weight that it is of."""
    (found,) = spectral_norms(layer)
    return found


@pytest.mark.parametrize("name", LAYERS)
def test_the_largest_singular_value_becomes_one(name: str) -> None:
    layer = _layer(name)
    assert _gain(layer.weight) == pytest.approx(1, abs=0.05)
    _, weight = _norm(layer)
    with torch.no_grad():
        weight.mul_(5).add_(torch.randn_like(weight))
    assert abs(_gain(layer.weight) - 1) > 0.02  # the singular vectors are of the old weight
    power_iteration(layer, 200)
    assert _gain(layer.weight) == pytest.approx(1, abs=1e-4)


def test_one_iteration_is_one_product_with_each_side() -> None:
    layer = _layer("conv")
    norm, weight = _norm(layer)
    matrix, left = weight.detach().flatten(1), norm.left.clone()
    power_iteration(nn.Sequential(nn.ReLU(), layer))
    right = matrix.T @ left
    torch.testing.assert_close(norm.right, right / right.norm())
    torch.testing.assert_close(norm.left, matrix @ right / (matrix @ right).norm())


@pytest.mark.parametrize("name", LAYERS)
def test_no_pass_changes_anything(name: str) -> None:
    layer = _layer(name).train()
    before = copy.deepcopy(layer.state_dict())
    x = torch.randn(2, 11) if name == "linear" else torch.randn(2, 5, 4, 4)
    layer(x).sum().backward()
    layer(x)
    assert all(torch.equal(value, before[key]) for key, value in layer.state_dict().items())
    assert {key.rsplit(".", 1)[-1] for key in before} >= {"left", "right"}  # state, so saved


def test_the_layers_work_with_the_weight_over_sigma() -> None:
    x = torch.randn(2, 5, 4, 4, dtype=torch.float64)
    for name, expected in (
        ("conv", lambda w, b: F.conv2d(x, w, b, padding=1)),
        ("up", lambda w, b: F.conv2d(upsample(x), w, b, padding=1)),
        ("down", lambda w, b: F.avg_pool2d(F.conv2d(x, w, b, padding=1), 2)),
    ):
        layer = _layer(name).double()
        norm, weight = _norm(layer)
        sigma = norm.left @ weight.flatten(1) @ norm.right
        torch.testing.assert_close(layer(x), expected(weight / sigma, layer.bias))
    linear = _layer("linear").double()
    y = torch.randn(3, 11, dtype=torch.float64)
    torch.testing.assert_close(linear(y), y @ linear.weight.T + linear.bias)


def test_the_gradient_flows_through_sigma() -> None:
    """W / sigma does not change when W is scaled, so the gradient is orthogonal to W."""
    layer = _layer("linear").double()
    layer(torch.randn(3, 11, dtype=torch.float64)).square().sum().backward()
    _, weight = _norm(layer)
    assert weight.grad is not None
    assert weight.grad.norm() > 0.1
    assert (weight.grad * weight).sum().item() == pytest.approx(0, abs=1e-10)


def test_sigma_is_of_float32_under_bf16() -> None:
    layer = _layer("conv")
    expected = layer.weight
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(layer.weight, expected)
        assert layer(torch.randn(2, 5, 4, 4)).dtype == torch.bfloat16


@pytest.mark.parametrize("name", LAYERS)
def test_spectral_layers_are_twice_differentiable(name: str) -> None:
    layer = _layer(name).double()
    x = torch.randn(2, 11) if name == "linear" else torch.randn(1, 5, 2, 2)
    x = x.double().requires_grad_()

    def run(x: Tensor, *_: Tensor) -> Tensor:
        return torch.tanh(layer(x))

    assert torch.autograd.gradcheck(run, (x, *layer.parameters()), fast_mode=True)
    assert torch.autograd.gradgradcheck(run, (x, *layer.parameters()), fast_mode=True)


def test_every_convolution_and_dense_layer_of_a_network_is_normalised() -> None:
    torch.manual_seed(0)
    kinds = (nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 3), nn.Linear(4, 2), EqualizedConv2d(2, 5, 3))
    network = nn.Sequential(*kinds, EqualizedDownConv2d(5, 5), EqualizedLinear(5, 6), nn.Embedding(3, 4))
    nn.init.zeros_(kinds[1].weight)
    kept = kinds[0].weight.detach().clone()
    apply_spectral_norm(network)
    power_iteration(network, 200)
    assert len(spectral_norms(network)) == 6
    for layer in network[:6]:
        assert _gain(layer.weight * getattr(layer, "scale", 1.0)) == pytest.approx(1, abs=1e-3)
    torch.testing.assert_close(kinds[0].weight * _gain(kept), kept, rtol=1e-3, atol=1e-4)


def _opened(classes: int = 3) -> BatchNorm:
    torch.manual_seed(0)
    norm = BatchNorm(5, classes)
    with torch.no_grad():
        norm.scale.normal_()
        norm.shift.normal_()
    return norm


def test_batch_norm_in_closed_form() -> None:
    norm = _opened()
    x = torch.randn(4, 5, 3, 3) * 2 + 1
    classes = torch.tensor([2, 0, 0, 1])
    mean, variance = x.mean((0, 2, 3)), x.transpose(0, 1).flatten(1).var(1, correction=0)
    standard = (x - mean.view(-1, 1, 1)) / (variance.view(-1, 1, 1) + 1e-5).sqrt()
    y = norm(x, F.one_hot(classes, 3).float())
    for n, c in enumerate(classes):
        expected = standard[n] * norm.scale[c].view(-1, 1, 1) + norm.shift[c].view(-1, 1, 1)
        torch.testing.assert_close(y[n], expected)


def test_another_label_another_picture() -> None:
    norm, x = _opened(), torch.randn(2, 5, 3, 3)
    one, other = (norm(x, F.one_hot(torch.tensor(labels), 3).float()) for labels in ([0, 1], [0, 2]))
    assert torch.equal(one[0], other[0])
    assert not torch.allclose(one[1], other[1])


def test_only_the_classes_of_the_batch_receive_a_gradient() -> None:
    norm = _opened()
    norm(torch.randn(2, 5, 3, 3), F.one_hot(torch.tensor([0, 2]), 3).float()).square().sum().backward()
    for parameter in (norm.scale, norm.shift):
        assert parameter.grad is not None
        assert parameter.grad.ne(0).any(1).tolist() == [True, False, True]


def test_training_changes_no_statistics() -> None:
    norm = _opened(1)
    norm(torch.randn(4, 5, 3, 3) + 7, torch.ones(4, 1))
    assert norm.mean.eq(0).all()
    assert norm.variance.eq(1).all()


def test_both_ways_to_standardise_agree_and_so_do_their_gradients() -> None:
    torch.manual_seed(0)
    results = []
    for way in (standardize, lambda x: standardize_with(x, local_moments)):
        torch.manual_seed(1)
        x = (torch.randn(4, 5, 3, 3, dtype=torch.float64) * 3 + 2).requires_grad_()
        y = way(x)
        results.append((y, *torch.autograd.grad((y * torch.randn_like(y)).sum(), x)))
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one, other)


def test_standardising_reaches_beyond_the_own_part_of_a_batch() -> None:
    x = torch.randn(6, 5, 3, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    part = standardize_with(x[:3], lambda own, dims: local_moments(torch.cat([own, x[3:]]), dims))
    torch.testing.assert_close(part, standardize(x)[:3])
    assert not torch.allclose(standardize(x[:3]), part)


def test_batch_norm_is_twice_differentiable() -> None:
    torch.manual_seed(0)
    norm = _opened(2).double()
    x = torch.randn(3, 5, 2, 2, dtype=torch.float64, requires_grad=True)
    label = F.one_hot(torch.tensor([0, 1, 1]), 2).double()

    def run(x: Tensor, *_: Tensor) -> Tensor:
        return norm(x, label)  # type: ignore[no-any-return]

    for way in (standardize, partial(standardize_with, moments=local_moments)):
        norm.standardize = way
        assert torch.autograd.gradcheck(run, (x, *norm.parameters()), fast_mode=True)
        assert torch.autograd.gradgradcheck(run, (x, *norm.parameters()), fast_mode=True)


def test_bf16_keeps_its_precision_and_its_type() -> None:
    norm, label = _opened(1), torch.ones(16, 1)
    x = (torch.randn(16, 5, 4, 4, generator=torch.Generator().manual_seed(0)) + 4).bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        y, z = norm(x, label), standardize_with(x, local_moments)
    assert (y.dtype, z.dtype) == (torch.bfloat16, torch.bfloat16)
    torch.testing.assert_close(y.float(), norm(x.float(), label), rtol=0.02, atol=0.05)
    torch.testing.assert_close(z.float(), standardize(x.float()), rtol=0.02, atol=0.02)


class _Two(nn.Module):
    """Two batch norms, the second after something that is not linear."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = BatchNorm(5), BatchNorm(5)

    def forward(self, x: Tensor) -> Tensor:
        label = x.new_ones(len(x), 1)
        return self.second(F.relu(self.first(x, label)) * 3 + 1, label)  # type: ignore[no-any-return]


def test_measured_on_one_batch_evaluation_does_what_training_did() -> None:
    torch.manual_seed(0)
    network, x = _Two(), torch.randn(8, 5, 3, 3) * 4 - 2
    trained = network(x)
    network.eval()
    assert not torch.allclose(network(x), trained)
    measure_statistics(network, [x])
    torch.testing.assert_close(network(x), trained)
    torch.testing.assert_close(torch.cat([network(x[:3]), network(x[3:])]), trained)  # each by itself


def test_measured_statistics_are_means_over_batches() -> None:
    torch.manual_seed(0)
    network, batches = _Two().eval(), [torch.randn(8, 5, 3, 3) * s + s for s in (1, 2, 5)]
    measure_statistics(network, batches)
    means = torch.stack([batch.mean((0, 2, 3)) for batch in batches]).mean(0)
    variances = torch.stack([batch.var((0, 2, 3), correction=0) for batch in batches]).mean(0)
    torch.testing.assert_close(network.first.mean, means)
    torch.testing.assert_close(network.first.variance, variances)
    again = copy.deepcopy(network.state_dict())
    measure_statistics(network, batches)
    assert all(torch.equal(value, again[key]) for key, value in network.state_dict().items())


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
