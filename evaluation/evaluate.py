"""The evaluation of a generator: pictures -> patches, similarities and features -> figures."""

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
from evaluation.progress import Begin, silent
from evaluation.protocol import Plan
from models.generator import Generator
from models.sampler import Sampler

_PIXELS_AT_ONCE = 2**18  # of a batch of pictures: bounds memory


def evaluate(
    generator: Generator,
    dataset: PyramidDataset,
    samples: int = 2000,
    features: FeatureNetwork | None = None,
    seed: int = 0,
    begin: Begin = silent,
) -> dict[str, Any]:
    """Compare a generator's pictures with real ones.

    Args:
        generator: where it is (CPU or GPU); put into evaluation mode.
        dataset: the reals, with the generator's largest resolution among its levels.
        samples: pictures to generate; fewer are where the data set has not twice as many.
        features: a network for Frechet and kernel distance, which are left out without one.
        seed: of all that is drawn.
        begin: told of each part of the work.

    Returns:
        JSON values. Each figure is there as `generated` (samples against reals, or among samples) and as
        `real` (reals against as many other reals, or among reals: the floor). They are
        `sliced_wasserstein_distance` (by level, and `mean`) and `ms_ssim`, and with a network
        `frechet_distance` and `kernel_distance`; beside them is the `protocol`.

    Raises:
        ValueError: generator, data set and numbers do not fit together, or the network not the pictures.

    """
    with closing(Evaluator(dataset, samples, features, seed)) as evaluator:
        return evaluator(generator, begin)


class Evaluator:
    """Evaluates generators one after another. What is found of the reals is kept while pictures are of one size."""

    def __init__(
        self,
        dataset: PyramidDataset,
        samples: int,
        features: FeatureNetwork | None,
        seed: int = 0,
    ) -> None:
        """See `evaluate`."""
        self._dataset, self._samples, self._features, self._seed = dataset, samples, features, seed
        self._known: _Reals | None = None

    def __call__(self, generator: Generator, begin: Begin = silent) -> dict[str, Any]:
        """See `evaluate`."""
        plan = protocol.plan(generator, self._dataset, self._samples, self._seed)
        known, network = self._reals(plan, begin), self._features
        sampler = Sampler(generator, next(generator.parameters()).device)
        seeds = np.arange(plan.seeds.start, plan.seeds.stop)
        fakes = (sampler.generate(part.tolist()) for part in _batches(seeds, plan))
        with closing(_describe("generated pictures", fakes, plan, 1, network, begin)) as generated:
            figures = _compare(generated, known.reference, plan, begin)
        result: dict[str, Any] = {
            name: {"generated": figure, "real": known.floor[name]} for name, figure in figures.items()
        }
        if network is not None:
            for name in ("frechet_distance", "kernel_distance"):
                result[name]["feature_network"] = network.identity()
        return {**result, "protocol": protocol.record(plan, generator, self._dataset, network)}

    def close(self) -> None:
        """Free what is kept of the reals."""
        if self._known is not None:
            self._known.reference.close()
            self._known = None

    def _reals(self, plan: Plan, begin: Begin) -> "_Reals":
        """What generated pictures are compared with, and the floor."""
        if self._known is not None and self._known.resolution == plan.resolution:
            return self._known
        self.close()
        network = self._features
        if network is not None:
            network(self._dataset.images([0], plan.resolution))  # refuse before the work begins

        def pictures(indices: NDArray[np.int64]) -> Iterator[Tensor]:
            return (self._dataset.images(part.tolist(), plan.resolution) for part in _batches(indices, plan))

        first, second = plan.halves
        reference = _describe("real pictures", pictures(first), plan, 0, network, begin)
        with closing(_describe("other real pictures", pictures(second), plan, 2, network, begin)) as others:
            self._known = _Reals(plan.resolution, reference, _compare(others, reference, plan, begin))
        return self._known


@dataclass
class _Description:
    """What is kept of a set of pictures."""

    name: str
    patches: Patches
    similarities: list[Tensor] = field(default_factory=list)  # MS-SSIM of pairs
    features: list[NDArray[np.float32]] = field(default_factory=list)  # none without a network

    def close(self) -> None:
        """Free the patches' files."""
        self.patches.close()


@dataclass(frozen=True)
class _Reals:
    """What is kept of the reals."""

    resolution: int  # side of the pictures, pixels
    reference: _Description  # of the first half
    floor: dict[str, Any]  # figures of the second half


def _batches(numbers: NDArray[np.int64], plan: Plan) -> list[NDArray[np.int64]]:
    """Numbers of pictures in parts of an even size, bounded by the pictures' pixels."""
    size = min(64, max(2, _PIXELS_AT_ONCE // math.prod(size_at(plan.resolution, plan.aspect))))
    return np.split(numbers, range(size, len(numbers), size))


def _describe(
    name: str,
    batches: Iterator[Tensor],
    plan: Plan,
    number: int,  # of the set: each draws its own places
    network: FeatureNetwork | None,
    begin: Begin,
) -> _Description:
    advance = begin(name, plan.count)
    places = np.random.default_rng([plan.seed, number])
    description = _Description(name, Patches(plan.resolution, plan.channels, places))
    for images in batches:
        description.patches.add(images)
        if len(images) > 1:
            description.similarities.append(pair_similarities(images[: len(images) // 2 * 2]))
        if network is not None:
            description.features.append(network(images))
        advance(len(images))
    return description


def _compare(set_: _Description, reference: _Description, plan: Plan, begin: Begin) -> dict[str, Any]:
    """Figures of a set: distances from the reference, and similarity within itself."""
    steps = DIRECTIONS * len(level_sizes(plan.resolution)) + (SUBSETS if set_.features else 0)
    advance = begin(f"comparing {set_.name}", steps)
    rng = np.random.default_rng([plan.seed, 3])  # the same directions and subsets for both comparisons
    levels = sliced_wasserstein(set_.patches, reference.patches, rng, advance)
    similarities = torch.cat(set_.similarities).double()
    error = float(similarities.std() / len(similarities) ** 0.5)
    figures: dict[str, Any] = {
        "sliced_wasserstein_distance": {
            **{str(size): distance for size, distance in levels.items()},
            "mean": float(np.mean(list(levels.values()))),
        },
        "ms_ssim": {"mean": float(similarities.mean()), "standard_error": error},
    }
    if set_.features:
        a, b = np.concatenate(set_.features), np.concatenate(reference.features)
        figures["frechet_distance"] = frechet_distance(moments(a), moments(b))
        distance = kernel_distance(a, b, rng, advance)
        figures["kernel_distance"] = {"mean": distance.mean, "sd": distance.sd}
    return figures
