"""Kernel distance between two sets of features: an unbiased estimate of the squared maximum mean discrepancy.

Gretton et al., "A Kernel Two-Sample Test", 2012, equation 3; with this kernel, between features of a network:
Binkowski et al. 2018 (arXiv 1801.01401). Its expectation does not depend on the number of images and is zero
for sets of the same distribution, so single values may be negative. With Inception v3's features it would be
the KID.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

SUBSETS = 50  # random subsets that the distance is averaged over
SUBSET_SIZE = 1000  # features in a subset, if the set has twice as many


@dataclass(frozen=True)
class KernelDistance:
    """Mean and standard deviation over the subsets."""

    mean: float
    sd: float


def subset_size(count: int) -> int:
    """Features in a subset of `count`: half of them, so that subsets differ, but at most SUBSET_SIZE."""
    return min(SUBSET_SIZE, count // 2)


def kernel_distance(
    a: NDArray[np.float32],
    b: NDArray[np.float32],
    rng: np.random.Generator,
    advance: Callable[[int], None] = lambda _steps: None,
) -> KernelDistance:
    """Distance between features (N, D) and (N, D), N at least 4, over random subsets.

    `advance` is called after each subset.
    """
    assert a.shape == b.shape
    size = subset_size(len(a))
    estimates = []
    for _ in range(SUBSETS):
        x, y = (features[rng.choice(len(features), size, replace=False)] for features in (a, b))
        estimates.append(squared_mmd(x, y))
        advance(1)
    return KernelDistance(float(np.mean(estimates)), float(np.std(estimates, ddof=1)))


def squared_mmd(x: NDArray[np.float32], y: NDArray[np.float32]) -> float:
    """Unbiased MMD^2 of (N, D) and (N, D): pairs of an element with itself are left out."""
    count = len(x)
    within = sum(kernel.sum() - np.trace(kernel) for kernel in (_kernel(x, x), _kernel(y, y)))
    return float(within / (count * (count - 1)) - 2 * _kernel(x, y).mean())


def _kernel(x: NDArray[np.float32], y: NDArray[np.float32]) -> NDArray[np.float64]:
    """The polynomial kernel of degree 3, (x . y / D + 1)^3: (N, M), in float64."""
    base = x.astype(np.float64) @ y.astype(np.float64).T / x.shape[1] + 1
    cube: NDArray[np.float64] = base * base * base
    return cube
