"""A modern baseline, after R3GAN: "The GAN is dead; long live the GAN!" (Huang et al. 2024, arXiv 2501.05441).

Residual networks without normalization, noise, style or tanh, for the relativistic pairing loss with R1 and R2.

Deviations:
- A block has two dense 3x3 convolutions instead of a grouped bottleneck, which is several times slower per operation
  on a CPU. With two layers per branch, Fixup's initial gain is L^(-1/2) (Zhang et al. 2019, arXiv 1901.09321); with the
  paper's three it is L^(-1/4).
- Coarser images are previews through 1x1 layers fitted to the finished ones (see `previewed_generator.py`).
- Resampling keeps constants at the border too, where the paper's code pads with zeros.
- Both networks can grow as in ProGAN (see `progan.py`).
- Labels: an embedding of the label is added to the modulation of the generator's basis; the discriminator adds a
  projection of its features on an embedding (Miyato & Koyama 2018, arXiv 1802.05637) to its unconditional logits.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from common.aspect import SQUARE, checked_aspect, resolution_of
from models.discriminator import Discriminator, DiscriminatorOutput
from models.generator import check_resolution, check_widths
from models.growing_generator import GrowingGenerator
from models.layers.attention import Attention, check_attention
from models.layers.equalized import leaky_relu
from models.layers.precision import at_least_float32

_GAIN = (2 / 1.04) ** 0.5  # He's gain for a leaky ReLU of slope 0.2


def default_widths(resolution: int) -> tuple[int, ...]:
    """Channels at 4x4, 8x8, ..., resolution: 512 up to 16x16, then halved per level down to 16."""
    check_resolution(resolution)
    return tuple(max(16, min(512, 512 * 16 >> level)) for level in range(2, resolution.bit_length()))


def _pointwise(c_in: int, c_out: int) -> nn.Conv2d:
    """A 1x1 convolution without bias that keeps the variance."""
    conv = nn.Conv2d(c_in, c_out, 1, bias=False)
    nn.init.normal_(conv.weight, std=c_in**-0.5)
    return conv


class _Block(nn.Module):
    """x + conv3x3(leaky_relu(conv3x3(x) + b)), the identity at first (section 3.3). The shape is kept."""

    def __init__(
        self,
        width: int,  # channels
        depth: int,  # number of blocks in the network
    ) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(width, width, 3, padding=1)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        nn.init.normal_(self.conv1.weight, std=_GAIN * (depth * 9 * width) ** -0.5)
        nn.init.zeros_(cast(Tensor, self.conv1.bias))
        nn.init.zeros_(self.conv2.weight)

    def forward(self, x: Tensor) -> Tensor:
        return x + cast(Tensor, self.conv2(leaky_relu(self.conv1(x))))


class _Upsample(nn.Module):
    """Double by the filter [1, 3, 3, 1] / 4, which is bilinear interpolation. (N, C, H, W) -> (N, C, 2H, 2W)."""

    def forward(self, x: Tensor) -> Tensor:
        return F.interpolate(x, scale_factor=2, mode="bilinear")


class _Downsample(nn.Module):
    """Halve by the filter [1, 3, 3, 1] / 8, as the transpose of `_Upsample`. (N, C, 2H, 2W) -> (N, C, H, W).

    On a CPU, the second derivative of a blur takes four times as long as that of this layer.
    """

    def forward(self, x: Tensor) -> Tensor:
        n, c, height, width = x.shape
        coarse = [n, c, height // 2, width // 2]
        adjoint = torch.ops.aten.upsample_bilinear2d_backward(x, [height, width], coarse, False, 2.0, 2.0)
        return cast(Tensor, adjoint) / 4


def _residual(
    width: int,  # channels
    side: int,  # resolution of the stage, pixels
    depth: int,  # number of blocks in the network
    blocks: int,  # number of blocks in the stage
    attention: Sequence[int],  # resolutions whose stages end in self-attention
) -> list[nn.Module]:
    """The layers of a stage, without resampling."""
    layers: list[nn.Module] = [_Block(width, depth) for _ in range(blocks)]
    return [*layers, Attention(width)] if side in attention else layers


def _by_side(smallest: int, widths: Sequence[int], layer: Callable[[int], nn.Module]) -> nn.ModuleDict:
    """A layer for each resolution from `smallest` on, by the resolution as a string. `layer` takes the channels."""
    sides = {4 << level: width for level, width in enumerate(widths)}
    return nn.ModuleDict({str(side): layer(width) for side, width in sides.items() if side >= smallest})


def _check(widths: Sequence[int], resolution: int, blocks: int, attention: Sequence[int]) -> None:
    check_widths(resolution, widths)
    if blocks < 1:
        raise ValueError(f"blocks must be at least 1, not {blocks}")
    check_attention(attention, [4 << level for level in range(len(widths))])


class ModernGenerator(GrowingGenerator):
    """Generator: z ~ N(0, I) and a one-hot label -> images up to the resolution it has grown to, linear toRGB."""

    architecture = "modern"

    def __init__(
        self,
        resolution: int = 256,  # shorter side of the largest image, pixels
        widths: Sequence[int] | None = None,  # channels at 4x4, 8x8, ...; None for `default_widths`
        blocks: int = 2,  # residual blocks per resolution
        latent_size: int = 64,  # length of z
        image_channels: int = 3,  # 1 grey, 3 RGB, 4 RGBA
        attention: Sequence[int] = (),  # resolutions with self-attention
        class_names: Sequence[str] = (),  # names of the labels; empty for none
        smallest: int | None = None,  # resolution that it grows from; None for the full one
        aspect: Sequence[int] = SQUARE,  # height and width of the image at resolution 4
    ) -> None:
        widths = widths if widths is not None else default_widths(resolution)
        _check(widths, resolution, blocks, attention)
        super().__init__(resolution, widths, latent_size, image_channels, class_names, aspect)
        self.basis = nn.Parameter(torch.randn(self.widths[0], *self.aspect))
        self.modulate = nn.Linear(self.input_size, self.widths[0], bias=False)
        nn.init.normal_(self.modulate.weight[:, :latent_size], std=latent_size**-0.5)
        nn.init.normal_(self.modulate.weight[:, latent_size:])  # an embedding, with as much variance as z has
        depth = blocks * len(self.widths)
        root = _residual(self.widths[0], 4, depth, blocks, attention)
        self.stages = nn.ModuleList([nn.Sequential(*root)])
        for level, (coarse, fine) in enumerate(pairwise(self.widths), start=1):
            layers = _residual(fine, 4 << level, depth, blocks, attention)
            self.stages.append(nn.Sequential(_pointwise(coarse, fine), _Upsample(), *layers))
        self.smallest = smallest or resolution
        self.to_rgb = _by_side(self.smallest, self.widths, lambda width: _pointwise(width, image_channels))

    def _features(self, z: Tensor, truncation: float = 1.0) -> Iterator[Tensor]:
        """The first block's input is linear in z, so scaling z moves it toward its mean given the label."""
        noise, label = z[:, : self.latent_size], z[:, self.latent_size :]
        modulation = self.modulate(torch.cat([noise * truncation, label], dim=1))
        x = self.basis * modulation[:, :, None, None]
        for stage in self.stages[: len(self.resolutions)]:
            yield (x := stage(x))

    def _to_image(self, x: Tensor) -> Tensor:
        return cast(Tensor, self.to_rgb[str(resolution_of(x))](x))


class ModernDiscriminator(Discriminator):
    """Discriminator: images of the resolution that it has grown to, and their labels, if there are any -> logits.

    It is built fully grown. The trainer calls `grow` for every batch, so the resolution is not part of its state.
    """

    def __init__(
        self,
        resolution: int = 256,  # shorter side of the largest images, pixels
        widths: Sequence[int] | None = None,  # channels at 4x4, 8x8, ...; None for `default_widths`
        blocks: int = 2,  # residual blocks per resolution
        image_channels: int = 3,  # 1 grey, 3 RGB, 4 RGBA
        attention: Sequence[int] = (),  # resolutions with self-attention
        classes: int = 0,  # number of labels; 0 for none
        smallest: int | None = None,  # resolution that it grows from; None for the full one
        aspect: Sequence[int] = SQUARE,  # height and width of the image at resolution 4
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
        self.basis = nn.Parameter(  # a depthwise convolution, 4x4 for square images
            torch.randn(first, *checked_aspect(aspect)) / math.prod(aspect) ** 0.5
        )
        self.logits = nn.Linear(first, 1, bias=False)
        self.embedding = nn.Embedding(classes, first) if classes else None
        for layer in (self.logits, self.embedding):
            if layer is not None:
                nn.init.normal_(layer.weight, std=first**-0.5)

    def grow(self, resolution: int, blend: float) -> None:
        """Take images of a resolution, the newest level with weight `blend` against the one before."""
        assert str(resolution) in self.from_rgb
        self.resolutions, self.blend = (resolution,), blend

    def forward(self, images: Sequence[Tensor], labels: Tensor | None = None) -> DiscriminatorOutput:
        """Evaluate images of the current resolution: [(N, C, H, W)] -> logits (N,)."""
        (image,) = images
        side = resolution_of(image)
        x = self.from_rgb[str(side)](image)
        for stage in reversed(self.stages[: side.bit_length() - 2]):
            x = stage(x)
            if resolution_of(x) == side // 2 and self.blend < 1:
                x = torch.lerp(self.from_rgb[str(side // 2)](F.avg_pool2d(image, 2)), x, self.blend)
        with torch.autocast(x.device.type, enabled=False):
            features = (at_least_float32(x) * self.basis).sum((2, 3))  # (N, C)
            logits = self.logits(features).flatten()
            if self.embedding is not None:
                assert labels is not None
                logits = logits + (self.embedding(labels) * features).sum(1)
        return DiscriminatorOutput(logits, features=features)
