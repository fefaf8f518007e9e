"""What LAPGAN's levels are made of: the convolutional networks of the authors' code (facebook/eyescream), in the style
of its CIFAR-10 or its LSUN scripts, and the layers that they need. `lapgan.py` names the paper and the deviations.
"""

from collections.abc import Callable
from math import prod
from typing import Literal, NamedTuple, cast

import torch
from torch import Tensor, nn

from models.layers.equalized import Dropout
from models.layers.normalization import RunningBatchNorm

Style = Literal["cifar", "lsun"]


class FeaturePool(nn.Module):
    """L2 norm of every two neighbouring channels: (N, C, H, W) -> (N, C / 2, H, W)."""

    def forward(self, x: Tensor) -> Tensor:
        """Pool x."""
        pairs = x.view(len(x), -1, 2, *x.shape[2:])
        return cast(Tensor, torch.linalg.vector_norm(pairs, dim=2))


def label_plane(classes: int, size: tuple[int, int]) -> nn.Sequential | None:
    """A label, one hot, as a plane of that height and width: (N, classes) -> (N, 1, H, W). None for no classes."""
    if classes == 0:
        return None
    return nn.Sequential(nn.Linear(classes, prod(size)), nn.ReLU(), nn.Unflatten(1, (1, *size)))


def with_label(planes: Tensor, label: Tensor | None, plane: nn.Sequential | None) -> Tensor:
    """Put the label's plane, if there is one, after others: (N, C, H, W) -> (N, C or C + 1, H, W)."""
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
    """A style's networks of the convolutional levels."""

    generator: Callable[[int, int, int], nn.Sequential]  # of channels in and out, width
    discriminator: Callable[[int, tuple[int, int], int], nn.Sequential]  # of channels in, image size, width


NETWORKS: dict[Style, _Networks] = {
    "cifar": _Networks(_cifar_generator, _cifar_discriminator),
    "lsun": _Networks(_lsun_generator, _lsun_discriminator),
}
