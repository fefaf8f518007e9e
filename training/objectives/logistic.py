"""The first GAN's losses, on logits (Goodfellow et al. 2014, arXiv 1406.2661, section 3)."""

from torch import Tensor
from torch.nn import functional as F


def non_saturating_d(real: Tensor, fake: Tensor, target: float = 1.0) -> Tensor:
    """Cross-entropy of telling reals from fakes: 2 log 2 at real = fake = 0.

    A `target` below 1, the probability to be given to reals, is one-sided label smoothing (Salimans et al. 2016, arXiv
    1606.03498, section 3.4).
    """
    return (F.softplus(-real) + (1 - target) * real).mean() + F.softplus(fake).mean()


def non_saturating_g(real: Tensor, fake: Tensor) -> Tensor:  # noqa: ARG001 - every objective takes both logits
    """Cross-entropy of taking fakes for reals, whose gradient does not vanish where D is sure."""
    return F.softplus(-fake).mean()


def minimax_g(real: Tensor, fake: Tensor) -> Tensor:  # noqa: ARG001 - every objective takes both logits
    """Minus the fakes' part of the discriminator's loss (equation 1), whose gradient vanishes where D is sure."""
    return -F.softplus(fake).mean()
