"""Kernel distance: closed forms, and no bias."""

import numpy as np
import pytest

from evaluation.metrics.kernel import kernel_distance, squared_mmd, subset_size


def normal(count: int, seed: int, shift: float = 0.0) -> np.ndarray:
    return (np.random.default_rng(seed).standard_normal((count, 8)) + shift).astype(np.float32)


def test_constants() -> None:
    """k(0, 0) = 1, k(1, 1) = 8 and k(0, 1) = 1 make 1 + 8 - 2."""
    assert squared_mmd(np.zeros((5, 3), np.float32), np.ones((5, 3), np.float32)) == pytest.approx(7)


def test_against_the_definition() -> None:
    x, y = normal(7, 0).astype(float), normal(7, 1).astype(float)

    def k(a: np.ndarray, b: np.ndarray) -> float:
        return float((a @ b / 8 + 1) ** 3)

    within = [k(s[i], s[j]) / 42 for s in (x, y) for i in range(7) for j in range(7) if i != j]
    across = [k(a, b) / 49 for a in x for b in y]
    assert squared_mmd(x, y) == pytest.approx(sum(within) - 2 * sum(across))


def test_no_bias() -> None:
    """The mean over many pairs of small sets of one distribution is zero; a biased estimate misses it."""
    estimates = [squared_mmd(normal(20, 2 * i), normal(20, 2 * i + 1)) for i in range(1000)]
    error = np.std(estimates) / len(estimates) ** 0.5
    assert abs(np.mean(estimates)) < 3 * error
    biased = np.mean([(np.square(normal(20, i)).sum(1) / 8 + 1) ** 3 for i in range(100)]) * 2 / 20
    assert biased > 20 * error, "the test would not detect a bias"


def test_it_does_not_depend_on_the_number_of_images() -> None:
    few = np.mean([squared_mmd(normal(30, 2 * i), normal(30, 2 * i + 1, 0.5)) for i in range(300)])
    assert squared_mmd(normal(4000, 0), normal(4000, 1, 0.5)) == pytest.approx(few, rel=0.1)


def test_subsets() -> None:
    assert (subset_size(16), subset_size(1500), subset_size(50_000)) == (8, 750, 1000)
    same = kernel_distance(normal(400, 0), normal(400, 1), np.random.default_rng(0))
    shifted = kernel_distance(normal(400, 0), normal(400, 1, 0.5), np.random.default_rng(0))
    assert abs(same.mean) < 3 * same.sd
    assert same.sd > 0
    assert shifted.mean > 5 * shifted.sd
    again = kernel_distance(normal(400, 0), normal(400, 1), np.random.default_rng(0))
    assert again == same
