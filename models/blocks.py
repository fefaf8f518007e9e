"""Blocks that the convolutional networks with labels and codes share: those of DCGAN's family, at any proportions.

Deviations, of all who use them: sizes are powers of two, halved or doubled exactly at each level, and what a dense
layer gives to convolutions is normalised map by map.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import cast

import torch
from torch import Tensor, nn

from models.frame import Frame, size_at
from models.generator import Generator, check_resolution
from models.normalization import BatchNorm, measure_statistics


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


def root_size(resolution: int, widths: Sequence[int], frame: Frame) -> tuple[int, int]:
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
    return size_at(side, frame)


class Painter(nn.Sequential):
    """A dense layer, then transposed convolutions, each but the last with batch norm and ReLU; tanh.

    (N, n_in) -> pictures (N, image_channels, H, W) in [-1, 1].
    """

    def __init__(
        self,
        n_in: int,  # input features
        widths: Sequence[int],  # channels of the features, coarse to fine
        image_channels: int,  # 1 grey, 3 RGB, 4 RGBA
        root: tuple[int, int],  # height and width of the coarsest features, pixels
        kernel: int,  # side of the kernels, pixels
    ) -> None:
        height, width = root
        super().__init__(
            nn.Linear(n_in, widths[0] * height * width, bias=False),
            nn.Unflatten(1, (widths[0], height, width)),
            *(PlainBatchNorm(widths[0]), nn.ReLU()),
        )
        for a, b in pairwise(widths):
            self.extend([up(a, b, kernel, bias=False), PlainBatchNorm(b), nn.ReLU()])
        self.extend([up(widths[-1], image_channels, kernel), nn.Tanh()])


@torch.no_grad()
def measure_from_prior(generator: Generator) -> None:
    """Measure a generator's batch norms from 256 fixed draws of its prior. It is in evaluation mode."""
    rng, device = torch.Generator().manual_seed(0), next(generator.parameters()).device
    measure_statistics(generator, [generator.prior(64, rng).to(device) for _ in range(4)])
