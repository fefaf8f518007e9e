"""Instance noise (Sonderby et al. 2017, "Amortised MAP Inference for Image Super-resolution", arXiv 1610.04490,
section 3.4): Gaussian noise on all that is judged, so that reals and fakes are told apart less surely.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from common.aspect import resolution_of
from training.rng import KeyedRNG


def noise_for(samples: Tensor, deviation: float, rng: KeyedRNG, of: str) -> Tensor:
    """Noise of a standard deviation for each number of samples (N, ...): the same shape.

    `of` names what they are samples of, for noise of its own.
    """
    shape = samples.shape[1:]
    return deviation * rng.draw(
        f"augment/{of}/noise", lambda count, rng: torch.randn(count, *shape, generator=rng)
    )


def noisy(pictures: Sequence[Tensor], deviation: float, rng: KeyedRNG, of: str) -> list[Tensor]:
    """The pictures [(N, C, H, W), ...], coarse to fine, with `noise_for` the finest.

    The coarser ones have the mean of that noise.
    """
    noise = noise_for(pictures[-1], deviation, rng, of)
    side = resolution_of(pictures[-1])
    return [picture + F.avg_pool2d(noise, side // resolution_of(picture)) for picture in pictures]
