"""Self-Attention Generative Adversarial Networks (Zhang et al. 2019, arXiv 1805.08318).

The networks are those of the authors' code at 128x128: residual blocks under spectral norm in both, attention at 32x32
(see `attention.py`); with labels, conditional batch norm in the generator and a projection on the label in the
discriminator (Miyato & Koyama 2018, arXiv 1802.05637).

Deviations: at other sizes the widths double from 64 at the finest features down to 1024. Convolutions before a batch
norm have no bias, which the norm would take away. A 1x1 convolution goes before upsampling and after pooling, which
is the same function. Power iterations and batch norm's statistics: see `normalization.py`. The paper's
generator yields one picture; ours shows its coarser features too, by 1x1 layers that are fitted to its finished
pictures by least squares and take no part in training.
"""

import math
from collections.abc import Iterator, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from common.aspect import SQUARE, checked
from models.discriminator import Discriminator, DiscriminatorOutput
from models.generator import check_resolution, check_widths
from models.layers.attention import attentions, check_attention
from models.layers.equalized import upsample
from models.layers.normalization import (
    BatchNorm,
    SpectralConv2d,
    SpectralDownConv2d,
    SpectralLinear,
    SpectralUpConv2d,
)
from models.previewed_generator import Preview, PreviewedGenerator


def paper_widths(resolution: int) -> tuple[int, ...]:
    """Channels at 4x4, 8x8, ..., resolution: 64 at the last, doubled per level below up to 1024."""
    check_resolution(resolution)
    return tuple(min(1024, 64 * resolution >> level) for level in range(2, resolution.bit_length()))


def _check(resolution: int, widths: Sequence[int], attention: Sequence[int]) -> None:
    check_widths(resolution, widths)
    check_attention(attention, [4 << level for level in range(len(widths) - 1)])


def _pointwise(c_in: int, c_out: int) -> nn.Module:
    """The 1x1 convolutions of attention."""
    return SpectralConv2d(c_in, c_out, 1, bias=False)


class _GeneratorBlock(nn.Module):
    """Residual: (batch norm, ReLU, conv3x3) twice, nearest up x2. (N, c_in, r, r) -> (N, c_out, 2r, 2r)."""

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
    """Generator of SAGAN: z ~ N(0, I) and a label, if there are any -> one image; coarser ones to look at."""

    def __init__(
        self,
        resolution: int = 128,  # shorter side of the image, pixels
        widths: Sequence[int] | None = None,  # channels at 4x4, 8x8, ...; None for the paper's
        noise_size: int = 128,  # length of z without the label
        class_names: Sequence[str] = (),  # name of each label; empty for no labels
        attention: Sequence[int] = (32,),  # resolutions of the features that have it
        image_channels: int = 3,  # 1 grey, 3 RGB, 4 RGBA
        aspect: Sequence[int] = SQUARE,  # height and width of the picture at resolution 4
    ) -> None:
        super().__init__()
        self.widths = tuple(widths) if widths is not None else paper_widths(resolution)
        _check(resolution, self.widths, attention)
        self.noise_size, self.class_names = noise_size, tuple(class_names)
        self.latent_size, self.image_channels = noise_size + len(self.class_names), image_channels
        self.aspect = checked(aspect)
        self.resolutions = tuple(4 << level for level in range(len(self.widths)))
        self.dense = SpectralLinear(noise_size, self.widths[0] * math.prod(self.aspect))
        classes = len(self.class_names) or 1
        self.attention = tuple(attention)
        self.attentions = attentions(self.resolutions, self.widths, attention, _pointwise)
        self.blocks = nn.ModuleList(
            _GeneratorBlock(a, b, classes) for a, b in zip(self.widths, self.widths[1:], strict=False)
        )
        self.previews = nn.ModuleList(Preview(width, image_channels) for width in self.widths[:-1])
        self.norm = BatchNorm(self.widths[-1])
        self.conv = SpectralConv2d(self.widths[-1], image_channels, 3)

    def prior(self, count: int, rng: torch.Generator) -> Tensor:
        """N(0, I), then a label: (count, latent_size)."""
        return self.with_drawn_labels(torch.randn(count, self.noise_size, generator=rng), rng)

    def _features(self, z: Tensor, truncation: float = 1.0) -> Iterator[Tensor]:
        """The features (N, C, H, W) at 4, 8, ..., resolution. Truncation makes the noise smaller."""
        label = z[:, self.noise_size :] if self.class_names else z.new_ones(len(z), 1)
        x = self.dense(z[:, : self.noise_size] * truncation).view(z.shape[0], -1, *self.aspect)
        yield (x := self.attentions[0](x))
        for block, attention in zip(self.blocks, list(self.attentions)[1:], strict=True):
            yield (x := attention(block(x, label)))

    def _paint(self, x: Tensor) -> Tensor:
        """The image, of the finest features."""
        return torch.tanh(self.conv(F.relu(self.norm(x, x.new_ones(len(x), 1)))))

    def settings(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            "resolution": self.resolutions[-1],
            "widths": list(self.widths),
            "noise_size": self.noise_size,
            "class_names": list(self.class_names),
            "attention": list(self.attention),
            "image_channels": self.image_channels,
            "aspect": list(self.aspect),
        }


class _FirstBlock(nn.Module):
    """Residual on a picture: conv3x3, ReLU, conv3x3, average pool 2. (N, c_in, r, r) -> (N, c_out, r/2, r/2)."""

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
    """Discriminator of SAGAN: one image of any proportions, and its label, if there are any -> logits."""

    def __init__(
        self,
        resolution: int = 128,  # shorter side of the image, pixels
        widths: Sequence[int]
        | None = None,  # channels after the blocks at 4x4, 8x8, ...; None for the paper's
        classes: int = 0,  # number of labels
        attention: Sequence[int] = (32,),  # resolutions of the features that have it
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
        self.blocks = nn.ModuleList([_LastBlock(widths[1], widths[0])])  # coarse to fine too
        self.blocks.extend(_DownBlock(a, b) for a, b in zip(widths[2:], widths[1:], strict=False))
        self.logits = SpectralLinear(widths[0], 1)
        self.embed = SpectralLinear(classes, widths[0], bias=False) if classes else None

    def forward(self, images: Sequence[Tensor], labels: Tensor | None = None) -> DiscriminatorOutput:
        """Judge the images [(N, C, H, W)] by their labels: logits (N,).

        Raises:
            ValueError: it judges by labels, and there are none.
        """
        x = self.first(images[-1])
        for attention, block in reversed(list(zip(self.attentions, self.blocks, strict=True))):
            x = block(attention(x))
        h = F.relu(x).sum((2, 3))  # (N, widths[0])
        logits = self.logits(h).flatten()
        if self.embed is None:
            return DiscriminatorOutput(logits, features=h)
        if labels is None:
            raise ValueError(f"the discriminator knows {self.classes} classes: give it the pictures' labels")
        embedded = self.embed(F.one_hot(labels, self.classes).to(h))  # (N, widths[0])
        return DiscriminatorOutput(logits + (embedded * h).sum(1), features=h)
