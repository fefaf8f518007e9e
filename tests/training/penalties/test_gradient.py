"""Gradient penalties: closed forms on discriminators whose gradient is known, several scales at once."""

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor, nn

from models.architectures.msg_gan import MSGDiscriminator
from training.penalties.gradient import leaves, one_centered, zero_centered

SIDES = (4, 8)
SHARES = (1 / 4, 1)  # of a pixel of the coarse scale, squared length per pixel of the fine one


def _images(count: int, seed: int) -> list[Tensor]:
    rng = torch.Generator().manual_seed(seed)
    return [torch.randn(count, 3, side, side, generator=rng) for side in SIDES]


class Linear(nn.Module):
    """D(x) = sum over scales of w_s . x_s, whose gradient is w_s everywhere."""

    def __init__(self) -> None:
        super().__init__()
        self.weights = nn.ParameterList(image[0] for image in _images(1, seed=7))

    def forward(self, images: Sequence[Tensor]) -> Tensor:
        parts = [(image * weight).sum((1, 2, 3)) for image, weight in zip(images, self.weights, strict=True)]
        return torch.stack(parts).sum(0)

    def squared_norms(self) -> list[float]:
        return [weight.square().sum().item() for weight in self.weights]


class Quadratic(nn.Module):
    """D(x) = a/2 |x|^2 over all scales, whose gradient is a x."""

    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Parameter(torch.tensor(0.3))

    def forward(self, images: Sequence[Tensor]) -> Tensor:
        return self.a / 2 * torch.stack([image.square().sum((1, 2, 3)) for image in images]).sum(0)


def test_zero_centred_on_a_linear_discriminator() -> None:
    discriminator, images = Linear(), leaves(_images(5, seed=0))
    penalty = zero_centered(discriminator(images), images)
    coarse, fine = discriminator.squared_norms()
    assert penalty.item() == pytest.approx((coarse / 4 + fine) / 2)


def test_zero_centred_treats_a_picture_alike_at_whatever_scale_it_is_judged() -> None:
    """D(x) = w . pooled x has one gradient length, whether pooling is D's or was done before."""
    weight = _images(1, seed=7)[0][0]
    fine = leaves([torch.zeros(2, 3, 8, 8)])
    pooled = nn.functional.avg_pool2d(fine[0], 2)
    inside = zero_centered((pooled * weight).sum((1, 2, 3)), fine)
    both = leaves([torch.zeros(2, 3, 4, 4), torch.zeros(2, 3, 8, 8)])
    outside = zero_centered((both[0] * weight).sum((1, 2, 3)) + 0 * both[1].sum((1, 2, 3)), both)
    torch.testing.assert_close(inside, outside)


def test_zero_centred_on_a_quadratic_discriminator_is_a_mean_over_samples() -> None:
    discriminator, images = Quadratic(), leaves(_images(5, seed=0))
    penalty = zero_centered(discriminator(images), images)
    parts = [share * image.square().sum().item() for image, share in zip(images, SHARES, strict=True)]
    energy = sum(parts) / 5  # |x|^2 of all scales joined, per sample
    assert penalty.item() == pytest.approx(0.3**2 * energy / 2)
    (gradient,) = torch.autograd.grad(penalty, discriminator.parameters())
    assert gradient.item() == pytest.approx(0.3 * energy)


def test_zero_centred_gradient_by_the_weights_of_a_linear_discriminator() -> None:
    discriminator, images = Linear(), leaves(_images(5, seed=0))
    zero_centered(discriminator(images), images).backward()
    for weight, share in zip(discriminator.weights, SHARES, strict=True):  # d(1/2 |w|^2) / dw = w
        torch.testing.assert_close(weight.grad, weight.detach() * share)


@pytest.mark.parametrize("position", [0.0, 0.25, 1.0])
def test_one_centred_on_a_linear_discriminator(position: float) -> None:
    discriminator = Linear()
    mix = torch.full((5,), position)
    penalty = one_centered(discriminator, _images(5, seed=0), _images(5, seed=1), mix)
    norms = [square**0.5 for square in discriminator.squared_norms()]
    assert penalty.item() == pytest.approx(sum((norm - 1) ** 2 for norm in norms) / len(SIDES))
    penalty.backward()
    for weight, norm in zip(discriminator.weights, norms, strict=True):
        expected = 2 * (norm - 1) / norm * weight.detach() / len(SIDES)
        torch.testing.assert_close(weight.grad, expected)


def test_one_centred_looks_at_each_samples_own_point_between_real_and_fake() -> None:
    discriminator, reals, fakes = Quadratic(), _images(3, seed=0), _images(3, seed=1)
    mix = torch.tensor([0.0, 0.3, 1.0])  # the first sample is the real one, the last the fake one
    penalties = []
    for real, fake in zip(reals, fakes, strict=True):
        points = [real[0], real[1] + 0.3 * (fake[1] - real[1]), fake[2]]
        penalties.append(sum((0.3 * point.norm().item() - 1) ** 2 for point in points) / 3)
    penalty = one_centered(discriminator, reals, fakes, mix)
    assert penalty.item() == pytest.approx(sum(penalties) / len(SIDES))


def test_one_centred_has_a_gradient_where_the_discriminator_is_flat() -> None:
    discriminator = Linear()
    with torch.no_grad():
        for weight in discriminator.weights:
            weight.zero_()
    penalty = one_centered(discriminator, _images(4, seed=0), _images(4, seed=1), torch.rand(4))
    assert penalty.item() == pytest.approx(1, abs=1e-5)
    penalty.backward()
    for weight in discriminator.weights:
        assert weight.grad is not None
        assert weight.grad.isfinite().all()


def test_leaves_cut_the_graph_and_are_float32() -> None:
    generated = [image.requires_grad_().bfloat16() * 2 for image in _images(2, seed=0)]
    for leaf, image in zip(leaves(generated), generated, strict=True):
        assert leaf.is_leaf
        assert leaf.requires_grad
        assert leaf.dtype == torch.float32
        assert torch.equal(leaf, image.float())


@pytest.mark.parametrize("kind", ["zero", "one"])
def test_penalties_move_every_weight_of_msg_gans_discriminator(kind: str) -> None:
    torch.manual_seed(0)
    discriminator = MSGDiscriminator(8, (6, 6))
    reals, fakes = _images(4, seed=0), _images(4, seed=1)
    if kind == "zero":
        points = leaves(reals)
        penalty = zero_centered(discriminator(points).logits, points)
    else:
        penalty = one_centered(lambda images: discriminator(images).logits, reals, fakes, torch.rand(4))
    penalty.backward()
    weights = {name: p for name, p in discriminator.named_parameters() if name.endswith("weight")}
    for name, weight in weights.items():  # biases move it hardly: between its kinks the network is linear
        assert weight.grad is not None, name
        assert weight.grad.isfinite().all(), name
        assert weight.grad.ne(0).any(), name


def test_the_penalty_sees_every_scale() -> None:
    torch.manual_seed(0)
    discriminator = MSGDiscriminator(8, (6, 6))
    images = leaves(_images(4, seed=0))
    whole = zero_centered(discriminator(images).logits, images)
    coarse, fine = (zero_centered(discriminator(images).logits, [image]) for image in images)
    assert coarse > 0
    assert fine > 0
    torch.testing.assert_close(whole, coarse / 4 + fine)
