"""Adversarial objectives: d(real, fake) and g(real, fake) on logits (N,), both to be minimised.

Relativistic objectives need both logits on both sides, so all take both. The others' g is given no reals' logits.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from torch import Tensor

from training.objectives import f_divergence, hinge, least_squares, logistic, relativistic, wasserstein

Loss = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Objective:
    """A pair of losses on (real, fake) logits, each a scalar mean over the batch."""

    d: Loss  # the discriminator's
    g: Loss  # the generator's
    absolute: bool = False  # whether a logit's sign alone says real (+) or fake (-)
    relative: bool = False  # whether g looks at the reals' logits


OBJECTIVES: dict[str, Objective] = {
    "hinge": Objective(hinge.hinge_d, hinge.hinge_g, absolute=True),
    "least-squares": Objective(
        partial(least_squares.least_squares_d, a=0.0, b=1.0), partial(least_squares.least_squares_g, c=1.0)
    ),
    "least-squares-pearson": Objective(
        partial(least_squares.least_squares_d, a=-1.0, b=1.0),
        partial(least_squares.least_squares_g, c=0.0),
        absolute=True,
    ),
    "minimax": Objective(logistic.non_saturating_d, logistic.minimax_g, absolute=True),
    "non-saturating": Objective(logistic.non_saturating_d, logistic.non_saturating_g, absolute=True),
    "ra-gan": Objective(relativistic.ra_gan_d, relativistic.ra_gan_g, relative=True),
    "ra-hinge": Objective(relativistic.ra_hinge_d, relativistic.ra_hinge_g, relative=True),
    "ra-least-squares": Objective(
        relativistic.ra_least_squares_d, relativistic.ra_least_squares_g, relative=True
    ),
    "rp-gan": Objective(relativistic.rp_gan_d, relativistic.rp_gan_g, relative=True),
    "wgan": Objective(wasserstein.wgan_d, wasserstein.wgan_g),
}
OBJECTIVES |= {
    f"f-{name}": Objective(
        partial(f_divergence.f_gan_d, divergence=name),
        partial(f_divergence.f_gan_g, divergence=name),
        absolute=name != "kl",  # whose optimal logits is 1 where reals are as likely as fakes, the others' 0
    )
    for name in f_divergence.DIVERGENCES
}
OBJECTIVES |= {
    f"{name}-saturating": replace(
        OBJECTIVES[name], g=partial(f_divergence.f_gan_bound_g, divergence=divergence)
    )
    for divergence in f_divergence.DIVERGENCES
    if (name := f"f-{divergence}")
}
