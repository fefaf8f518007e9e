"""The moving average of the generator's weights, which is what is sampled and shipped (ProGAN section 4.1's Gs)."""

import copy

import torch

from models.generator import Generator


class MovingAverage:
    """Exponential moving average with a half-life in images, so that it means the same at every batch size."""

    def __init__(
        self,
        generator: Generator,
        half_life: float,  # real images after which a weight's share has halved
        ramp: float = 0.05,  # the half-life is at most this share of the images shown so far
    ) -> None:
        self.generator = copy.deepcopy(generator).eval().requires_grad_(False)
        # The layout that a sampler brings about: the last bits of what `settle` finds depend on it.
        self.generator.to(memory_format=torch.channels_last)
        self.half_life, self.ramp = half_life, ramp
        self._settled = False  # whether what the weights determine has been measured since they moved

    @torch.no_grad()
    def update(self, generator: Generator, images: int, batch: int) -> None:
        """Move towards the generator after a step.

        Args:
            generator: the network that was stepped.
            images: real images shown, this step's included.
            batch: real images of this step.
        """
        half_life = min(self.half_life, images * self.ramp)
        share = 1 - 0.5 ** (batch / max(half_life, 1e-8))
        for average, value in zip(self.generator.parameters(), generator.parameters(), strict=True):
            average.lerp_(value, share)
        for buffer, newest in zip(self.generator.buffers(), generator.buffers(), strict=True):
            buffer.copy_(newest)
        self._settled = False

    def refreshed(self) -> Generator:
        """The average, ready to paint: with what its weights determine (see `Generator.settle`)."""
        if not self._settled:
            self.generator.refresh_statistics()
            self._settled = True
        return self.generator

    def load(self, generator: Generator) -> None:
        """Take over another average, which was settled when it was saved."""
        self.generator.load_state_dict(generator.state_dict())
        self._settled = True
