"""MSG-GAN: Multi-Scale Gradients for Generative Adversarial Networks (Karnewar & Wang 2020, arXiv 1903.06048).

This is the first version (BMSG-GAN, 2019), following its authors' code: the generator yields an image at every
resolution in one pass, the discriminator receives all of them.

Deviations: the 4x4 transposed convolution of z is written as a dense layer (the same function). Both networks may have
self-attention (see `attention.py`), which the paper does not have.
"""

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Literal, NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from common.aspect import SQUARE, checked_aspect
from models.architectures.progan import GeneratorBlock, paper_widths
from models.discriminator import Discriminator, DiscriminatorOutput
from models.generator import Generator, check_resolution
from models.layers.attention import attentions
from models.layers.equalized import EqualizedConv1x1, EqualizedConv2d, EqualizedLinear, leaky_relu
from models.layers.minibatch import MinibatchStdDev
from models.layers.normalization import PixelNorm


class _Form(NamedTuple):
    """A form of phi, which combines an image x with features a."""

    conv_before: bool  # whether x passes a 1x1 convolution to half of the width, the other half being a's
    conv_after: bool  # whether the concatenation does, to the width


COMBINATIONS: dict[str, _Form] = {
    "simple": _Form(conv_before=False, conv_after=False),
    "lin_cat": _Form(conv_before=True, conv_after=False),
    "cat_lin": _Form(conv_before=False, conv_after=True),
}
if TYPE_CHECKING:
    Combination = str
else:
    Combination = Literal[tuple(COMBINATIONS)]  # the registry's


def _check_widths(resolution: int, widths: Sequence[int]) -> None:
    check_resolution(resolution)
    levels = resolution.bit_length() - 2
    if len(widths) != levels or not all(2 <= width <= 4096 and width % 2 == 0 for width in widths):
        raise ValueError(
            f"widths must be {levels} even numbers from 2 to 4096, one per resolution from 4 to {resolution}; "
            f"got {list(widths)}"
        )


class MSGGenerator(Generator):
    """Generator of MSG-GAN: z on the sphere of radius sqrt(latent_size) -> images 4x4 ... resolution, linear toRGB."""

    architecture = "msg-gan"

    def __init__(
        self,
        resolution: int = 1024,  # shorter side of the largest image, pixels
        widths: Sequence[int] | None = None,  # channels at 4x4, 8x8, ...; None for the paper's
        latent_size: int = 512,  # length of z
        image_channels: int = 3,  # 1 grey, 3 RGB, 4 RGBA
        attention: Sequence[int] = (),  # resolutions of the features that have self-attention
        aspect: Sequence[int] = SQUARE,  # height and width of the image at resolution 4
    ) -> None:
        super().__init__()
        self.widths = tuple(widths) if widths is not None else paper_widths(resolution)
        _check_widths(resolution, self.widths)
        self.latent_size = self.input_size = latent_size
        self.image_channels, self.aspect = image_channels, checked_aspect(aspect)
        self.resolutions = tuple(4 << level for level in range(len(self.widths)))
        first = self.widths[0]
        self.dense = EqualizedLinear(latent_size, first * math.prod(self.aspect))
        self.conv = EqualizedConv2d(first, first, 3)
        self.norm = PixelNorm()
        self.blocks = nn.ModuleList(
            GeneratorBlock(a, b) for a, b in zip(self.widths, self.widths[1:], strict=False)
        )
        self.attentions = attentions(self.resolutions, self.widths, attention, EqualizedConv1x1)
        self.to_rgb = nn.ModuleList(EqualizedConv2d(width, image_channels, 1) for width in self.widths)
        self.center: Tensor  # mean of the coarsest features over the prior
        self.register_buffer("center", torch.zeros(first, *self.aspect))

    def prior(self, count: int, rng: torch.Generator) -> Tensor:
        """z, uniform on the sphere of radius sqrt(latent_size): (count, input_size)."""
        z = torch.randn(count, self.latent_size, generator=rng)
        return F.normalize(z) * math.sqrt(self.latent_size)

    def stream(self, z: Tensor, truncation: float = 1.0) -> Iterator[Tensor]:
        """Yield images (N, image_channels, H, W) at 4, 8, ..., resolution.

        Pixel norm removes the length of z, so truncation moves the coarsest features toward their mean instead, as
        StyleGAN does with its intermediate latents (Karras et al. 2019, arXiv 1812.04948, appendix B).
        """
        x = self._root(z)
        if truncation != 1:
            x = self.center + (x - self.center) * truncation
        for block, attention, to_rgb in zip(
            [nn.Identity(), *self.blocks], self.attentions, self.to_rgb, strict=True
        ):
            x = attention(block(x))
            yield to_rgb(x)

    @torch.no_grad()
    def refresh_statistics(self) -> None:
        """Set `center` to the mean of the coarsest features over 4096 fixed draws of the prior."""
        z = self.prior(4096, torch.Generator().manual_seed(0)).to(self.center.device)
        self.center.copy_(self._root(z).mean(0))

    def _root(self, z: Tensor) -> Tensor:
        """The coarsest features: (N, input_size) -> (N, C, *aspect)."""
        x = leaky_relu(self.dense(z)).view(z.shape[0], -1, *self.aspect)
        return cast(Tensor, self.norm(leaky_relu(self.conv(x))))


class _Combine(nn.Module):
    """phi, which combines the image of a scale with the features of the next finer one (paper section 2.1).

    `simple` = cat(x, a); `lin_cat` = cat(conv1x1(x), a); `cat_lin` = conv1x1(cat(x, a)).
    """

    def __init__(
        self,
        how: Combination,  # form of phi
        image_channels: int,  # channels of x
        width: int,  # nominal channels at this resolution
    ) -> None:
        super().__init__()
        form = COMBINATIONS[how]
        conv = EqualizedConv2d(
            image_channels, width // 2, 1
        )  # drawn in every form, so that all have the same weights
        self.before = conv if form.conv_before else nn.Identity()
        self.after = EqualizedConv2d(image_channels + width, width, 1) if form.conv_after else nn.Identity()
        self.features = width // 2 if form.conv_before else width  # channels of a
        combined = form.conv_before or form.conv_after
        self.channels = width if combined else image_channels + width  # channels of the result

    def forward(self, x: Tensor, a: Tensor) -> Tensor:
        return cast(Tensor, self.after(torch.cat([self.before(x).to(a.dtype), a], dim=1)))


class _DiscriminatorBlock(nn.Module):
    """(conv3x3, leaky ReLU) twice, average pool 2. (N, c_in, r, r) -> (N, c_out, r/2, r/2)."""

    def __init__(self, c_in: int, c_mid: int, c_out: int) -> None:
        super().__init__()
        self.conv1 = EqualizedConv2d(c_in, c_mid, 3)
        self.conv2 = EqualizedConv2d(c_mid, c_out, 3)

    def forward(self, x: Tensor) -> Tensor:
        return F.avg_pool2d(leaky_relu(self.conv2(leaky_relu(self.conv1(x)))), 2)


class MSGDiscriminator(Discriminator):
    """Discriminator of MSG-GAN: images at 4x4 ... resolution, coarse to fine -> logits."""

    def __init__(
        self,
        resolution: int = 1024,  # shorter side of the largest image, pixels
        widths: Sequence[int] | None = None,  # channels at 4x4, 8x8, ...; None for the paper's
        image_channels: int = 3,  # 1 grey, 3 RGB, 4 RGBA
        combine: Combination = "lin_cat",  # how images are combined with features
        attention: Sequence[int] = (),  # resolutions of the combined features that have self-attention
        aspect: Sequence[int] = SQUARE,  # height and width of the image at resolution 4
    ) -> None:
        super().__init__()
        widths = tuple(widths) if widths is not None else paper_widths(resolution)
        _check_widths(resolution, widths)
        self.resolutions = tuple(4 << level for level in range(len(widths)))
        combines = [_Combine(combine, image_channels, width) for width in widths[:-1]]
        self.combines = nn.ModuleList(combines)
        self.from_rgb = EqualizedConv2d(image_channels, widths[-1], 1)
        inputs = [phi.channels for phi in combines] + [widths[-1]]
        self.blocks = nn.ModuleList(  # block i works at resolution 8 << i
            _DiscriminatorBlock(inputs[i + 1], widths[i + 1], phi.features) for i, phi in enumerate(combines)
        )
        self.attentions = attentions(self.resolutions, inputs, attention, EqualizedConv1x1)
        self.feature_size = first = widths[0]
        self.stddev = MinibatchStdDev()
        self.conv = EqualizedConv2d(inputs[0] + 1, first, 3)
        self.conv_last = EqualizedConv2d(first, first, checked_aspect(aspect), padding=0)
        self.logits = EqualizedConv2d(first, 1, 1)

    def forward(self, images: Sequence[Tensor], labels: Tensor | None = None) -> DiscriminatorOutput:  # noqa: ARG002
        """Evaluate images, each at every resolution: [(N, C, H, W), ...] -> logits (N,)."""
        *coarse, finest = self.attentions
        a = finest(self.from_rgb(images[-1]))
        scales = zip(images[:-1], self.blocks, self.combines, coarse, strict=True)
        for x, block, phi, attention in reversed(list(scales)):
            a = attention(phi(x, block(a)))
        a = leaky_relu(self.conv(self.stddev(a)))
        a = leaky_relu(self.conv_last(a))  # (N, C, 1, 1)
        return DiscriminatorOutput(self.logits(a).flatten(), features=a.flatten(1))
