"""Conditional Generative Adversarial Nets (Mirza and Osindero 2014, arXiv 1411.1784), section 4.1: dense networks for
digits; the generator receives noise and a label, the discriminator an image and a label.

Deviations: images are in [-1, 1], by tanh, and their size is a power of two. The paper does not say where dropout is
applied: here on the joint layer of the generator, and before each layer of the discriminator but the first.
"""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from common.aspect import SQUARE, checked_aspect, size_at
from models.architectures.mlp import Maxout
from models.discriminator import Discriminator, DiscriminatorOutput
from models.generator import Generator, check_labels, check_resolution
from models.layers.dropout import Dropout


class CGANGenerator(Generator):
    """z ~ U(0, 1) and a label, each through a ReLU layer, then joined -> the image."""

    architecture = "cgan"

    def __init__(
        self,
        class_names: Sequence[str],  # names of the labels, at least one
        resolution: int = 32,  # shorter side of the image, pixels
        latent_size: int = 100,  # length of z
        noise_units: int = 200,  # units of the layer on z
        label_units: int = 1000,  # units of the layer on the label
        joint_units: int = 1200,  # units of the layer on both
        image_channels: int = 3,  # 1 grey, 3 RGB, 4 RGBA
        aspect: Sequence[int] = SQUARE,  # height and width of the image at resolution 4
    ) -> None:
        super().__init__()
        check_resolution(resolution)
        check_labels(len(class_names))
        self.resolutions, self.aspect = (resolution,), checked_aspect(aspect)
        self.class_names, self.latent_size = tuple(class_names), latent_size
        self.input_size, self.image_channels = latent_size + len(class_names), image_channels
        self.shape = (image_channels, *size_at(resolution, self.aspect))
        self.of_noise = nn.Sequential(nn.Linear(latent_size, noise_units), nn.ReLU())
        self.of_label = nn.Sequential(nn.Linear(len(class_names), label_units), nn.ReLU())
        self.joint = nn.Sequential(
            *(nn.Linear(noise_units + label_units, joint_units), nn.ReLU(), Dropout(0.5)),
            *(nn.Linear(joint_units, self.shape[0] * self.shape[1] * self.shape[2]), nn.Tanh()),
        )

    def prior(self, count: int, rng: torch.Generator) -> Tensor:
        """Z ~ U(0, 1), then a label: (count, input_size)."""
        return self.with_random_labels(torch.rand(count, self.latent_size, generator=rng), rng)

    def stream(self, z: Tensor, truncation: float = 1.0) -> Iterator[Tensor]:
        """Yield the image (N, image_channels, H, W). Truncation moves z toward 1/2."""
        noise, label = z[:, : self.latent_size], z[:, self.latent_size :]
        joined = torch.cat([self.of_noise(0.5 + (noise - 0.5) * truncation), self.of_label(label)], dim=1)
        yield self.joint(joined).view(len(z), *self.shape)


class CGANDiscriminator(Discriminator):
    """The image and its label, each through maxout, then joined -> logits."""

    def __init__(
        self,
        classes: int,  # number of labels, at least one
        resolution: int = 32,  # shorter side of the image, pixels
        image_units: int = 240,  # units of the maxout layer on the image
        label_units: int = 50,  # units of the maxout layer on the label
        joint_units: int = 240,  # units of the maxout layer on both
        image_channels: int = 3,  # 1 grey, 3 RGB, 4 RGBA
        aspect: Sequence[int] = SQUARE,  # height and width of the image at resolution 4
    ) -> None:
        super().__init__()
        check_resolution(resolution)
        check_labels(classes)
        self.resolutions, self.classes, self.feature_size = (resolution,), classes, joint_units
        height, width = size_at(resolution, checked_aspect(aspect))
        self.of_image = Maxout(image_channels * height * width, image_units, 5)
        self.of_label = Maxout(classes, label_units, 5)
        self.joint = nn.Sequential(
            *(Dropout(0.5), Maxout(image_units + label_units, joint_units, 4)),
            *(Dropout(0.5), nn.Linear(joint_units, 1)),
        )

    def forward(self, images: Sequence[Tensor], labels: Tensor | None = None) -> DiscriminatorOutput:
        """Evaluate images [(N, C, H, W)] given their labels: logits (N,).

        Raises:
            ValueError: no labels are given.
        """
        if labels is None:
            raise ValueError(
                f"the discriminator is conditional on {self.classes} classes: pass the images' labels"
            )
        label = F.one_hot(labels, self.classes).to(images[-1])
        joined = torch.cat([self.of_image(images[-1].flatten(1)), self.of_label(label)], dim=1)
        features = self.joint[:-2](joined)
        return DiscriminatorOutput(self.joint[-2:](features).flatten(), features=features)
