"""LAPGAN: Deep Generative Image Models using a Laplacian Pyramid of Adversarial Networks (Denton et al. 2015,
arXiv 1506.05751).

A GAN generates the coarsest image. At every finer level a conditional GAN generates the band that the upsampled coarser
image lacks: I_K = G_K(z_K), then l_k = u(I_{k+1}) and I_k = l_k + G_k(z_k, l_k). Each level has a pair of networks of
its own. Outputs are linear. The networks are those of the authors' code for CIFAR-10 and for LSUN (facebook/eyescream);
the MLPs of the coarsest level have the paper's sizes. u and d are in `models/layers/pyramid.py`.

Deviations:
- u and d are those of the 5-tap binomial filter; `pyramid="bilinear"` selects the code's. Every level is twice as large
  as the one before (the paper's CIFAR levels are 8, 14 and 28).
- Pixels are in [-1, 1]; the code normalizes each color channel over the data.
- Weights have torch's default initialization, with a range of 1 / sqrt(inputs), as in most of the code's scripts; one
  draws those of the MLPs from N(0, 0.05) and N(0, 0.005).
- An 8x8 level above a base of 4x4 is too small for the convolutional discriminators: its networks are MLPs like the
  base's, with the upsampled image among their inputs.
- The `lsun` generator has no batch norm on its output: with unit variance it could not be a band of pixels in [-1, 1].
  The coarsest level is the CIFAR one (the code's for LSUN has 600 units in both networks).
- Labels enter the `lsun` networks as they do the CIFAR ones; in the paper these have none.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from math import prod
from typing import TYPE_CHECKING, Literal, NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from common.aspect import SQUARE, checked_aspect, size_at
from models.discriminator import Discriminator, DiscriminatorOutput
from models.generator import Generator, check_resolution
from models.layers.dropout import Dropout
from models.layers.normalization import RunningBatchNorm
from models.layers.pyramid import PYRAMIDS, PyramidName

SMALLEST_CONVOLUTIONAL = 16  # pixels: smaller levels are MLPs


def level_sides(resolution: int, base: int) -> tuple[int, ...]:
    """Resolutions of the levels, coarse to fine: (base, 2 base, ..., resolution).

    Raises:
        ValueError: not powers of two, the base not from 4 to the resolution, or the resolution not from 8 to 1024.
    """
    check_resolution(resolution)
    if base < 4 or base > resolution or base & (base - 1):
        raise ValueError(
            f"base must be a power of two from 4 to the resolution ({resolution}), not {base}: take 4 or 8"
        )
    return tuple(base << level for level in range((resolution // base).bit_length()))


def paper_widths(resolution: int, base: int) -> tuple[int, ...]:
    """Units of the generator's MLPs (1200) and channels of the convolutional levels (64), from base to resolution."""
    return tuple(1200 if side < SMALLEST_CONVOLUTIONAL else 64 for side in level_sides(resolution, base))


class FeaturePool(nn.Module):
    """L2 norm of every two neighboring channels: (N, C, H, W) -> (N, C / 2, H, W)."""

    def forward(self, x: Tensor) -> Tensor:
        """Pool x."""
        pairs = x.view(len(x), -1, 2, *x.shape[2:])
        return cast(Tensor, torch.linalg.vector_norm(pairs, dim=2))


def label_plane(classes: int, size: tuple[int, int]) -> nn.Sequential | None:
    """Layers from a one-hot label to a plane of that size: (N, classes) -> (N, 1, H, W). None for no classes."""
    if classes == 0:
        return None
    return nn.Sequential(nn.Linear(classes, prod(size)), nn.ReLU(), nn.Unflatten(1, (1, *size)))


def with_label(planes: Tensor, label: Tensor | None, plane: nn.Sequential | None) -> Tensor:
    """Append the label's plane, if there is one: (N, C, H, W) -> (N, C or C + 1, H, W)."""
    return planes if plane is None else torch.cat([planes, plane(label)], 1)


def _cifar_generator(c_in: int, c_out: int, width: int) -> nn.Sequential:
    return nn.Sequential(
        *(nn.Conv2d(c_in, width, 7, padding=3), nn.ReLU()),
        *(nn.Conv2d(width, width, 7, padding=3), nn.ReLU()),
        nn.Conv2d(width, c_out, 5, padding=2),
    )


def _cifar_discriminator(c_in: int, size: tuple[int, int], width: int) -> nn.Sequential:
    last_height, last_width = ((side - 9) // 2 + 1 for side in size)  # of the last features, pixels
    return nn.Sequential(
        *(nn.Conv2d(c_in, width, 5), nn.ReLU()),
        *(nn.Conv2d(width, width, 5, stride=2), nn.ReLU()),
        *(nn.Flatten(), Dropout(), nn.Linear(width * last_height * last_width, 1)),
    )


def _lsun_generator(c_in: int, c_out: int, width: int) -> nn.Sequential:
    a, b, c, d = width, width * 23 // 4, width * 2, width * 7 // 2  # 64, 368, 128, 224 channels
    return nn.Sequential(
        *(nn.Conv2d(c_in, a, 7, padding=3), nn.ReLU(), RunningBatchNorm(a)),
        *(nn.Conv2d(a, b, 7, padding=3, groups=4), nn.ReLU(), RunningBatchNorm(b), Dropout(maps=True)),
        *(nn.Conv2d(b, c, 7, padding=3, groups=4), nn.ReLU(), RunningBatchNorm(c), FeaturePool()),
        *(nn.Conv2d(c // 2, d, 5, padding=2, groups=2), nn.ReLU(), RunningBatchNorm(d), Dropout(maps=True)),
        nn.Conv2d(d, c_out, 7, padding=3),
    )


def _lsun_discriminator(c_in: int, size: tuple[int, int], width: int) -> nn.Sequential:
    a, b, c = width * 3 // 4, width * 7, width * 13 // 2  # 48, 448, 416 channels
    return nn.Sequential(
        *(nn.Conv2d(c_in, a, 3), nn.ReLU()),
        *(nn.Conv2d(a, b, 5, groups=4), nn.ReLU()),
        *(nn.Conv2d(b, c, 7, groups=16), nn.ReLU()),
        *(nn.Flatten(), nn.Linear(c * (size[0] - 12) * (size[1] - 12), 1)),
    )


class _Networks(NamedTuple):
    """The networks of a style's convolutional levels."""

    generator: Callable[[int, int, int], nn.Sequential]  # channels in, channels out, width
    discriminator: Callable[[int, tuple[int, int], int], nn.Sequential]  # channels in, image size, width


NETWORKS: dict[str, _Networks] = {
    "cifar": _Networks(_cifar_generator, _cifar_discriminator),
    "lsun": _Networks(_lsun_generator, _lsun_discriminator),
}
if TYPE_CHECKING:
    Style = str
else:
    Style = Literal[tuple(NETWORKS)]  # the registry's


class Level(nn.Module, ABC):
    """The generator of one level, G_k, and the sum l_k + G_k that is its image."""

    size: tuple[int, int]  # height and width of its image, pixels
    latent_size: int  # length of z_k, which is uniform on (-1, 1)
    classes: int  # number of labels; 0 for none
    coarsest: bool  # whether there is no coarser image

    @property
    def side(self) -> int:
        """The shorter side of its image, pixels."""
        return min(self.size)

    @abstractmethod
    def forward(self, z: Tensor, low: Tensor | None, label: Tensor | None) -> Tensor:
        """The level's image (N, C, H, W).

        Args:
            z: z_k, (N, latent_size).
            low: l_k, the upsampled coarser image, (N, C, H, W); None at the coarsest level.
            label: one-hot, (N, classes); None without labels.
        """


class DenseLevel(Level):
    """An MLP of two hidden layers, for small images; the coarsest level is always one."""

    def __init__(
        self,
        size: tuple[int, int],  # height and width of its image, pixels
        latent_size: int,  # length of z_k
        units: int,  # units of each hidden layer
        image_channels: int,  # 1 grey, 3 RGB, 4 RGBA
        classes: int,  # number of labels; 0 for none
        coarsest: bool,  # whether there is no coarser image
    ) -> None:
        super().__init__()
        self.size, self.latent_size, self.classes, self.coarsest = size, latent_size, classes, coarsest
        numbers = image_channels * prod(size)
        self.layers = nn.Sequential(
            *(nn.Linear(latent_size + (0 if coarsest else numbers) + classes, units), nn.ReLU()),
            *(nn.Linear(units, units), nn.ReLU()),
            *(nn.Linear(units, numbers), nn.Unflatten(1, (image_channels, *size))),
        )

    def forward(self, z: Tensor, low: Tensor | None, label: Tensor | None) -> Tensor:
        """The level's image (N, C, H, W)."""
        band = cast(Tensor, self.layers(_concatenated(z, low, label)))
        return band if low is None else low + band


class ConvolutionalLevel(Level):
    """Convolutions over z_k as a plane, the upsampled coarser image, and the label as a plane."""

    coarsest = False

    def __init__(
        self,
        size: tuple[int, int],  # height and width of its image, pixels
        width: int,  # channels
        style: Style,  # style of the networks
        image_channels: int,  # 1 grey, 3 RGB, 4 RGBA
        classes: int,  # number of labels; 0 for none
    ) -> None:
        super().__init__()
        self.size, self.latent_size, self.classes = size, prod(size), classes
        self.label_plane = label_plane(classes, size)
        c_in = 1 + image_channels + bool(classes)
        self.layers = NETWORKS[style].generator(c_in, image_channels, width)

    def forward(self, z: Tensor, low: Tensor | None, label: Tensor | None) -> Tensor:
        """The level's image (N, C, H, W)."""
        assert low is not None
        planes = torch.cat([z.view(-1, 1, *self.size), low], 1)
        return low + cast(Tensor, self.layers(with_label(planes, label, self.label_plane)))


def _concatenated(*inputs: Tensor | None) -> Tensor:
    """All inputs (N, ...) but None, as one vector per sample: (N, numbers)."""
    return torch.cat([x.flatten(1) for x in inputs if x is not None], 1)


def _check_widths(sides: Sequence[int], widths: Sequence[int], style: Style) -> None:
    if len(widths) != len(sides) or not all(2 <= width <= 8192 for width in widths):
        raise ValueError(
            f"widths must be {len(sides)} numbers from 2 to 8192, one per level ({', '.join(map(str, sides))}); "
            f"got {list(widths)}"
        )
    convolutional = [
        width for side, width in zip(sides[1:], widths[1:], strict=True) if side >= SMALLEST_CONVOLUTIONAL
    ]
    if style == "lsun" and any(width % 32 for width in convolutional):
        raise ValueError(f"widths of lsun networks must be multiples of 32; got {list(widths)}")


class LAPGANGenerator(Generator):
    """All levels: z -> images at resolutions base, 2 base, ..., resolution.

    The input vector holds the z_k of all levels, coarse to fine, and a one-hot label if there are labels.
    """

    architecture = "lapgan"

    def __init__(
        self,
        resolution: int = 64,  # shorter side of the finest image, pixels
        base: int = 8,  # shorter side of the coarsest image, pixels
        widths: Sequence[int] | None = None,  # units or channels, one per level; None for the paper's
        style: Style = "cifar",  # networks of the convolutional levels
        latent_size: int = 100,  # length of the coarsest level's z; those of the others are planes
        image_channels: int = 3,  # 1 grey, 3 RGB, 4 RGBA
        class_names: Sequence[str] = (),  # names of the labels; empty for none
        pyramid: PyramidName = "binomial5",  # how images are upsampled
        aspect: Sequence[int] = SQUARE,  # height and width of the image at resolution 4
    ) -> None:
        super().__init__()
        self.resolutions = level_sides(resolution, base)
        self.widths = tuple(widths) if widths is not None else paper_widths(resolution, base)
        _check_widths(self.resolutions, self.widths, style)
        self.style, self.image_channels, self.class_names = style, image_channels, tuple(class_names)
        self.latent_size, self.pyramid, self.aspect = latent_size, pyramid, checked_aspect(aspect)
        self.levels = nn.ModuleList(
            self._level(side, width) for side, width in zip(self.resolutions, self.widths, strict=True)
        )
        self.latent_sizes = [level.latent_size for level in self.cascade()]
        self.input_size = sum(self.latent_sizes) + len(self.class_names)

    def _level(self, side: int, width: int) -> Level:
        size, channels, classes = size_at(side, self.aspect), self.image_channels, len(self.class_names)
        coarsest = side == self.resolutions[0]
        if coarsest or side < SMALLEST_CONVOLUTIONAL:
            latent_size = self.latent_size if coarsest else prod(size)
            return DenseLevel(size, latent_size, width, channels, classes, coarsest)
        return ConvolutionalLevel(size, width, self.style, channels, classes)

    def cascade(self) -> Iterator[Level]:
        """The levels, coarse to fine."""
        return (cast(Level, level) for level in self.levels)

    def prior(self, count: int, rng: torch.Generator) -> Tensor:
        """All z_k ~ U(-1, 1), then a uniformly drawn label: (count, input_size)."""
        return self.with_random_labels(torch.rand(count, sum(self.latent_sizes), generator=rng) * 2 - 1, rng)

    def stream(self, z: Tensor, truncation: float = 1.0) -> Iterator[Tensor]:
        """Yield images (N, image_channels, H, W), one per level. Truncation scales the z_k of all levels."""
        *latents, label = torch.split(z, [*self.latent_sizes, len(self.class_names)], 1)
        image: Tensor | None = None
        for level, z_k in zip(self.cascade(), latents, strict=True):
            low = None if image is None else PYRAMIDS[self.pyramid].up(image)
            image = level(z_k * truncation, low, label if level.classes else None)
            yield image


class DenseDiscriminator(Discriminator):
    """D_k of a `DenseLevel`: an MLP of two hidden layers with dropout, from image and label to logits."""

    def __init__(
        self,
        size: tuple[int, int],  # height and width of the image, pixels
        units: int,  # units of each hidden layer
        image_channels: int,  # 1 grey, 3 RGB, 4 RGBA
        classes: int,  # number of labels; 0 for none
    ) -> None:
        super().__init__()
        self.resolutions, self.classes = (min(size),), classes
        self.layers = nn.Sequential(
            *(nn.Linear(image_channels * prod(size) + classes, units), nn.ReLU(), Dropout()),
            *(nn.Linear(units, units), nn.ReLU(), Dropout()),
            nn.Linear(units, 1),
        )

    def forward(self, images: Sequence[Tensor], labels: Tensor | None = None) -> DiscriminatorOutput:
        """Evaluate images [(N, C, H, W)], given their labels if it is conditional: logits (N,)."""
        return DiscriminatorOutput(
            self.layers(_concatenated(images[0], one_hot(labels, self.classes))).flatten()
        )


class ConvolutionalDiscriminator(Discriminator):
    """D_k of a `ConvolutionalLevel`: convolutions over the image h_k + l_k and the label as a plane, to logits."""

    def __init__(
        self,
        size: tuple[int, int],  # height and width of the image, pixels
        width: int,  # channels
        style: Style,  # style of the networks
        image_channels: int,  # 1 grey, 3 RGB, 4 RGBA
        classes: int,  # number of labels; 0 for none
    ) -> None:
        super().__init__()
        self.resolutions, self.classes = (min(size),), classes
        self.label_plane = label_plane(classes, size)
        self.layers = NETWORKS[style].discriminator(image_channels + bool(classes), size, width)

    def forward(self, images: Sequence[Tensor], labels: Tensor | None = None) -> DiscriminatorOutput:
        """Evaluate images [(N, C, H, W)], given their labels if it is conditional: logits (N,)."""
        planes = with_label(images[0], one_hot(labels, self.classes), self.label_plane)
        return DiscriminatorOutput(self.layers(planes).flatten())


def one_hot(labels: Tensor | None, classes: int) -> Tensor | None:
    """Labels, int64 (N,), as float32 (N, classes); None for networks without classes."""
    if classes == 0:
        return None
    assert labels is not None
    return F.one_hot(labels, classes).float()


def discriminators(generator: LAPGANGenerator) -> list[Discriminator]:
    """A discriminator for each level, coarse to fine: half the units of a generator's MLP, or as many channels."""
    channels, classes = generator.image_channels, len(generator.class_names)
    return [
        DenseDiscriminator(level.size, width // 2, channels, classes)
        if isinstance(level, DenseLevel)
        else ConvolutionalDiscriminator(level.size, width, generator.style, channels, classes)
        for level, width in zip(generator.cascade(), generator.widths, strict=True)
    ]
