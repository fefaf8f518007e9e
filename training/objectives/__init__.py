"""Adversarial objectives: d(real, fake) and g(real, fake) on logits (N,), both to be minimised.

Relativistic objectives need both logits on both sides, so all take both. The others' g is given no reals' logits.
"""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from training.objectives import hinge, logistic, relativistic, wasserstein

Loss = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Objective:
    """A pair of losses on (real, fake) logits, each a scalar mean over the batch."""

    d: Loss  # the discriminator's
    g: Loss  # the generator's
    absolute: bool = False  # whether a logit's sign alone says real (+) or fake (-)
    relative: bool = False  # whether g looks at the reals' logits


OBJECTIVES = {
    "hinge": Objective(hinge.hinge_d, hinge.hinge_g, absolute=True),
    "non-saturating": Objective(logistic.non_saturating_d, logistic.non_saturating_g, absolute=True),
    "ra-hinge": Objective(relativistic.ra_hinge_d, relativistic.ra_hinge_g, relative=True),
    "rp-gan": Objective(relativistic.rp_gan_d, relativistic.rp_gan_g, relative=True),
    "wgan": Objective(wasserstein.wgan_d, wasserstein.wgan_g),
}
