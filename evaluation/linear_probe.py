"""What a discriminator has learned about images: `python -m evaluation.linear_probe RUN --data DATA`.

DCGAN (Radford et al. 2016, arXiv 1511.06434, section 5.1) classifies images by a discriminator's features: those
after every convolution's activation, max-pooled to the coarsest size (4x4), flattened and concatenated, under a linear
classifier.

Deviations: the classifier is logistic regression, not an L2-SVM; its penalty is chosen on a part of the training
images. Batch norm uses the statistics of the training images. The paper's networks were trained on other data than
they are tested on; which data RUN was trained on is not checked.
"""

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import tyro
from torch import Tensor, nn
from torch.nn import functional as F
from tyro.conf import Positional, arg

from common.aspect import size_at
from common.atomic import write_text
from common.command import exit_status
from common.images import from_uint8, grid, save_png, to_uint8
from data_prep.store import PyramidDataset
from evaluation.logistic_regression import Floats, Labels, fit_best
from models.discriminator import FeatureDiscriminator
from models.discriminator_checkpoint import load_discriminator
from models.layers.normalization import measure_statistics

_BATCH = 64  # images
_SHOWN = 8  # units, and images of each
CLASSIFIERS = ("discriminator", "untrained", "pixels", "most_common_label")


@dataclass(frozen=True)
class ProbeOptions:
    """Fit a linear classifier to a discriminator's features, and show what its units respond to."""

    run: Annotated[Path, Positional, arg(metavar="RUN")]
    """a training run of DCGAN's discriminator (its newest checkpoint)"""
    data: Annotated[Path, arg(metavar="DATA")]
    """labeled images: a data set made by `python -m data_prep prepare --labels`"""
    images: int = 4000
    """images to use, at most; a quarter of them is held out"""
    seed: int = 0
    """seed of the choice of images, and of the untrained discriminator"""
    out: Annotated[Path | None, arg(metavar="FOLDER", help_behavior_hint="(default: RUN/linear_probe)")] = (
        None
    )
    """folder for linear_probe.json, filters.png and units.png"""

    @property
    def folder(self) -> Path:
        """Where the results go."""
        return self.out or self.run / "linear_probe"


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


def probe(options: ProbeOptions) -> dict[str, Any]:
    """Fit and test the classifiers, and write the result and the images. Returns the result, JSON values.

    Raises:
        ValueError: run and data do not fit together, or there are too few images or labels.
    """
    trained, checkpoint = load_discriminator(options.run)
    dataset, resolution = PyramidDataset(options.data), trained.resolutions[-1]
    chosen = np.random.default_rng(options.seed).permutation(len(dataset))[: options.images]
    labels: Labels = dataset.labels(chosen.tolist()).numpy()
    cut = len(chosen) * 3 // 4
    if cut < 8 or len(set(labels[:cut].tolist())) < 2:
        raise ValueError(f"{options.data}: a classifier needs at least ten images and two labels")
    images = dataset.images(chosen.tolist(), resolution)
    _check_shape(trained, images)
    torch.manual_seed(options.seed)
    untrained = type(trained)(**trained.settings()).eval().requires_grad_(False)
    inputs: dict[str, Floats] = {
        "discriminator": _features(trained, images, cut),
        "untrained": _features(untrained, images, cut),
        "pixels": from_uint8(images).flatten(1).numpy(),
    }
    counts = np.bincount(labels[:cut], minlength=len(dataset.label_names))
    result: dict[str, Any] = {
        name: _fit_and_test(x, labels, cut, len(dataset.label_names)) for name, x in inputs.items()
    }
    result["most_common_label"] = {"accuracy": float((labels[cut:] == counts.argmax()).mean())}
    result["protocol"] = {
        "checkpoint": checkpoint.name,
        "data": {
            "name": options.data.name,
            "fingerprint": dataset.fingerprint,
            "labels": [*dataset.label_names],
        },
        "resolution": resolution,
        "training_images": cut,
        "held_out_images": len(chosen) - cut,
        "seed": options.seed,
    }
    folder = options.folder
    folder.mkdir(parents=True, exist_ok=True)
    save_png(filter_grid(trained), folder / "filters.png")
    save_png(top_activating_images(trained, images[cut:]), folder / "units.png")
    write_text(folder / "linear_probe.json", json.dumps(result, indent=2) + "\n")
    return result


def _check_shape(network: FeatureDiscriminator, images: Tensor) -> None:
    settings = network.settings()
    expected = (settings["image_channels"], *size_at(network.resolutions[-1], settings["aspect"]))
    if images.shape[1:] != expected:
        raise ValueError(
            f"the discriminator takes images of channels, height and width {expected}, "
            f"the data set has {tuple(images.shape[1:])}"
        )


def _batches(images: Tensor) -> list[Tensor]:
    """Batches of uint8 images, converted to a network's input."""
    return [from_uint8(batch) for batch in torch.split(images, _BATCH)]


def _features(network: FeatureDiscriminator, images: Tensor, cut: int) -> Floats:
    """Pooled features (N, D) of all images; batch norm's statistics are those of the first `cut`."""
    pooled = PooledFeatures(network)
    measure_statistics(pooled, _batches(images[:cut]))
    features: Floats = torch.cat([pooled(batch) for batch in _batches(images)]).numpy()
    return features


def _fit_and_test(x: Floats, labels: Labels, cut: int, classes: int) -> dict[str, float]:
    """Accuracy on the held-out part, with its standard error."""
    classifier = fit_best(x[:cut], labels[:cut], classes)
    accuracy = classifier.accuracy(x[cut:], labels[cut:])
    error = float(np.sqrt(accuracy * (1 - accuracy) / (len(x) - cut)))
    return {
        "accuracy": accuracy,
        "standard_error": error,
        "features": x.shape[1],
        "l2": classifier.l2,
    }


def filter_grid(network: FeatureDiscriminator) -> Tensor:
    """The first layer's filters in one image, each scaled by its own largest weight: uint8 (C, H, W)."""
    weight = network.filters().detach()
    scaled = weight / weight.abs().amax((1, 2, 3), keepdim=True).clamp(min=1e-12)
    enlarged = to_uint8(scaled).repeat_interleave(8, 2).repeat_interleave(8, 3)
    return grid(F.pad(enlarged, (1, 1, 1, 1)))


def top_activating_images(network: FeatureDiscriminator, images: Tensor) -> Tensor:
    """The images that activate the units of the last features most, a row for each of the units that vary most."""
    activation = torch.cat(
        [list(network.levels(batch))[-1].amax((2, 3)) for batch in _batches(images)]
    )  # (N, C)
    variation = activation.std(0) / activation.abs().mean(0).clamp(min=1e-6)
    units = variation.argsort(descending=True)[:_SHOWN]
    top = activation[:, units].argsort(0, descending=True)[:_SHOWN]  # (images, units)
    return grid(images[top.T.flatten()], columns=len(top))


def main() -> int:
    """Run the command line and return its exit status."""

    def work() -> None:
        options = tyro.cli(ProbeOptions, prog="python -m evaluation.linear_probe")
        result = probe(options)
        for name in CLASSIFIERS:
            print(f"{name:18} {result[name]['accuracy']:.4f}")
        print(f"written to {options.folder}: linear_probe.json, filters.png and units.png")

    return exit_status(work)


if __name__ == "__main__":
    sys.exit(main())
