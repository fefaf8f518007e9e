"""What tells of a batch's variety: by hand, and as part of a discriminator."""

import itertools
import math

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.architectures.began import BEGANDiscriminator
from models.architectures.dcgan import DCGANDiscriminator
from models.architectures.progan import ProGANDiscriminator
from models.layers.minibatch import (
    MinibatchDifference,
    MinibatchDiscrimination,
    MinibatchDiscriminator,
    MinibatchLayer,
    MinibatchStdDev,
)
from models.layers.normalization import apply_spectral_norm

KINDS: tuple[MinibatchLayer, ...] = ("stddev", "discrimination", "difference")
EVERY_KIND = pytest.mark.parametrize("kind", KINDS)


def _x(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1))


def test_discrimination_by_hand() -> None:
    torch.manual_seed(0)
    layer, x = MinibatchDiscrimination(6, kernels=3, dimensions=2), _x(4, 6)
    found = layer(x)
    assert found.shape == (4, 9)
    assert torch.equal(found[:, :6], x)
    m = (x @ layer.tensor).view(4, 3, 2)
    for i, b in itertools.product(range(4), range(3)):
        near = [math.exp(-(m[i, b] - m[j, b]).abs().sum().item()) for j in range(4) if j != i]
        assert found[i, 6 + b].item() == pytest.approx(sum(near), rel=1e-5)


def test_a_collapsed_batch_is_as_near_as_can_be() -> None:
    found = MinibatchDiscrimination(6, 3, 2)(_x(1, 6).expand(5, 6))
    torch.testing.assert_close(found[:, 6:], torch.full((5, 3), 4.0))
    far = MinibatchDiscrimination(6, 3, 2)(_x(5, 6) * 1e4)
    torch.testing.assert_close(far[:, 6:], torch.zeros(5, 3))


def test_difference_by_hand() -> None:
    x = torch.stack([torch.full((2, 3, 3), value) for value in (1.0, 2.0, 6.0)])  # mean 3
    found = MinibatchDifference()(x)
    assert torch.equal(found[:, :2], x)
    torch.testing.assert_close(found[:, 2], torch.tensor([2.0, 1.0, 3.0]).view(3, 1, 1).expand(3, 3, 3))


@pytest.mark.parametrize("layer", [MinibatchDiscrimination(12, 2, 2), MinibatchDifference()], ids=type)
def test_gradients(layer: nn.Module) -> None:
    x = _x(3, 12).double() if isinstance(layer, MinibatchDiscrimination) else _x(3, 3, 2, 2).double()
    layer, x = layer.double(), x.requires_grad_()
    assert torch.autograd.gradcheck(layer, (x,))  # type: ignore[no-untyped-call]
    assert torch.autograd.gradgradcheck(layer, (x,))  # type: ignore[no-untyped-call]


def _discriminators(kind: MinibatchLayer) -> tuple[DCGANDiscriminator, MinibatchDiscriminator]:
    torch.manual_seed(0)
    judge = DCGANDiscriminator(16, (8, 4), norm="none")
    return judge, MinibatchDiscriminator(judge, kind)


@EVERY_KIND
def test_a_score_depends_on_the_batch(kind: MinibatchLayer) -> None:
    plain, aware = _discriminators(kind)
    pictures = _x(4, 3, 16, 16)
    with torch.no_grad():
        aware.linear.weight.mul_(100)
    for network, depends in ((plain, False), (aware, True)):
        whole, part = (network([some]).logits[:2] for some in (pictures, pictures[:2]))
        assert torch.allclose(whole, part, rtol=1e-4, atol=1e-5) != depends


@pytest.mark.parametrize(
    ("kind", "more"), [("stddev", 1), ("difference", 1), ("discrimination", 8 * 16 * 500 + 100)]
)
def test_what_it_adds_to_the_parameters(kind: MinibatchLayer, more: int) -> None:
    counts = [sum(p.numel() for p in network.parameters()) for network in _discriminators(kind)]
    assert counts[1] - counts[0] == more


@EVERY_KIND
def test_it_is_a_dense_layer_on_features_and_variety(kind: MinibatchLayer) -> None:
    plain, aware = _discriminators(kind)
    pictures = _x(4, 3, 16, 16)
    features = plain([pictures]).features
    assert features is not None
    if kind == "discrimination":
        seen, told = aware.layer(features), aware.linear.weight
    else:  # the statistic is a map of 16 equal pixels
        layer = MinibatchStdDev() if kind == "stddev" else MinibatchDifference()
        seen, told = layer(features.view(4, 8, 4, 4)).flatten(1), aware.linear.weight.expand(1, 16) / 16
    weight = torch.cat([plain.logits.weight, told], dim=1)
    torch.testing.assert_close(aware([pictures]).logits, F.linear(seen, weight, plain.logits.bias).flatten())


@EVERY_KIND
def test_every_parameter_receives_a_gradient(kind: MinibatchLayer) -> None:
    _, network = _discriminators(kind)
    output = network([_x(4, 3, 16, 16)])
    assert output.features is not None
    assert output.features.shape == (4, network.feature_size) == (4, 8 * 16)
    output.logits.square().sum().backward()  # type: ignore[no-untyped-call]
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name


@EVERY_KIND
def test_gradients_by_the_pictures(kind: MinibatchLayer) -> None:
    """What gradient penalties go through, twice, under spectral norm too."""
    _, network = _discriminators(kind)
    apply_spectral_norm(network)
    network = network.double()
    images, part = _x(2, 2, 3, 16, 16).double()

    def logits(x: Tensor) -> Tensor:
        return network([images + x * part]).logits

    x = torch.tensor(0.1, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(logits, (x,))  # type: ignore[no-untyped-call]
    assert torch.autograd.gradgradcheck(logits, (x,))  # type: ignore[no-untyped-call]


def test_it_grows_with_the_other_one() -> None:
    network = MinibatchDiscriminator(ProGANDiscriminator(16, (6, 5, 4)), "difference")
    for side in (4, 16):
        network.grow(side, 1.0)
        assert network.resolutions == (side,)
        assert network([_x(4, 3, side, side)]).logits.shape == (4,)


def test_one_without_features_is_refused() -> None:
    with pytest.raises(ValueError, match="BEGANDiscriminator returns no features"):
        MinibatchDiscriminator(BEGANDiscriminator(16, 4, 4), "stddev")
