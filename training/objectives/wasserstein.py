"""The Wasserstein GAN's critic and generator losses (Arjovsky et al. 2017, arXiv 1701.07875)."""

from torch import Tensor


def wgan_d(real: Tensor, fake: Tensor) -> Tensor:
    """Minus the estimate of the distance (up to the critic's Lipschitz constant)."""
    return fake.mean() - real.mean()


def wgan_g(real: Tensor, fake: Tensor) -> Tensor:  # noqa: ARG001 - every objective takes both logits
    """Raise the critic's value of the fakes."""
    return -fake.mean()
