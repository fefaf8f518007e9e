"""Images of random patterns, and a generator of such images, to evaluate."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from common.images import to_uint8
from models.generator import Generator


def render(z: Tensor, resolution: int) -> Tensor:
    """Latent vectors (N, 243) as clouds, blocks and stripes: float (N, 3, R, R), mostly in [-1, 1]."""
    coarse = F.interpolate(z[:, :48].view(-1, 3, 4, 4), size=resolution, mode="bicubic")
    grain = F.interpolate(z[:, 48:240].view(-1, 3, 8, 8), size=resolution, mode="nearest")
    stripes = torch.sin(torch.arange(resolution) * 1.5)[None, :] * z[:, 240:].view(-1, 3, 1, 1)
    return 0.35 * coarse + 0.1 * grain + 0.1 * stripes


class PatternGenerator(Generator):
    """Generates the patterns, degraded by `blur` (standard deviation, pixels) or to a few `modes` (images)."""

    def __init__(self, resolution: int = 32, blur: float = 0.0, modes: int = 0) -> None:
        super().__init__()
        self.input_size, self.image_channels, self.resolutions = 243, 3, (resolution,)
        self.blur, self.modes = blur, modes
        self.contrast = nn.Parameter(torch.ones(()))

    def prior(self, count: int, rng: torch.Generator) -> Tensor:
        z = torch.randn(count, self.input_size, generator=rng)
        if self.modes:
            mode = torch.randint(self.modes, (1,), generator=rng).item()
            z = torch.randn(count, self.input_size, generator=torch.Generator().manual_seed(int(mode)))
        return z

    def stream(self, z: Tensor, truncation: float = 1.0) -> Iterator[Tensor]:
        images = render(z * truncation, self.resolutions[0]) * self.contrast
        yield blurred(images, self.blur) if self.blur else images

    def settings(self) -> dict[str, Any]:
        return {"blur": self.blur, "modes": self.modes}


def blurred(images: Tensor, sigma: float) -> Tensor:
    """Gaussian blur of float (N, C, H, W), reflected border."""
    reach = int(3 * sigma + 1)
    weights = torch.exp(-0.5 * (torch.arange(-reach, reach + 1) / sigma) ** 2)
    weights = (weights / weights.sum()).expand(images.shape[1], 1, 1, -1)
    padded = F.pad(images, (reach,) * 4, mode="reflect")
    rows = F.conv2d(padded, weights, groups=images.shape[1])
    return F.conv2d(rows, weights.mT, groups=images.shape[1])


def pattern_images(count: int, seed: int, resolution: int = 32) -> Tensor:
    """Random patterns, uint8 (count, 3, R, R)."""
    z = torch.randn(count, 243, generator=torch.Generator().manual_seed(seed))
    return to_uint8(render(z, resolution))
