"""Evaluation during training: the metrics of a single evaluation, with the reals read once."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from torch import Tensor

from data_prep.store import PyramidDataset
from evaluation.evaluate import Evaluator, evaluate
from evaluation.metrics.features import FeatureNetwork
from evaluation.monitor import Monitor
from evaluation.report import flatten
from tests.evaluation.pattern_images import PatternGenerator, pattern_images
from tests.prepared import write_dataset


class Counted(PyramidDataset):
    """Counts the images read at each resolution."""

    def images(self, indices: Sequence[int], resolution: int) -> Tensor:
        self.read = {**getattr(self, "read", {})}
        self.read[resolution] = self.read.get(resolution, 0) + len(indices)
        return super().images(indices, resolution)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("data") / "patterns", pattern_images(40, 0))


def test_reals_are_read_once_per_resolution(path: Path) -> None:
    dataset = Counted(path)
    evaluator = Evaluator(dataset, 16, None)
    first = evaluator(PatternGenerator(blur=1.0))
    assert dataset.read == {32: 32}
    assert evaluator(PatternGenerator(blur=1.0)) == first == evaluate(PatternGenerator(blur=1.0), dataset, 16)
    other = evaluator(PatternGenerator())
    assert dataset.read == {32: 64}, "read only by evaluate"
    assert other["sliced_wasserstein_distance"]["real"] == first["sliced_wasserstein_distance"]["real"]
    assert (
        other["sliced_wasserstein_distance"]["generated"] != first["sliced_wasserstein_distance"]["generated"]
    )
    assert evaluator(PatternGenerator(16))["protocol"]["resolution"] == 16
    assert dataset.read == {32: 64, 16: 32}
    assert evaluator(PatternGenerator(blur=1.0)) == first
    evaluator.close()


def test_metrics_are_those_of_an_evaluation(path: Path, network_file: Callable[..., Path]) -> None:
    dataset, network = PyramidDataset(path), FeatureNetwork(network_file())
    found = Monitor(dataset, 32, 16, network)(PatternGenerator())
    assert found is not None
    result = evaluate(PatternGenerator(), dataset, 16, network)
    assert found.metrics["frechet_distance"] == result["frechet_distance"]["generated"]
    assert found.metrics["real/frechet_distance"] == result["frechet_distance"]["real"]
    assert (
        found.metrics["sliced_wasserstein_distance/16"]
        == (result["sliced_wasserstein_distance"]["generated"]["16"])
    )
    assert found.metrics.keys() == {*flatten(result), *(f"real/{name}" for name in flatten(result))}
    assert found.ranked_by == "frechet_distance"


def test_results_of_different_protocols_differ_in_their_digest(
    path: Path, network_file: Callable[..., Path]
) -> None:
    def digest(monitor: Monitor, generator: PatternGenerator) -> str:
        found = monitor(generator)
        assert found is not None
        assert found.ranked_by in found.metrics
        return found.protocol

    dataset, network = PyramidDataset(path), FeatureNetwork(network_file())
    monitor = Monitor(dataset, 32, 16, None)
    digests = [
        digest(monitor, PatternGenerator()),
        digest(monitor, PatternGenerator(16)),
        digest(Monitor(dataset, 32, 17, None), PatternGenerator()),
        digest(Monitor(dataset, 32, 16, network), PatternGenerator()),
        digest(Monitor(dataset, 32, 16, FeatureNetwork(network_file(gain=2.0))), PatternGenerator()),
    ]
    assert len(set(digests)) == len(digests)
    assert digest(monitor, PatternGenerator(blur=1.0)) == digests[0], "another generator, the same protocol"


def test_images_that_are_too_small_are_not_evaluated(path: Path) -> None:
    assert Monitor(PyramidDataset(path), 32, 16, None)(PatternGenerator(8)) is None


def test_data_that_cannot_be_evaluated_are_refused_beforehand(
    path: Path, tmp_path: Path, network_file: Callable[..., Path]
) -> None:
    of_32 = FeatureNetwork(network_file(side=32))
    with pytest.raises(ValueError, match="fails on images of 16x16"):  # the first resolution to evaluate
        Monitor(PyramidDataset(path), 32, 16, of_32)
    few = PyramidDataset(write_dataset(tmp_path / "few", pattern_images(31, 0)))
    with pytest.raises(ValueError, match="has 31 images; two halves of at least 16 are needed"):
        Monitor(few, 32, 16, None)
