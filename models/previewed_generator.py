"""Generators that are trained on their finest image alone, and whose coarser images are previews of it.

Previews come through 1x1 layers that are fitted to the finest images by least squares. They are shown to people while
an image is generated; no discriminator sees them.
"""

import math
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from common.aspect import size_at
from models.generator import Generator
from models.layers.normalization import measure_statistics, power_iteration


class Preview(nn.Module):
    """The best linear map from features to the finished image, pixel by pixel.

    (N, c_in, H, W) -> (N, image_channels, H, W). Its weights are fitted, not trained, hence buffers.
    """

    def __init__(self, c_in: int, image_channels: int) -> None:
        super().__init__()
        self.weight: Tensor
        self.bias: Tensor
        self.register_buffer("weight", torch.zeros(image_channels, c_in, 1, 1))
        self.register_buffer("bias", torch.zeros(image_channels))

    def forward(self, x: Tensor) -> Tensor:
        """The preview of the finished image."""
        return F.conv2d(x, self.weight, self.bias)

    def moments(self, x: Tensor, image: Tensor) -> Tensor:
        """Products of (features, 1) with (features, 1, image): (c_in + 1, c_in + 1 + image_channels).

        Args:
            x: features (N, c_in, H, W).
            image: (N, image_channels, k H, k W).
        """
        target = F.avg_pool2d(image, image.shape[-1] // x.shape[-1])
        columns = torch.cat([x, torch.ones_like(x[:, :1]), target], dim=1).double().transpose(0, 1).flatten(1)
        return columns[: x.shape[1] + 1] @ columns.T / columns.shape[1]

    def fit(self, moments: Tensor) -> None:
        """Solve the normal equations, with a small ridge for features that are linearly dependent."""
        size = len(moments)
        ridge = 1e-5 * moments.diagonal().mean() * torch.eye(size, device=moments.device, dtype=moments.dtype)
        solution = torch.linalg.solve(moments[:, :size] + ridge, moments[:, size:])
        weight = solution.T  # (image_channels, c_in + 1)
        self.weight.copy_(weight[:, :-1, None, None])
        self.bias.copy_(weight[:, -1])


class PreviewedGenerator(Generator):
    """A generator that is trained on its finest image alone. The coarser ones are fitted by `refresh_statistics`.

    Subclasses set `previews`, one for each resolution but the finest, and implement `_features` and `_to_image`.
    """

    previews: nn.ModuleList

    @abstractmethod
    def _features(self, z: Tensor, truncation: float = 1.0) -> Iterator[Tensor]:
        """Yield the features (N, C, H, W) coarse to fine, those of the previews first. See `stream`."""

    @abstractmethod
    def _to_image(self, x: Tensor) -> Tensor:
        """The image, from the finest features: (N, C, H, W) -> (N, image_channels, k H, k W)."""

    def stream(self, z: Tensor, truncation: float = 1.0) -> Iterator[Tensor]:
        """Yield images (N, image_channels, H, W) at each of `resolutions`, once computed."""
        for level, x in enumerate(self._features(z, truncation)):
            if level < len(self.previews):
                yield self.previews[level](x)
        yield self._to_image(x)

    def _finished_image(self, features: Sequence[Tensor]) -> Tensor:
        """The finished image, from the features of all levels."""
        return self._to_image(features[-1])

    @torch.no_grad()
    def refresh_statistics(self) -> None:
        """Measure what the weights determine, over 64 to 256 fixed draws from the prior, in evaluation mode.

        These are singular values, batch norm's statistics and the previews' layers.
        """
        latents = self._fixed_latents()
        power_iteration(self, 10)
        measure_statistics(self, latents)
        coarse = cast(list[Preview], list(self.previews[: len(self.resolutions) - 1]))
        batches = []
        for z in latents:
            features = list(self._features(z))
            image = self._finished_image(features)
            batches.append([preview.moments(x, image) for preview, x in zip(coarse, features, strict=False)])
        for preview, moments in zip(coarse, zip(*batches, strict=True), strict=True):
            preview.fit(torch.stack(moments).mean(0))

    def _fixed_latents(self) -> list[Tensor]:
        """The same inputs at every call, in batches of up to 64; fewer where images are large."""
        rng, device = torch.Generator().manual_seed(0), next(self.parameters()).device
        area = math.prod(size_at(self.resolutions[-1], self.aspect))
        count, at_once = min(256, max(64, 2**22 // area)), min(64, max(1, 2**18 // area))
        return [self.prior(at_once, rng).to(device) for _ in range(count // at_once)]
