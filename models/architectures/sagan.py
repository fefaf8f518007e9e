"""Self-Attention Generative Adversarial Networks (Zhang et al. 2019, arXiv 1805.08318).

The networks are those of the authors' code at 128x128: residual blocks with spectral norm in both networks, attention
at 32x32 (see `attention.py`). With labels, the generator has conditional batch norm and the discriminator a projection
on the label (Miyato & Koyama 2018, arXiv 1802.05637).

Deviations: at other sizes the widths double from 64 at the finest features to at most 1024. Convolutions before a batch
norm have no bias, which the norm would remove. 1x1 convolutions are placed before upsampling and after pooling, which
is the same function. Power iteration and batch norm's statistics: see `normalization.py`. The paper's generator yields
one image; ours also yields coarser previews (see `previewed_generator.py`).
"""

import math
from collections.abc import Iterator, Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from common.aspect import SQUARE, checked_aspect
from models.discriminator import Discriminator, DiscriminatorOutput
from models.generator import check_resolution, check_widths
from models.layers.attention import attentions, check_attention
from models.layers.normalization import (
    BatchNorm,
    SpectralConv2d,
    SpectralDownConv2d,
    SpectralLinear,
    SpectralUpConv2d,
)
from models.layers.resampling import upsample
from models.previewed_generator import Preview, PreviewedGenerator


def paper_widths(resolution: int) -> tuple[int, ...]:
    """Channels at 4x4, 8x8, ..., resolution: 64 at the last, doubled per coarser level up to 1024."""
    check_resolution(resolution)
    return tuple(min(1024, 64 * resolution >> level) for level in range(2, resolution.bit_length()))


def _check(resolution: int, widths: Sequence[int], attention: Sequence[int]) -> None:
    check_widths(resolution, widths)
    check_attention(attention, [4 << level for level in range(len(widths) - 1)])


def _pointwise(c_in: int, c_out: int) -> nn.Module:
    """A 1x1 convolution of the attention block."""
    return SpectralConv2d(c_in, c_out, 1, bias=False)


class _GeneratorBlock(nn.Module):
    """Residual: (batch norm, ReLU, conv3x3) twice, nearest-neighbor up x2. (N, c_in, r, r) -> (N, c_out, 2r, 2r)."""

    def __init__(self, c_in: int, c_out: int, classes: int) -> None:
        super().__init__()
        self.norm1 = BatchNorm(c_in, classes)
        self.conv1 = SpectralUpConv2d(c_in, c_out, bias=False)
        self.norm2 = BatchNorm(c_out, classes)
        self.conv2 = SpectralConv2d(c_out, c_out, 3, bias=False)
        self.skip = SpectralConv2d(c_in, c_out, 1, bias=False)

    def forward(self, x: Tensor, label: Tensor) -> Tensor:
        h = self.conv1(F.relu(self.norm1(x, label)))
        h = self.conv2(F.relu(self.norm2(h, label)))
        return cast(Tensor, h + upsample(self.skip(x)))


class SAGANGenerator(PreviewedGenerator):
    """Generator of SAGAN: z ~ N(0, I) and a label, if there are any -> one image; coarser previews."""

    architecture = "sagan"

    def __init__(
        self,
        resolution: int = 128,  # shorter side of the image, pixels
        widths: Sequence[int] | None = None,  # channels at 4x4, 8x8, ...; None for the paper's
        latent_size: int = 128,  # length of z
        class_names: Sequence[str] = (),  # names of the labels; empty for none
        attention: Sequence[int] = (32,),  # resolutions of the features that have self-attention
        image_channels: int = 3,  # 1 grey, 3 RGB, 4 RGBA
        aspect: Sequence[int] = SQUARE,  # height and width of the image at resolution 4
    ) -> None:
        super().__init__()
        self.widths = tuple(widths) if widths is not None else paper_widths(resolution)
        _check(resolution, self.widths, attention)
        self.latent_size, self.class_names = latent_size, tuple(class_names)
        self.input_size, self.image_channels = latent_size + len(self.class_names), image_channels
        self.aspect = checked_aspect(aspect)
        self.resolutions = tuple(4 << level for level in range(len(self.widths)))
        self.dense = SpectralLinear(latent_size, self.widths[0] * math.prod(self.aspect))
        classes = len(self.class_names) or 1
        self.attentions = attentions(self.resolutions, self.widths, attention, _pointwise)
        self.blocks = nn.ModuleList(
            _GeneratorBlock(a, b, classes) for a, b in zip(self.widths, self.widths[1:], strict=False)
        )
        self.previews = nn.ModuleList(Preview(width, image_channels) for width in self.widths[:-1])
        self.norm = BatchNorm(self.widths[-1])
        self.conv = SpectralConv2d(self.widths[-1], image_channels, 3)

    def prior(self, count: int, rng: torch.Generator) -> Tensor:
        """Z ~ N(0, I), then a label: (count, input_size)."""
        return self.with_random_labels(torch.randn(count, self.latent_size, generator=rng), rng)

    def _features(self, z: Tensor, truncation: float = 1.0) -> Iterator[Tensor]:
        """The features (N, C, H, W) at 4, 8, ..., resolution. Truncation scales z."""
        label = z[:, self.latent_size :] if self.class_names else z.new_ones(len(z), 1)
        x = self.dense(z[:, : self.latent_size] * truncation).view(z.shape[0], -1, *self.aspect)
        yield (x := self.attentions[0](x))
        for block, attention in zip(self.blocks, list(self.attentions)[1:], strict=True):
            yield (x := attention(block(x, label)))

    def _to_image(self, x: Tensor) -> Tensor:
        return torch.tanh(self.conv(F.relu(self.norm(x, x.new_ones(len(x), 1)))))


class _FirstBlock(nn.Module):
    """Residual, on an image: conv3x3, ReLU, conv3x3, average pool 2. (N, c_in, r, r) -> (N, c_out, r/2, r/2)."""

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__()
        self.conv1 = SpectralConv2d(c_in, c_out, 3)
        self.conv2 = SpectralDownConv2d(c_out, c_out)
        self.skip = SpectralConv2d(c_in, c_out, 1)

    def forward(self, x: Tensor) -> Tensor:
        h = self.conv2(F.relu(self.conv1(x)))
        return cast(Tensor, h + self.skip(F.avg_pool2d(x, 2)))


class _DownBlock(nn.Module):
    """Residual: (ReLU, conv3x3) twice, average pool 2. (N, c_in, r, r) -> (N, c_out, r/2, r/2)."""

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__()
        self.conv1 = SpectralConv2d(c_in, c_out, 3)
        self.conv2 = SpectralDownConv2d(c_out, c_out)
        self.skip = SpectralConv2d(c_in, c_out, 1)

    def forward(self, x: Tensor) -> Tensor:
        h = self.conv2(F.relu(self.conv1(F.relu(x))))
        return cast(Tensor, h + self.skip(F.avg_pool2d(x, 2)))


class _LastBlock(nn.Module):
    """Residual: (ReLU, conv3x3) twice at one size. (N, c_in, r, r) -> (N, c_out, r, r)."""

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__()
        self.conv1 = SpectralConv2d(c_in, c_out, 3)
        self.conv2 = SpectralConv2d(c_out, c_out, 3)
        self.skip = SpectralConv2d(c_in, c_out, 1) if c_in != c_out else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return cast(Tensor, self.conv2(F.relu(self.conv1(F.relu(x)))) + self.skip(x))


class SAGANDiscriminator(Discriminator):
    """Discriminator of SAGAN: an image of any proportions, and its label, if there are any -> logits."""

    def __init__(
        self,
        resolution: int = 128,  # shorter side of the image, pixels
        widths: Sequence[int] | None = None,  # channels after the blocks at 4x4, ...; None for the paper's
        classes: int = 0,  # number of labels
        attention: Sequence[int] = (32,),  # resolutions of the features that have self-attention
        image_channels: int = 3,  # 1 grey, 3 RGB, 4 RGBA
    ) -> None:
        super().__init__()
        widths = tuple(widths) if widths is not None else paper_widths(resolution)
        _check(resolution, widths, attention)
        self.resolutions = (resolution,)
        self.classes, self.feature_size = classes, widths[0]
        self.first = _FirstBlock(image_channels, widths[-1])
        sides = [4 << level for level in range(len(widths) - 1)]  # of the features, coarse to fine
        self.attentions = attentions(sides, widths[1:], attention, _pointwise)
        self.blocks = nn.ModuleList([_LastBlock(widths[1], widths[0])])  # coarse to fine as well
        self.blocks.extend(_DownBlock(a, b) for a, b in zip(widths[2:], widths[1:], strict=False))
        self.logits = SpectralLinear(widths[0], 1)
        self.embed = SpectralLinear(classes, widths[0], bias=False) if classes else None

    def forward(self, images: Sequence[Tensor], labels: Tensor | None = None) -> DiscriminatorOutput:
        """Evaluate images [(N, C, H, W)], given their labels if it is conditional: logits (N,).

        Raises:
            ValueError: it is conditional, and no labels are given.
        """
        x = self.first(images[-1])
        for attention, block in reversed(list(zip(self.attentions, self.blocks, strict=True))):
            x = block(attention(x))
        h = F.relu(x).sum((2, 3))  # (N, widths[0])
        logits = self.logits(h).flatten()
        if self.embed is None:
            return DiscriminatorOutput(logits, features=h)
        if labels is None:
            raise ValueError(
                f"the discriminator is conditional on {self.classes} classes: pass the images' labels"
            )
        embedded = self.embed(F.one_hot(labels, self.classes).to(h))  # (N, widths[0])
        return DiscriminatorOutput(logits + (embedded * h).sum(1), features=h)
