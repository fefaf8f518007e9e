"""The relativistic discriminator (Jolicoeur-Martineau 2018, arXiv 1807.00734).

Means over a batch are means over the global batch, on however many ranks.
"""

from torch import Tensor
from torch.nn import functional as F

from training.distributed.collective import global_batch_mean


def ra_hinge_d(real: Tensor, fake: Tensor) -> Tensor:
    """Relativistic average hinge, without the factor 1/2 (BMSG-GAN's form): 2 at real = fake = 0."""
    above = real - global_batch_mean(fake)
    below = fake - global_batch_mean(real)
    return F.relu(1 - above).mean() + F.relu(1 + below).mean()


def ra_hinge_g(real: Tensor, fake: Tensor) -> Tensor:
    """The discriminator's loss with the roles exchanged."""
    return ra_hinge_d(fake, real)


def ra_gan_d(real: Tensor, fake: Tensor) -> Tensor:
    """Relativistic average GAN, without the code's factor 1/2: 2 log 2 at real = fake = 0."""
    above = real - global_batch_mean(fake)
    below = fake - global_batch_mean(real)
    return F.softplus(-above).mean() + F.softplus(below).mean()


def ra_gan_g(real: Tensor, fake: Tensor) -> Tensor:
    """The discriminator's loss with the roles exchanged."""
    return ra_gan_d(fake, real)


def ra_least_squares_d(real: Tensor, fake: Tensor) -> Tensor:
    """Relativistic average least squares, without the code's factor 1/2: 2 at real = fake = 0."""
    above = real - global_batch_mean(fake)
    below = fake - global_batch_mean(real)
    return (above - 1).square().mean() + (below + 1).square().mean()


def ra_least_squares_g(real: Tensor, fake: Tensor) -> Tensor:
    """The discriminator's loss with the roles exchanged."""
    return ra_least_squares_d(fake, real)


def rp_gan_d(real: Tensor, fake: Tensor) -> Tensor:
    """Relativistic pairing, sample by sample: log 2 at real = fake."""
    return F.softplus(fake - real).mean()


def rp_gan_g(real: Tensor, fake: Tensor) -> Tensor:
    """The discriminator's loss with the roles exchanged."""
    return rp_gan_d(fake, real)
