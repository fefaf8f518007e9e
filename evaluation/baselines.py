"""Generators that know no more of the data than each pixel's own distribution: what any model must beat."""

from collections.abc import Iterator
from typing import Any, Literal

import torch
from torch import Tensor, nn

from common.aspect import checked_aspect, resolution_of
from data_prep.store import PyramidDataset
from evaluation.progress import Begin, silent
from models.generator import Generator

Baseline = Literal["mean-image", "gaussian-pixel"]
_PIXELS_AT_ONCE = 2**20  # of a batch of pictures: bounds memory


class PixelGaussian(Generator):
    """Draws every channel of every pixel from a Gaussian of its own, independent of all others, clipped to [-1, 1].

    Where no pixel varies it paints one picture.
    """

    def __init__(
        self,
        mean: Tensor,  # (C, H, W), in [-1, 1]
        deviation: Tensor,  # (C, H, W), standard deviation in the same unit
    ) -> None:
        super().__init__()
        self.input_size, self.image_channels = mean.numel(), mean.shape[0]
        resolution = resolution_of(mean)
        self.resolutions = (resolution,)
        self.aspect = checked_aspect([side * 4 // resolution for side in mean.shape[1:]])
        self.mean = nn.Parameter(mean, requires_grad=False)
        self.deviation = nn.Parameter(deviation, requires_grad=False)

    def prior(self, count: int, rng: torch.Generator) -> Tensor:
        """N(0, I), a number for each channel of each pixel."""
        return torch.randn(count, self.input_size, generator=rng)

    def stream(self, z: Tensor, truncation: float = 1.0) -> Iterator[Tensor]:
        """Yield the picture."""
        noise = z.view(-1, *self.mean.shape)
        yield (self.mean + truncation * self.deviation * noise).clamp(-1, 1)

    def settings(self) -> dict[str, Any]:
        """None: it is fitted, and not saved."""
        return {}


def fit(baseline: Baseline, dataset: PyramidDataset, begin: Begin = silent) -> PixelGaussian:
    """The baseline for pictures of the data set's full size, fitted on all of them.

    `mean-image` always paints the mean picture; `gaussian-pixel` draws every pixel around its mean.
    """
    shape = dataset.images([0], dataset.size).shape[1:]
    size = max(1, _PIXELS_AT_ONCE // shape[1:].numel())
    total, squares = torch.zeros(2, *shape, dtype=torch.float64)  # of whole numbers: exact
    advance = begin(f"fitting {baseline}", len(dataset))
    for start in range(0, len(dataset), size):
        part = range(start, min(start + size, len(dataset)))
        values = dataset.images(list(part), dataset.size).double()
        total += values.sum(0)
        squares += values.square().sum(0)
        advance(len(part))
    mean = total / len(dataset)
    variance = (squares / len(dataset) - mean.square()).clamp(min=0)
    deviation = variance.sqrt() if baseline == "gaussian-pixel" else torch.zeros_like(mean)
    return PixelGaussian((mean / 127.5 - 1).float(), (deviation / 127.5).float())
