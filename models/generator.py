"""What every generator is: one flat latent vector in, the picture at each of its resolutions out."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from common.aspect import SQUARE, Aspect


class Generator(nn.Module, ABC):
    """A network that grows a picture.

    Subclasses set the attributes below, implement `stream`, and take the fields of `settings()` as keyword arguments.

    A conditional generator takes its label as the last `len(class_names)` entries of the latent vector, one hot: its
    prior draws a label as it draws noise, and `with_labels` puts another in its place.
    """

    latent_size: int  # length of the latent vector, a label's entries included
    resolutions: tuple[int, ...]  # shorter sides of the pictures it yields, pixels, coarse to fine
    image_channels: int  # 1 grey, 3 RGB, 4 RGBA
    aspect: Aspect = SQUARE  # proportions of the pictures
    class_names: tuple[str, ...] = ()  # of a conditional generator

    @abstractmethod
    def prior(self, count: int, rng: torch.Generator) -> Tensor:
        """Draw latent vectors from the prior: (count, latent_size), float32, on the CPU."""

    @abstractmethod
    def stream(self, z: Tensor, truncation: float = 1.0) -> Iterator[Tensor]:
        """Yield the picture (N, image_channels, H, W), nominally in [-1, 1], at each of `resolutions` once it exists.

        H and W are those of `frame.size_at`.
        `truncation` in [0, 1] draws the picture towards the typical one; 1 is the distribution that was trained.
        """

    @abstractmethod
    def settings(self) -> dict[str, Any]:
        """The keyword arguments, as JSON values, that build this generator again."""

    def refresh_statistics(self) -> None:
        """Measure what the weights determine: where truncation draws to, batch norm's statistics, coarse pictures.

        Nothing to do for most. The weights themselves stay as they are.
        """

    def grow(self, resolution: int, blend: float) -> None:
        """Yield pictures up to `resolution`, their newest level with weight `blend` against the one before.

        Nothing to do for networks that are trained whole.
        """

    def with_labels(self, z: Tensor, labels: Tensor) -> Tensor:
        """The latent vectors (N, latent_size) with the labels, int64 (N,), in place of those that they hold.

        Raises:
            ValueError: the generator knows no labels, or not these.
        """
        classes = len(self.class_names)
        if classes == 0:
            raise ValueError("the generator takes no labels")
        if labels.numel() and not 0 <= int(labels.min()) <= int(labels.max()) < classes:
            raise ValueError(f"labels must be from 0 to {classes - 1}")
        return torch.cat([z[:, :-classes], F.one_hot(labels, classes).to(z)], dim=1)

    def with_drawn_labels(self, noise: Tensor, rng: torch.Generator) -> Tensor:
        """Noise (N, ...) followed by labels drawn evenly, one hot: (N, latent_size). The end of a prior."""
        classes = len(self.class_names)
        if classes == 0:
            return noise
        labels = torch.randint(classes, (len(noise),), generator=rng)
        return torch.cat([noise, F.one_hot(labels, classes).float()], dim=1)

    def forward(self, z: Tensor) -> list[Tensor]:
        """All pictures of `stream`, coarse to fine. z: (N, latent_size)."""
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
