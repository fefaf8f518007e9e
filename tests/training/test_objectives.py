"""Objectives: values and gradients by closed form, at given logits."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from training.objectives import OBJECTIVES

REAL = [0.3, -0.8, 2.0, 0.1]
FAKE = [0.5, -1.5, 0.2, -0.6]
N = len(REAL)
R, F = sum(REAL) / N, sum(FAKE) / N
Numbers = tuple[float, list[float], list[float]]  # value, gradient by real, gradient by fake


def _sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def _ra_hinge(real: list[float], fake: list[float]) -> Numbers:
    """mean relu(1 - (r - mean f)) + mean relu(1 + (f - mean r)); each mean passes its gradient to all."""
    mean_real, mean_fake = sum(real) / N, sum(fake) / N
    above = [1 - (r - mean_fake) for r in real]
    below = [1 + (f - mean_real) for f in fake]
    value = sum(max(0.0, x) for x in above) / N + sum(max(0.0, x) for x in below) / N
    active_real = [float(x > 0) for x in above]
    active_fake = [float(x > 0) for x in below]
    by_real = [-a / N - sum(active_fake) / N**2 for a in active_real]
    by_fake = [a / N + sum(active_real) / N**2 for a in active_fake]
    return value, by_real, by_fake


def _rp_gan(real: list[float], fake: list[float]) -> Numbers:
    """mean log(1 + exp(f - r)), pair by pair."""
    value = sum(math.log(1 + math.exp(f - r)) for r, f in zip(real, fake, strict=True)) / N
    pull = [_sigmoid(f - r) / N for r, f in zip(real, fake, strict=True)]
    return value, [-p for p in pull], pull


def _non_saturating_d(real: list[float], fake: list[float]) -> Numbers:
    """mean log(1 + exp(-r)) + mean log(1 + exp(f))."""
    value = (
        sum(math.log(1 + math.exp(-r)) for r in real) / N + sum(math.log(1 + math.exp(f)) for f in fake) / N
    )
    return value, [-_sigmoid(-r) / N for r in real], [_sigmoid(f) / N for f in fake]


def _hinge(real: list[float], fake: list[float]) -> Numbers:
    """mean relu(1 - r) + mean relu(1 + f)."""
    value = sum(max(0.0, 1 - r) for r in real) / N + sum(max(0.0, 1 + f) for f in fake) / N
    return value, [-float(r < 1) / N for r in real], [float(f > -1) / N for f in fake]


def _swapped(loss: Callable[[list[float], list[float]], Numbers]) -> Numbers:
    value, by_fake, by_real = loss(FAKE, REAL)
    return value, by_real, by_fake


EXPECTED: dict[tuple[str, str], Numbers] = {
    ("hinge", "d"): _hinge(REAL, FAKE),
    ("hinge", "g"): (-F, [0.0] * N, [-1 / N] * N),
    ("ra-hinge", "d"): _ra_hinge(REAL, FAKE),
    ("ra-hinge", "g"): _swapped(_ra_hinge),
    ("rp-gan", "d"): _rp_gan(REAL, FAKE),
    ("rp-gan", "g"): _swapped(_rp_gan),
    ("non-saturating", "d"): _non_saturating_d(REAL, FAKE),
    ("non-saturating", "g"): (
        sum(math.log(1 + math.exp(-f)) for f in FAKE) / N,
        [0.0] * N,
        [-_sigmoid(-f) / N for f in FAKE],
    ),
    ("wgan", "d"): (F - R, [-1 / N] * N, [1 / N] * N),
    ("wgan", "g"): (-F, [0.0] * N, [-1 / N] * N),
}
SIDES = pytest.mark.parametrize(("name", "side"), EXPECTED)


def _loss(name: str, side: str, real: Tensor, fake: Tensor) -> Tensor:
    objective = OBJECTIVES[name]
    return {"d": objective.d, "g": objective.g}[side](real, fake)


def test_every_objective_is_tested() -> None:
    assert {name for name, _ in EXPECTED} == set(OBJECTIVES)


@SIDES
def test_value_and_gradient(name: str, side: str) -> None:
    real = torch.tensor(REAL, dtype=torch.float64, requires_grad=True)
    fake = torch.tensor(FAKE, dtype=torch.float64, requires_grad=True)
    value, by_real, by_fake = EXPECTED[name, side]
    loss = _loss(name, side, real, fake)
    assert loss.item() == pytest.approx(value)
    gradients = torch.autograd.grad(loss, (real, fake), materialize_grads=True)
    assert gradients[0].tolist() == pytest.approx(by_real)
    assert gradients[1].tolist() == pytest.approx(by_fake)


@pytest.mark.parametrize("name", ["hinge", "ra-hinge"])
def test_the_hinge_is_reached_on_both_sides(name: str) -> None:
    """The logits above are of use: the hinges are flat for some and not for others."""
    _, by_real, by_fake = EXPECTED[name, "d"]
    assert len(set(by_real)) == 2
    assert len(set(by_fake)) == 2


def test_value_of_the_hinge_at_logits_of_zero() -> None:
    zero = torch.zeros(5)
    assert _loss("hinge", "d", zero, zero).item() == 2
    assert _loss("hinge", "g", zero, zero).item() == 0


@pytest.mark.parametrize(("name", "value"), [("ra-hinge", 2.0), ("rp-gan", math.log(2)), ("wgan", 0.0)])
@pytest.mark.parametrize("side", ["d", "g"])
def test_value_at_equal_logits_of_zero(name: str, side: str, value: float) -> None:
    zero = torch.zeros(5)
    assert _loss(name, side, zero, zero).item() == pytest.approx(value)


@SIDES
def test_real_and_fake_are_not_exchangeable(name: str, side: str) -> None:
    real, fake = torch.tensor(REAL), torch.tensor(FAKE)
    assert abs(_loss(name, side, real, fake) - _loss(name, side, fake, real)) > 0.1


@pytest.mark.parametrize("name", OBJECTIVES)
def test_the_sides_pull_the_fakes_opposite_ways(name: str) -> None:
    for side, sign in (("d", 1), ("g", -1)):
        fake = torch.tensor(FAKE, requires_grad=True)
        _loss(name, side, torch.tensor(REAL), fake).backward()
        assert fake.grad is not None
        assert (fake.grad * sign).sum() > 0


@pytest.mark.parametrize("name", ["ra-hinge", "rp-gan"])
@pytest.mark.parametrize("side", ["d", "g"])
def test_relativistic_losses_do_not_see_a_common_shift(name: str, side: str) -> None:
    real, fake = torch.tensor(REAL), torch.tensor(FAKE)
    torch.testing.assert_close(_loss(name, side, real + 7, fake + 7), _loss(name, side, real, fake))


@pytest.mark.parametrize("name", ["rp-gan", "ra-hinge"])
def test_large_logits_overflow_nothing(name: str) -> None:
    far = torch.full((4,), 1e4)
    assert _loss(name, "d", -far, far).item() == pytest.approx(2e4 if name == "rp-gan" else 2 * (1 + 2e4))
    assert _loss(name, "d", far, -far).item() == 0
