"""Blocks of DCGAN's family (arXiv 1511.06434): strided and transposed convolutions, and a generator made of them.

Deviations, for all architectures that use them: sizes are powers of two, halved or doubled exactly at each level, and
the output of a dense layer that convolutions follow is normalized channel by channel.
"""

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import cast

from torch import Tensor, nn

from common.aspect import Aspect, size_at
from models.generator import check_resolution
from models.layers.normalization import PlainBatchNorm
from models.previewed_generator import Preview, PreviewedGenerator

LEAKY_SLOPE = 0.2  # negative slope of the leaky ReLUs of DCGAN's discriminator


def dense_block(n_in: int, n_out: int, activation: nn.Module) -> nn.Sequential:
    """Dense layer, batch norm, activation: (N, n_in) -> (N, n_out)."""
    return nn.Sequential(nn.Linear(n_in, n_out, bias=False), PlainBatchNorm(n_out), activation)


def strided_conv(c_in: int, c_out: int, kernel: int, bias: bool = True) -> nn.Conv2d:
    """A convolution that halves the size: (N, c_in, 2H, 2W) -> (N, c_out, H, W)."""
    return nn.Conv2d(c_in, c_out, kernel, stride=2, padding=(kernel - 1) // 2, bias=bias)


def transposed_conv(c_in: int, c_out: int, kernel: int, bias: bool = True) -> nn.ConvTranspose2d:
    """A transposed convolution that doubles the size: (N, c_in, H, W) -> (N, c_out, 2H, 2W)."""
    padding, odd = (kernel - 1) // 2, kernel % 2
    return nn.ConvTranspose2d(c_in, c_out, kernel, stride=2, padding=padding, output_padding=odd, bias=bias)


def coarsest_size(resolution: int, widths: Sequence[int], aspect: Aspect) -> tuple[int, int]:
    """Height and width of the coarsest features, which are doubled once per width to give the image.

    Raises:
        ValueError: the resolution is not a power of two from 8 to 1024, or there are no widths, too many of them, or
            some that are not from 1 to 4096.
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


class ImageDecoder(nn.Module):
    """A dense layer, then transposed convolutions, each but the last with batch norm and ReLU; tanh.

    (N, n_in) -> images (N, image_channels, H, W) in [-1, 1]. It also holds the layers of the coarser previews.
    """

    def __init__(
        self,
        n_in: int,  # input features
        resolution: int,  # shorter side of the image, pixels
        widths: Sequence[int],  # channels of the features, coarse to fine, the last at half the resolution
        image_channels: int,  # 1 grey, 3 RGB, 4 RGBA
        aspect: Aspect,  # height and width of the image at resolution 4
        kernel: int,  # side of the kernels, pixels
    ) -> None:
        super().__init__()
        height, width = coarsest_size(resolution, widths, aspect)
        first = widths[0]
        self.resolutions = tuple(resolution >> level for level in range(len(widths), -1, -1))
        self.root = nn.Sequential(
            nn.Linear(n_in, first * height * width, bias=False),
            nn.Unflatten(1, (first, height, width)),
            *(PlainBatchNorm(first), nn.ReLU()),
        )
        self.blocks = nn.ModuleList(
            nn.Sequential(transposed_conv(a, b, kernel, bias=False), PlainBatchNorm(b), nn.ReLU())
            for a, b in pairwise(widths)
        )
        self.last = nn.Sequential(transposed_conv(widths[-1], image_channels, kernel), nn.Tanh())
        self.previews = nn.ModuleList(Preview(width, image_channels) for width in widths)

    def forward(self, x: Tensor) -> Tensor:
        """The image."""
        *_, finest = self.features(x)
        return self.to_image(finest)

    def features(self, x: Tensor) -> Iterator[Tensor]:
        """Yield the features (N, C, H, W), coarse to fine, each twice the size of the one before."""
        yield (x := self.root(x))
        for block in self.blocks:
            yield (x := block(x))

    def to_image(self, finest: Tensor) -> Tensor:
        """The image, from the finest features."""
        return cast(Tensor, self.last(finest))


class DecoderGenerator(PreviewedGenerator):
    """A generator that ends in an `ImageDecoder`. Subclasses set `painter` and implement `decoder_input`."""

    painter: ImageDecoder  # named so in the weights of exported models

    @property
    def previews(self) -> nn.ModuleList:  # type: ignore[override] # a part of the decoder
        """The layers of the coarser previews."""
        return self.painter.previews

    @abstractmethod
    def decoder_input(self, z: Tensor, truncation: float = 1.0) -> Tensor:
        """The decoder's input (N, n_in) for inputs (N, input_size). See `stream` for `truncation`."""

    def _features(self, z: Tensor, truncation: float = 1.0) -> Iterator[Tensor]:
        return self.painter.features(self.decoder_input(z, truncation))

    def _to_image(self, x: Tensor) -> Tensor:
        return self.painter.to_image(x)
