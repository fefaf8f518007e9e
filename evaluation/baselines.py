"""Trivial generators, which know only the distribution of each pixel by itself: what any model must beat."""

from collections.abc import Iterator
from typing import Any, Literal

import torch
from torch import Tensor, nn

from common.aspect import checked_aspect, resolution_of
from data_prep.store import PyramidDataset
from evaluation.progress import StartTask, no_progress
from models.generator import Generator

Baseline = Literal["mean-image", "gaussian-pixel"]
_PIXELS_PER_BATCH = 2**20  # bounds memory


class PixelGaussian(Generator):
    """Samples each channel of each pixel from its own Gaussian, independent of all others, clipped to [-1, 1].

    With standard deviations of zero, all its images are the mean image.
    """

    def __init__(
        self,
        mean: Tensor,  # (C, H, W), in [-1, 1]
        deviation: Tensor,  # (C, H, W), standard deviation, in the same unit
    ) -> None:
        super().__init__()
        self.input_size, self.image_channels = mean.numel(), mean.shape[0]
        resolution = resolution_of(mean)
        self.resolutions = (resolution,)
        self.aspect = checked_aspect([side * 4 // resolution for side in mean.shape[1:]])
        self.mean = nn.Parameter(mean, requires_grad=False)
        self.deviation = nn.Parameter(deviation, requires_grad=False)

    def prior(self, count: int, rng: torch.Generator) -> Tensor:
        """N(0, I): (count, C * H * W)."""
        return torch.randn(count, self.input_size, generator=rng)

    def stream(self, z: Tensor, truncation: float = 1.0) -> Iterator[Tensor]:
        """Yield the images (N, C, H, W) of latent vectors (N, C * H * W)."""
        noise = z.view(-1, *self.mean.shape)
        yield (self.mean + truncation * self.deviation * noise).clamp(-1, 1)

    def settings(self) -> dict[str, Any]:
        """None: a baseline is fitted, and never saved."""
        return {}


def fit(baseline: Baseline, dataset: PyramidDataset, start_task: StartTask = no_progress) -> PixelGaussian:
    """Fit a baseline on all images of a data set, at their full size.

    `mean-image` always generates the mean image; `gaussian-pixel` samples each pixel around its mean.
    """
    shape = dataset.images([0], dataset.size).shape[1:]
    batch = max(1, _PIXELS_PER_BATCH // shape[1:].numel())
    total, squares = torch.zeros(2, *shape, dtype=torch.float64)  # sums of integers: exact
    advance = start_task(f"fitting {baseline}", len(dataset))
    for start in range(0, len(dataset), batch):
        indices = range(start, min(start + batch, len(dataset)))
        values = dataset.images(list(indices), dataset.size).double()
        total += values.sum(0)
        squares += values.square().sum(0)
        advance(len(indices))
    mean = total / len(dataset)
    variance = (squares / len(dataset) - mean.square()).clamp(min=0)
    deviation = variance.sqrt() if baseline == "gaussian-pixel" else torch.zeros_like(mean)
    return PixelGaussian((mean / 127.5 - 1).float(), (deviation / 127.5).float())
