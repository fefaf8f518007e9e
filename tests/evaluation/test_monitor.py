"""Evaluation again and again: the figures of a single one, the reals looked at once."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from painted import Painter, pictures
from torch import Tensor

from data_prep.store import PyramidDataset
from evaluation.evaluate import Evaluator, evaluate
from evaluation.metrics.features import FeatureNetwork
from evaluation.monitor import Monitor
from evaluation.report import flat
from tests.prepared import write_dataset


class Counted(PyramidDataset):
    """Counts the pictures that are read of each size."""

    def images(self, indices: Sequence[int], resolution: int) -> Tensor:
        self.read = {**getattr(self, "read", {})}
        self.read[resolution] = self.read.get(resolution, 0) + len(indices)
        return super().images(indices, resolution)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("data") / "painted", pictures(40, 0))


def test_reals_are_read_once_for_each_size(path: Path) -> None:
    dataset = Counted(path)
    evaluator = Evaluator(dataset, 16, None)
    first = evaluator(Painter(blur=1.0))
    assert dataset.read == {32: 32}
    assert evaluator(Painter(blur=1.0)) == first == evaluate(Painter(blur=1.0), dataset, 16)
    other = evaluator(Painter())
    assert dataset.read == {32: 64}, "by evaluate alone"
    assert other["sliced_wasserstein_distance"]["real"] == first["sliced_wasserstein_distance"]["real"]
    assert (
        other["sliced_wasserstein_distance"]["generated"] != first["sliced_wasserstein_distance"]["generated"]
    )
    assert evaluator(Painter(16))["protocol"]["resolution"] == 16
    assert dataset.read == {32: 64, 16: 32}
    assert evaluator(Painter(blur=1.0)) == first
    evaluator.close()


def test_findings_are_those_of_an_evaluation(path: Path, network_file: Callable[..., Path]) -> None:
    dataset, network = PyramidDataset(path), FeatureNetwork(network_file())
    found = Monitor(dataset, 32, 16, network)(Painter())
    assert found is not None
    result = evaluate(Painter(), dataset, 16, network)
    assert found.figures["frechet_distance"] == result["frechet_distance"]["generated"]
    assert found.figures["real/frechet_distance"] == result["frechet_distance"]["real"]
    assert (
        found.figures["sliced_wasserstein_distance/16"]
        == (result["sliced_wasserstein_distance"]["generated"]["16"])
    )
    assert found.figures.keys() == {*flat(result), *(f"real/{name}" for name in flat(result))}
    assert found.rank == "frechet_distance"


def test_findings_of_one_protocol_are_told_from_others(path: Path, network_file: Callable[..., Path]) -> None:
    def digest(monitor: Monitor, generator: Painter) -> str:
        found = monitor(generator)
        assert found is not None
        assert found.rank in found.figures
        return found.protocol

    dataset, network = PyramidDataset(path), FeatureNetwork(network_file())
    monitor = Monitor(dataset, 32, 16, None)
    digests = [
        digest(monitor, Painter()),
        digest(monitor, Painter(16)),
        digest(Monitor(dataset, 32, 17, None), Painter()),
        digest(Monitor(dataset, 32, 16, network), Painter()),
        digest(Monitor(dataset, 32, 16, FeatureNetwork(network_file(gain=2.0))), Painter()),
    ]
    assert len(set(digests)) == len(digests)
    assert digest(monitor, Painter(blur=1.0)) == digests[0], "another generator, the same protocol"


def test_pictures_too_small_are_passed_over(path: Path) -> None:
    assert Monitor(PyramidDataset(path), 32, 16, None)(Painter(8)) is None


def test_what_cannot_be_evaluated_is_refused_beforehand(
    path: Path, tmp_path: Path, network_file: Callable[..., Path]
) -> None:
    of_32 = FeatureNetwork(network_file(side=32))
    with pytest.raises(ValueError, match="fails on pictures of 16x16"):  # where it begins to be evaluated
        Monitor(PyramidDataset(path), 32, 16, of_32)
    few = PyramidDataset(write_dataset(tmp_path / "few", pictures(31, 0)))
    with pytest.raises(ValueError, match="holds 31 pictures; two halves of at least 16 are needed"):
        Monitor(few, 32, 16, None)
