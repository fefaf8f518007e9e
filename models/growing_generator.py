"""Generators that grow: they yield images up to a resolution that training raises step by step."""

from collections.abc import Iterable, Iterator, Sequence

import torch
from torch import Tensor, nn

from common.aspect import SQUARE, checked_aspect, resolution_of
from models.generator import check_widths
from models.layers.precision import at_least_float32
from models.layers.resampling import upsample
from models.previewed_generator import Preview, PreviewedGenerator


class GrowingGenerator(PreviewedGenerator):
    """A generator that yields images up to the resolution that it has grown to. It is built fully grown.

    The current resolution is a buffer, so that averaged weights, checkpoints and exports carry it. The finest image is
    the one that is trained (and the one before, while it fades in); `refresh_statistics` fits the coarser ones to it.
    """

    def __init__(
        self,
        resolution: int,  # shorter side of the largest image once grown, pixels
        widths: Sequence[int],  # channels of the features at 4, 8, ..., resolution
        latent_size: int,  # length of z, without the label
        image_channels: int,  # 1 grey, 3 RGB, 4 RGBA
        class_names: Sequence[str],  # name of each label; empty for none
        aspect: Sequence[int] = SQUARE,  # height and width of the image at resolution 4
    ) -> None:
        super().__init__()
        check_widths(resolution, widths)
        if latent_size < 1:
            raise ValueError(f"latent_size must be at least 1, not {latent_size}")
        self.latent_size, self.image_channels = latent_size, image_channels
        self.class_names, self.aspect = tuple(class_names), checked_aspect(aspect)
        self.input_size = latent_size + len(class_names)
        self.largest, self.widths = resolution, tuple(widths)
        self.previews = nn.ModuleList(Preview(width, image_channels) for width in self.widths[:-1])
        self.growth: Tensor  # current resolution and the weight of its newest level
        self.register_buffer("growth", torch.tensor([resolution, 1.0]))

    @property
    def resolutions(self) -> tuple[int, ...]:  # type: ignore[override] # follows the buffer
        """4, 8, ..., the resolution that it has grown to."""
        return tuple(4 << level for level in range(int(self.growth[0]).bit_length() - 2))

    def grow(self, resolution: int, blend: float) -> None:
        """Yield images up to `resolution`, the newest level with weight `blend` against the one before."""
        assert 4 <= resolution <= self.largest
        self.growth[0].fill_(resolution)
        self.growth[1].fill_(blend)

    def prior(self, count: int, rng: torch.Generator) -> Tensor:
        """Z ~ N(0, I), then a uniformly drawn label: (count, input_size)."""
        return self.with_random_labels(torch.randn(count, self.latent_size, generator=rng), rng)

    def stream(self, z: Tensor, truncation: float = 1.0) -> Iterator[Tensor]:
        """Yield images (N, image_channels, H, W) at 4, 8, ..., the resolution that it has grown to."""
        yield from self._images(self._features(z, truncation))

    def _images(self, features: Iterable[Tensor]) -> Iterator[Tensor]:
        resolution, blend = self.growth.tolist()
        trained = resolution if blend == 1 else resolution // 2  # images from this resolution on are trained
        coarser: Tensor | None = None
        for level, x in enumerate(features):
            side = resolution_of(x)
            image = at_least_float32(self._to_image(x) if side >= trained else self.previews[level](x))
            if coarser is not None and side == resolution and blend < 1:
                image = torch.lerp(upsample(coarser), image, blend)
            yield image
            coarser = image

    def _finished_image(self, features: Sequence[Tensor]) -> Tensor:
        *_, image = self._images(features)
        return image
