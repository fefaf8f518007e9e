"""What a discriminator has learnt of pictures: `python -m evaluation.metrics.features RUN --data LABELLED`.

DCGAN (Radford et al. 2016, arXiv 1511.06434, section 5.1) classifies pictures by a discriminator's features: those
after every convolution's activation, max-pooled to the coarsest size (4x4), flattened and joined, under a linear
classifier.

Deviations: the classifier is logistic regression, not an L2-SVM; its penalty is chosen on a part of the training
pictures. Batch norm has the statistics of the training pictures. The paper's figures are of a network that was trained
on other data than it is judged by; which data RUN has seen is the reader's to know.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import tyro
from torch import Tensor, nn
from torch.nn import functional as F

from common.aspect import size_at
from common.atomic import write_text
from common.command import exit_status
from common.images import from_uint8, grid, save_png, to_uint8
from data_prep.store import PyramidDataset
from evaluation.logistic_regression import Floats, Labels, fit_best
from models.discriminator import FeatureDiscriminator
from models.discriminator_checkpoint import load_discriminator
from models.layers.normalization import measure_statistics

_AT_ONCE = 64  # pictures
_SHOWN = 8  # units, and pictures of each


@dataclass(frozen=True)
class Arguments:
    """See how well a linear classifier does on a discriminator's features, and what its units look at."""

    run: Annotated[Path, tyro.conf.Positional]
    """a training run of DCGAN's discriminator; its newest checkpoint is taken"""
    data: Path
    """labelled pictures: a data set made by python -m data_prep prepare --labels"""
    images: int = 4000
    """pictures to take, at most; a quarter of them is held out"""
    seed: int = 0
    """of the choice of pictures, and of the untrained discriminator"""
    out: Path | None = None
    """folder for features.json, filters.png and units.png; by default RUN/features"""


class PooledFeatures(nn.Module):
    """Features of all levels, max-pooled to the coarsest's size: (N, C, H, W) in [-1, 1] -> (N, D)."""

    def __init__(self, discriminator: FeatureDiscriminator) -> None:
        super().__init__()
        self.discriminator = discriminator

    def forward(self, images: Tensor) -> Tensor:
        """The features."""
        levels = list(self.discriminator.levels(images))
        size = levels[-1].shape[2:]
        return torch.cat([F.adaptive_max_pool2d(level, size).flatten(1) for level in levels], dim=1)


def probe(options: Arguments) -> dict[str, Any]:
    """Fit and judge the classifiers, write result and pictures. Returns the result, JSON values.

    Raises:
        ValueError: run and data do not fit together, or there is too little of either.
    """
    trained, checkpoint = load_discriminator(options.run)
    dataset, resolution = PyramidDataset(options.data), trained.resolutions[-1]
    chosen = np.random.default_rng(options.seed).permutation(len(dataset))[: options.images]
    labels: Labels = dataset.labels(chosen.tolist()).numpy()
    cut = len(chosen) * 3 // 4
    if cut < 8 or len(set(labels[:cut].tolist())) < 2:
        raise ValueError(f"{options.data}: a classifier needs ten pictures and two labels at least")
    pictures = dataset.images(chosen.tolist(), resolution)
    _check_shape(trained, pictures)
    torch.manual_seed(options.seed)
    untrained = type(trained)(**trained.settings()).eval().requires_grad_(False)
    inputs: dict[str, Floats] = {
        "discriminator": _features(trained, pictures, cut),
        "untrained": _features(untrained, pictures, cut),
        "pixels": from_uint8(pictures).flatten(1).numpy(),
    }
    counts = np.bincount(labels[:cut], minlength=len(dataset.label_names))
    result: dict[str, Any] = {
        name: _judge(x, labels, cut, len(dataset.label_names)) for name, x in inputs.items()
    }
    result["commonest_label"] = {"accuracy": float((labels[cut:] == counts.argmax()).mean())}
    result["protocol"] = {
        "checkpoint": checkpoint.name,
        "data": {
            "name": options.data.name,
            "fingerprint": dataset.fingerprint,
            "labels": [*dataset.label_names],
        },
        "resolution": resolution,
        "training_pictures": cut,
        "held_out_pictures": len(chosen) - cut,
        "seed": options.seed,
    }
    out = options.out or options.run / "features"
    out.mkdir(parents=True, exist_ok=True)
    save_png(filters(trained), out / "filters.png")
    save_png(most_exciting(trained, pictures[cut:]), out / "units.png")
    write_text(out / "features.json", json.dumps(result, indent=2) + "\n")
    return result


def _check_shape(network: FeatureDiscriminator, pictures: Tensor) -> None:
    settings = network.settings()
    expected = (settings["image_channels"], *size_at(network.resolutions[-1], settings["aspect"]))
    if pictures.shape[1:] != expected:
        raise ValueError(
            f"the discriminator takes pictures of channels, height and width {expected}, "
            f"the data set has {tuple(pictures.shape[1:])}"
        )


def _parts(pictures: Tensor) -> list[Tensor]:
    """The uint8 pictures as a network takes them, some at a time."""
    return [from_uint8(part) for part in torch.split(pictures, _AT_ONCE)]


def _features(network: FeatureDiscriminator, pictures: Tensor, cut: int) -> Floats:
    pooled = PooledFeatures(network)
    measure_statistics(pooled, _parts(pictures[:cut]))
    found: Floats = torch.cat([pooled(part) for part in _parts(pictures)]).numpy()
    return found


def _judge(x: Floats, labels: Labels, cut: int, classes: int) -> dict[str, float]:
    """Accuracy on the held-out part, with its standard error."""
    classifier = fit_best(x[:cut], labels[:cut], classes)
    accuracy = classifier.accuracy(x[cut:], labels[cut:])
    error = float(np.sqrt(accuracy * (1 - accuracy) / (len(x) - cut)))
    return {
        "accuracy": accuracy,
        "standard_error": error,
        "features": x.shape[1],
        "penalty": classifier.strength,
    }


def filters(network: FeatureDiscriminator) -> Tensor:
    """The first layer's filters as one picture, each stretched to its own largest weight: uint8 (C, H, W)."""
    weight = network.filters().detach()
    stretched = weight / weight.abs().amax((1, 2, 3), keepdim=True).clamp(min=1e-12)
    drawn = to_uint8(stretched)
    return grid(F.pad(drawn.repeat_interleave(8, 2).repeat_interleave(8, 3), (1, 1, 1, 1)))


def most_exciting(network: FeatureDiscriminator, pictures: Tensor) -> Tensor:
    """For the units of the last features that vary most, a row each: the pictures that excite them most."""
    highest = torch.cat([list(network.levels(part))[-1].amax((2, 3)) for part in _parts(pictures)])  # (N, C)
    units = (highest.std(0) / highest.abs().mean(0).clamp(min=1e-6)).argsort(descending=True)[:_SHOWN]
    best = highest[:, units].argsort(0, descending=True)[:_SHOWN]  # (pictures, units)
    return grid(pictures[best.T.flatten()], columns=len(best))


def main() -> int:
    """Run the command line and return its exit status."""

    def work() -> None:
        result = probe(tyro.cli(Arguments, prog="python -m evaluation.metrics.features"))
        for name in ("discriminator", "untrained", "pixels", "commonest_label"):
            print(f"{name:16} {result[name]['accuracy']:.4f}")

    return exit_status(work)
