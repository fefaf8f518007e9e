"""LAPGAN: Deep Generative Image Models using a Laplacian Pyramid of Adversarial Networks (Denton et al. 2015,
arXiv 1506.05751).

A GAN paints the coarsest image; at every finer level a conditional GAN paints the band that the enlarged coarse image
lacks: I_K = G_K(z_K), then l_k = u(I_{k+1}) and I_k = l_k + G_k(z_k, l_k). Each level is a pair of networks of its own.
Outputs are linear. The networks are those of the authors' code for CIFAR-10 and for LSUN (facebook/eyescream); the MLPs
of the coarsest level have the paper's sizes.

Deviations:
- u and d are the project's (5-tap binomial filter), the code's are bilinear resizes; every level is twice the side of
  the one before (the paper's CIFAR levels are 8, 14 and 28).
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
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal, NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.discriminator import Discriminator, Verdict
from models.generator import Generator, check_resolution
from models.layers import local_mean
from models.pyramid import up

Style = Literal["cifar", "lsun"]
SMALLEST_CONVOLVED = 16  # pixels: levels of smaller sides are MLPs


def level_sides(resolution: int, base: int) -> tuple[int, ...]:
    """Sides of the levels, coarse to fine: (base, 2 base, ..., resolution).

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


class Dropout(nn.Module):
    """Zero each feature, a whole map of them in (N, C, H, W), with probability 1/2 and double the others.

    `uniform` draws U(0, 1), (N, C), for such an x; whoever trains on several processes replaces it.
    """

    def __init__(self) -> None:
        super().__init__()
        self.uniform: Callable[[Tensor], Tensor] = lambda x: torch.rand(x.shape[:2], device=x.device)

    def forward(self, x: Tensor) -> Tensor:
        """Drop features of x in training; shape kept."""
        if not self.training:
            return x
        kept = (self.uniform(x) < 0.5).to(x.dtype) * 2  # (N, C)
        return x * kept.view(*kept.shape, *[1] * (x.ndim - 2))


class BatchNorm(nn.Module):
    """Batch norm without scale and offset, and with running statistics for evaluation. (N, C, H, W), shape kept.

    The statistics are means over the batch that `batch_mean` sees, which whoever trains on several processes replaces
    by a mean over all of them. They are computed in float32 or wider.
    """

    def __init__(
        self,
        channels: int,
        momentum: float = 0.1,  # weight of the newest batch in the running statistics
    ) -> None:
        super().__init__()
        self.momentum = momentum
        self.mean: Tensor
        self.variance: Tensor
        self.register_buffer("mean", torch.zeros(1, channels, 1, 1))
        self.register_buffer("variance", torch.ones(1, channels, 1, 1))
        self.batch_mean: Callable[[Tensor], Tensor] = local_mean

    def forward(self, x: Tensor) -> Tensor:
        """Normalise x."""
        wide = x.to(torch.promote_types(x.dtype, torch.float32))
        mean, variance = self._measure(wide) if self.training else (self.mean, self.variance)
        return ((wide - mean) * torch.rsqrt(variance + 1e-5)).to(x.dtype)

    def _measure(self, x: Tensor) -> tuple[Tensor, Tensor]:
        mean = self.batch_mean(x.mean((2, 3), keepdim=True))
        variance = self.batch_mean((x - mean).square().mean((2, 3), keepdim=True))  # (1, C, 1, 1)
        self.mean.lerp_(mean.detach(), self.momentum)
        self.variance.lerp_(variance.detach(), self.momentum)
        return mean, variance


class FeaturePool(nn.Module):
    """L2 norm of every two neighbouring channels: (N, C, H, W) -> (N, C / 2, H, W)."""

    def forward(self, x: Tensor) -> Tensor:
        """Pool x."""
        pairs = x.view(len(x), -1, 2, *x.shape[2:])
        return cast(Tensor, torch.linalg.vector_norm(pairs, dim=2))


def _cifar_generator(c_in: int, c_out: int, width: int) -> nn.Sequential:
    return nn.Sequential(
        *(nn.Conv2d(c_in, width, 7, padding=3), nn.ReLU()),
        *(nn.Conv2d(width, width, 7, padding=3), nn.ReLU()),
        nn.Conv2d(width, c_out, 5, padding=2),
    )


def _cifar_discriminator(c_in: int, side: int, width: int) -> nn.Sequential:
    last = (side - 9) // 2 + 1  # side of the last features, pixels
    return nn.Sequential(
        *(nn.Conv2d(c_in, width, 5), nn.ReLU()),
        *(nn.Conv2d(width, width, 5, stride=2), nn.ReLU()),
        *(nn.Flatten(), Dropout(), nn.Linear(width * last**2, 1)),
    )


def _lsun_generator(c_in: int, c_out: int, width: int) -> nn.Sequential:
    a, b, c, d = width, width * 23 // 4, width * 2, width * 7 // 2  # 64, 368, 128, 224 channels
    return nn.Sequential(
        *(nn.Conv2d(c_in, a, 7, padding=3), nn.ReLU(), BatchNorm(a)),
        *(nn.Conv2d(a, b, 7, padding=3, groups=4), nn.ReLU(), BatchNorm(b), Dropout()),
        *(nn.Conv2d(b, c, 7, padding=3, groups=4), nn.ReLU(), BatchNorm(c), FeaturePool()),
        *(nn.Conv2d(c // 2, d, 5, padding=2, groups=2), nn.ReLU(), BatchNorm(d), Dropout()),
        nn.Conv2d(d, c_out, 7, padding=3),
    )


def _lsun_discriminator(c_in: int, side: int, width: int) -> nn.Sequential:
    a, b, c = width * 3 // 4, width * 7, width * 13 // 2  # 48, 448, 416 channels
    return nn.Sequential(
        *(nn.Conv2d(c_in, a, 3), nn.ReLU()),
        *(nn.Conv2d(a, b, 5, groups=4), nn.ReLU()),
        *(nn.Conv2d(b, c, 7, groups=16), nn.ReLU()),
        *(nn.Flatten(), nn.Linear(c * (side - 12) ** 2, 1)),
    )


class _Networks(NamedTuple):
    """A style's networks of the convolutional levels."""

    generator: Callable[[int, int, int], nn.Sequential]  # of channels in and out, width
    discriminator: Callable[[int, int, int], nn.Sequential]  # of channels in, side of the image, width


NETWORKS: dict[Style, _Networks] = {
    "cifar": _Networks(_cifar_generator, _cifar_discriminator),
    "lsun": _Networks(_lsun_generator, _lsun_discriminator),
}


def _label_plane(classes: int, side: int) -> nn.Sequential:
    """A label, one hot, as a plane beside the colours: (N, classes) -> (N, 1, side, side)."""
    return nn.Sequential(nn.Linear(classes, side**2), nn.ReLU(), nn.Unflatten(1, (1, side, side)))


class Level(nn.Module, ABC):
    """The generator of one level, G_k, and the sum l_k + G_k that is its image."""

    side: int  # of its image, pixels
    noise_size: int  # length of its noise, which is uniform on (-1, 1)
    classes: int  # number of labels; 0 for none
    coarsest: bool  # there is no coarser image

    @abstractmethod
    def forward(self, noise: Tensor, low: Tensor | None, label: Tensor | None) -> Tensor:
        """The level's image (N, C, side, side).

        Args:
            noise: (N, noise_size).
            low: l_k, the coarser image enlarged, (N, C, side, side); None at the coarsest level.
            label: one hot, (N, classes); None without labels.
        """


class DenseLevel(Level):
    """An MLP of two hidden layers, for small images; the coarsest level is always one."""

    def __init__(
        self,
        side: int,  # of its image, pixels
        noise_size: int,  # length of its noise
        units: int,  # of each hidden layer
        image_channels: int,  # 1 grey, 3 RGB, 4 RGBA
        classes: int,  # number of labels; 0 for none
        coarsest: bool,  # there is no coarser image
    ) -> None:
        super().__init__()
        self.side, self.noise_size, self.classes, self.coarsest = side, noise_size, classes, coarsest
        pixels = image_channels * side**2
        self.layers = nn.Sequential(
            *(nn.Linear(noise_size + (0 if coarsest else pixels) + classes, units), nn.ReLU()),
            *(nn.Linear(units, units), nn.ReLU()),
            *(nn.Linear(units, pixels), nn.Unflatten(1, (image_channels, side, side))),
        )

    def forward(self, noise: Tensor, low: Tensor | None, label: Tensor | None) -> Tensor:
        """The level's image (N, C, side, side)."""
        given = [x.flatten(1) for x in (noise, low, label) if x is not None]
        band = cast(Tensor, self.layers(torch.cat(given, 1)))
        return band if low is None else low + band


class ConvolvedLevel(Level):
    """Convolutions over the noise as a plane, the label as a plane, and the enlarged coarse image."""

    coarsest = False

    def __init__(
        self,
        side: int,  # of its image, pixels
        width: int,  # channels
        style: Style,  # whose networks
        image_channels: int,  # 1 grey, 3 RGB, 4 RGBA
        classes: int,  # number of labels; 0 for none
    ) -> None:
        super().__init__()
        self.side, self.noise_size, self.classes = side, side**2, classes
        self.label_plane = _label_plane(classes, side) if classes else None
        c_in = 1 + bool(classes) + image_channels
        self.layers = NETWORKS[style].generator(c_in, image_channels, width)

    def forward(self, noise: Tensor, low: Tensor | None, label: Tensor | None) -> Tensor:
        """The level's image (N, C, side, side)."""
        assert low is not None
        planes = [noise.view(-1, 1, self.side, self.side), low]
        if self.label_plane is not None:
            planes.append(self.label_plane(label))
        return low + cast(Tensor, self.layers(torch.cat(planes, 1)))


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
    """All levels: z -> images base x base ... resolution x resolution.

    The latent vector holds the noise of every level, coarse to fine, and the label, one hot, where there are labels.
    """

    def __init__(
        self,
        resolution: int = 64,  # side of the finest image, pixels
        base: int = 8,  # side of the coarsest image, pixels
        widths: Sequence[int] | None = None,  # units or channels, one per level; None for the paper's
        style: Style = "cifar",  # networks of the convolutional levels
        coarsest_noise: int = 100,  # length of the coarsest level's noise; the others' are planes
        image_channels: int = 3,  # 1 grey, 3 RGB, 4 RGBA
        class_names: Sequence[str] = (),  # of labels to paint by; empty for none
    ) -> None:
        super().__init__()
        self.resolutions = level_sides(resolution, base)
        self.widths = tuple(widths) if widths is not None else paper_widths(resolution, base)
        _check_widths(self.resolutions, self.widths, style)
        self.style, self.image_channels, self.class_names = style, image_channels, tuple(class_names)
        self.coarsest_noise = coarsest_noise
        self.levels = nn.ModuleList(
            self._level(side, width) for side, width in zip(self.resolutions, self.widths, strict=True)
        )
        self.noise_sizes = [level.noise_size for level in self.pyramid()]
        self.latent_size = sum(self.noise_sizes) + len(self.class_names)

    def _level(self, side: int, width: int) -> Level:
        coarsest, classes = side == self.resolutions[0], len(self.class_names)
        if coarsest or side < SMALLEST_CONVOLVED:
            noise_size = self.coarsest_noise if coarsest else side**2
            return DenseLevel(side, noise_size, width, self.image_channels, classes, coarsest)
        return ConvolvedLevel(side, width, self.style, self.image_channels, classes)

    def pyramid(self) -> Iterator[Level]:
        """The levels, coarse to fine."""
        return (cast(Level, level) for level in self.levels)

    def prior(self, count: int, rng: torch.Generator) -> Tensor:
        """Noise uniform on (-1, 1), and a label drawn evenly: (count, latent_size)."""
        return self.with_drawn_labels(torch.rand(count, sum(self.noise_sizes), generator=rng) * 2 - 1, rng)

    def stream(self, z: Tensor, truncation: float = 1.0) -> Iterator[Tensor]:
        """Yield images (N, image_channels, r, r) at each level's side r. Truncation scales the noise of all levels."""
        *noises, label = torch.split(z, [*self.noise_sizes, len(self.class_names)], 1)
        image: Tensor | None = None
        for level, noise in zip(self.pyramid(), noises, strict=True):
            low = None if image is None else up(image)
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
        }


class DenseDiscriminator(Discriminator):
    """D_k of a `DenseLevel`: an MLP of two hidden layers with dropout over the image and the label -> score."""

    def __init__(
        self,
        side: int,  # of the image, pixels
        units: int,  # of each hidden layer
        image_channels: int,  # 1 grey, 3 RGB, 4 RGBA
        classes: int,  # number of labels; 0 for none
    ) -> None:
        super().__init__()
        self.resolutions, self.classes = (side,), classes
        self.layers = nn.Sequential(
            *(nn.Linear(image_channels * side**2 + classes, units), nn.ReLU(), Dropout()),
            *(nn.Linear(units, units), nn.ReLU(), Dropout()),
            nn.Linear(units, 1),
        )

    def forward(self, images: Sequence[Tensor], labels: Tensor | None = None) -> Verdict:
        """Judge one picture per sample, [(N, C, side, side)], by its label where there are labels."""
        given = [images[0].flatten(1)]
        if self.classes:
            given.append(one_hot(labels, self.classes))
        return Verdict(self.layers(torch.cat(given, 1)).flatten())


class ConvolvedDiscriminator(Discriminator):
    """D_k of a `ConvolvedLevel`: convolutions over the image h_k + l_k and the label as a plane -> score."""

    def __init__(
        self,
        side: int,  # of the image, pixels
        width: int,  # channels
        style: Style,  # whose networks
        image_channels: int,  # 1 grey, 3 RGB, 4 RGBA
        classes: int,  # number of labels; 0 for none
    ) -> None:
        super().__init__()
        self.resolutions, self.classes = (side,), classes
        self.label_plane = _label_plane(classes, side) if classes else None
        self.layers = NETWORKS[style].discriminator(image_channels + bool(classes), side, width)

    def forward(self, images: Sequence[Tensor], labels: Tensor | None = None) -> Verdict:
        """Judge one picture per sample, [(N, C, side, side)], by its label where there are labels."""
        planes = [images[0]]
        if self.label_plane is not None:
            planes.append(self.label_plane(one_hot(labels, self.classes)))
        return Verdict(self.layers(torch.cat(planes, 1)).flatten())


def one_hot(labels: Tensor | None, classes: int) -> Tensor:
    """Labels, int64 (N,), as float32 (N, classes)."""
    assert labels is not None
    return F.one_hot(labels, classes).float()


def discriminators(generator: LAPGANGenerator) -> list[Discriminator]:
    """A discriminator for each level, coarse to fine: an MLP of half the generator's units, or as many channels."""
    channels, classes = generator.image_channels, len(generator.class_names)
    return [
        DenseDiscriminator(level.side, width // 2, channels, classes)
        if isinstance(level, DenseLevel)
        else ConvolvedDiscriminator(level.side, width, generator.style, channels, classes)
        for level, width in zip(generator.pyramid(), generator.widths, strict=True)
    ]
