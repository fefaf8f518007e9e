"""A linear classifier: multinomial logistic regression with a squared penalty on its weights, by L-BFGS."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import log_softmax

STRENGTHS = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)  # of the penalty; the best on a fifth of the training part is taken

Floats = NDArray[np.floating]
Labels = NDArray[np.int64]


@dataclass(frozen=True)
class Linear:
    """Scores of the classes, linear in features that are standardised as those it was fitted on."""

    mean: Floats  # (D,)
    deviation: Floats  # (D,)
    weight: Floats  # (D, K), of standardised features
    bias: Floats  # (K,)
    strength: float  # of the penalty that it was fitted with

    def scores(self, x: Floats) -> Floats:
        """(N, D) -> (N, K)."""
        scores: Floats = (x - self.mean) / self.deviation @ self.weight + self.bias
        return scores

    def accuracy(self, x: Floats, labels: Labels) -> float:
        """Share of the features (N, D) whose highest score is that of their label (N,)."""
        return float((self.scores(x).argmax(1) == labels).mean())


def loss(
    parameters: Floats, x: Floats, labels: Labels, classes: int, strength: float
) -> tuple[float, Floats]:
    """Mean cross-entropy and half the squared length of the weights times `strength`, and its gradient.

    Parameters are those of (D + 1, K), flat: a row per feature, and the biases, which the penalty leaves alone.
    """
    table = parameters.reshape(-1, classes)
    scores = log_softmax(x @ table[:-1] + table[-1], axis=1)
    value = -scores[np.arange(len(x)), labels].mean() + strength / 2 * np.square(table[:-1]).sum()
    apart = (np.exp(scores) - np.eye(classes)[labels]) / len(x)
    gradient = np.vstack([x.T @ apart + strength * table[:-1], apart.sum(0)])
    return float(value), gradient.ravel()


def fit(x: Floats, labels: Labels, classes: int, strength: float) -> Linear:
    """Fit features (N, D) with labels (N,) in 0 .. classes - 1."""
    return next(fits(x, labels, classes, [strength]))


def fits(x: Floats, labels: Labels, classes: int, strengths: Sequence[float]) -> Iterator[Linear]:
    """The same with each of the strengths."""
    mean, deviation = x.mean(0), x.std(0)
    deviation = np.where(deviation > 1e-6, deviation, 1)
    # The best weights are sums of the vectors of features: coordinates in the span of these do, be they ever so long.
    basis, coordinates = np.linalg.qr(((x - mean) / deviation).astype(float).T)  # (D, R), (R, N), R <= N
    for strength in strengths:
        found = minimize(
            loss,
            np.zeros((len(coordinates) + 1) * classes),
            args=(coordinates.T, labels, classes, strength),
            jac=True,
            method="L-BFGS-B",
            options={"maxiter": 300},
        ).x.reshape(-1, classes)
        yield Linear(mean, deviation, basis @ found[:-1], found[-1], strength)


def fit_best(x: Floats, labels: Labels, classes: int) -> Linear:
    """Fit with the strength that does best on the last fifth of the features when fitted on the others."""
    cut = len(x) * 4 // 5
    tried = fits(x[:cut], labels[:cut], classes, STRENGTHS)
    accuracies = [one.accuracy(x[cut:], labels[cut:]) for one in tried]
    return fit(x, labels, classes, STRENGTHS[int(np.argmax(accuracies))])
