"""Seeds in, pictures out. One seed gives one picture, whatever else is drawn beside it."""

from collections.abc import Iterator, Sequence
from itertools import islice

import torch
from torch import Tensor

from models.generator import Generator
from models.pictures import to_uint8


class Sampler:
    """Draws pictures from a generator.

    Each picture is a forward pass of its own: the last bits of a convolution depend on the size of its batch, and at
    64x64 a batch of eight is only a fifth faster per picture on a CPU.

    `truncation` in [0, 1] draws pictures towards the typical one: 1 is the distribution that was trained, less gives
    more typical and less varied pictures.
    """

    def __init__(self, generator: Generator, device: str | torch.device = "cpu") -> None:
        self.generator = generator.to(device).to(memory_format=torch.channels_last).eval()
        self.device = device

    def stream(self, seeds: Sequence[int], truncation: float = 1.0) -> Iterator[Tensor]:
        """Yield the pictures of the seeds, uint8 (N, C, r, r), at each resolution r as soon as they exist."""
        for stage in zip(*(self._grow(seed, truncation) for seed in seeds), strict=True):
            yield torch.cat(stage)

    def generate(
        self, seeds: Sequence[int], resolution: int | None = None, truncation: float = 1.0
    ) -> Tensor:
        """The pictures of the seeds at one resolution (the largest by default): uint8 (N, C, r, r), on the CPU.

        Raises:
            ValueError: the generator does not yield that resolution.
        """
        resolutions = self.generator.resolutions
        resolution = resolutions[-1] if resolution is None else resolution
        if resolution not in resolutions:
            raise ValueError(
                f"resolution {resolution} is not one that the model yields: {', '.join(map(str, resolutions))}"
            )
        pictures = []
        for seed in seeds:
            stages = islice(self._grow(seed, truncation), resolutions.index(resolution), None)
            pictures.append(next(stages).cpu())
        return torch.cat(pictures)

    def _grow(self, seed: int, truncation: float) -> Iterator[Tensor]:
        z = self.generator.prior(1, torch.Generator().manual_seed(seed)).to(self.device)
        stages = self.generator.stream(z, truncation)
        while True:
            with torch.inference_mode():  # not around the yield: it would leak into the caller
                image = next(stages, None)
            if image is None:
                return
            yield to_uint8(image)
