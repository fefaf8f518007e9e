"""AC-GAN: Conditional Image Synthesis with Auxiliary Classifier GANs (Odena et al. 2017, arXiv 1610.09585), appendix A.

The discriminator tells, beside the source, the class of a picture that it is not given the label of.

Deviations: at other sizes than the paper's (128x128, and 32x32 from widths 384, 192, 96) the number of widths says how
often the coarsest features are doubled. See also `blocks.py`.
"""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from common.aspect import checked, size_at
from models.architectures.cgan import check_labels
from models.architectures.dcgan import draw_weights
from models.discriminator import Discriminator, DiscriminatorOutput
from models.generator import check_resolution
from models.layers.equalized import LEAK, Dropout
from models.layers.transposed import Painter, PaintingGenerator, PlainBatchNorm

_DROPPED = 0.5  # share of the features that the discriminator's dropout zeroes


class ACGANGenerator(PaintingGenerator):
    """z ~ N(0, I) and a label, one hot -> one image; coarser ones to look at. Kernels are 5x5."""

    def __init__(
        self,
        class_names: Sequence[str],  # name of each label, at least one
        resolution: int = 128,  # shorter side of the image, pixels
        widths: Sequence[int] = (768, 384, 256, 192),  # channels of the features, up to half the resolution
        noise_size: int = 100,  # length of z without the label
        image_channels: int = 3,  # 1 grey, 3 RGB, 4 RGBA
        aspect: Sequence[int] = (4, 4),  # height and width of the picture at resolution 4
    ) -> None:
        super().__init__()
        check_labels(len(class_names))
        self.aspect = checked(aspect)
        self.widths, self.class_names, self.noise_size = tuple(widths), tuple(class_names), noise_size
        self.latent_size, self.image_channels = noise_size + len(class_names), image_channels
        self.painter = Painter(
            self.latent_size, resolution, self.widths, image_channels, self.aspect, kernel=5
        )
        self.resolutions = self.painter.resolutions
        draw_weights(self)

    def prior(self, count: int, rng: torch.Generator) -> Tensor:
        """N(0, I), then a label: (count, latent_size)."""
        return self.with_drawn_labels(torch.randn(count, self.noise_size, generator=rng), rng)

    def given(self, z: Tensor, truncation: float = 1.0) -> Tensor:
        """The latent vectors. Truncation makes the noise smaller."""
        return torch.cat([z[:, : self.noise_size] * truncation, z[:, self.noise_size :]], dim=1)

    def settings(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            "class_names": list(self.class_names),
            "resolution": self.resolutions[-1],
            "widths": list(self.widths),
            "noise_size": self.noise_size,
            "image_channels": self.image_channels,
            "aspect": list(self.aspect),
        }


class ACGANDiscriminator(Discriminator):
    """One image -> logits and logits of the classes: six 3x3 convolutions, of which every other halves the size.

    All but the first have batch norm.
    """

    predicts_classes = True

    def __init__(
        self,
        classes: int,  # number of labels, at least one
        resolution: int = 128,  # shorter side of the image, pixels
        widths: Sequence[int] = (16, 32, 64, 128, 256, 512),  # channels of the six convolutions
        image_channels: int = 3,  # 1 grey, 3 RGB, 4 RGBA
        aspect: Sequence[int] = (4, 4),  # height and width of the picture at resolution 4
    ) -> None:
        super().__init__()
        check_labels(classes)
        check_resolution(resolution)
        if len(widths) != 6 or not all(1 <= width <= 4096 for width in widths):
            raise ValueError(f"widths must be 6 numbers from 1 to 4096; got {list(widths)}")
        self.resolutions = (resolution,)
        self.layers = nn.Sequential()
        for level, (a, b) in enumerate(zip((image_channels, *widths), widths, strict=False)):
            self.layers.append(nn.Conv2d(a, b, 3, stride=2 - level % 2, padding=1, bias=level == 0))
            self.layers.append(PlainBatchNorm(b) if level > 0 else nn.Identity())
            self.layers.extend([nn.LeakyReLU(LEAK), Dropout(_DROPPED)])
        height, width = (math.ceil(side / 8) for side in size_at(resolution, checked(aspect)))
        self.feature_size = widths[-1] * height * width
        self.logits, self.classify = nn.Linear(self.feature_size, 1), nn.Linear(self.feature_size, classes)
        draw_weights(self)

    def forward(self, images: Sequence[Tensor], labels: Tensor | None = None) -> DiscriminatorOutput:  # noqa: ARG002
        """Judge the images [(N, C, H, W)]: logits (N,), classes (N, K)."""
        features = self.layers(images[-1]).flatten(1)
        return DiscriminatorOutput(
            self.logits(features).flatten(), self.classify(features), features=features
        )
