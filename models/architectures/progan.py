"""ProGAN: Progressive Growing of GANs for Improved Quality, Stability, and Variation (Karras et al. 2018).

arXiv 1710.10196. Both networks hold the layers of all resolutions; `grow` selects which of them are in use.

Deviations, the first two as in the authors' code:
- The minibatch standard deviation is over groups; the paper's form is one group as large as the batch.
- A block of the discriminator pools before its second leaky ReLU, not after it. Convolution and pooling can then be
  fused, and a training step takes two thirds of the time.
- Coarser images do not come through the toRGB layers of earlier stages, which are no longer trained, but are previews
  through 1x1 layers fitted to the finished images (see `previewed_generator.py`).
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from common.aspect import SQUARE, Aspect, checked_aspect, resolution_of
from models.discriminator import Discriminator, DiscriminatorOutput
from models.generator import check_resolution, check_widths
from models.growing_generator import GrowingGenerator
from models.layers.attention import attentions
from models.layers.equalized import (
    EqualizedConv1x1,
    EqualizedConv2d,
    EqualizedDownConv2d,
    EqualizedLinear,
    EqualizedUpConv2d,
    leaky_relu,
)
from models.layers.minibatch import GroupStdDev
from models.layers.normalization import PixelNorm


def paper_widths(resolution: int) -> tuple[int, ...]:
    """Channels at 4x4, 8x8, ..., resolution (Table 2): 512 up to 32x32, then halved per level."""
    check_resolution(resolution)
    return tuple(min(512, 512 * 32 >> level) for level in range(2, resolution.bit_length()))


class _LatentConv(nn.Module):
    """Table 2's 4x4 convolution of the input vector, padded by 3: (N, input_size) -> (N, c_out, *aspect).

    Each output pixel sees the vector through one tap, so this is a dense layer with one bias per channel. The paper's
    fan-in gives the gain of sqrt(2) / 4 that the authors' code sets for the dense layer.
    """

    def __init__(self, input_size: int, c_out: int, aspect: Aspect) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(c_out, input_size, *aspect))
        self.bias = nn.Parameter(torch.zeros(c_out, 1, 1))
        self.scale = (2 / (16 * input_size)) ** 0.5

    def forward(self, z: Tensor) -> Tensor:
        return torch.einsum("nl,clyx->ncyx", z, self.weight * self.scale) + self.bias


class GeneratorBlock(nn.Module):
    """Nearest-neighbor up x2, then (conv3x3, leaky ReLU, pixel norm) twice. (N, c_in, r, r) -> (N, c_out, 2r, 2r)."""

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__()
        self.conv1 = EqualizedUpConv2d(c_in, c_out)
        self.conv2 = EqualizedConv2d(c_out, c_out, 3)
        self.norm = PixelNorm()

    def forward(self, x: Tensor) -> Tensor:
        """Upsample and refine x."""
        x = self.norm(leaky_relu(self.conv1(x)))
        return cast(Tensor, self.norm(leaky_relu(self.conv2(x))))


class ProGANGenerator(GrowingGenerator):
    """Generator of ProGAN: z ~ N(0, I) and a one-hot label -> images 4x4 ... up to the resolution it has grown to.

    The network normalizes its input vector. toRGB is linear.
    """

    architecture = "progan"

    def __init__(
        self,
        resolution: int = 1024,  # shorter side of the largest image once grown, pixels
        widths: Sequence[int] | None = None,  # channels at 4x4, 8x8, ...; None for the paper's
        latent_size: int = 512,  # length of z
        image_channels: int = 3,  # 1 grey, 3 RGB, 4 RGBA
        class_names: Sequence[str] = (),  # names of the labels; empty for none
        attention: Sequence[int] = (),  # resolutions at which the features have self-attention (SAGAN)
        aspect: Sequence[int] = SQUARE,  # height and width of the image at resolution 4
    ) -> None:
        widths = widths if widths is not None else paper_widths(resolution)
        super().__init__(resolution, widths, latent_size, image_channels, class_names, aspect)
        first = self.widths[0]
        self.norm = PixelNorm()
        self.latent_conv = _LatentConv(self.input_size, first, self.aspect)
        self.conv = EqualizedConv2d(first, first, 3)
        self.blocks = nn.ModuleList(GeneratorBlock(a, b) for a, b in pairwise(self.widths))
        sides = [4 << level for level in range(len(self.widths))]
        self.attentions = attentions(sides, self.widths, attention, EqualizedConv1x1)
        self.to_rgb = nn.ModuleList(
            EqualizedConv2d(width, image_channels, 1, gain=1.0) for width in self.widths
        )
        self.center: Tensor  # mean of the coarsest features over the prior, for each label
        self.register_buffer("center", torch.zeros(max(1, len(class_names)), first, *self.aspect))

    def _features(self, z: Tensor, truncation: float = 1.0) -> Iterator[Tensor]:
        """Pixel norm removes the length of z, so truncation moves the coarsest features toward the label's mean.

        StyleGAN does so with its intermediate latents (Karras et al. 2019, arXiv 1812.04948, appendix B).
        """
        x = self._root(z)
        if truncation != 1:
            center = self._center(z)
            x = center + (x - center) * truncation
        yield (x := self.attentions[0](x))
        blocks = self.blocks[: len(self.resolutions) - 1]
        for block, attention in zip(blocks, list(self.attentions)[1:], strict=False):
            yield (x := attention(block(x)))

    @torch.no_grad()
    def refresh_statistics(self) -> None:
        """Measure the centers of truncation over 4096 fixed draws from the prior, and fit the previews."""
        device, rng = self.center.device, torch.Generator().manual_seed(0)
        count = max(64, 4096 // len(self.center))
        z = self.prior(count, rng).to(device)
        for label, center in enumerate(self.center):
            labels = torch.full((count,), label, device=device)
            center.copy_(self._root(self.with_labels(z, labels) if self.class_names else z).mean(0))
        super().refresh_statistics()

    def _to_image(self, x: Tensor) -> Tensor:
        return cast(Tensor, self.to_rgb[resolution_of(x).bit_length() - 3](x))

    def _center(self, z: Tensor) -> Tensor:
        """The centers of truncation: (N or 1, C, *aspect)."""
        return self.center[z[:, -len(self.class_names) :].argmax(1)] if self.class_names else self.center

    def _root(self, z: Tensor) -> Tensor:
        """The coarsest features: (N, input_size) -> (N, C, *aspect)."""
        x = self.norm(leaky_relu(self.latent_conv(self.norm(z))))
        return cast(Tensor, self.norm(leaky_relu(self.conv(x))))


class _DiscriminatorBlock(nn.Module):
    """Conv3x3, leaky ReLU, conv3x3, average pool 2, leaky ReLU. (N, c_in, r, r) -> (N, c_out, r/2, r/2)."""

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__()
        self.conv1 = EqualizedConv2d(c_in, c_in, 3)
        self.conv2 = EqualizedDownConv2d(c_in, c_out)

    def forward(self, x: Tensor) -> Tensor:
        return leaky_relu(self.conv2(leaky_relu(self.conv1(x))))


class ProGANDiscriminator(Discriminator):
    """Discriminator of ProGAN: images of the resolution that it has grown to -> logits, and class logits (AC-GAN).

    It is built fully grown. The trainer calls `grow` for every batch, so the resolution is not part of its state.
    """

    def __init__(
        self,
        resolution: int = 1024,  # shorter side of the largest image once grown, pixels
        widths: Sequence[int] | None = None,  # channels at 4x4, 8x8, ...; None for the paper's
        image_channels: int = 3,  # 1 grey, 3 RGB, 4 RGBA
        classes: int = 0,  # number of labels that it classifies; 0 for none
        group: int = 4,  # samples per group of the minibatch standard deviation, at most
        attention: Sequence[int] = (),  # resolutions at which the features have self-attention (SAGAN)
        aspect: Sequence[int] = SQUARE,  # height and width of the image at resolution 4
    ) -> None:
        super().__init__()
        self.predicts_classes = classes > 0
        widths = tuple(widths) if widths is not None else paper_widths(resolution)
        check_widths(resolution, widths)
        self.resolutions, self.blend = (resolution,), 1.0
        self.feature_size = first = widths[0]
        self.from_rgb = nn.ModuleList(EqualizedConv2d(image_channels, width, 1) for width in widths)
        self.blocks = nn.ModuleList(  # block i works at resolution 8 << i
            _DiscriminatorBlock(b, a) for a, b in pairwise(widths)
        )
        sides = [4 << level for level in range(len(widths))]
        self.attentions = attentions(sides, widths, attention, EqualizedConv1x1)
        self.stddev = GroupStdDev(group)
        self.conv = EqualizedConv2d(first + 1, first, 3)
        self.conv_last = EqualizedConv2d(first, first, checked_aspect(aspect), padding=0)
        self.output = EqualizedLinear(first, 1 + classes, gain=1.0)

    def grow(self, resolution: int, blend: float) -> None:
        """Take images of a resolution, the newest level with weight `blend` against the one before."""
        assert 4 <= resolution <= 2 << len(self.from_rgb)
        self.resolutions, self.blend = (resolution,), blend

    def forward(self, images: Sequence[Tensor], labels: Tensor | None = None) -> DiscriminatorOutput:  # noqa: ARG002
        """Evaluate images of the current resolution: [(N, C, H, W)] -> logits (N,)."""
        (image,) = images
        newest = resolution_of(image).bit_length() - 3  # level of the image, 0 at resolution 4
        a = leaky_relu(self.from_rgb[newest](image))
        for level in range(newest, 0, -1):
            a = self.blocks[level - 1](self.attentions[level](a))
            if level == newest and self.blend < 1:
                coarse = leaky_relu(self.from_rgb[level - 1](F.avg_pool2d(image, 2)))
                a = torch.lerp(coarse, a, self.blend)
        a = leaky_relu(self.conv(self.stddev(self.attentions[0](a))))
        a = leaky_relu(self.conv_last(a)).flatten(1)  # (N, C)
        output = self.output(a)
        return DiscriminatorOutput(output[:, 0], output[:, 1:] if output.shape[1] > 1 else None, features=a)
