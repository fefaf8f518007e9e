"""The hinge losses of geometric GAN (Lim & Ye 2017, arXiv 1705.02894), as SAGAN takes them."""

from torch import Tensor
from torch.nn import functional as F


def hinge_d(real: Tensor, fake: Tensor) -> Tensor:
    """Reals above 1, fakes below -1: 2 at real = fake = 0."""
    return F.relu(1 - real).mean() + F.relu(1 + fake).mean()


def hinge_g(real: Tensor, fake: Tensor) -> Tensor:  # noqa: ARG001 - every objective takes both logits
    """Raise the fakes' scores, however high they are."""
    return -fake.mean()
