"""Seeds in, pictures out. One seed gives one picture, whatever else is drawn beside it."""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from models.generator import Generator
from models.pictures import to_uint8


class Sampler:
    """Draws pictures from a generator.

    `truncation` in [0, 1] scales the latent vector towards its mean, zero: 1 is the distribution that was trained, less
    gives more typical and less varied pictures (the truncation trick, Brock et al. 2019, arXiv 1809.11096, in the form
    of StyleGAN's interpolation to the mean).
    """

    def __init__(self, generator: Generator, device: str | torch.device = "cpu") -> None:
        self.generator = generator.to(device).eval()
        self.device = device

    def latents(self, seeds: Sequence[int]) -> Tensor:
        """The latent vectors of the seeds, each drawn by a random generator of its own: (N, latent_size)."""
        drawn = [self.generator.prior(1, torch.Generator().manual_seed(seed)) for seed in seeds]
        return torch.cat(drawn).to(self.device)

    @torch.inference_mode()
    def stream(self, seeds: Sequence[int], truncation: float = 1.0) -> Iterator[Tensor]:
        """Yield the pictures of the seeds, uint8 (N, C, r, r), at each resolution r as soon as it exists."""
        for images in self.generator.stream(self.latents(seeds) * truncation):
            yield to_uint8(images)

    def generate(
        self, seeds: Sequence[int], resolution: int | None = None, truncation: float = 1.0
    ) -> Tensor:
        """The pictures of the seeds at one resolution (the largest by default): uint8 (N, C, r, r), on the CPU.

        Raises:
            ValueError: the generator does not yield that resolution.
        """
        resolutions = self.generator.resolutions
        resolution = resolution or resolutions[-1]
        if resolution not in resolutions:
            raise ValueError(
                f"resolution {resolution} is not one that the model yields: {', '.join(map(str, resolutions))}"
            )
        for images in self.stream(seeds, truncation):
            if images.shape[-1] == resolution:
                return images.cpu()
        raise AssertionError("a generator yields each of its resolutions")
