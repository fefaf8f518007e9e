"""What every generator is: one flat latent vector in, the picture at each of its resolutions out."""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.frame import SQUARE, Frame, checked, resolution_of, size_at
from models.layers import upsample, wide
from models.preview import Preview, fit_previews


class Generator(nn.Module, ABC):
    """A network that grows a picture.

    Subclasses set the attributes below, implement `stream`, and take the fields of `settings()` as keyword arguments.

    A conditional generator takes its label as the last `len(class_names)` entries of the latent vector, one hot: its
    prior draws a label as it draws noise, and `with_labels` puts another in its place.
    """

    latent_size: int  # length of the latent vector, a label's entries included
    resolutions: tuple[int, ...]  # shorter sides of the pictures it yields, pixels, coarse to fine
    image_channels: int  # 1 grey, 3 RGB, 4 RGBA
    frame: Frame = SQUARE  # proportions of the pictures
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

    def settle(self) -> None:
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


class GrowingGenerator(Generator):
    """A generator that yields pictures as far as it has grown. It is built fully grown.

    How far that is stands in a buffer, so that averages, checkpoints and exports carry it. The finest picture is the
    one that is trained (while it fades in, so is the one before); the coarser ones are fitted to it, by `settle`.
    """

    def __init__(
        self,
        resolution: int,  # shorter side of the largest picture once grown, pixels
        widths: Sequence[int],  # channels of the features at 4, 8, ..., resolution
        latent_size: int,  # length of the latent vector, a label's entries included
        image_channels: int,  # 1 grey, 3 RGB, 4 RGBA
        class_names: Sequence[str],  # name of each label; empty for none
        frame: Sequence[int] = SQUARE,  # height and width of the picture at resolution 4
    ) -> None:
        super().__init__()
        check_widths(resolution, widths)
        if latent_size <= len(class_names):
            raise ValueError(
                f"latent_size must be above the number of labels, {len(class_names)}, not {latent_size}"
            )
        self.latent_size, self.image_channels = latent_size, image_channels
        self.class_names, self.frame = tuple(class_names), checked(frame)
        self.noise_size = latent_size - len(class_names)  # length of the latent vector without the label
        self.largest, self.widths = resolution, tuple(widths)
        self.previews = nn.ModuleList(Preview(width, image_channels) for width in self.widths[:-1])
        self.growth: Tensor  # current resolution and the weight of its newest level
        self.register_buffer("growth", torch.tensor([resolution, 1.0]))

    @property
    def resolutions(self) -> tuple[int, ...]:  # type: ignore[override] # follows the buffer
        """4, 8, ..., as far as it has grown."""
        return tuple(4 << level for level in range(int(self.growth[0]).bit_length() - 2))

    def grow(self, resolution: int, blend: float) -> None:
        """Yield pictures up to `resolution`, their newest level with weight `blend` against the one before."""
        assert 4 <= resolution <= self.largest
        self.growth[0].fill_(resolution)
        self.growth[1].fill_(blend)

    def prior(self, count: int, rng: torch.Generator) -> Tensor:
        """N(0, I), and a label drawn evenly: (count, latent_size)."""
        return self.with_drawn_labels(torch.randn(count, self.noise_size, generator=rng), rng)

    def stream(self, z: Tensor, truncation: float = 1.0) -> Iterator[Tensor]:
        """Yield pictures (N, image_channels, H, W) at 4, 8, ..., as far as it has grown."""
        resolution, blend = self.growth.tolist()
        trained = resolution if blend == 1 else resolution // 2  # pictures from here on take part in training
        coarser: Tensor | None = None
        for level, x in enumerate(self._features(z, truncation)):
            side = resolution_of(x)
            picture = wide(self._paint(x) if side >= trained else self.previews[level](x))
            if coarser is not None and side == resolution and blend < 1:
                picture = torch.lerp(upsample(coarser), picture, blend)
            yield picture
            coarser = picture

    @abstractmethod
    def _features(self, z: Tensor, truncation: float = 1.0) -> Iterator[Tensor]:
        """The features (N, C, H, W) at each resolution, coarse to fine, as far as it has grown."""

    @abstractmethod
    def _paint(self, x: Tensor) -> Tensor:
        """The picture of the finest features, or of the next to finest: (N, C, H, W) -> (N, image_channels, H, W)."""

    @torch.no_grad()
    def settle(self) -> None:
        """Fit the coarse pictures' layers to the finished ones, of 64 to 256 fixed draws of the prior."""
        rng = torch.Generator().manual_seed(0)
        area = math.prod(size_at(self.resolutions[-1], self.frame))
        count, size = min(256, max(64, 2**22 // area)), min(64, max(1, 2**18 // area))  # in all, at once
        batches = (self.prior(size, rng).to(self.growth.device) for _ in range(count // size))
        coarse = cast(list[Preview], list(self.previews[: len(self.resolutions) - 1]))
        fit_previews(coarse, ((list(self._features(z))[:-1], self(z)[-1]) for z in batches))


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
