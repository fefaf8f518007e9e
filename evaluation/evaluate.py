"""The evaluation of a generator: images -> patches, similarities and features -> metrics."""

import math
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from common.aspect import size_at
from data_prep.store import PyramidDataset
from evaluation import protocol
from evaluation.metrics.features import FeatureNetwork
from evaluation.metrics.frechet import frechet_distance, moments
from evaluation.metrics.kernel import SUBSETS, kernel_distance
from evaluation.metrics.ms_ssim import pair_similarities
from evaluation.metrics.swd import DIRECTIONS, Patches, level_sizes, sliced_wasserstein
from evaluation.progress import StartTask, no_progress
from evaluation.protocol import Plan
from models.generator import Generator
from models.sampler import Sampler

_PIXELS_PER_BATCH = 2**18  # bounds memory


def evaluate(
    generator: Generator,
    dataset: PyramidDataset,
    samples: int = 2000,
    features: FeatureNetwork | None = None,
    seed: int = 0,
    start_task: StartTask = no_progress,
) -> dict[str, Any]:
    """Compare a generator's images with real ones.

    Args:
        generator: on any device; put into evaluation mode.
        dataset: the reals, with the generator's largest resolution among its levels.
        samples: images to generate; fewer if the data set has less than twice as many.
        features: a network for the Frechet and kernel distances, which are left out without one.
        seed: of the samples, the split of the data, the patches, projections and subsets.
        start_task: called for each part of the work, to report progress.

    Returns:
        JSON values. Each metric has two values: `generated` (samples against reals, or among samples) and
        `real` (reals against as many other reals, or among reals: the floor). The metrics are
        `sliced_wasserstein_distance` (by level, and `mean`) and `ms_ssim`, and with a network also
        `frechet_distance` and `kernel_distance`. `protocol` records how they were computed.

    Raises:
        ValueError: generator, data set and numbers do not fit together, or the network does not accept the images.

    """
    with closing(Evaluator(dataset, samples, features, seed)) as evaluator:
        return evaluator(generator, start_task)


class Evaluator:
    """Evaluates generators one after another; statistics of the reals are kept while the resolution is the same."""

    def __init__(
        self,
        dataset: PyramidDataset,
        samples: int,
        features: FeatureNetwork | None,
        seed: int = 0,
    ) -> None:
        """See `evaluate`."""
        self._dataset, self._samples, self._features, self._seed = dataset, samples, features, seed
        self._reals: _Reals | None = None

    def __call__(self, generator: Generator, start_task: StartTask = no_progress) -> dict[str, Any]:
        """See `evaluate`."""
        plan = protocol.plan(generator, self._dataset, self._samples, self._seed)
        reals, network = self._reals_for(plan, start_task), self._features
        sampler = Sampler(generator, next(generator.parameters()).device)
        seeds = np.arange(plan.seeds.start, plan.seeds.stop)
        fakes = (sampler.generate(batch.tolist()) for batch in _batches(seeds, plan))
        with closing(_gather("generated images", fakes, plan, 1, network, start_task)) as generated:
            metrics = _compare(generated, reals.reference, plan, start_task)
        result: dict[str, Any] = {
            name: {"generated": value, "real": reals.floor[name]} for name, value in metrics.items()
        }
        if network is not None:
            for name in ("frechet_distance", "kernel_distance"):
                result[name]["feature_network"] = network.identity()
        return {**result, "protocol": protocol.record(plan, generator, self._dataset, network)}

    def close(self) -> None:
        """Free the temporary files of the reals' patches."""
        if self._reals is not None:
            self._reals.reference.close()
            self._reals = None

    def _reals_for(self, plan: Plan, start_task: StartTask) -> "_Reals":
        """The reference set that generated images are compared with, and the floor."""
        if self._reals is not None and self._reals.resolution == plan.resolution:
            return self._reals
        self.close()
        network = self._features
        if network is not None:
            network(self._dataset.images([0], plan.resolution))  # fail before the work begins

        def images(indices: NDArray[np.int64]) -> Iterator[Tensor]:
            return (
                self._dataset.images(batch.tolist(), plan.resolution) for batch in _batches(indices, plan)
            )

        first, second = plan.halves
        reference = _gather("real images", images(first), plan, 0, network, start_task)
        with closing(_gather("other real images", images(second), plan, 2, network, start_task)) as others:
            self._reals = _Reals(plan.resolution, reference, _compare(others, reference, plan, start_task))
        return self._reals


@dataclass
class _ImageSet:
    """What is kept of a set of images."""

    name: str
    patches: Patches
    similarities: list[Tensor] = field(default_factory=list)  # MS-SSIM of pairs
    features: list[NDArray[np.float32]] = field(default_factory=list)  # empty without a network

    def close(self) -> None:
        """Free the patches' files."""
        self.patches.close()


@dataclass(frozen=True)
class _Reals:
    """What is kept of the reals."""

    resolution: int  # shorter side of the images, pixels
    reference: _ImageSet  # the first half
    floor: dict[str, Any]  # metrics of the second half against the first


def _batches(numbers: NDArray[np.int64], plan: Plan) -> list[NDArray[np.int64]]:
    """Split indices or seeds into batches, of an even size that is bounded by the number of pixels."""
    size = min(64, max(2, _PIXELS_PER_BATCH // math.prod(size_at(plan.resolution, plan.aspect))))
    return np.split(numbers, range(size, len(numbers), size))


def _gather(
    name: str,
    batches: Iterator[Tensor],
    plan: Plan,
    stream: int,  # number of the set, so that each has its own random patches
    network: FeatureNetwork | None,
    start_task: StartTask,
) -> _ImageSet:
    advance = start_task(name, plan.count)
    rng = np.random.default_rng([plan.seed, stream])
    gathered = _ImageSet(name, Patches(plan.resolution, plan.channels, rng))
    for images in batches:
        gathered.patches.add(images)
        if len(images) > 1:
            gathered.similarities.append(pair_similarities(images[: len(images) // 2 * 2]))
        if network is not None:
            gathered.features.append(network(images))
        advance(len(images))
    return gathered


def _compare(images: _ImageSet, reference: _ImageSet, plan: Plan, start_task: StartTask) -> dict[str, Any]:
    """Metrics of a set: distances from the reference, and similarity within the set."""
    steps = DIRECTIONS * len(level_sizes(plan.resolution)) + (SUBSETS if images.features else 0)
    advance = start_task(f"comparing {images.name}", steps)
    rng = np.random.default_rng([plan.seed, 3])  # the same directions and subsets for both comparisons
    levels = sliced_wasserstein(images.patches, reference.patches, rng, advance)
    similarities = torch.cat(images.similarities).double()
    error = float(similarities.std() / len(similarities) ** 0.5)
    metrics: dict[str, Any] = {
        "sliced_wasserstein_distance": {
            **{str(size): distance for size, distance in levels.items()},
            "mean": float(np.mean(list(levels.values()))),
        },
        "ms_ssim": {"mean": float(similarities.mean()), "standard_error": error},
    }
    if images.features:
        a, b = np.concatenate(images.features), np.concatenate(reference.features)
        metrics["frechet_distance"] = frechet_distance(moments(a), moments(b))
        distance = kernel_distance(a, b, rng, advance)
        metrics["kernel_distance"] = {"mean": distance.mean, "sd": distance.sd}
    return metrics
