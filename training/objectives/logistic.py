"""The first GAN's losses, on logits (Goodfellow et al. 2014, arXiv 1406.2661, section 3)."""

from torch import Tensor
from torch.nn import functional as F


def non_saturating_d(real: Tensor, fake: Tensor) -> Tensor:
    """Cross-entropy of telling reals from fakes: 2 log 2 at real = fake = 0."""
    return F.softplus(-real).mean() + F.softplus(fake).mean()


def non_saturating_g(real: Tensor, fake: Tensor) -> Tensor:  # noqa: ARG001 - every objective takes both logits
    """Cross-entropy of taking fakes for reals, whose gradient does not vanish where D is sure."""
    return F.softplus(-fake).mean()
