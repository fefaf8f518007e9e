"""Feature matching (Salimans et al. 2016, "Improved Techniques for Training GANs", arXiv 1606.03498, section 3.1).

Deviations: it is added to the generator's objective, which the paper puts it in place of; the authors' code has the
mean absolute difference where the paper, and this, has the squared length.
"""

from torch import Tensor

from models.discriminator import DiscriminatorOutput
from training.distributed.collective import global_batch_mean


def feature_matching(real: DiscriminatorOutput, fake: DiscriminatorOutput) -> Tensor:
    """|E f(x) - E f(G(z))|^2 of the discriminator's last features (N, K), means over the global batch: a scalar."""
    assert real.features is not None
    assert fake.features is not None
    apart = global_batch_mean(real.features.float()) - global_batch_mean(fake.features.float())
    return apart.square().sum()
