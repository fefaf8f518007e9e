"""What experiments with digits share: the data, how a system is trained on them, and pictures in results."""

import base64
import io
import math
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import ClassVar, NamedTuple

import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from common.images import from_uint8, grid, to_pil, to_uint8
from experiments.digits_classifier import DigitClassifier, fit
from experiments.experiment import Experiment, Result, Row
from experiments.mnist import Split, read
from experiments.training_loop import Sample, train
from models.generator import Generator
from training.iteration import set_up_system
from training.optim.ema import MovingAverage
from training.recipes.dcgan import DCGANRecipe
from training.recipes.recipe import DataFormat, Recipe, with_settings
from training.system import System

RESOLUTION = 32  # of the digits, with a border of 2
NAMES = tuple("0123456789")
SURE = 0.9  # the classifier's probability from which on it is sure
_AT_ONCE = 500  # pictures that are painted in a pass


class Digits(NamedTuple):
    """Digits of MNIST, from which a training draws with replacement."""

    images: Tensor  # uint8 (N, 1, 32, 32), white on black
    labels: Tensor  # int64 (N,)

    def sample(self, count: int, rng: torch.Generator) -> Tensor:
        """Digits: (count, 1, 32, 32) in [-1, 1]."""
        return from_uint8(self.images[self._chosen(count, rng)])

    def sample_labels(self, count: int, rng: torch.Generator) -> Tensor:
        """What `sample` draws by the same numbers: int64 (count,)."""
        return self.labels[self._chosen(count, rng)]

    def sample_stacks(self, count: int, rng: torch.Generator) -> Tensor:
        """Three digits each, as red, green and blue: (count, 3, 32, 32) in [-1, 1]."""
        return self.sample(count * 3, rng).view(count, 3, RESOLUTION, RESOLUTION)

    def shares(self) -> Tensor:
        """How often each digit is there: (10,), of sum 1."""
        return self.labels.bincount(minlength=10) / len(self.labels)

    def _chosen(self, count: int, rng: torch.Generator) -> Tensor:
        return torch.randint(len(self.images), (count,), generator=rng)


@cache
def digits(folder: Path, split: Split) -> Digits:
    """MNIST's digits of a split.

    Raises:
        ValueError: the folder does not hold them.
    """
    images, labels = read(folder, split)
    return Digits(F.pad(images, (2, 2, 2, 2)), labels)


@cache
def classifier(folder: Path, epochs: int) -> DigitClassifier:
    """The judge, which has learned MNIST's digits for training."""
    return fit(*digits(folder, "train"), epochs)


@dataclass(frozen=True)
class DigitExperiment(Experiment):
    """Trains systems on MNIST, and asks a classifier what their pictures show."""

    data: Path = Path("data/mnist")  # MNIST's published files
    length: float = 1.0  # of every training, in its usual length
    epochs: int = 3  # of the classifier

    def trained(
        self,
        recipe: Recipe,
        channels: int,  # of the pictures
        reals: Sample,
        labels: Sample | None = None,  # those of `reals`, by the same numbers
    ) -> tuple[System, Generator]:
        """The game after a training by the recipe, and the average of its generator, ready to paint."""
        system = set_up_system(recipe, DataFormat(channels, NAMES if labels else ()), torch.device("cpu"))
        average = MovingAverage(system.generator, recipe.ema_half_life * 1000)
        iterations = math.ceil(recipe.kimg * 1000 * self.length / recipe.batch / system.sub_steps)
        train(
            system,
            reals,
            RESOLUTION,
            iterations,
            recipe.batch,
            recipe.seed,
            labels,
            average,
            recipe.compute.precision,
        )
        return system, average.refreshed()

    def judge(self) -> DigitClassifier:
        """The classifier."""
        return classifier(self.data, self.epochs)


class Trial(NamedTuple):
    """What is trained in a row."""

    recipe: Recipe
    seconds: int  # that it takes, about, of one core


@dataclass(frozen=True)
class DigitComparison(DigitExperiment):
    """Compares systems with one another, and with digits that none has seen."""

    systems: ClassVar[Mapping[str, Trial]]

    def rows(self) -> Mapping[str, Row]:
        """Every system, and `real`, the digits."""
        trained = {
            name: Row(each.seconds, partial(self.trial, each.recipe)) for name, each in self.systems.items()
        }
        return {**trained, "real": Row(20, self.real)}

    @abstractmethod
    def trial(self, recipe: Recipe) -> Result:
        """What is found of a system's samples; among it `images`, how many it was shown."""

    @abstractmethod
    def real(self) -> Result:
        """The same of MNIST's digits for tests."""


def shown(found: Result) -> str:
    """The images that a row's system was shown, for a table; nothing for digits."""
    return f"{found['images'] / 1000:g} k" if "images" in found else ""


def small(
    recipe: DCGANRecipe,
    kimg: float,  # length of the run, thousands of real images shown
) -> DCGANRecipe:
    """A recipe of DCGAN's networks for minutes: narrow, with small batches and a higher learning rate."""
    return with_settings(
        recipe,
        kimg=kimg,
        resolution=RESOLUTION,
        widths=(64, 32, 16),
        batch=32,
        lr=(0.0005,),
        ema_half_life=4,
    )


@torch.no_grad()
def painted(generator: Generator, z: Tensor) -> Tensor:
    """The finest pictures of latent vectors (N, latent_size): (N, C, 32, 32)."""
    return torch.cat([generator(part)[-1] for part in torch.split(z, _AT_ONCE)])


def divergence(counts: Tensor, expected: Tensor) -> float:
    """KL divergence in nats of the shares that counts (K,) make from those that are expected, (K,) of sum 1."""
    shares = counts.double() / counts.sum()
    terms = torch.where(shares > 0, shares * (shares / expected.double()).log(), 0.0)
    return float(terms.sum())


def sheet(images: Tensor, columns: int) -> str:
    """Pictures (N, C, H, W) in [-1, 1], line by line, as a PNG file in base64: a JSON value."""
    buffer = io.BytesIO()
    to_pil(grid(to_uint8(images), columns)).save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()


def unpacked(text: str) -> Image.Image:
    """The picture of `sheet`."""
    return Image.open(io.BytesIO(base64.b64decode(text)))
