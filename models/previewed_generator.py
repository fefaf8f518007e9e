"""Coarse pictures of a generator that is trained on its finest alone: looked at, never judged."""

import math
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from common.aspect import size_at
from models.generator import Generator
from models.layers.normalization import iterate_power, measure_statistics


class Preview(nn.Module):
    """What features would look like in the finished picture: their best linear map to it, pixel by pixel.

    (N, c_in, H, W) -> (N, image_channels, H, W). Its weights are fitted, not trained, hence buffers.
    """

    def __init__(self, c_in: int, image_channels: int) -> None:
        super().__init__()
        self.weight: Tensor
        self.bias: Tensor
        self.register_buffer("weight", torch.zeros(image_channels, c_in, 1, 1))
        self.register_buffer("bias", torch.zeros(image_channels))

    def forward(self, x: Tensor) -> Tensor:
        """The picture that the features promise."""
        return F.conv2d(x, self.weight, self.bias)

    def moments(self, x: Tensor, picture: Tensor) -> Tensor:
        """Products of the features and 1 with themselves and the picture: (c_in + 1, c_in + 1 + image_channels).

        `picture`: (N, image_channels, k H, k W) for features (N, c_in, H, W).
        """
        target = F.avg_pool2d(picture, picture.shape[-1] // x.shape[-1])
        columns = torch.cat([x, torch.ones_like(x[:, :1]), target], dim=1).double().transpose(0, 1).flatten(1)
        return columns[: x.shape[1] + 1] @ columns.T / columns.shape[1]

    def fit(self, moments: Tensor) -> None:
        """Solve the normal equations, with a little ridge for features that say the same."""
        size = len(moments)
        ridge = 1e-5 * moments.diagonal().mean() * torch.eye(size, device=moments.device, dtype=moments.dtype)
        weight = torch.linalg.solve(
            moments[:, :size] + ridge, moments[:, size:]
        ).T  # (image_channels, c_in + 1)
        self.weight.copy_(weight[:, :-1, None, None])
        self.bias.copy_(weight[:, -1])


class PreviewedGenerator(Generator):
    """A generator that is trained on its finest picture alone. The coarser ones are fitted to it, by `settle`.

    Subclasses set `previews`, one for each resolution but the finest, and implement `_features` and `_paint`.
    """

    previews: nn.ModuleList

    @abstractmethod
    def _features(self, z: Tensor, truncation: float = 1.0) -> Iterator[Tensor]:
        """The features (N, C, H, W) coarse to fine, those of the previews first. See `stream`."""

    @abstractmethod
    def _paint(self, x: Tensor) -> Tensor:
        """The picture of the finest features: (N, C, H, W) -> (N, image_channels, k H, k W)."""

    def stream(self, z: Tensor, truncation: float = 1.0) -> Iterator[Tensor]:
        """Yield pictures (N, image_channels, H, W) at each of `resolutions`, once it exists."""
        for level, x in enumerate(self._features(z, truncation)):
            if level < len(self.previews):
                yield self.previews[level](x)
        yield self._paint(x)

    def _finish(self, features: Sequence[Tensor]) -> Tensor:
        """The finished picture, of all features."""
        return self._paint(features[-1])

    @torch.no_grad()
    def refresh_statistics(self) -> None:
        """Measure what the weights determine, from 64 to 256 fixed draws of the prior, in evaluation mode.

        These are singular values, batch norm's statistics and the coarse pictures' layers.
        """
        draws = self._draws()
        iterate_power(self, 10)
        measure_statistics(self, draws)
        coarse = cast(list[Preview], list(self.previews[: len(self.resolutions) - 1]))
        found = []
        for z in draws:
            features = list(self._features(z))
            picture = self._finish(features)
            found.append([preview.moments(x, picture) for preview, x in zip(coarse, features, strict=False)])
        for preview, moments in zip(coarse, zip(*found, strict=True), strict=True):
            preview.fit(torch.stack(moments).mean(0))

    def _draws(self) -> list[Tensor]:
        """The same latent vectors whenever it is asked, in batches of up to 64: fewer where pictures are large."""
        rng, device = torch.Generator().manual_seed(0), next(self.parameters()).device
        area = math.prod(size_at(self.resolutions[-1], self.aspect))
        count, at_once = min(256, max(64, 2**22 // area)), min(64, max(1, 2**18 // area))
        return [self.prior(at_once, rng).to(device) for _ in range(count // at_once)]
