"""Instance noise (Sonderby et al. 2017, "Amortised MAP Inference for Image Super-resolution", arXiv 1610.04490,
section 3.4): Gaussian noise on all inputs of the discriminator, which makes reals and fakes harder to distinguish.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from common.aspect import resolution_of
from training.rng import KeyedRNG


def noise_for(samples: Tensor, deviation: float, rng: KeyedRNG, of: str) -> Tensor:
    """Gaussian noise of this standard deviation for samples (N, ...): the same shape.

    `of` names the samples (such as real or fake), and gives each name noise of its own.
    """
    shape = samples.shape[1:]
    return deviation * rng.draw(
        f"augment/{of}/noise", lambda count, rng: torch.randn(count, *shape, generator=rng)
    )


def noisy(images: Sequence[Tensor], deviation: float, rng: KeyedRNG, of: str) -> list[Tensor]:
    """The images [(N, C, H, W), ...], coarse to fine, plus noise: that of the finest, averaged down for the others."""
    noise = noise_for(images[-1], deviation, rng, of)
    side = resolution_of(images[-1])
    return [image + F.avg_pool2d(noise, side // resolution_of(image)) for image in images]
