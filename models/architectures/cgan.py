"""Conditional Generative Adversarial Nets (Mirza and Osindero 2014, arXiv 1411.1784), section 4.1: dense networks for
digits, given noise and a label, or a picture and a label.

Deviations: pictures are in [-1, 1] by tanh, and of a size that is a power of two. The paper does not say where dropout
acts: here on the joint layer of the generator, and before each layer of the discriminator but the first.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from common.aspect import checked, size_at
from models.architectures.mlp import Maxout
from models.discriminator import Discriminator, DiscriminatorOutput
from models.generator import Generator, check_resolution
from models.layers.equalized import Dropout


class CGANGenerator(Generator):
    """Noise, uniform on (0, 1), and a label, each through a layer of ReLUs, then joined -> the image."""

    def __init__(
        self,
        class_names: Sequence[str],  # name of each label, at least one
        resolution: int = 32,  # shorter side of the image, pixels
        noise_size: int = 100,  # length of the latent vector without the label
        noise_units: int = 200,  # of the layer on the noise
        label_units: int = 1000,  # of the layer on the label
        joint_units: int = 1200,  # of the layer on both
        image_channels: int = 3,  # 1 grey, 3 RGB, 4 RGBA
        aspect: Sequence[int] = (4, 4),  # height and width of the picture at resolution 4
    ) -> None:
        super().__init__()
        check_resolution(resolution)
        check_labels(len(class_names))
        self.resolutions, self.aspect = (resolution,), checked(aspect)
        self.class_names, self.noise_size = tuple(class_names), noise_size
        self.latent_size, self.image_channels = noise_size + len(class_names), image_channels
        self.units = (noise_units, label_units, joint_units)
        self.shape = (image_channels, *size_at(resolution, self.aspect))
        self.of_noise = nn.Sequential(nn.Linear(noise_size, noise_units), nn.ReLU())
        self.of_label = nn.Sequential(nn.Linear(len(class_names), label_units), nn.ReLU())
        self.joint = nn.Sequential(
            *(nn.Linear(noise_units + label_units, joint_units), nn.ReLU(), Dropout(0.5)),
            *(nn.Linear(joint_units, self.shape[0] * self.shape[1] * self.shape[2]), nn.Tanh()),
        )

    def prior(self, count: int, rng: torch.Generator) -> Tensor:
        """U(0, 1), then a label: (count, latent_size)."""
        return self.with_drawn_labels(torch.rand(count, self.noise_size, generator=rng), rng)

    def stream(self, z: Tensor, truncation: float = 1.0) -> Iterator[Tensor]:
        """Yield the image (N, image_channels, H, W). Truncation draws the noise towards 1/2."""
        noise, label = z[:, : self.noise_size], z[:, self.noise_size :]
        joined = torch.cat([self.of_noise(0.5 + (noise - 0.5) * truncation), self.of_label(label)], dim=1)
        yield self.joint(joined).view(len(z), *self.shape)

    def settings(self) -> dict[str, Any]:
        """The constructor's arguments."""
        noise_units, label_units, joint_units = self.units
        return {
            "class_names": list(self.class_names),
            "resolution": self.resolutions[-1],
            "noise_size": self.noise_size,
            "noise_units": noise_units,
            "label_units": label_units,
            "joint_units": joint_units,
            "image_channels": self.image_channels,
            "aspect": list(self.aspect),
        }


class CGANDiscriminator(Discriminator):
    """The image and its label, each through maxout, then joined -> logits."""

    def __init__(
        self,
        classes: int,  # number of labels, at least one
        resolution: int = 32,  # shorter side of the image, pixels
        image_units: int = 240,  # of the maxout layer on the image
        label_units: int = 50,  # of the maxout layer on the label
        joint_units: int = 240,  # of the maxout layer on both
        image_channels: int = 3,  # 1 grey, 3 RGB, 4 RGBA
        aspect: Sequence[int] = (4, 4),  # height and width of the picture at resolution 4
    ) -> None:
        super().__init__()
        check_resolution(resolution)
        check_labels(classes)
        self.resolutions, self.classes, self.feature_size = (resolution,), classes, joint_units
        height, width = size_at(resolution, checked(aspect))
        self.of_image = Maxout(image_channels * height * width, image_units, 5)
        self.of_label = Maxout(classes, label_units, 5)
        self.joint = nn.Sequential(
            *(Dropout(0.5), Maxout(image_units + label_units, joint_units, 4)),
            *(Dropout(0.5), nn.Linear(joint_units, 1)),
        )

    def forward(self, images: Sequence[Tensor], labels: Tensor | None = None) -> DiscriminatorOutput:
        """Judge the images [(N, C, H, W)] by their labels: logits (N,).

        Raises:
            ValueError: there are no labels.
        """
        if labels is None:
            raise ValueError(f"the discriminator knows {self.classes} classes: give it the pictures' labels")
        label = F.one_hot(labels, self.classes).to(images[-1])
        joined = torch.cat([self.of_image(images[-1].flatten(1)), self.of_label(label)], dim=1)
        features = self.joint[:-2](joined)
        return DiscriminatorOutput(self.joint[-2:](features).flatten(), features=features)


def check_labels(classes: int) -> None:
    """Raise ValueError where there are no labels to be conditional on."""
    if classes == 0:
        raise ValueError(
            "the networks are conditional: prepare the data with labels, or choose a recipe that needs none"
        )
