"""The linear classifier: its gradient, its known optima, and its penalty."""

import numpy as np
import pytest
from scipy.optimize import check_grad

from evaluation import logistic_regression
from evaluation.logistic_regression import L2_PENALTIES, Floats, Labels, fit, fit_best, loss


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


def test_uninformative_features_give_the_label_frequencies() -> None:
    labels = np.array([0] * 6 + [1] * 3 + [2])
    found = fit(np.ones((10, 2)), labels, 3, 0.1)
    scores = np.exp(found.logits(np.full((1, 2), 7.0)))[0]  # a deviation of 0 is replaced by 1
    assert np.allclose(found.weight, 0, atol=1e-6)
    np.testing.assert_allclose(scores / scores.sum(), [0.6, 0.3, 0.1], atol=1e-3)


def test_separable_classes_are_separated() -> None:
    x, labels = _blobs(200, 8.0)
    found = fit(x[:100], labels[:100], 3, 0.01)
    assert found.accuracy(x[100:], labels[100:]) == 1
    assert found.accuracy(x[100:], (labels[100:] + 1) % 3) == 0


def test_scale_and_shift_of_features_have_no_effect() -> None:
    x, labels = _blobs(100, 1.0)
    one, other = fit(x, labels, 3, 0.1), fit(x * 1000 + 5, labels, 3, 0.1)
    np.testing.assert_allclose(one.logits(x), other.logits(x * 1000 + 5), atol=1e-3)


def test_the_penalty_shortens_the_weights() -> None:
    x, labels = _blobs(100, 1.0)
    lengths = [float(np.square(fit(x, labels, 3, l2).weight).sum()) for l2 in L2_PENALTIES]
    assert lengths == sorted(lengths, reverse=True)
    assert len(set(lengths)) == len(L2_PENALTIES)


def test_the_best_penalty_on_held_out_features_is_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    x, labels = _blobs(100, 4.0)
    monkeypatch.setattr(logistic_regression, "L2_PENALTIES", (1e6, 1e-2, 1e6))
    best = fit_best(x, labels, 3)
    assert best.l2 == 1e-2
    np.testing.assert_array_equal(best.weight, fit(x, labels, 3, 1e-2).weight)  # fitted on all of them
