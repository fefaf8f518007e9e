"""Frechet distance between Gaussians with known moments."""

import numpy as np
import pytest
from scipy.linalg import sqrtm

from evaluation.metrics.frechet import Moments, frechet_distance, moments


def covariance(seed: int, size: int = 6) -> np.ndarray:
    root = np.random.default_rng(seed).standard_normal((size, size))
    return root @ root.T


def test_moments() -> None:
    found = moments(np.array([[0, 0], [2, 0], [0, 4], [2, 4]], np.float32))
    np.testing.assert_allclose(found.mean, [1, 2])
    np.testing.assert_allclose(found.covariance, [[4 / 3, 0], [0, 16 / 3]])
    assert found.mean.dtype == found.covariance.dtype == np.float64


def test_moments_of_large_values_are_precise() -> None:
    values = np.array([[10_000.0], [10_001.0], [10_002.0]], np.float32)
    assert moments(values).covariance[0, 0] == pytest.approx(1, rel=1e-12)


def test_independent_gaussians() -> None:
    """|m_a - m_b|^2 + sum (s_a - s_b)^2."""
    a = Moments(np.array([0.0, 0, 0]), np.diag([1.0, 4, 9]))
    b = Moments(np.array([1.0, -2, 0]), np.diag([4.0, 4, 1]))
    assert frechet_distance(a, b) == pytest.approx(1 + 4 + (1 - 2) ** 2 + 0 + (3 - 1) ** 2)


def test_covariances_that_do_not_commute() -> None:
    a, b = Moments(np.zeros(6), covariance(0)), Moments(np.ones(6), covariance(1))
    root = np.real(sqrtm(a.covariance @ b.covariance))
    expected = 6 + np.trace(a.covariance + b.covariance - 2 * root)
    assert frechet_distance(a, b) == pytest.approx(expected, rel=1e-9)
    assert frechet_distance(b, a) == pytest.approx(expected, rel=1e-9)


def test_a_rotation_of_both_changes_nothing() -> None:
    rotation = np.linalg.qr(np.random.default_rng(2).standard_normal((6, 6)))[0]
    a, b = Moments(np.zeros(6), covariance(0)), Moments(np.ones(6), covariance(1))
    rotated = (Moments(rotation @ m.mean, rotation @ m.covariance @ rotation.T) for m in (a, b))
    assert frechet_distance(*rotated) == pytest.approx(frechet_distance(a, b), rel=1e-9)


def test_fewer_vectors_than_dimensions() -> None:
    """Singular covariances: one set is the other, shifted by a known vector."""
    values = np.random.default_rng(0).standard_normal((10, 40)).astype(np.float32)
    assert frechet_distance(moments(values), moments(values)) == pytest.approx(0, abs=1e-4)
    assert frechet_distance(moments(values), moments(values + 0.5)) == pytest.approx(40 * 0.25, rel=1e-3)


def test_it_approaches_the_distance_of_the_distributions() -> None:
    rng = np.random.default_rng(0)
    a = rng.standard_normal((20_000, 4)).astype(np.float32)
    b = (2 * rng.standard_normal((20_000, 4)) + 1).astype(np.float32)
    assert frechet_distance(moments(a), moments(b)) == pytest.approx(4 * 1 + 4 * (2 - 1) ** 2, rel=0.03)
