"""Frechet distance between two sets of features, each modeled as a Gaussian.

Dowson and Landau, "The Frechet distance between multivariate normal distributions", 1982; between features of
a network: Heusel et al. 2017 (arXiv 1706.08500), equation 6. With Inception v3's features it would be the
FID. Values are comparable only for the same network and the same number of images: they fall as it grows.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Moments:
    """Mean (D,) and covariance (D, D) of a set, float64."""

    mean: NDArray[np.float64]
    covariance: NDArray[np.float64]


def moments(features: NDArray[np.float32]) -> Moments:
    """Mean and unbiased covariance of features (N, D), N at least 2."""
    values = features.astype(np.float64)
    mean = values.mean(0)
    values -= mean
    return Moments(mean, values.T @ values / (len(values) - 1))


def frechet_distance(a: Moments, b: Moments) -> float:
    """|m_a - m_b|^2 + tr(C_a + C_b - 2 (C_a C_b)^(1/2)), never negative.

    The last trace equals that of (R C_b R)^(1/2), where R is the square root of C_a. R C_b R is symmetric: its
    eigenvalues are real, and negative only by rounding, even if a covariance is singular.
    """
    values, vectors = np.linalg.eigh(a.covariance)
    root = (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T
    spectrum = np.maximum(np.linalg.eigvalsh(root @ b.covariance @ root), 0)
    gap = np.square(a.mean - b.mean).sum()
    distance = gap + np.trace(a.covariance) + np.trace(b.covariance) - 2 * np.sqrt(spectrum).sum()
    return max(0.0, float(distance))
