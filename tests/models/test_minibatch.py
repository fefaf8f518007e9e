"""What tells of a batch's variety: by hand, over two ranks, and as part of DCGAN's discriminator."""

import itertools
import math

import pytest
import torch
from torch import Tensor, nn

from models.dcgan import DCGANDiscriminator, Minibatch
from models.minibatch import MinibatchDifference, MinibatchDiscrimination

KINDS: tuple[Minibatch, ...] = ("none", "stddev", "discrimination", "difference")
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


def _discriminator(kind: Minibatch, norm: str = "none") -> DCGANDiscriminator:
    torch.manual_seed(0)
    return DCGANDiscriminator(16, (8, 4), norm=norm, minibatch=kind)  # type: ignore[arg-type]


@EVERY_KIND
def test_only_where_it_is_asked_for_a_score_depends_on_the_batch(kind: Minibatch) -> None:
    network, pictures = _discriminator(kind), _x(4, 3, 16, 16)
    with torch.no_grad():
        network.score.weight.mul_(100)
    alike = torch.allclose(network([pictures]).score[:2], network([pictures[:2]]).score, rtol=1e-4, atol=1e-5)
    assert alike == (kind == "none")


@pytest.mark.parametrize(
    ("kind", "more"), [("stddev", 16), ("difference", 16), ("discrimination", 8 * 16 * 500 + 100)]
)
def test_what_it_adds_to_the_parameters(kind: Minibatch, more: int) -> None:
    counts = [sum(p.numel() for p in _discriminator(each).parameters()) for each in ("none", kind)]  # type: ignore[arg-type]
    assert counts[1] - counts[0] == more


@pytest.mark.parametrize("norm", ["none", "spectral"])
@EVERY_KIND
def test_every_parameter_receives_a_gradient(kind: Minibatch, norm: str) -> None:
    network = _discriminator(kind, norm)
    verdict = network([_x(4, 3, 16, 16)])
    assert verdict.features is not None
    assert verdict.features.shape == (4, 8 * 16)
    verdict.score.square().sum().backward()  # type: ignore[no-untyped-call]
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name


@EVERY_KIND
def test_gradients_by_the_pictures(kind: Minibatch) -> None:
    """What gradient penalties go through, twice, under spectral norm too."""
    network = _discriminator(kind, "spectral").double()
    images, part = _x(2, 2, 3, 16, 16).double()

    def score(x: Tensor) -> Tensor:
        return network([images + x * part]).score

    x = torch.tensor(0.1, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(score, (x,))  # type: ignore[no-untyped-call]
    assert torch.autograd.gradgradcheck(score, (x,))  # type: ignore[no-untyped-call]


def test_spectral_norms_layers_have_norm_one() -> None:
    network = _discriminator("none", "spectral")
    for module in (network.from_rgb, network.score):
        norm = torch.linalg.matrix_norm(module.normalized().flatten(1), 2)  # type: ignore[operator]
        assert norm.item() == pytest.approx(1, rel=0.05)
