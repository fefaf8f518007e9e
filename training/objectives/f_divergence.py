"""f-GAN (Nowozin et al. 2016, arXiv 1606.00709): descend the variational bound on an f-divergence.

The bound is E_real[g_f(V)] - E_fake[f*(g_f(V))] for a network's raw logits V (equation 6), with the f*, f's conjugate,
and the g_f, which maps scores onto f*'s domain, of tables 2 and 6. The second function is written here as one of V,
since f* of g_f overflows where the whole does not.

Deviations: exponentials are of scores cut to [-20, 20]; all g_f increase, so that larger scores say real (some
printings of reverse KL and Hellinger decrease).
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

Of = Callable[[Tensor], Tensor]


def _exp(v: Tensor) -> Tensor:
    return v.clamp(-20, 20).exp()


def jeffrey_conjugate(t: Tensor) -> Tensor:
    """sup_u (u t - (u - 1) log u) = w + 1/w + t - 2 with w = W(e^(1 - t)), Lambert's function. Any shape; kept.

    Its derivative is the maximiser u = 1/w, which is held fixed: it can be differentiated once.
    """
    with torch.no_grad():
        x = 1 - t
        log_w = torch.where(x < 1, x, x.clamp(min=1).log())  # above the root of log w + w = x
        for _ in range(8):  # Newton's method, which stays there
            log_w = log_w - (log_w + log_w.exp() - x) / (1 + log_w.exp())
        log_u = (-log_w).clamp(-20, 20)
    u = log_u.exp()
    return u * t - (u - 1) * log_u


class Divergence(NamedTuple):
    """The bound's two functions of the logits V."""

    activation: Of  # g_f(V)
    conjugate: Of  # f*(g_f(V))


DIVERGENCES: dict[str, Divergence] = {
    "total-variation": Divergence(lambda v: v.tanh() / 2, lambda v: v.tanh() / 2),
    "kl": Divergence(lambda v: v, lambda v: _exp(v - 1)),
    "reverse-kl": Divergence(lambda v: -_exp(-v), lambda v: v - 1),
    "pearson": Divergence(lambda v: v, lambda v: v.square() / 4 + v),
    "neyman": Divergence(lambda v: 1 - _exp(-v), lambda v: 2 - 2 * _exp(-v / 2)),
    "hellinger": Divergence(lambda v: 1 - _exp(-v), lambda v: _exp(v) - 1),
    "jeffrey": Divergence(lambda v: v, jeffrey_conjugate),
    "jensen-shannon": Divergence(
        lambda v: math.log(2) - F.softplus(-v), lambda v: F.softplus(v) - math.log(2)
    ),
    "gan": Divergence(lambda v: -F.softplus(-v), F.softplus),
}


def f_gan_d(real: Tensor, fake: Tensor, divergence: str) -> Tensor:
    """Minus the bound."""
    activation, conjugate = DIVERGENCES[divergence]
    return conjugate(fake).mean() - activation(real).mean()


def f_gan_g(real: Tensor, fake: Tensor, divergence: str) -> Tensor:  # noqa: ARG001 - every objective takes both
    """Raise g_f of the fakes, in place of descending the bound (section 3.2)."""
    return -DIVERGENCES[divergence].activation(fake).mean()


def f_gan_bound_g(real: Tensor, fake: Tensor, divergence: str) -> Tensor:  # noqa: ARG001 - every objective takes both
    """The bound itself, less what does not depend on the fakes."""
    return -DIVERGENCES[divergence].conjugate(fake).mean()
