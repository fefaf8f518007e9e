"""Blocks that the convolutional networks with labels and codes share: those of DCGAN's family, at any proportions.

Deviations, of all who use them: sizes are powers of two, halved or doubled exactly at each level, and what a dense
layer gives to convolutions is normalised map by map.
"""

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import cast

from torch import Tensor, nn

from common.aspect import Aspect, size_at
from models.generator import check_resolution
from models.layers.normalization import BatchNorm
from models.previewed_generator import Preview, PreviewedGenerator


class PlainBatchNorm(nn.Module):
    """Batch norm without classes. (N, C) or (N, C, H, W) -> the same."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = BatchNorm(channels)

    def forward(self, x: Tensor) -> Tensor:
        """Normalise x."""
        maps = x.view(*x.shape, *[1] * (4 - x.ndim))
        return cast(Tensor, self.norm(maps, x.new_ones(len(x), 1))).view_as(x)


def dense(n_in: int, n_out: int, activation: nn.Module) -> nn.Sequential:
    """Dense layer, batch norm, activation: (N, n_in) -> (N, n_out)."""
    return nn.Sequential(nn.Linear(n_in, n_out, bias=False), PlainBatchNorm(n_out), activation)


def down(c_in: int, c_out: int, kernel: int, bias: bool = True) -> nn.Conv2d:
    """A convolution that halves the size: (N, c_in, 2H, 2W) -> (N, c_out, H, W)."""
    return nn.Conv2d(c_in, c_out, kernel, stride=2, padding=(kernel - 1) // 2, bias=bias)


def up(c_in: int, c_out: int, kernel: int, bias: bool = True) -> nn.ConvTranspose2d:
    """A transposed convolution that doubles the size: (N, c_in, H, W) -> (N, c_out, 2H, 2W)."""
    padding, odd = (kernel - 1) // 2, kernel % 2
    return nn.ConvTranspose2d(c_in, c_out, kernel, stride=2, padding=padding, output_padding=odd, bias=bias)


def root_size(resolution: int, widths: Sequence[int], aspect: Aspect) -> tuple[int, int]:
    """Height and width of the coarsest features, which lie one doubling per width below the picture.

    Raises:
        ValueError: the resolution is no power of two, or the widths are none, too many or out of bounds.
    """
    check_resolution(resolution)
    side = resolution >> len(widths)
    if not widths or side < 4 or not all(1 <= width <= 4096 for width in widths):
        most = resolution.bit_length() - 3
        raise ValueError(
            f"widths must be 1 to {most} numbers from 1 to 4096, the last at {resolution // 2}x{resolution // 2}; "
            f"got {list(widths)}"
        )
    return size_at(side, aspect)


class Painter(nn.Module):
    """A dense layer, then transposed convolutions, each but the last with batch norm and ReLU; tanh.

    (N, n_in) -> pictures (N, image_channels, H, W) in [-1, 1]; coarser ones to look at.
    """

    def __init__(
        self,
        n_in: int,  # input features
        resolution: int,  # shorter side of the picture, pixels
        widths: Sequence[int],  # channels of the features, coarse to fine, the last at half the resolution
        image_channels: int,  # 1 grey, 3 RGB, 4 RGBA
        aspect: Aspect,  # height and width of the picture at resolution 4
        kernel: int,  # side of the kernels, pixels
    ) -> None:
        super().__init__()
        height, width = root_size(resolution, widths, aspect)
        first = widths[0]
        self.resolutions = tuple(resolution >> level for level in range(len(widths), -1, -1))
        self.root = nn.Sequential(
            nn.Linear(n_in, first * height * width, bias=False),
            nn.Unflatten(1, (first, height, width)),
            *(PlainBatchNorm(first), nn.ReLU()),
        )
        self.blocks = nn.ModuleList(
            nn.Sequential(up(a, b, kernel, bias=False), PlainBatchNorm(b), nn.ReLU())
            for a, b in pairwise(widths)
        )
        self.last = nn.Sequential(up(widths[-1], image_channels, kernel), nn.Tanh())
        self.previews = nn.ModuleList(Preview(width, image_channels) for width in widths)

    def forward(self, x: Tensor) -> Tensor:
        """The picture."""
        *_, finest = self.features(x)
        return cast(Tensor, self.last(finest))

    def features(self, x: Tensor) -> Iterator[Tensor]:
        """The features (N, C, H, W), which double from each to the next; of the finest, `last` makes the picture."""
        yield (x := self.root(x))
        for block in self.blocks:
            yield (x := block(x))


class PaintingGenerator(PreviewedGenerator):
    """A generator that ends in a `Painter`. Subclasses set `painter` and implement `given`."""

    painter: Painter

    @property
    def previews(self) -> nn.ModuleList:  # type: ignore[override] # a part of the painter
        """The painter's coarser pictures."""
        return self.painter.previews

    @abstractmethod
    def given(self, z: Tensor, truncation: float = 1.0) -> Tensor:
        """What is painted of latent vectors (N, latent_size): the painter's input (N, n_in). See `stream`."""

    def _features(self, z: Tensor, truncation: float = 1.0) -> Iterator[Tensor]:
        return self.painter.features(self.given(z, truncation))

    def _paint(self, x: Tensor) -> Tensor:
        return cast(Tensor, self.painter.last(x))
