"""Seeds in, images out. A seed always gives the same image, whatever else is generated with it."""

from collections.abc import Iterator, Sequence
from itertools import islice

import torch
from torch import Tensor

from common.images import to_uint8
from models.generator import Generator


class Sampler:
    """Generates images.

    Each image is a forward pass of its own: the last bits of a convolution depend on the size of its batch, and at
    64x64 a batch of eight is only a fifth faster per image on a CPU.

    `truncation` in [0, 1] moves images closer to the typical one: 1 is the distribution as trained, less gives more
    typical and less varied images. A conditional generator uses the label that the seed draws, unless one is given by
    name.
    """

    def __init__(self, generator: Generator, device: str | torch.device = "cpu") -> None:
        self.generator = generator.to(device).to(memory_format=torch.channels_last).eval()
        self.device = device

    def stream(
        self, seeds: Sequence[int], truncation: float = 1.0, label: str | None = None
    ) -> Iterator[Tensor]:
        """Yield the images of the seeds, uint8 (N, C, H, W), at each resolution as soon as they are computed.

        Raises:
            ValueError: the generator has no such label.
        """
        for stage in zip(*(self._stages(seed, truncation, label) for seed in seeds), strict=True):
            yield torch.cat(stage)

    def generate(
        self,
        seeds: Sequence[int],
        resolution: int | None = None,
        truncation: float = 1.0,
        label: str | None = None,
    ) -> Tensor:
        """The images of the seeds at one resolution (the largest by default): uint8 (N, C, H, W), on the CPU.

        Raises:
            ValueError: the generator does not yield that resolution, or has no such label.
        """
        resolutions = self.generator.resolutions
        resolution = resolutions[-1] if resolution is None else resolution
        if resolution not in resolutions:
            raise ValueError(
                f"resolution {resolution} is not one that the model yields: {', '.join(map(str, resolutions))}"
            )
        images = []
        for seed in seeds:
            stages = islice(self._stages(seed, truncation, label), resolutions.index(resolution), None)
            images.append(next(stages).cpu())
        return torch.cat(images)

    def label(self, seed: int) -> str | None:
        """The label that a seed draws; None where the generator takes none."""
        names = self.generator.class_names
        return names[int(self._input(seed, None)[0, -len(names) :].argmax())] if names else None

    def _input(self, seed: int, label: str | None) -> Tensor:
        """The input vector (1, input_size) of a seed, with the label that the seed draws or the given one."""
        z = self.generator.prior(1, torch.Generator().manual_seed(seed))
        if label is None:
            return z
        check_label(self.generator.class_names, label)
        return self.generator.with_labels(z, torch.tensor([self.generator.class_names.index(label)]))

    def _stages(self, seed: int, truncation: float, label: str | None) -> Iterator[Tensor]:
        stages = self.generator.stream(self._input(seed, label).to(self.device), truncation)
        while True:
            with torch.inference_mode():  # not around the yield, where it would affect the caller
                image = next(stages, None)
            if image is None:
                return
            yield to_uint8(image)


def check_label(names: Sequence[str], label: str) -> None:
    """Raise ValueError unless the label is one of a model's."""
    if not names:
        raise ValueError(f"there is no label {label!r}: the model takes none")
    if label not in names:
        known = ", ".join(names[:20]) + (f" and {len(names) - 20} more" if len(names) > 20 else "")
        raise ValueError(f"there is no label {label!r}; the model has {known}")
