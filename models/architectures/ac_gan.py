"""AC-GAN: Conditional Image Synthesis with Auxiliary Classifier GANs (Odena et al. 2017, arXiv 1610.09585), appendix A.

The discriminator classifies images besides telling real from fake; it does not receive their labels.

Deviations: at other sizes than the paper's (128x128, and 32x32 with widths 384, 192, 96) the coarsest features are
doubled once per width. See also `dcgan_blocks.py`.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from common.aspect import SQUARE, checked_aspect, size_at
from models.architectures.dcgan import init_weights
from models.architectures.dcgan_blocks import LEAKY_SLOPE, DecoderGenerator, ImageDecoder
from models.discriminator import Discriminator, DiscriminatorOutput
from models.generator import check_labels, check_resolution
from models.layers.dropout import Dropout
from models.layers.normalization import PlainBatchNorm

_DROPOUT = 0.5  # probability of the discriminator's dropout


class ACGANGenerator(DecoderGenerator):
    """z ~ N(0, I) and a one-hot label -> one image; coarser previews. Kernels are 5x5."""

    architecture = "ac-gan"

    def __init__(
        self,
        class_names: Sequence[str],  # names of the labels, at least one
        resolution: int = 128,  # shorter side of the image, pixels
        widths: Sequence[int] = (768, 384, 256, 192),  # channels of the features, up to half the resolution
        latent_size: int = 100,  # length of z
        image_channels: int = 3,  # 1 grey, 3 RGB, 4 RGBA
        aspect: Sequence[int] = SQUARE,  # height and width of the image at resolution 4
    ) -> None:
        super().__init__()
        check_labels(len(class_names))
        self.aspect = checked_aspect(aspect)
        self.class_names, self.latent_size = tuple(class_names), latent_size
        self.input_size, self.image_channels = latent_size + len(class_names), image_channels
        self.painter = ImageDecoder(
            self.input_size, resolution, widths, image_channels, self.aspect, kernel=5
        )
        self.resolutions = self.painter.resolutions
        init_weights(self)

    def prior(self, count: int, rng: torch.Generator) -> Tensor:
        """Z ~ N(0, I), then a label: (count, input_size)."""
        return self.with_random_labels(torch.randn(count, self.latent_size, generator=rng), rng)

    def decoder_input(self, z: Tensor, truncation: float = 1.0) -> Tensor:
        """Z and the label. Truncation scales z."""
        return torch.cat([z[:, : self.latent_size] * truncation, z[:, self.latent_size :]], dim=1)


class ACGANDiscriminator(Discriminator):
    """One image -> logits and class logits: six 3x3 convolutions, every other of which halves the size.

    All but the first have batch norm.
    """

    predicts_classes = True

    def __init__(
        self,
        classes: int,  # number of labels, at least one
        resolution: int = 128,  # shorter side of the image, pixels
        widths: Sequence[int] = (16, 32, 64, 128, 256, 512),  # channels of the six convolutions
        image_channels: int = 3,  # 1 grey, 3 RGB, 4 RGBA
        aspect: Sequence[int] = SQUARE,  # height and width of the image at resolution 4
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
            self.layers.extend([nn.LeakyReLU(LEAKY_SLOPE), Dropout(_DROPOUT)])
        height, width = (math.ceil(side / 8) for side in size_at(resolution, checked_aspect(aspect)))
        self.feature_size = widths[-1] * height * width
        self.logits, self.classify = nn.Linear(self.feature_size, 1), nn.Linear(self.feature_size, classes)
        init_weights(self)

    def forward(self, images: Sequence[Tensor], labels: Tensor | None = None) -> DiscriminatorOutput:  # noqa: ARG002
        """Evaluate images [(N, C, H, W)]: logits (N,), class logits (N, K)."""
        features = self.layers(images[-1]).flatten(1)
        return DiscriminatorOutput(
            self.logits(features).flatten(), self.classify(features), features=features
        )
