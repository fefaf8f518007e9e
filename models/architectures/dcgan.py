"""DCGAN: Unsupervised Representation Learning with Deep Convolutional GANs (Radford et al. 2016, arXiv 1511.06434).

Strided convolutions only, batch norm in both networks. Other norms give the networks of other papers: SELU without
norm ("Self-Normalizing Neural Networks", Klambauer et al. 2017, arXiv 1706.02515), as in A. Jolicoeur-Martineau's cat
experiment at 128x128; layer norm, or none, for the critic of WGAN-GP (arXiv 1704.00028).

Deviations:
- As in the code of the authors and of the cat experiment, kernels are 4x4, not 5x5, so that every pixel gets the same
  number of taps, and z is N(0, I), not uniform. As in the latter, no layer has a bias unless there is no norm.
- Batch norm's scales are 1 at first, and its statistics for evaluation are measured (see `normalization.py`).
- Sizes other than 64x64 keep 1024 channels at 4x4, halved per level.
- The paper's generator yields one image; ours also yields coarser previews (see `previewed_generator.py`).
- The transposed convolution of z, and the last convolution, are written as dense layers (the same functions).
"""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from common.aspect import SQUARE, checked_aspect
from models.architectures.dcgan_blocks import LEAKY_SLOPE, strided_conv, transposed_conv
from models.discriminator import DiscriminatorOutput, FeatureDiscriminator
from models.generator import check_resolution
from models.layers.normalization import PlainBatchNorm
from models.previewed_generator import Preview, PreviewedGenerator

Norm = Literal["batch", "layer", "none", "selu"]


def paper_widths(resolution: int) -> tuple[int, ...]:
    """Channels at 4x4, 8x8, ..., resolution / 2: 1024, halved per level."""
    check_resolution(resolution)
    return tuple(1024 >> level for level in range(resolution.bit_length() - 3))


def _check(resolution: int, widths: Sequence[int]) -> None:
    check_resolution(resolution)
    levels = resolution.bit_length() - 3
    if len(widths) != levels or not all(1 <= width <= 4096 for width in widths):
        raise ValueError(
            f"widths must be {levels} numbers from 1 to 4096, one per side from 4 to {resolution // 2}; "
            f"got {list(widths)}"
        )


def _norm_and_activation(norm: Norm, channels: int, activation: nn.Module) -> nn.Module:
    """The layers that follow a convolution: norm, over C, H, W for `layer`, and activation."""
    layers: dict[Norm, Callable[[], nn.Module]] = {
        "batch": lambda: nn.Sequential(PlainBatchNorm(channels), activation),
        "layer": lambda: nn.Sequential(nn.GroupNorm(1, channels), activation),
        "none": lambda: activation,
        "selu": nn.SELU,
    }
    return layers[norm]()


@torch.no_grad()
def init_weights(network: nn.Module, deviation: float | None = 0.02) -> None:
    """Draw the weights of a network's convolutions and dense layers from N(0, deviation^2); set biases to 0.

    None is LeCun's deviation, under which SELU keeps unit variance: 1 / sqrt(inputs per output).
    """
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            fan_in = layer.weight[0].numel()
            if isinstance(
                layer, nn.ConvTranspose2d
            ):  # at stride 2 a pixel gets a quarter of the kernel's taps
                fan_in = layer.weight[:, 0].numel() // 4
            nn.init.normal_(layer.weight, std=fan_in**-0.5 if deviation is None else deviation)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


class DCGANGenerator(PreviewedGenerator):
    """Generator of DCGAN: z ~ N(0, I) -> one image, in [-1, 1] by tanh; coarser previews."""

    architecture = "dcgan"

    def __init__(
        self,
        resolution: int = 64,  # shorter side of the image, pixels
        widths: Sequence[int] | None = None,  # channels at 4x4, ..., resolution / 2; None for the paper's
        latent_size: int = 100,  # length of z
        image_channels: int = 3,  # 1 grey, 3 RGB, 4 RGBA
        norm: Norm = "batch",  # normalization of the features
        aspect: Sequence[int] = SQUARE,  # height and width of the image at resolution 4
    ) -> None:
        super().__init__()
        self.widths = tuple(widths) if widths is not None else paper_widths(resolution)
        _check(resolution, self.widths)
        self.resolutions = tuple(4 << level for level in range(len(self.widths) + 1))
        self.latent_size = self.input_size = latent_size
        self.image_channels, self.aspect = image_channels, checked_aspect(aspect)
        first, last = self.widths[0], self.widths[-1]
        bias = norm == "none"
        self.dense = nn.Linear(latent_size, first * math.prod(self.aspect), bias)
        self.root = _norm_and_activation(norm, first, nn.ReLU())
        self.blocks = nn.ModuleList(
            nn.Sequential(transposed_conv(a, b, 4, bias), _norm_and_activation(norm, b, nn.ReLU()))
            for a, b in zip(self.widths, self.widths[1:], strict=False)
        )
        self.to_rgb = transposed_conv(last, image_channels, 4, bias)
        self.previews = nn.ModuleList(Preview(width, image_channels) for width in self.widths)
        init_weights(self)

    def prior(self, count: int, rng: torch.Generator) -> Tensor:
        """Z ~ N(0, I): (count, input_size)."""
        return torch.randn(count, self.latent_size, generator=rng)

    def _features(self, z: Tensor, truncation: float = 1.0) -> Iterator[Tensor]:
        """The features (N, C, H, W) at 4, 8, ..., resolution / 2. Truncation scales z."""
        yield (x := self.root(self.dense(z * truncation).view(z.shape[0], -1, *self.aspect)))
        for block in self.blocks:
            yield (x := block(x))

    def _to_image(self, x: Tensor) -> Tensor:
        return torch.tanh(self.to_rgb(x))


class DCGANDiscriminator(FeatureDiscriminator):
    """Discriminator of DCGAN: one image -> logits. The first convolution has no norm."""

    def __init__(
        self,
        resolution: int = 64,  # shorter side of the image, pixels
        widths: Sequence[int] | None = None,  # channels at 4x4, ..., resolution / 2; None for the paper's
        image_channels: int = 3,  # 1 grey, 3 RGB, 4 RGBA
        norm: Norm = "batch",  # normalization of the features
        aspect: Sequence[int] = SQUARE,  # height and width of the image at resolution 4
    ) -> None:
        super().__init__()
        self.widths = widths = tuple(widths) if widths is not None else paper_widths(resolution)
        _check(resolution, widths)
        self.resolutions = (resolution,)
        finest = widths[-1]
        unnormalized: Norm = "selu" if norm == "selu" else "none"
        bias = norm == "none"
        self.from_rgb = strided_conv(image_channels, finest, 4, bias)
        self.root = _norm_and_activation(unnormalized, finest, nn.LeakyReLU(LEAKY_SLOPE))
        self.blocks = nn.Sequential()  # fine to coarse
        for a, b in zip(widths[:0:-1], widths[-2::-1], strict=True):
            activated = _norm_and_activation(norm, b, nn.LeakyReLU(LEAKY_SLOPE))
            self.blocks.append(nn.Sequential(strided_conv(a, b, 4, bias), activated))
        self.feature_size = widths[0] * math.prod(checked_aspect(aspect))
        self.logits = nn.Linear(self.feature_size, 1, bias)
        init_weights(self)

    def forward(self, images: Sequence[Tensor], labels: Tensor | None = None) -> DiscriminatorOutput:  # noqa: ARG002
        """Evaluate images [(N, C, H, W)]: logits (N,)."""
        *_, x = self.levels(images[-1])
        features = x.flatten(1)
        return DiscriminatorOutput(self.logits(features).flatten(), features=features)

    def levels(self, image: Tensor) -> Iterator[Tensor]:
        """Yield the features (N, C, H, W) at resolution / 2, ..., 8, 4."""
        yield (x := self.root(self.from_rgb(image)))
        for block in self.blocks:
            yield (x := block(x))

    def filters(self) -> Tensor:
        """The first layer's weights: (c_out, image_channels, 4, 4)."""
        return self.from_rgb.weight
