"""A modern baseline, after R3GAN: "The GAN is dead; long live the GAN!" (Huang et al. 2024, arXiv 2501.05441).

Residual networks without normalisation, noise, style or tanh, for relativistic pairing with R1 and R2.

Deviations:
- a block has two dense 3x3 convolutions instead of a grouped bottleneck, which is several times slower per operation
  on a CPU; with two layers in a branch, Fixup's initial gain is L^(-1/2) (Zhang et al. 2019, arXiv 1901.09321), with
  the paper's three L^(-1/4);
- coarser pictures, to be streamed, come through 1x1 layers that are fitted to the finished ones (see `preview.py`);
- resampling keeps constants at the border too, where the paper's code pads with zeros;
- both can grow as in ProGAN (see `progan.py`);
- labels: an embedding of the generator's label is added to the modulation of its basis, and the discriminator projects
  its features on one (Miyato & Koyama 2018, arXiv 1802.05637) beside the logits that knows no label.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from common.aspect import SQUARE, checked, resolution_of
from models.discriminator import Discriminator, DiscriminatorOutput
from models.generator import check_resolution, check_widths
from models.growing_generator import GrowingGenerator
from models.layers.attention import Attention, check_attention
from models.layers.equalized import leaky, wide

_GAIN = (2 / 1.04) ** 0.5  # He's gain for a leaky ReLU of slope 0.2


def default_widths(resolution: int) -> tuple[int, ...]:
    """Channels at 4x4, 8x8, ..., resolution: 512 up to 16x16, then halved per level down to 16."""
    check_resolution(resolution)
    return tuple(max(16, min(512, 512 * 16 >> level)) for level in range(2, resolution.bit_length()))


def _pointwise(c_in: int, c_out: int) -> nn.Conv2d:
    """Convolution 1x1 without a bias that keeps the variance."""
    conv = nn.Conv2d(c_in, c_out, 1, bias=False)
    nn.init.normal_(conv.weight, std=c_in**-0.5)
    return conv


class _Block(nn.Module):
    """x + conv3x3(leaky(conv3x3(x) + b)), which is x at first (section 3.3). Shape is kept."""

    def __init__(
        self,
        width: int,  # channels
        depth: int,  # blocks in the network
    ) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(width, width, 3, padding=1)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        nn.init.normal_(self.conv1.weight, std=_GAIN * (depth * 9 * width) ** -0.5)
        nn.init.zeros_(cast(Tensor, self.conv1.bias))
        nn.init.zeros_(self.conv2.weight)

    def forward(self, x: Tensor) -> Tensor:
        return x + cast(Tensor, self.conv2(leaky(self.conv1(x))))


class _Upsample(nn.Module):
    """Double by the filter [1, 3, 3, 1] / 4, which is bilinear interpolation. (N, C, H, W) -> (N, C, 2H, 2W)."""

    def forward(self, x: Tensor) -> Tensor:
        return F.interpolate(x, scale_factor=2, mode="bilinear")


class _Downsample(nn.Module):
    """Halve by the filter [1, 3, 3, 1] / 8, as the transpose of `_Upsample`. (N, C, 2H, 2W) -> (N, C, H, W).

    On a CPU, a blur's second derivative takes four times as long as this one's.
    """

    def forward(self, x: Tensor) -> Tensor:
        n, c, height, width = x.shape
        coarse = [n, c, height // 2, width // 2]
        adjoint = torch.ops.aten.upsample_bilinear2d_backward(x, [height, width], coarse, False, 2.0, 2.0)
        return cast(Tensor, adjoint) / 4


def _residual(
    width: int,  # channels
    side: int,  # pixels
    depth: int,  # blocks in the network
    blocks: int,  # of them at this side
    attention: Sequence[int],  # sides that end in self-attention
) -> list[nn.Module]:
    """What a stage is besides resampling."""
    layers: list[nn.Module] = [_Block(width, depth) for _ in range(blocks)]
    return [*layers, Attention(width)] if side in attention else layers


def _by_side(smallest: int, widths: Sequence[int], layer: Callable[[int], nn.Module]) -> nn.ModuleDict:
    """A layer for each resolution, as a string, from `smallest` on, made of its number of channels."""
    sides = {4 << level: width for level, width in enumerate(widths)}
    return nn.ModuleDict({str(side): layer(width) for side, width in sides.items() if side >= smallest})


def _check(widths: Sequence[int], resolution: int, blocks: int, attention: Sequence[int]) -> None:
    check_widths(resolution, widths)
    if blocks < 1:
        raise ValueError(f"blocks must be at least 1, not {blocks}")
    check_attention(attention, [4 << level for level in range(len(widths))])


class ModernGenerator(GrowingGenerator):
    """Generator: N(0, I) and a label's one-hot code -> pictures as far as it has grown, linear toRGB."""

    def __init__(
        self,
        resolution: int = 256,  # shorter side of the largest picture, pixels
        widths: Sequence[int] | None = None,  # channels at 4x4, 8x8, ...; None for `default_widths`
        blocks: int = 2,  # residual blocks per resolution
        latent_size: int = 64,  # length of the latent vector, a label's entries included
        image_channels: int = 3,  # 1 grey, 3 RGB, 4 RGBA
        attention: Sequence[int] = (),  # resolutions with self-attention
        class_names: Sequence[str] = (),  # name of each label; empty for none
        smallest: int | None = None,  # resolution of the pictures that it grows from; None for the full one
        aspect: Sequence[int] = SQUARE,  # height and width of the picture at resolution 4
    ) -> None:
        widths = widths if widths is not None else default_widths(resolution)
        _check(widths, resolution, blocks, attention)
        super().__init__(resolution, widths, latent_size, image_channels, class_names, aspect)
        self.blocks, self.attention = blocks, tuple(attention)
        self.basis = nn.Parameter(torch.randn(self.widths[0], *self.aspect))
        self.modulate = nn.Linear(latent_size, self.widths[0], bias=False)
        nn.init.normal_(self.modulate.weight[:, : self.noise_size], std=self.noise_size**-0.5)
        nn.init.normal_(self.modulate.weight[:, self.noise_size :])  # an embedding, no less than the noise
        depth = blocks * len(self.widths)
        root = _residual(self.widths[0], 4, depth, blocks, attention)
        self.stages = nn.ModuleList([nn.Sequential(*root)])
        for level, (coarse, fine) in enumerate(pairwise(self.widths), start=1):
            layers = _residual(fine, 4 << level, depth, blocks, attention)
            self.stages.append(nn.Sequential(_pointwise(coarse, fine), _Upsample(), *layers))
        self.to_rgb = _by_side(
            smallest or resolution, self.widths, lambda width: _pointwise(width, image_channels)
        )

    def _features(self, z: Tensor, truncation: float = 1.0) -> Iterator[Tensor]:
        """What enters the first block is linear in z: to scale its noise draws that towards its mean, of the label."""
        noise, label = z[:, : self.noise_size], z[:, self.noise_size :]
        modulation = self.modulate(torch.cat([noise * truncation, label], dim=1))
        x = self.basis * modulation[:, :, None, None]
        for stage in self.stages[: len(self.resolutions)]:
            yield (x := stage(x))

    def _paint(self, x: Tensor) -> Tensor:
        return cast(Tensor, self.to_rgb[str(resolution_of(x))](x))

    def settings(self) -> dict[str, Any]:
        """The constructor's arguments. How far it has grown is among its buffers."""
        return {
            "resolution": self.largest,
            "widths": list(self.widths),
            "blocks": self.blocks,
            "latent_size": self.latent_size,
            "image_channels": self.image_channels,
            "attention": list(self.attention),
            "class_names": list(self.class_names),
            "smallest": min(map(int, self.to_rgb)),
            "aspect": list(self.aspect),
        }


class ModernDiscriminator(Discriminator):
    """Discriminator: pictures of the resolution that it has grown to, and their labels where it knows any -> logits.

    It is built fully grown. How far it has grown is told by every batch, so it is not part of its state.
    """

    def __init__(
        self,
        resolution: int = 256,  # shorter side of the largest pictures, pixels
        widths: Sequence[int] | None = None,  # channels at 4x4, 8x8, ...; None for `default_widths`
        blocks: int = 2,  # residual blocks per resolution
        image_channels: int = 3,  # 1 grey, 3 RGB, 4 RGBA
        attention: Sequence[int] = (),  # resolutions with self-attention
        classes: int = 0,  # number of labels; 0 for none
        smallest: int | None = None,  # resolution of the pictures that it grows from; None for the full one
        aspect: Sequence[int] = SQUARE,  # height and width of the picture at resolution 4
    ) -> None:
        super().__init__()
        widths = tuple(widths) if widths is not None else default_widths(resolution)
        _check(widths, resolution, blocks, attention)
        self.resolutions, self.blend, self.feature_size = (resolution,), 1.0, widths[0]
        depth, first = blocks * len(widths), widths[0]
        self.from_rgb = _by_side(
            smallest or resolution, widths, lambda width: _pointwise(image_channels, width)
        )
        self.stages = nn.ModuleList([nn.Sequential(*_residual(first, 4, depth, blocks, attention))])
        for level, (coarse, fine) in enumerate(pairwise(widths), start=1):
            layers = _residual(fine, 4 << level, depth, blocks, attention)
            self.stages.append(nn.Sequential(*layers, _Downsample(), _pointwise(fine, coarse)))
        self.basis = nn.Parameter(  # a depthwise convolution, 4x4 where pictures are square
            torch.randn(first, *checked(aspect)) / math.prod(aspect) ** 0.5
        )
        self.logits = nn.Linear(first, 1, bias=False)
        self.embedding = nn.Embedding(classes, first) if classes else None
        for layer in (self.logits, self.embedding):
            if layer is not None:
                nn.init.normal_(layer.weight, std=first**-0.5)

    def grow(self, resolution: int, blend: float) -> None:
        """Take pictures of a resolution, their newest level with weight `blend` against the one before."""
        assert str(resolution) in self.from_rgb
        self.resolutions, self.blend = (resolution,), blend

    def forward(self, images: Sequence[Tensor], labels: Tensor | None = None) -> DiscriminatorOutput:
        """Judge pictures, given at the current resolution: [(N, C, H, W)] -> logits (N,)."""
        (image,) = images
        side = resolution_of(image)
        x = self.from_rgb[str(side)](image)
        for stage in reversed(self.stages[: side.bit_length() - 2]):
            x = stage(x)
            if resolution_of(x) == side // 2 and self.blend < 1:
                x = torch.lerp(self.from_rgb[str(side // 2)](F.avg_pool2d(image, 2)), x, self.blend)
        with torch.autocast(x.device.type, enabled=False):
            features = (wide(x) * self.basis).sum((2, 3))  # (N, C)
            logits = self.logits(features).flatten()
            if self.embedding is not None:
                assert labels is not None
                logits = logits + (self.embedding(labels) * features).sum(1)
        return DiscriminatorOutput(logits, features=features)
