"""The linear classifier: its gradient, its optimum where that is known, and its penalty."""

import numpy as np
import pytest
from scipy.optimize import check_grad

from evaluation import logistic_regression
from evaluation.logistic_regression import STRENGTHS, Floats, Labels, fit, fit_best, loss


def _blobs(count: int, apart: float, width: int = 3) -> tuple[Floats, Labels]:
    rng = np.random.default_rng(0)
    labels = rng.integers(3, size=count)
    return rng.normal(size=(count, width)) + apart * np.eye(3, width)[labels], labels


def test_the_gradient() -> None:
    x, labels = _blobs(20, 1.0)
    parameters = np.random.default_rng(1).normal(size=12)
    apart = check_grad(
        lambda p: loss(p, x, labels, 3, 0.3)[0], lambda p: loss(p, x, labels, 3, 0.3)[1], parameters
    )
    assert apart < 1e-5


def test_features_that_say_nothing_leave_the_labels_frequencies() -> None:
    labels = np.array([0] * 6 + [1] * 3 + [2])
    found = fit(np.ones((10, 2)), labels, 3, 0.1)
    scores = np.exp(found.scores(np.full((1, 2), 7.0)))[
        0
    ]  # deviation of 0: standardised to nothing but itself
    assert np.allclose(found.weight, 0, atol=1e-6)
    np.testing.assert_allclose(scores / scores.sum(), [0.6, 0.3, 0.1], atol=1e-3)


def test_what_is_apart_is_told_apart_and_labels_matter() -> None:
    x, labels = _blobs(200, 8.0)
    found = fit(x[:100], labels[:100], 3, 0.01)
    assert found.accuracy(x[100:], labels[100:]) == 1
    assert found.accuracy(x[100:], (labels[100:] + 1) % 3) == 0


def test_scale_and_shift_of_features_do_not_matter() -> None:
    x, labels = _blobs(100, 1.0)
    one, other = fit(x, labels, 3, 0.1), fit(x * 1000 + 5, labels, 3, 0.1)
    np.testing.assert_allclose(one.scores(x), other.scores(x * 1000 + 5), atol=1e-3)


def test_the_penalty_shortens_the_weights() -> None:
    x, labels = _blobs(100, 1.0)
    lengths = [float(np.square(fit(x, labels, 3, strength).weight).sum()) for strength in STRENGTHS]
    assert lengths == sorted(lengths, reverse=True)
    assert len(set(lengths)) == len(STRENGTHS)


def test_the_strength_that_does_best_on_other_features_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    x, labels = _blobs(100, 4.0)
    monkeypatch.setattr(logistic_regression, "STRENGTHS", (1e6, 1e-2, 1e6))
    best = fit_best(x, labels, 3)
    assert best.strength == 1e-2
    np.testing.assert_array_equal(
        best.weight, fit(x, labels, 3, 1e-2).weight
    )  # fitted on all of them in the end
