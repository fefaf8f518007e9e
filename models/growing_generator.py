"""Generators that grow: they yield pictures up to a resolution that training raises step by step."""

from collections.abc import Iterable, Iterator, Sequence

import torch
from torch import Tensor, nn

from common.aspect import SQUARE, checked, resolution_of
from models.generator import check_widths
from models.layers.equalized import upsample, wide
from models.previewed_generator import Preview, PreviewedGenerator


class GrowingGenerator(PreviewedGenerator):
    """A generator that yields pictures as far as it has grown. It is built fully grown.

    How far that is stands in a buffer, so that averages, checkpoints and exports carry it. The finest picture is the
    one that is trained (while it fades in, so is the one before); the coarser ones are fitted to it, by `settle`.
    """

    def __init__(
        self,
        resolution: int,  # shorter side of the largest picture once grown, pixels
        widths: Sequence[int],  # channels of the features at 4, 8, ..., resolution
        latent_size: int,  # length of the latent vector, a label's entries included
        image_channels: int,  # 1 grey, 3 RGB, 4 RGBA
        class_names: Sequence[str],  # name of each label; empty for none
        aspect: Sequence[int] = SQUARE,  # height and width of the picture at resolution 4
    ) -> None:
        super().__init__()
        check_widths(resolution, widths)
        if latent_size <= len(class_names):
            raise ValueError(
                f"latent_size must be above the number of labels, {len(class_names)}, not {latent_size}"
            )
        self.latent_size, self.image_channels = latent_size, image_channels
        self.class_names, self.aspect = tuple(class_names), checked(aspect)
        self.noise_size = latent_size - len(class_names)  # length of the latent vector without the label
        self.largest, self.widths = resolution, tuple(widths)
        self.previews = nn.ModuleList(Preview(width, image_channels) for width in self.widths[:-1])
        self.growth: Tensor  # current resolution and the weight of its newest level
        self.register_buffer("growth", torch.tensor([resolution, 1.0]))

    @property
    def resolutions(self) -> tuple[int, ...]:  # type: ignore[override] # follows the buffer
        """4, 8, ..., as far as it has grown."""
        return tuple(4 << level for level in range(int(self.growth[0]).bit_length() - 2))

    def grow(self, resolution: int, blend: float) -> None:
        """Yield pictures up to `resolution`, their newest level with weight `blend` against the one before."""
        assert 4 <= resolution <= self.largest
        self.growth[0].fill_(resolution)
        self.growth[1].fill_(blend)

    def prior(self, count: int, rng: torch.Generator) -> Tensor:
        """N(0, I), and a label drawn evenly: (count, latent_size)."""
        return self.with_drawn_labels(torch.randn(count, self.noise_size, generator=rng), rng)

    def stream(self, z: Tensor, truncation: float = 1.0) -> Iterator[Tensor]:
        """Yield pictures (N, image_channels, H, W) at 4, 8, ..., as far as it has grown."""
        yield from self._pictures(self._features(z, truncation))

    def _pictures(self, features: Iterable[Tensor]) -> Iterator[Tensor]:
        resolution, blend = self.growth.tolist()
        trained = resolution if blend == 1 else resolution // 2  # pictures from here on take part in training
        coarser: Tensor | None = None
        for level, x in enumerate(features):
            side = resolution_of(x)
            picture = wide(self._paint(x) if side >= trained else self.previews[level](x))
            if coarser is not None and side == resolution and blend < 1:
                picture = torch.lerp(upsample(coarser), picture, blend)
            yield picture
            coarser = picture

    def _finish(self, features: Sequence[Tensor]) -> Tensor:
        *_, picture = self._pictures(features)
        return picture
