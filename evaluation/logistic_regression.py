"""Multinomial logistic regression with an L2 penalty on its weights, fitted by L-BFGS."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import log_softmax

L2_PENALTIES = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)  # that `fit_best` chooses from

Floats = NDArray[np.floating]
Labels = NDArray[np.int64]


@dataclass(frozen=True)
class LinearClassifier:
    """Logits of K classes from D features, which are standardized by the training set's mean and deviation."""

    mean: Floats  # (D,)
    deviation: Floats  # (D,), standard deviation
    weight: Floats  # (D, K), of standardized features
    bias: Floats  # (K,)
    l2: float  # weight of the penalty that it was fitted with

    def logits(self, x: Floats) -> Floats:
        """(N, D) -> (N, K)."""
        logits: Floats = (x - self.mean) / self.deviation @ self.weight + self.bias
        return logits

    def accuracy(self, x: Floats, labels: Labels) -> float:
        """Fraction of the features (N, D) that are classified as their labels (N,)."""
        return float((self.logits(x).argmax(1) == labels).mean())


def loss(parameters: Floats, x: Floats, labels: Labels, classes: int, l2: float) -> tuple[float, Floats]:
    """Mean cross-entropy + l2 / 2 * |weights|^2, and its gradient.

    Args:
        parameters: a flat (D + 1, K): weights, and in the last row the biases, which are not penalized.
        x: features (N, D).
        labels: (N,), in 0 .. K - 1.
        classes: K.
        l2: weight of the penalty.
    """
    weight_and_bias = parameters.reshape(-1, classes)
    weight, bias = weight_and_bias[:-1], weight_and_bias[-1]
    log_probabilities = log_softmax(x @ weight + bias, axis=1)
    value = -log_probabilities[np.arange(len(x)), labels].mean() + l2 / 2 * np.square(weight).sum()
    logit_gradient = (np.exp(log_probabilities) - np.eye(classes)[labels]) / len(x)
    gradient = np.vstack([x.T @ logit_gradient + l2 * weight, logit_gradient.sum(0)])
    return float(value), gradient.ravel()


def fit(x: Floats, labels: Labels, classes: int, l2: float) -> LinearClassifier:
    """Fit features (N, D) with labels (N,) in 0 .. classes - 1."""
    return next(fit_each(x, labels, classes, [l2]))


def fit_each(
    x: Floats, labels: Labels, classes: int, penalties: Sequence[float]
) -> Iterator[LinearClassifier]:
    """Fit with each of the L2 penalties."""
    mean, deviation = x.mean(0), x.std(0)
    deviation = np.where(deviation > 1e-6, deviation, 1)
    # The optimal weights lie in the span of the feature vectors, so it is enough to fit coordinates in that span.
    basis, coordinates = np.linalg.qr(((x - mean) / deviation).astype(float).T)  # (D, R), (R, N), R <= N
    for l2 in penalties:
        optimum = minimize(
            loss,
            np.zeros((len(coordinates) + 1) * classes),
            args=(coordinates.T, labels, classes, l2),
            jac=True,
            method="L-BFGS-B",
            options={"maxiter": 300},
        ).x.reshape(-1, classes)
        yield LinearClassifier(mean, deviation, basis @ optimum[:-1], optimum[-1], l2)


def fit_best(x: Floats, labels: Labels, classes: int) -> LinearClassifier:
    """Fit with the L2 penalty that gives the best accuracy on the last fifth when fitted on the rest."""
    cut = len(x) * 4 // 5
    candidates = fit_each(x[:cut], labels[:cut], classes, L2_PENALTIES)
    accuracies = [candidate.accuracy(x[cut:], labels[cut:]) for candidate in candidates]
    return fit(x, labels, classes, L2_PENALTIES[int(np.argmax(accuracies))])
