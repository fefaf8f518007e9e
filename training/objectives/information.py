"""Mutual information between a generator's codes and its images, as a lower bound by Q's predictions: for x = G(z, c),
I >= H(c) + E[log Q(c | x)] (Chen et al. 2016, "InfoGAN", arXiv 1606.03657, section 5).
"""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from training.distributed.collective import global_batch_mean


def discrete_information(logits: Tensor, code: Tensor) -> Tensor:
    """The bound in nats of a categorical code, one hot (N, K), uniformly distributed: log K minus the cross-entropy."""
    return math.log(code.shape[1]) - F.cross_entropy(logits, code)


@torch.no_grad()
def continuous_information(squares: Tensor) -> Tensor:
    """The bound in nats of codes uniform on (-1, 1), from the squared errors (N, continuous) of their predicted means.

    Each code's normal distribution has the variance of its errors over the global batch.
    """
    variance = global_batch_mean(squares).clamp(min=1e-12)
    return (math.log(2) - 0.5 * torch.log(2 * math.pi * math.e * variance)).sum()
