"""Networks for points of systems that have generators or discriminators of their own: CGAN, AC-GAN, InfoGAN, GRAN and
BEGAN (see the modules of these names in `models`). All are those of several runs, side by side.

What they share with one another is that of `points.py`: two hidden layers, latent vectors from N(0, I).
"""

from collections.abc import Iterator, Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from experiments.points import (
    BatchNorms,
    Linears,
    PointDiscriminator,
    PointGenerator,
    RunwiseGenerator,
    UnitsName,
    mlp,
)
from models.architectures.infogan import Codes
from models.discriminator import Discriminator, DiscriminatorOutput


class LabelledPointGenerator(PointGenerator):
    """z ~ N(0, I) and a label, one hot -> a point (CGAN, AC-GAN)."""

    def __init__(
        self,
        runs: int,  # networks side by side
        hidden: int,  # units of both hidden layers
        latent_size: int,  # length of z
        classes: int,  # number of labels
        units: UnitsName = "relu",
    ) -> None:
        super().__init__(runs, hidden, latent_size + classes, units)
        self.latent_size, self.class_names = latent_size, tuple(map(str, range(classes)))

    def prior(self, count: int, rng: torch.Generator) -> Tensor:
        """N(0, I), then a label: (count, input_size)."""
        return self.with_random_labels(torch.randn(count, self.latent_size, generator=rng), rng)


class CodedPointGenerator(PointGenerator):
    """z ~ N(0, I) and codes -> a point (InfoGAN). Hidden layers have batch norm."""

    def __init__(
        self,
        runs: int,  # networks side by side
        hidden: int,  # units of both hidden layers
        latent_size: int,  # length of z
        continuous: int,  # codes that are continuous
        categorical: Sequence[int],  # categories of each code that is categorical
    ) -> None:
        codes = Codes(continuous, tuple(categorical))
        super().__init__(runs, hidden, latent_size + codes.size, "batch")
        self.latent_size, self.codes = latent_size, codes

    def prior(self, count: int, rng: torch.Generator) -> Tensor:
        """N(0, I), then the codes: (count, input_size)."""
        noise = torch.randn(count, self.latent_size, generator=rng)
        return torch.cat([noise, self.codes.draw(count, rng)], 1)


class LabelledPointDiscriminator(Discriminator):
    """A point and its label, one hot -> logits (CGAN)."""

    def __init__(
        self,
        runs: int,  # networks side by side
        hidden: int,  # units of both hidden layers
        classes: int,  # number of labels
    ) -> None:
        super().__init__()
        self.resolutions, self.runs, self.classes = (1,), runs, classes
        self.layers = mlp(runs, 2 + classes, hidden, 1)

    def forward(self, images: Sequence[Tensor], labels: Tensor | None = None) -> DiscriminatorOutput:
        """Judge the points [(N, 2, 1, 1)] by their labels (N,): logits (N,)."""
        assert labels is not None
        label = F.one_hot(labels, self.classes).to(images[-1])
        joined = torch.cat([images[-1].flatten(1), label], 1)
        return DiscriminatorOutput(self.layers(joined.view(self.runs, -1, 2 + self.classes)).flatten())


class TellingPointDiscriminator(PointDiscriminator):
    """A point -> logits, and a prediction from the last hidden features: its class (AC-GAN) or codes (InfoGAN's Q)."""

    def __init__(
        self,
        runs: int,  # networks side by side
        hidden: int,  # units of both hidden layers
        told: int,  # numbers that are told of a point, K
        field: Literal["classes", "latents"],  # of the verdict, that has them
    ) -> None:
        super().__init__(runs, hidden)
        self.field = field
        self.tell = Linears(runs, hidden, told)

    def forward(self, images: Sequence[Tensor], labels: Tensor | None = None) -> DiscriminatorOutput:
        """Judge the points [(N, 2, 1, 1)]: logits (N,), and the field (N, K)."""
        output = super().forward(images, labels)
        assert output.features is not None
        features = output.features.view(len(output.features), self.runs, -1).transpose(0, 1)
        return output._replace(**{self.field: self.tell(features).flatten(0, 1)})


class RecurrentPointGenerator(RunwiseGenerator):
    """GRAN's: z_1, ..., z_T ~ N(0, I), one after the other in the latent vector -> the last canvas.

    The canvas begins at 0. In each step a point is added to it, painted from noise and from what was made of the point
    added before. All layers but the painter's last have batch norm, by each step's own batch.
    """

    def __init__(
        self,
        runs: int,  # networks side by side
        hidden: int,  # units of all hidden layers
        latent_size: int,  # length of each z_t, and of what is made of a point
        steps: int = 3,  # T
    ) -> None:
        super().__init__(runs, steps * latent_size)
        self.hidden, self.latent_size, self.steps = hidden, latent_size, steps
        self.noise = nn.Sequential(Linears(runs, latent_size, latent_size), BatchNorms(runs, latent_size))
        self.paint = mlp(runs, 2 * latent_size, hidden, 2, units="batch")
        self.watch = mlp(runs, 2, hidden, latent_size, units="batch").append(BatchNorms(runs, latent_size))

    def canvases(self, z: Tensor) -> Iterator[Tensor]:
        """Yield the canvas (runs, N, 2) after each step. z: (runs, N, latent_size)."""
        canvas, memory = z.new_zeros(*z.shape[:2], 2), z.new_zeros(*z.shape[:2], self.latent_size)
        for z_t in torch.split(z, self.latent_size, dim=2):
            increment = self.paint(torch.cat([torch.tanh(self.noise(z_t)), memory], 2))
            yield (canvas := canvas + increment)
            memory = torch.tanh(self.watch(increment))

    def points(self, z: Tensor) -> Tensor:
        """Latent vectors (runs, N, latent_size) -> points (runs, N, 2)."""
        *_, canvas = self.canvases(z)
        return canvas


class AutoencodingDiscriminator(Discriminator):
    """BEGAN's: a point -> minus the mean absolute error with which it is made again from an embedding."""

    def __init__(
        self,
        runs: int,  # networks side by side
        hidden: int,  # units of all hidden layers
        embedding: int = 1,  # numbers in it: fewer than a point's, or the identity would do
    ) -> None:
        super().__init__()
        self.resolutions, self.runs = (1,), runs
        self.encoder = mlp(runs, 2, hidden, embedding, units="elu")
        self.decoder = mlp(runs, embedding, hidden, 2, units="elu")

    def forward(self, images: Sequence[Tensor], labels: Tensor | None = None) -> DiscriminatorOutput:  # noqa: ARG002
        """Judge the points [(N, 2, 1, 1)]: logits (N,), at most 0."""
        points = images[-1].view(self.runs, -1, 2)
        again = self.decoder(self.encoder(points))
        return DiscriminatorOutput(-(again - points).abs().mean(2).flatten())
