"""What an evaluation compares and how: planned and checked beforehand, recorded with the metrics."""

import platform
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from common.aspect import Aspect, size_text
from data_prep.store import PyramidDataset
from evaluation.metrics import kernel, ms_ssim, swd
from evaluation.metrics.features import FeatureNetwork
from models.generator import Generator

MIN_IMAGES, MAX_IMAGES = 16, 50_000  # in each set
SEEDS = 1_000_000  # the samples of an evaluation with seed S have the seeds from SEEDS * (1 + S) on
MAX_SEED = 1000  # of the evaluation
_LIBRARIES = ("torch", "numpy", "kornia", "torchmetrics", "onnxruntime")


@dataclass(frozen=True)
class Plan:
    """Which images are compared with which.

    The generated set and the second half of the reals are each compared with the first half. All three sets have
    the same size, so that the metric of the reals is the floor of that of the samples.
    """

    requested: int  # number of samples requested
    count: int  # images in each set
    seeds: range  # of the samples
    halves: tuple[NDArray[np.int64], NDArray[np.int64]]  # indices of the reals: random, disjoint
    resolution: int  # shorter side of the images, pixels
    aspect: Aspect  # of the images
    channels: int  # of the images
    seed: int  # of samples, halves, patches, projections and subsets


def plan(generator: Generator, dataset: PyramidDataset, samples: int, seed: int) -> Plan:
    """Plan an evaluation.

    Raises:
        ValueError: numbers out of range, or generator and data set do not fit together; the message says how to fix it.

    """
    resolution, channels, aspect = generator.resolutions[-1], generator.image_channels, generator.aspect
    size = size_text(resolution, aspect)
    if not 0 <= seed <= MAX_SEED:
        raise ValueError(f"--seed must be from 0 to {MAX_SEED}, not {seed}")
    if resolution < swd.COARSEST:
        raise ValueError(
            f"the model's images are {size}; evaluation needs at least {size_text(swd.COARSEST, aspect)}"
        )
    if dataset.channels != channels:
        raise ValueError(
            f"{dataset.path} has {dataset.channels} channels, the model's images have {channels}: "
            f"prepare the data with --channels {channels}"
        )
    if dataset.aspect != aspect:
        raise ValueError(
            f"{dataset.path} has images of {size_text(dataset.size, dataset.aspect)}, the model's are {size}: "
            f"prepare the data with --size {size}"
        )
    if resolution not in dataset.levels:
        raise ValueError(
            f"{dataset.path} goes up to {size_text(dataset.size, dataset.aspect)}, the model "
            f"to {size}: prepare the data with --size {size}"
        )
    count = images_per_set(dataset, samples)
    first = SEEDS * (1 + seed)
    order = np.random.default_rng(seed).permutation(len(dataset))
    return Plan(
        requested=samples,
        count=count,
        seeds=range(first, first + count),
        halves=(order[:count], order[count : 2 * count]),
        resolution=resolution,
        aspect=aspect,
        channels=channels,
        seed=seed,
    )


def images_per_set(dataset: PyramidDataset, samples: int) -> int:
    """Images in each of the sets that are compared, for a requested number of samples.

    Raises:
        ValueError: the number is out of range, or the data set too small.

    """
    if not MIN_IMAGES <= samples <= MAX_IMAGES:
        raise ValueError(f"--samples must be from {MIN_IMAGES} to {MAX_IMAGES}, not {samples}")
    if len(dataset) < 2 * MIN_IMAGES:
        raise ValueError(
            f"{dataset.path} has {len(dataset)} images; two halves of at least {MIN_IMAGES} are needed"
        )
    return min(samples, len(dataset) // 2)


def record(
    plan: Plan, generator: Generator, dataset: PyramidDataset, network: FeatureNetwork | None
) -> dict[str, Any]:
    """The protocol as JSON values."""
    protocol: dict[str, Any] = {
        "generated": "samples compared with the first half of the reals",
        "real": "the second half of the reals compared with the first",
        "resolution": plan.resolution,
        "aspect": list(plan.aspect),
        "channels": plan.channels,
        "images_per_set": plan.count,
        "samples_requested": plan.requested,
        "seed": plan.seed,
        "sample_seeds": {"first": plan.seeds[0], "last": plan.seeds[-1]},
        "truncation": 1.0,
        "data": {
            "name": dataset.path.resolve().name,
            "fingerprint": dataset.fingerprint,
            "images": len(dataset),
            "size": dataset.size,
        },
        "model": {"generator": type(generator).__name__, "settings": generator.settings()},
        "swd": {
            "source": "Karras et al. 2018, arXiv 1710.10196, section 5",
            "pyramid": "data_prep.pyramid: 5-tap binomial blur, reflected border, bilinear halving and "
            "doubling (the paper keeps every second pixel, and doubles by zeros and blur)",
            "levels": list(swd.level_sizes(plan.resolution)),
            "images_per_set": min(plan.count, swd.MAX_IMAGES),
            "patches_per_image": swd.PATCHES,
            "patch": swd.SIDE,
            "normalised": "each set, per channel, to mean 0 and standard deviation 1",
            "directions": swd.DIRECTIONS,
            "times": swd.SCALE,
        },
        "ms_ssim": {
            "source": "Wang et al. 2003; pairs within one set, torchmetrics",
            "exponents": list(ms_ssim.exponents(plan.resolution)),
            "window": ms_ssim.WINDOW,
            "pairs": plan.count // 2,
        },
        "versions": {
            "python": platform.python_version(),
            **{name: str(import_module(name).__version__) for name in _LIBRARIES},
        },
    }
    if network is not None:
        protocol["features"] = {
            "network": network.identity(),
            "input": "uint8 values 0..255 as float32; grayscale repeated to RGB; RGBA composited over white",
            "frechet_distance": "float64 moments, unbiased covariance",
            "kernel_distance": "unbiased MMD^2, kernel (x.y/D + 1)^3, mean and sd over random subsets",
            "note": "not the published FID and KID, whose network is Inception v3",
            "kernel_subsets": kernel.SUBSETS,
            "kernel_subset_size": kernel.subset_size(plan.count),
        }
    return protocol
