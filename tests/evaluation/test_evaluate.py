"""The evaluation as a function: metrics move in the right direction, counts and seeds are those of the protocol."""

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console

from data_prep.store import PyramidDataset
from evaluation.baselines import fit
from evaluation.evaluate import evaluate
from evaluation.metrics.features import FeatureNetwork
from evaluation.progress import Advance
from evaluation.protocol import plan
from evaluation.report import table
from models.architectures.msg_gan import MSGGenerator
from tests.evaluation.pattern_images import PatternGenerator, pattern_images
from tests.prepared import write_dataset

NETWORK_METRICS = {"frechet_distance", "kernel_distance"}
METRICS = {"sliced_wasserstein_distance", "ms_ssim"}


@pytest.fixture(scope="module")
def reals(tmp_path_factory: pytest.TempPathFactory) -> PyramidDataset:
    """240 images of the distribution that `PatternGenerator` samples from."""
    return PyramidDataset(write_dataset(tmp_path_factory.mktemp("data") / "patterns", pattern_images(240, 0)))


@pytest.fixture
def network(network_file: Callable[..., Path]) -> FeatureNetwork:
    return FeatureNetwork(network_file())


def main_values(result: dict[str, Any], side: str) -> dict[str, float]:
    """One number per metric."""
    return {
        "swd": result["sliced_wasserstein_distance"][side]["mean"],
        "ms_ssim": result["ms_ssim"][side]["mean"],
        "frechet": result["frechet_distance"][side],
        "kernel": result["kernel_distance"][side]["mean"],
    }


def test_a_perfect_generator_reaches_the_floor(reals: PyramidDataset, network: FeatureNetwork) -> None:
    result = evaluate(PatternGenerator(), reals, 120, network)
    generated, real = main_values(result, "generated"), main_values(result, "real")
    assert generated["swd"] == pytest.approx(real["swd"], rel=0.5)
    assert generated["ms_ssim"] == pytest.approx(real["ms_ssim"], abs=0.05)
    assert generated["frechet"] < 3 * real["frechet"]
    assert abs(generated["kernel"]) < 3 * result["kernel_distance"]["generated"]["sd"]


def test_blur_is_detected(reals: PyramidDataset, network: FeatureNetwork) -> None:
    result = evaluate(PatternGenerator(blur=1.5), reals, 120, network)
    generated, real = main_values(result, "generated"), main_values(result, "real")
    levels = result["sliced_wasserstein_distance"]
    assert levels["generated"]["32"] > 2 * levels["real"]["32"]
    assert generated["frechet"] > 5 * real["frechet"]
    assert generated["kernel"] > 5 * result["kernel_distance"]["generated"]["sd"]


def test_mode_collapse_is_detected(reals: PyramidDataset, network: FeatureNetwork) -> None:
    result = evaluate(PatternGenerator(modes=3), reals, 120, network)
    generated, real = main_values(result, "generated"), main_values(result, "real")
    assert generated["ms_ssim"] > real["ms_ssim"] + 0.15
    assert generated["swd"] > 1.5 * real["swd"]
    assert generated["frechet"] > 2 * real["frechet"]


def test_everything_random_depends_on_the_seed(reals: PyramidDataset, network: FeatureNetwork) -> None:
    torch.manual_seed(1)
    first = evaluate(PatternGenerator(), reals, 40, network, seed=5)
    torch.manual_seed(2)
    assert evaluate(PatternGenerator(), reals, 40, network, seed=5) == first
    other = evaluate(PatternGenerator(), reals, 40, network, seed=6)
    for name in METRICS | NETWORK_METRICS:
        assert other[name]["generated"] != first[name]["generated"]
        assert other[name]["real"] != first[name]["real"]


def test_protocol(reals: PyramidDataset, network: FeatureNetwork) -> None:
    result = evaluate(PatternGenerator(), reals, 200, network, seed=2)
    assert json.loads(json.dumps(result, allow_nan=False)) == result
    assert set(result) == METRICS | NETWORK_METRICS | {"protocol"}
    protocol = result["protocol"]
    assert (protocol["images_per_set"], protocol["samples_requested"]) == (120, 200), "two halves of 240"
    assert protocol["sample_seeds"] == {"first": 3_000_000, "last": 3_000_119}
    assert protocol["data"] == {
        "name": "patterns",
        "fingerprint": reals.fingerprint,
        "images": 240,
        "size": 32,
    }
    assert protocol["swd"]["levels"] == [32, 16]
    assert protocol["ms_ssim"]["pairs"] == 60
    assert protocol["model"]["settings"] == {"blur": 0.0, "modes": 0}
    for name in NETWORK_METRICS:
        assert result[name]["feature_network"] == network.identity()


def test_halves_are_disjoint_and_random(reals: PyramidDataset) -> None:
    first, second = plan(PatternGenerator(), reals, 100, 0).halves
    assert len(first) == len(second) == 100
    assert not set(first) & set(second)
    assert set(first) != set(plan(PatternGenerator(), reals, 100, 1).halves[0])
    assert first.tolist() != sorted(first)


def test_without_a_network_its_metrics_are_left_out(reals: PyramidDataset) -> None:
    result = evaluate(PatternGenerator(), reals, 16)
    assert set(result) == METRICS | {"protocol"}
    assert "features" not in result["protocol"]


def test_every_progress_bar_completes(reals: PyramidDataset, network: FeatureNetwork) -> None:
    totals: dict[str, int] = {}
    done: dict[str, int] = {}

    def start_task(name: str, total: int) -> Advance:
        totals[name], done[name] = total, 0

        def advance(steps: int) -> None:
            done[name] += steps

        return advance

    evaluate(PatternGenerator(), reals, 70, network, start_task=start_task)
    assert len(totals) == 5
    assert done == totals


def test_a_level_below_the_data_sets_size(reals: PyramidDataset) -> None:
    """A model of 16x16 is compared with the data set's level of 16x16."""
    result = evaluate(MSGGenerator(16, (4, 4, 4), 8), reals, 16)
    assert result["protocol"]["resolution"] == 16
    assert list(result["sliced_wasserstein_distance"]["real"]) == ["16", "mean"]


@pytest.mark.parametrize("channels", [1, 4])
def test_gray_and_alpha(tmp_path: Path, network: FeatureNetwork, channels: int) -> None:
    images = pattern_images(40, 0, 16)[:, :1].repeat(1, channels, 1, 1)
    dataset = PyramidDataset(write_dataset(tmp_path / "data", images))
    result = evaluate(MSGGenerator(16, (4, 4, 4), 8, channels), dataset, 20, network)
    assert result["protocol"]["channels"] == channels
    assert result["frechet_distance"]["generated"] > result["frechet_distance"]["real"]


@pytest.mark.parametrize("size", [(16, 20), (24, 16)])
def test_other_proportions(tmp_path: Path, network: FeatureNetwork, size: tuple[int, int]) -> None:
    images = pattern_images(40, 0, 32)[..., : size[0], : size[1]]
    dataset = PyramidDataset(write_dataset(tmp_path / "data", images))
    aspect = (size[0] // 4, size[1] // 4)
    result = evaluate(MSGGenerator(16, (4, 4, 4), 8, aspect=aspect), dataset, 20, network)
    assert result["protocol"]["aspect"] == list(aspect)
    for name in ("frechet_distance", "ms_ssim", "sliced_wasserstein_distance"):
        assert result[name]["generated"] != result[name]["real"]
    console = Console(width=120, record=True, file=io.StringIO())
    console.print(table(result))
    assert f"real ones at {size[0]}x{size[1]}" in console.export_text()
    with pytest.raises(ValueError, match="the model's are 16x16: prepare the data with --size 16x16"):
        evaluate(MSGGenerator(16, (4, 4, 4), 8), dataset, 20)
    baseline = fit("mean-image", dataset)
    assert (baseline.resolutions, baseline.aspect) == ((16,), aspect)
    assert evaluate(baseline, dataset, 20)["ms_ssim"]["generated"]["mean"] == pytest.approx(1, abs=1e-4)


def test_data_that_do_not_fit_the_model_are_refused(tmp_path: Path, reals: PyramidDataset) -> None:
    def refuse(message: str, generator: Any = None, **arguments: Any) -> None:
        with pytest.raises(ValueError, match=message):
            evaluate(generator or PatternGenerator(), **{"dataset": reals, "samples": 16, **arguments})

    refuse("--samples must be from 16 to 50000, not 15", samples=15)
    refuse("--samples must be", samples=50_001)
    refuse("--seed must be", seed=-1)
    refuse("goes up to 32x32, the model to 64x64: prepare the data with --size 64", PatternGenerator(64))
    refuse("has 3 channels, the model's images have 1", MSGGenerator(16, (4, 4, 4), 8, 1))
    refuse("evaluation needs at least 16x16", MSGGenerator(8, (4, 4), 8))
    few = PyramidDataset(write_dataset(tmp_path / "few", pattern_images(31, 0)))
    refuse("has 31 images; two halves of at least 16 are needed", dataset=few)


def test_table_shows_every_metric(reals: PyramidDataset, network: FeatureNetwork) -> None:
    result = evaluate(PatternGenerator(), reals, 200, network)
    console = Console(width=120, record=True, file=io.StringIO())
    console.print(table(result))
    text = console.export_text()
    for side in ("generated", "real"):
        assert f"{result['frechet_distance'][side]:.2f}" in text
        assert f"{result['ms_ssim'][side]['mean']:.4f}" in text
        assert f"{1000 * result['kernel_distance'][side]['mean']:.2f}" in text
        for level in ("32", "16", "mean"):
            assert f"{result['sliced_wasserstein_distance'][side][level]:.2f}" in text
    assert "tiny.onnx; they are not FID and KID" in text
    assert "200 samples were requested" in text
