"""How unlike a set of pictures are, in one number that also sees a handful of modes behind many samples."""

import torch
from torch import Tensor
from torch.nn import functional as F

from common.aspect import resolution_of
from models.generator import Generator
from models.sampler import Sampler
from training.data.loader import BatchLoader
from training.monitoring.samples import SEEDS

SIDE = 16  # pixels, that pictures are compared at


def diversity(pictures: Tensor) -> float:
    """Median over pictures of the distance to the nearest other one, root mean square over pixels.

    Args:
        pictures: uint8 (N, C, H, W), N at least 2. Larger ones are averaged down to 16x16.
    """
    pixels = pictures.float() / 127.5
    if resolution_of(pixels) > SIDE:
        pixels = F.adaptive_avg_pool2d(pixels, SIDE)
    flat = pixels.flatten(1)
    distances = torch.cdist(flat, flat, compute_mode="donot_use_mm_for_euclid_dist") / flat.shape[1] ** 0.5
    distances.fill_diagonal_(torch.inf)
    return float(distances.min(1).values.median())


def relative_diversity(generator: Generator, loader: BatchLoader, device: torch.device) -> float:
    """Diversity of the snapshot's samples, at 16x16 or the nearest size so far, in that of as many reals."""
    for pictures in Sampler(generator, device).stream(SEEDS):
        if resolution_of(pictures) >= SIDE:
            break
    reals = loader.some(len(pictures), resolution_of(pictures))
    return diversity(pictures.cpu()) / max(diversity(reals), 1e-6)
