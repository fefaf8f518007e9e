"""f-GAN: conjugates against a numeric supremum, and the bound against the divergence that it reaches."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy import optimize

from training.objectives import OBJECTIVES
from training.objectives.f_divergence import (
    DIVERGENCES,
    f_gan_bound_g,
    f_gan_d,
    f_gan_g,
    jeffrey_conjugate,
)
from training.objectives.logistic import minimax_g, non_saturating_d, non_saturating_g

EVERY = pytest.mark.parametrize("name", DIVERGENCES)
SCORES = torch.tensor([-3.0, -1.0, -0.2, 0.0, 0.4, 1.5, 2.5], dtype=torch.float64)

# f of the table, and the logits at which the bound is reached where reals are u times as likely as fakes.
F: dict[str, Callable[[float], float]] = {
    "total-variation": lambda u: abs(u - 1) / 2,
    "kl": lambda u: u * math.log(u),
    "reverse-kl": lambda u: -math.log(u),
    "pearson": lambda u: (u - 1) ** 2,
    "neyman": lambda u: (1 - u) ** 2 / u,
    "hellinger": lambda u: (math.sqrt(u) - 1) ** 2,
    "jeffrey": lambda u: (u - 1) * math.log(u),
    "jensen-shannon": lambda u: u * math.log(u) - (u + 1) * math.log((u + 1) / 2),
    "gan": lambda u: u * math.log(u) - (u + 1) * math.log(u + 1),
}
BEST: dict[str, Callable[[float], float]] = {
    "total-variation": lambda u: math.copysign(30, u - 1),
    "kl": lambda u: math.log(u) + 1,
    "reverse-kl": math.log,
    "pearson": lambda u: 2 * (u - 1),
    "neyman": lambda u: 2 * math.log(u),
    "hellinger": lambda u: math.log(u) / 2,
    "jeffrey": lambda u: math.log(u) + 1 - 1 / u,
    "jensen-shannon": math.log,
    "gan": math.log,
}


def _supremum(name: str, t: float) -> float:
    """sup over u > 0 of u t - f(u)."""
    found = optimize.minimize_scalar(
        lambda log_u: F[name](math.exp(log_u)) - t * math.exp(log_u),
        bounds=(-30, 30),
        method="bounded",
        options={"xatol": 1e-12},
    )
    grid = np.exp(np.linspace(-12, 12, 2001))  # f of total variation has a corner
    return max(-float(found.fun), max(t * u - F[name](u) for u in grid))


@EVERY
def test_the_conjugate_is_the_supremum(name: str) -> None:
    activation, conjugate = DIVERGENCES[name]
    scores = SCORES[SCORES > -2] if name == "pearson" else SCORES  # below, the table's goes to negative u
    for t, value in zip(activation(scores).tolist(), conjugate(scores).tolist(), strict=True):
        assert _supremum(name, t) == pytest.approx(value, abs=1e-5)


@EVERY
def test_at_the_best_scores_the_bound_is_the_divergence(name: str) -> None:
    """p = (1/2, 1/4, 1/4) against q = (1/4, 1/4, 1/2), as four samples of each."""
    scores = [BEST[name](u) for u in (2.0, 1.0, 0.5)]
    real = torch.tensor([scores[i] for i in (0, 0, 1, 2)], dtype=torch.float64, requires_grad=True)
    fake = torch.tensor([scores[i] for i in (0, 1, 2, 2)], dtype=torch.float64, requires_grad=True)
    divergence = F[name](2.0) / 4 + F[name](1.0) / 4 + F[name](0.5) / 2
    loss = f_gan_d(real, fake, name)
    assert loss.item() == pytest.approx(-divergence, abs=1e-6)
    by_real, by_fake = torch.autograd.grad(loss, (real, fake))
    total = torch.stack([by_real[:2].sum() + by_fake[0], by_real[3] + by_fake[2:].sum()])
    torch.testing.assert_close(total, torch.zeros(2, dtype=torch.float64), rtol=0, atol=1e-6)  # a maximum


@EVERY
def test_other_scores_give_less_than_the_divergence(name: str) -> None:
    best = [BEST[name](u) for u in (2.0, 0.5)]
    real = torch.tensor([best[0], best[0], best[1]], dtype=torch.float64)
    fake = torch.tensor([best[0], best[1], best[1]], dtype=torch.float64)
    for off in (-1.0, 1.0):
        assert f_gan_d(real + off, fake + off, name) >= f_gan_d(real, fake, name)


@EVERY
def test_larger_scores_say_real(name: str) -> None:
    activation, conjugate = DIVERGENCES[name]
    assert activation(SCORES).diff().gt(0).all()
    assert conjugate(SCORES[1:]).diff().gt(0).all()
    assert OBJECTIVES[f"f-{name}"].absolute == (BEST[name](1.0 + 1e-12) != pytest.approx(1.0))


@EVERY
def test_the_generator_may_descend_the_bound_itself(name: str) -> None:
    real, fake = SCORES[:4], SCORES[3:]
    bound = -f_gan_d(real, fake, name) - DIVERGENCES[name].activation(real).mean()
    torch.testing.assert_close(f_gan_bound_g(torch.empty(0), fake, name), bound)
    if name != "total-variation":
        assert f_gan_g(real, fake, name) != f_gan_bound_g(real, fake, name)


def test_one_of_them_is_the_first_gan() -> None:
    real, fake = SCORES[:4], SCORES[3:]
    torch.testing.assert_close(f_gan_d(real, fake, "gan"), non_saturating_d(real, fake))
    torch.testing.assert_close(f_gan_g(real, fake, "gan"), non_saturating_g(real, fake))
    torch.testing.assert_close(f_gan_bound_g(real, fake, "gan"), minimax_g(real, fake))


@EVERY
def test_far_scores_overflow_nothing(name: str) -> None:
    far = torch.tensor([-1e3, 1e3], requires_grad=True)
    loss = f_gan_d(far, far, name) + f_gan_g(far, far, name)
    loss.backward()  # type: ignore[no-untyped-call]
    assert loss.isfinite()
    assert far.grad is not None
    assert far.grad.isfinite().all()


def test_jeffreys_conjugate_over_a_wide_range() -> None:
    t = torch.linspace(-60, 15, 301, dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(jeffrey_conjugate(t).sum(), t)
    torch.testing.assert_close(slope.log() + 1 - 1 / slope, t.detach(), rtol=0, atol=1e-6)  # f'(u) = t
    expected = slope * t - (slope - 1) * slope.log()
    torch.testing.assert_close(jeffrey_conjugate(t), expected)
