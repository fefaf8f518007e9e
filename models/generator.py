"""The interface of all generators: a flat input vector in, the image at each of the generator's resolutions out."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from common.aspect import SQUARE, Aspect
from models.settings import RecordsSettings


class Generator(RecordsSettings, ABC):
    """A network that generates images.

    Subclasses set the attributes below and implement `prior` and `stream`.

    Its input is one flat vector per image: the latent vector z, in some architectures followed by codes, and for a
    conditional generator a one-hot label in the last `len(class_names)` entries. `prior` draws all of it, the label
    included; `with_labels` replaces the label.
    """

    architecture: ClassVar[str]  # name in saved models, of those in `models/architectures/`
    input_size: int  # length of the input vector: z and what follows it
    resolutions: tuple[int, ...]  # shorter sides of the images that it yields, pixels, coarse to fine
    image_channels: int  # 1 grey, 3 RGB, 4 RGBA
    aspect: Aspect = SQUARE  # proportions of the images
    class_names: tuple[str, ...] = ()  # names of the labels of a conditional generator

    @abstractmethod
    def prior(self, count: int, rng: torch.Generator) -> Tensor:
        """Draw inputs from the prior: (count, input_size), float32, on the CPU."""

    @abstractmethod
    def stream(self, z: Tensor, truncation: float = 1.0) -> Iterator[Tensor]:
        """Yield the image (N, image_channels, H, W), nominally in [-1, 1], at each of `resolutions` once computed.

        Args:
            z: inputs, (N, input_size).
            truncation: in [0, 1]; less moves images closer to the typical one, 1 is the distribution as trained.

        Yields:
            Images of the height and width that `common.aspect.size_at` gives for the resolution.
        """

    def refresh_statistics(self) -> None:
        """Measure what the weights determine: truncation's center, batch norm's statistics, the layers of previews.

        Most architectures have nothing to measure. Trained weights are not changed.
        """

    def grow(self, resolution: int, blend: float) -> None:
        """Yield images up to `resolution`, the newest level with weight `blend` against the one before.

        Architectures that do not grow ignore this.
        """

    def with_labels(self, z: Tensor, labels: Tensor) -> Tensor:
        """Replace the labels in inputs (N, input_size) by the given ones, int64 (N,).

        Raises:
            ValueError: the generator has no labels, or not these.
        """
        classes = len(self.class_names)
        if classes == 0:
            raise ValueError("the generator takes no labels")
        if labels.numel() and not 0 <= int(labels.min()) <= int(labels.max()) < classes:
            raise ValueError(f"labels must be from 0 to {classes - 1}")
        return torch.cat([z[:, :-classes], F.one_hot(labels, classes).to(z)], dim=1)

    def with_random_labels(self, z: Tensor, rng: torch.Generator) -> Tensor:
        """Append uniformly drawn one-hot labels, if the generator has labels, to z (N, ...): (N, input_size)."""
        classes = len(self.class_names)
        if classes == 0:
            return z
        labels = torch.randint(classes, (len(z),), generator=rng)
        return torch.cat([z, F.one_hot(labels, classes).float()], dim=1)

    def forward(self, z: Tensor) -> list[Tensor]:
        """All images of `stream`, coarse to fine. z: (N, input_size)."""
        return list(self.stream(z))


def check_resolution(resolution: int) -> None:
    """Raise ValueError unless the resolution is a power of two from 8 to 1024."""
    if resolution not in {8, 16, 32, 64, 128, 256, 512, 1024}:
        raise ValueError(f"resolution must be a power of two from 8 to 1024, not {resolution}")


def check_widths(resolution: int, widths: Sequence[int]) -> None:
    """Raise ValueError unless there is a number of channels from 1 to 4096 for each side from 4 to the resolution."""
    check_resolution(resolution)
    levels = resolution.bit_length() - 2
    if len(widths) != levels or not all(1 <= width <= 4096 for width in widths):
        raise ValueError(
            f"widths must be {levels} numbers from 1 to 4096, one per resolution from 4 to {resolution}; "
            f"got {list(widths)}"
        )


def check_labels(classes: int) -> None:
    """Raise ValueError if there are no labels for a network to be conditioned on."""
    if classes == 0:
        raise ValueError(
            "the networks are conditional: prepare the data with labels, or choose a recipe that needs none"
        )
