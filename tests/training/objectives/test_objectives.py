"""Objectives: values and gradients by closed form, at given logits."""

import math
from collections.abc import Callable

import pytest
import scipy.special
import torch
from torch import Tensor

from training.objectives import OBJECTIVES
from training.objectives.logistic import non_saturating_d

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


def _ra_gan(real: list[float], fake: list[float]) -> Numbers:
    """mean log(1 + exp(-(r - mean f))) + mean log(1 + exp(f - mean r)); each mean passes its gradient to all."""
    mean_real, mean_fake = sum(real) / N, sum(fake) / N
    above, below = [mean_fake - r for r in real], [f - mean_real for f in fake]
    value = sum(map(_log1p_exp, above)) / N + sum(map(_log1p_exp, below)) / N
    up, down = sum(map(_sigmoid, above)) / N, sum(map(_sigmoid, below)) / N
    by_real = [-_sigmoid(x) / N - down / N for x in above]
    return value, by_real, [_sigmoid(x) / N + up / N for x in below]


def _ra_least_squares(real: list[float], fake: list[float]) -> Numbers:
    """mean (r - mean f - 1)^2 + mean (f - mean r + 1)^2; each mean passes its gradient to all."""
    mean_real, mean_fake = sum(real) / N, sum(fake) / N
    above, below = [r - mean_fake - 1 for r in real], [f - mean_real + 1 for f in fake]
    value = sum(x * x for x in above) / N + sum(x * x for x in below) / N
    up, down = 2 * sum(above) / N, 2 * sum(below) / N
    return value, [2 * x / N - down / N for x in above], [2 * x / N - up / N for x in below]


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


def _least_squares(logits: list[float], target: float) -> tuple[float, list[float]]:
    """mean (x - target)^2 / 2, and its gradient."""
    return sum((x - target) ** 2 for x in logits) / (2 * N), [(x - target) / N for x in logits]


def _least_squares_d(real: list[float], fake: list[float], a: float, b: float) -> Numbers:
    (of_real, by_real), (of_fake, by_fake) = _least_squares(real, b), _least_squares(fake, a)
    return of_real + of_fake, by_real, by_fake


def _least_squares_g(fake: list[float], c: float) -> Numbers:
    value, by_fake = _least_squares(fake, c)
    return value, [0.0] * N, by_fake


def _log1p_exp(x: float) -> float:
    return math.log(1 + math.exp(x))


def _lambert(x: float) -> float:
    return float(scipy.special.lambertw(x).real)


# Per divergence: g_f(v), its derivative, f*(g_f(v)), its derivative.
Function = Callable[[float], float]
F_GAN: dict[str, tuple[Function, Function, Function, Function]] = {
    "total-variation": (
        lambda v: math.tanh(v) / 2,
        lambda v: (1 - math.tanh(v) ** 2) / 2,
        lambda v: math.tanh(v) / 2,
        lambda v: (1 - math.tanh(v) ** 2) / 2,
    ),
    "kl": (lambda v: v, lambda _: 1, lambda v: math.exp(v - 1), lambda v: math.exp(v - 1)),
    "reverse-kl": (lambda v: -math.exp(-v), lambda v: math.exp(-v), lambda v: v - 1, lambda _: 1),
    "pearson": (lambda v: v, lambda _: 1, lambda v: v * v / 4 + v, lambda v: v / 2 + 1),
    "neyman": (
        lambda v: 1 - math.exp(-v),
        lambda v: math.exp(-v),
        lambda v: 2 - 2 * math.sqrt(1 - (1 - math.exp(-v))),
        lambda v: math.exp(-v / 2),
    ),
    "hellinger": (
        lambda v: 1 - math.exp(-v),
        lambda v: math.exp(-v),
        lambda v: (1 - math.exp(-v)) / (1 - (1 - math.exp(-v))),
        lambda v: math.exp(v),
    ),
    "jeffrey": (
        lambda v: v,
        lambda _: 1,
        lambda v: _lambert(math.exp(1 - v)) + 1 / _lambert(math.exp(1 - v)) + v - 2,
        lambda v: 1 / _lambert(math.exp(1 - v)),
    ),
    "jensen-shannon": (
        lambda v: math.log(2) - _log1p_exp(-v),
        lambda v: _sigmoid(-v),
        lambda v: -math.log(2 - 2 * _sigmoid(v)),
        _sigmoid,
    ),
    "gan": (
        lambda v: -_log1p_exp(-v),
        lambda v: _sigmoid(-v),
        lambda v: -math.log(1 - _sigmoid(v)),
        _sigmoid,
    ),
}


def _f_gan(name: str) -> dict[tuple[str, str], Numbers]:
    g, slope, conjugate, conjugate_slope = F_GAN[name]
    value = sum(map(conjugate, FAKE)) / N - sum(map(g, REAL)) / N
    d = (value, [-slope(v) / N for v in REAL], [conjugate_slope(v) / N for v in FAKE])
    return {
        (f"f-{name}", "d"): d,
        (f"f-{name}", "g"): (-sum(map(g, FAKE)) / N, [0.0] * N, [-slope(v) / N for v in FAKE]),
        (f"f-{name}-saturating", "d"): d,
        (f"f-{name}-saturating", "g"): (
            -sum(map(conjugate, FAKE)) / N,
            [0.0] * N,
            [-conjugate_slope(v) / N for v in FAKE],
        ),
    }


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
    ("ra-gan", "d"): _ra_gan(REAL, FAKE),
    ("ra-gan", "g"): _swapped(_ra_gan),
    ("ra-least-squares", "d"): _ra_least_squares(REAL, FAKE),
    ("ra-least-squares", "g"): _swapped(_ra_least_squares),
    ("ra-hinge", "d"): _ra_hinge(REAL, FAKE),
    ("ra-hinge", "g"): _swapped(_ra_hinge),
    ("rp-gan", "d"): _rp_gan(REAL, FAKE),
    ("rp-gan", "g"): _swapped(_rp_gan),
    ("least-squares", "d"): _least_squares_d(REAL, FAKE, a=0, b=1),
    ("least-squares", "g"): _least_squares_g(FAKE, c=1),
    ("least-squares-pearson", "d"): _least_squares_d(REAL, FAKE, a=-1, b=1),
    ("least-squares-pearson", "g"): _least_squares_g(FAKE, c=0),
    ("minimax", "d"): _non_saturating_d(REAL, FAKE),
    ("minimax", "g"): (
        -sum(_log1p_exp(f) for f in FAKE) / N,
        [0.0] * N,
        [-_sigmoid(f) / N for f in FAKE],
    ),
    ("non-saturating", "d"): _non_saturating_d(REAL, FAKE),
    ("non-saturating", "g"): (
        sum(math.log(1 + math.exp(-f)) for f in FAKE) / N,
        [0.0] * N,
        [-_sigmoid(-f) / N for f in FAKE],
    ),
    ("wgan", "d"): (F - R, [-1 / N] * N, [1 / N] * N),
    ("wgan", "g"): (-F, [0.0] * N, [-1 / N] * N),
} | {key: numbers for name in F_GAN for key, numbers in _f_gan(name).items()}
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


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ra-gan", 2 * math.log(2)),
        ("ra-hinge", 2.0),
        ("ra-least-squares", 2.0),
        ("rp-gan", math.log(2)),
        ("wgan", 0.0),
    ],
)
@pytest.mark.parametrize("side", ["d", "g"])
def test_value_at_equal_logits_of_zero(name: str, side: str, value: float) -> None:
    zero = torch.zeros(5)
    assert _loss(name, side, zero, zero).item() == pytest.approx(value)


@SIDES
def test_real_and_fake_are_not_exchangeable(name: str, side: str) -> None:
    real, fake = torch.tensor(REAL), torch.tensor(FAKE)
    assert abs(_loss(name, side, real, fake) - _loss(name, side, fake, real)) > 0.1


PULLING = [name for name in OBJECTIVES if "least-squares" not in name]  # not to a target


@pytest.mark.parametrize("name", PULLING)
def test_the_sides_pull_the_fakes_opposite_ways(name: str) -> None:
    for side, sign in (("d", 1), ("g", -1)):
        fake = torch.tensor(FAKE, requires_grad=True)
        _loss(name, side, torch.tensor(REAL), fake).backward()
        assert fake.grad is not None
        assert (fake.grad * sign).sum() > 0


@pytest.mark.parametrize("name", ["ra-gan", "ra-hinge", "ra-least-squares", "rp-gan"])
@pytest.mark.parametrize("side", ["d", "g"])
def test_relativistic_losses_do_not_see_a_common_shift(name: str, side: str) -> None:
    real, fake = torch.tensor(REAL), torch.tensor(FAKE)
    torch.testing.assert_close(_loss(name, side, real + 7, fake + 7), _loss(name, side, real, fake))


@pytest.mark.parametrize("name", ["rp-gan", "ra-hinge"])
def test_large_logits_overflow_nothing(name: str) -> None:
    far = torch.full((4,), 1e4)
    assert _loss(name, "d", -far, far).item() == pytest.approx(2e4 if name == "rp-gan" else 2 * (1 + 2e4))
    assert _loss(name, "d", far, -far).item() == 0


@pytest.mark.parametrize("target", [0.9, 0.75])
def test_smoothed_labels_give_reals_the_target(target: float) -> None:
    best = torch.tensor([math.log(target / (1 - target))], dtype=torch.float64, requires_grad=True)
    fake = torch.zeros(1, dtype=torch.float64, requires_grad=True)
    loss = non_saturating_d(best, fake, target)
    entropy = -target * math.log(target) - (1 - target) * math.log(1 - target)
    assert loss.item() == pytest.approx(entropy + math.log(2))
    by_real, by_fake = torch.autograd.grad(loss, (best, fake))
    assert by_real.item() == pytest.approx(0, abs=1e-12)
    assert by_fake.item() == pytest.approx(0.5)  # one-sided: the fakes' target stays 0
