"""LAPGAN: Deep Generative Image Models using a Laplacian Pyramid of Adversarial Networks (Denton et al. 2015,
arXiv 1506.05751).

A GAN paints the coarsest image; at every finer level a conditional GAN paints the band that the enlarged coarse image
lacks: I_K = G_K(z_K), then l_k = u(I_{k+1}) and I_k = l_k + G_k(z_k, l_k). Each level is a pair of networks of its own.
Outputs are linear. The networks are those of the authors' code for CIFAR-10 and for LSUN (facebook/eyescream); the MLPs
of the coarsest level have the paper's sizes. They are in `lapgan_networks.py`, u and d in `pyramid.py`.

Deviations:
- u and d are those of the 5-tap binomial filter; `pyramid="bilinear"` takes the code's resizes. Every level is twice
  the side of the one before (the paper's CIFAR levels are 8, 14 and 28).
- Pixels are in [-1, 1]; the code normalises each colour over the data.
- Weights begin as torch draws them, in a range of 1 / sqrt(inputs), as in most of the code's scripts; one draws those
  of the MLPs from N(0, 0.05) and N(0, 0.005).
- An 8x8 level above a base of 4x4 is too small for the convolutional discriminators: its networks are MLPs as the
  base's are, the enlarged image among their inputs.
- The `lsun` generator has no batch norm on its output: of unit variance it could not be a band of pixels in [-1, 1].
  The coarsest level is the CIFAR one (the code's for LSUN has 600 units in both networks).
- A label reaches the `lsun` networks as it does the CIFAR ones; the paper has none there.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from math import prod
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from common.aspect import SQUARE, checked, size_at
from models.architectures.lapgan_networks import NETWORKS, Style, label_plane, with_label
from models.discriminator import Discriminator, DiscriminatorOutput
from models.generator import Generator, check_resolution
from models.layers.equalized import Dropout
from models.layers.pyramid import PYRAMIDS, PyramidName

SMALLEST_CONVOLVED = 16  # pixels: smaller levels are MLPs


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
    return tuple(1200 if side < SMALLEST_CONVOLVED else 64 for side in level_sides(resolution, base))


class Level(nn.Module, ABC):
    """The generator of one level, G_k, and the sum l_k + G_k that is its image."""

    size: tuple[int, int]  # height and width of its image, pixels
    noise_size: int  # length of its noise, which is uniform on (-1, 1)
    classes: int  # number of labels; 0 for none
    coarsest: bool  # there is no coarser image

    @property
    def side(self) -> int:
        """The shorter side of its image, pixels."""
        return min(self.size)

    @abstractmethod
    def forward(self, noise: Tensor, low: Tensor | None, label: Tensor | None) -> Tensor:
        """The level's image (N, C, H, W).

        Args:
            noise: (N, noise_size).
            low: l_k, the coarser image enlarged, (N, C, H, W); None at the coarsest level.
            label: one hot, (N, classes); None without labels.
        """


class DenseLevel(Level):
    """An MLP of two hidden layers, for small images; the coarsest level is always one."""

    def __init__(
        self,
        size: tuple[int, int],  # height and width of its image, pixels
        noise_size: int,  # length of its noise
        units: int,  # of each hidden layer
        image_channels: int,  # 1 grey, 3 RGB, 4 RGBA
        classes: int,  # number of labels; 0 for none
        coarsest: bool,  # there is no coarser image
    ) -> None:
        super().__init__()
        self.size, self.noise_size, self.classes, self.coarsest = size, noise_size, classes, coarsest
        numbers = image_channels * prod(size)
        self.layers = nn.Sequential(
            *(nn.Linear(noise_size + (0 if coarsest else numbers) + classes, units), nn.ReLU()),
            *(nn.Linear(units, units), nn.ReLU()),
            *(nn.Linear(units, numbers), nn.Unflatten(1, (image_channels, *size))),
        )

    def forward(self, noise: Tensor, low: Tensor | None, label: Tensor | None) -> Tensor:
        """The level's image (N, C, H, W)."""
        band = cast(Tensor, self.layers(_joined(noise, low, label)))
        return band if low is None else low + band


class ConvolvedLevel(Level):
    """Convolutions over the noise as a plane, the enlarged coarse image, and the label as a plane."""

    coarsest = False

    def __init__(
        self,
        size: tuple[int, int],  # height and width of its image, pixels
        width: int,  # channels
        style: Style,  # whose networks
        image_channels: int,  # 1 grey, 3 RGB, 4 RGBA
        classes: int,  # number of labels; 0 for none
    ) -> None:
        super().__init__()
        self.size, self.noise_size, self.classes = size, prod(size), classes
        self.label_plane = label_plane(classes, size)
        c_in = 1 + image_channels + bool(classes)
        self.layers = NETWORKS[style].generator(c_in, image_channels, width)

    def forward(self, noise: Tensor, low: Tensor | None, label: Tensor | None) -> Tensor:
        """The level's image (N, C, H, W)."""
        assert low is not None
        planes = torch.cat([noise.view(-1, 1, *self.size), low], 1)
        return low + cast(Tensor, self.layers(with_label(planes, label, self.label_plane)))


def _joined(*given: Tensor | None) -> Tensor:
    """What is given, each (N, ...), as one vector per sample: (N, numbers)."""
    return torch.cat([x.flatten(1) for x in given if x is not None], 1)


def _check_widths(sides: Sequence[int], widths: Sequence[int], style: Style) -> None:
    if len(widths) != len(sides) or not all(2 <= width <= 8192 for width in widths):
        raise ValueError(
            f"widths must be {len(sides)} numbers from 2 to 8192, one per level ({', '.join(map(str, sides))}); "
            f"got {list(widths)}"
        )
    convolved = [
        width for side, width in zip(sides[1:], widths[1:], strict=True) if side >= SMALLEST_CONVOLVED
    ]
    if style == "lsun" and any(width % 32 for width in convolved):
        raise ValueError(f"widths of lsun networks must be multiples of 32; got {list(widths)}")


class LAPGANGenerator(Generator):
    """All levels: z -> images at the sides base, 2 base, ..., resolution.

    The latent vector holds the noise of every level, coarse to fine, and the label, one hot, where there are labels.
    """

    def __init__(
        self,
        resolution: int = 64,  # shorter side of the finest image, pixels
        base: int = 8,  # shorter side of the coarsest image, pixels
        widths: Sequence[int] | None = None,  # units or channels, one per level; None for the paper's
        style: Style = "cifar",  # networks of the convolutional levels
        coarsest_noise: int = 100,  # length of the coarsest level's noise; the others' are planes
        image_channels: int = 3,  # 1 grey, 3 RGB, 4 RGBA
        class_names: Sequence[str] = (),  # of labels to paint by; empty for none
        pyramid: PyramidName = "binomial5",  # how images are enlarged
        aspect: Sequence[int] = SQUARE,  # height and width of the picture at resolution 4
    ) -> None:
        super().__init__()
        self.resolutions = level_sides(resolution, base)
        self.widths = tuple(widths) if widths is not None else paper_widths(resolution, base)
        _check_widths(self.resolutions, self.widths, style)
        self.style, self.image_channels, self.class_names = style, image_channels, tuple(class_names)
        self.coarsest_noise, self.pyramid, self.aspect = coarsest_noise, pyramid, checked(aspect)
        self.levels = nn.ModuleList(
            self._level(side, width) for side, width in zip(self.resolutions, self.widths, strict=True)
        )
        self.noise_sizes = [level.noise_size for level in self.cascade()]
        self.latent_size = sum(self.noise_sizes) + len(self.class_names)

    def _level(self, side: int, width: int) -> Level:
        size, channels, classes = size_at(side, self.aspect), self.image_channels, len(self.class_names)
        coarsest = side == self.resolutions[0]
        if coarsest or side < SMALLEST_CONVOLVED:
            noise_size = self.coarsest_noise if coarsest else prod(size)
            return DenseLevel(size, noise_size, width, channels, classes, coarsest)
        return ConvolvedLevel(size, width, self.style, channels, classes)

    def cascade(self) -> Iterator[Level]:
        """The levels, coarse to fine."""
        return (cast(Level, level) for level in self.levels)

    def prior(self, count: int, rng: torch.Generator) -> Tensor:
        """Noise uniform on (-1, 1), and a label drawn evenly: (count, latent_size)."""
        return self.with_drawn_labels(torch.rand(count, sum(self.noise_sizes), generator=rng) * 2 - 1, rng)

    def stream(self, z: Tensor, truncation: float = 1.0) -> Iterator[Tensor]:
        """Yield images (N, image_channels, H, W), one per level. Truncation scales the noise of all levels."""
        *noises, label = torch.split(z, [*self.noise_sizes, len(self.class_names)], 1)
        image: Tensor | None = None
        for level, noise in zip(self.cascade(), noises, strict=True):
            low = None if image is None else PYRAMIDS[self.pyramid].up(image)
            image = level(noise * truncation, low, label if level.classes else None)
            yield image

    def settings(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            "resolution": self.resolutions[-1],
            "base": self.resolutions[0],
            "widths": list(self.widths),
            "style": self.style,
            "coarsest_noise": self.coarsest_noise,
            "image_channels": self.image_channels,
            "class_names": list(self.class_names),
            "pyramid": self.pyramid,
            "aspect": list(self.aspect),
        }


class DenseDiscriminator(Discriminator):
    """D_k of a `DenseLevel`: an MLP of two hidden layers with dropout over the image and the label -> logits."""

    def __init__(
        self,
        size: tuple[int, int],  # height and width of the image, pixels
        units: int,  # of each hidden layer
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
        """Judge one picture per sample, [(N, C, H, W)], by its label where there are labels."""
        return DiscriminatorOutput(self.layers(_joined(images[0], one_hot(labels, self.classes))).flatten())


class ConvolvedDiscriminator(Discriminator):
    """D_k of a `ConvolvedLevel`: convolutions over the image h_k + l_k and the label as a plane -> logits."""

    def __init__(
        self,
        size: tuple[int, int],  # height and width of the image, pixels
        width: int,  # channels
        style: Style,  # whose networks
        image_channels: int,  # 1 grey, 3 RGB, 4 RGBA
        classes: int,  # number of labels; 0 for none
    ) -> None:
        super().__init__()
        self.resolutions, self.classes = (min(size),), classes
        self.label_plane = label_plane(classes, size)
        self.layers = NETWORKS[style].discriminator(image_channels + bool(classes), size, width)

    def forward(self, images: Sequence[Tensor], labels: Tensor | None = None) -> DiscriminatorOutput:
        """Judge one picture per sample, [(N, C, H, W)], by its label where there are labels."""
        planes = with_label(images[0], one_hot(labels, self.classes), self.label_plane)
        return DiscriminatorOutput(self.layers(planes).flatten())


def one_hot(labels: Tensor | None, classes: int) -> Tensor | None:
    """Labels, int64 (N,), as float32 (N, classes) for networks that know so many classes; None for those of none."""
    if classes == 0:
        return None
    assert labels is not None
    return F.one_hot(labels, classes).float()


def discriminators(generator: LAPGANGenerator) -> list[Discriminator]:
    """A discriminator for each level, coarse to fine: an MLP of half the generator's units, or as many channels."""
    channels, classes = generator.image_channels, len(generator.class_names)
    return [
        DenseDiscriminator(level.size, width // 2, channels, classes)
        if isinstance(level, DenseLevel)
        else ConvolvedDiscriminator(level.size, width, generator.style, channels, classes)
        for level, width in zip(generator.cascade(), generator.widths, strict=True)
    ]
