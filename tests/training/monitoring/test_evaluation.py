"""Metrics while training: those of `python -m evaluation`. They change nothing, and decide which checkpoints stay."""

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from common.evaluation_result import EvaluationResult
from evaluation.__main__ import run as evaluate
from models.generator import Generator
from tests.evaluation.tiny_onnx import onnx_network
from tests.prepared import write_dataset
from tests.training.toy import (
    RECIPE,
    ROOT,
    differences,
    environment,
    metrics,
    newest_state,
    shapes,
    state_of,
    train,
)
from train import main
from training import checkpoint, run
from training.monitoring.evaluation import Evaluate
from training.optim.ema import MovingAverage
from training.recipes.msg_gan import MSGRecipe
from training.recipes.recipe import DataFormat, with_settings
from training.schedules import TrainState
from training.trainer import Trainer

MEASURED = with_settings(RECIPE, evaluate_every=0.024, checkpoint_every=0.032, keep=1)
SMALL = (
    *("--recipe", "msg-gan-cpu", "--resolution", "16", "--widths", "8", "8", "8", "--latent-size", "8"),
    *("--batch", "8", "--kimg", "0.032", "--log-every", "0.008", "--snapshot-every", "100"),
    *("--checkpoint-every", "0.016", "--tracker", "none"),
)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("measured") / "data", shapes(40, 16))


def _found(value: float, protocol: str = "a", rank: str = "swd") -> EvaluationResult:
    return EvaluationResult({rank: value, "ms_ssim": 0.5}, rank, protocol)


def _trainer(folder: Path, data: Path, recipe: MSGRecipe, evaluate: Evaluate | None) -> Trainer:
    begun = (folder / "run.json").exists()
    record = run.read(folder) if begun else run.begin(folder, "msg-gan", recipe, data)
    return run.set_up(folder, replace(record, recipe=recipe), data, evaluate=evaluate)


def _careless(generator: Generator) -> EvaluationResult:
    """Spoils what it is given."""
    generator.train()
    for parameter in generator.parameters():
        parameter.data.zero_()
    return _found(1.0)


def _checkpoints(folder: Path) -> list[int]:
    return [int(path.name) for path in checkpoint.checkpoints(folder)]


def test_it_is_measured_when_due_and_at_the_end_each_time_with_a_checkpoint(
    data: Path, tmp_path: Path
) -> None:
    assert _trainer(tmp_path / "run", data, with_settings(MEASURED, keep=9), _careless).run()
    told = {line["images"]: line.get("metric/swd") for line in metrics(tmp_path / "run")}
    assert told == {16: None, 24: 1.0, 32: None, 48: 1.0, 64: 1.0}
    assert _checkpoints(tmp_path / "run") == [24, 32, 48, 64]
    recorded = [
        json.loads((folder / "state.json").read_text())["evaluation"]
        for folder in checkpoint.checkpoints(tmp_path / "run")
    ]
    assert [found and found["metrics"]["swd"] for found in recorded] == [1.0, None, 1.0, 1.0]


def test_training_is_not_changed(data: Path, tmp_path: Path) -> None:
    plain = with_settings(RECIPE, objective="ra-hinge", r1=(1.0,), snapshot_every=0.032)
    assert _trainer(tmp_path / "plain", data, plain, None).run()
    assert _trainer(tmp_path / "run", data, with_settings(plain, evaluate_every=0.008), _careless).run()
    assert differences(newest_state(tmp_path / "run"), newest_state(tmp_path / "plain")) == []
    for line, other in zip(metrics(tmp_path / "run")[1::2], metrics(tmp_path / "plain"), strict=True):
        assert line["diversity"] == other["diversity"] if "diversity" in other else "diversity" not in line


def test_it_sees_the_checkpoints_generator(data: Path, tmp_path: Path) -> None:
    seen: list[dict[str, torch.Tensor]] = []

    def look(generator: Generator) -> EvaluationResult:
        assert not generator.training
        seen.append({f"average.{key}": value.clone() for key, value in generator.state_dict().items()})
        return _found(float(len(seen)))

    assert _trainer(tmp_path / "run", data, MEASURED, look).run()
    for folder, found in checkpoint.best(tmp_path / "run"):
        saved = {k: v for k, v in state_of(folder).items() if k.startswith("average.")}
        assert differences(seen[int(found.value) - 1], saved) == []
    assert len(seen) == 3


def test_the_best_stay_beside_the_newest(data: Path, tmp_path: Path) -> None:
    values = iter([5.0, 3.0, 4.0, 6.0, 7.0, 8.0])
    recipe = with_settings(MEASURED, evaluate_every=0.016, checkpoint_every=0.016, kimg=0.096, keep_best=2)
    assert _trainer(tmp_path / "run", data, recipe, lambda _: _found(next(values))).run()
    assert _checkpoints(tmp_path / "run") == [32, 48, 96]
    assert [found.value for _, found in checkpoint.best(tmp_path / "run")] == [3.0, 4.0, 8.0]


def _save(folder: Path, images: int, found: EvaluationResult | None, keep_best: int = 1) -> Path:
    torch.manual_seed(0)
    system = RECIPE.build(DataFormat(3))
    more = {
        "evaluation": found
        and {"metrics": dict(found.metrics), "ranked_by": found.ranked_by, "protocol": found.protocol}
    }
    return checkpoint.save(
        folder,
        system,
        MovingAverage(system.generator, 100),
        TrainState(images, 100, 0),
        {},
        1,
        keep_best,
        more,
    )


def test_the_best_is_among_those_measured_alike(tmp_path: Path) -> None:
    assert checkpoint.best(tmp_path) == []
    first = _save(tmp_path, 8, _found(2.0))
    _save(tmp_path, 16, _found(3.0))
    _save(tmp_path, 24, None)
    assert _checkpoints(tmp_path) == [8, 24]
    assert checkpoint.best(tmp_path) == [(first, _found(2.0))]
    other = _save(tmp_path, 32, _found(90.0, protocol="b"))
    assert _checkpoints(tmp_path) == [32]
    _save(tmp_path, 40, _found(95.0, protocol="b"))
    assert checkpoint.best(tmp_path)[0] == (other, _found(90.0, protocol="b"))


def test_the_best_is_found_anew_when_it_is_gone(tmp_path: Path) -> None:
    first = _save(tmp_path, 8, _found(2.0), keep_best=9)
    _save(tmp_path, 16, _found(3.0), keep_best=9)
    _save(tmp_path, 24, _found(4.0), keep_best=9)
    checkpoint.remove(tmp_path, [first])
    assert [found.value for _, found in checkpoint.best(tmp_path)] == [3.0, 4.0]


def test_a_kill_while_removing_leaves_nothing_half(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _save(tmp_path, 8, _found(2.0))
    _save(tmp_path, 16, _found(9.0))

    def killed(path: Path) -> None:
        next(path.rglob("state.json")).unlink()
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(
            shutil, "rmtree", lambda path, **_: killed(path) if path.name.endswith(".removed") else None
        )
        with pytest.raises(KeyboardInterrupt):
            _save(tmp_path, 24, _found(5.0))
    assert _checkpoints(tmp_path) == [8, 24]
    assert [found.value for _, found in checkpoint.best(tmp_path)] == [2.0, 5.0]
    _save(tmp_path, 32, _found(6.0))
    assert sorted(path.name for path in (tmp_path / "checkpoints").iterdir()) == ["0000000008", "0000000032"]


def test_a_run_set_back_forgets_what_it_measured_later(data: Path, tmp_path: Path) -> None:
    """Resumed from an earlier checkpoint it measures again, as if nothing had happened."""
    recipe = with_settings(MEASURED, evaluate_every=0.016, checkpoint_every=0.016, keep=9)

    def brightness(generator: Generator) -> EvaluationResult:
        z = generator.prior(4, torch.Generator().manual_seed(0))
        return _found(float(generator(z)[-1].mean()))

    assert _trainer(tmp_path / "whole", data, recipe, brightness).run()
    expected = checkpoint.best(tmp_path / "whole")
    folder = shutil.copytree(tmp_path / "whole", tmp_path / "run")
    checkpoint.remove(folder, checkpoint.checkpoints(folder)[:1:-1])
    assert _checkpoints(folder) == [16, 32]
    assert _trainer(folder, data, recipe, brightness).run()
    assert [(path.name, found) for path, found in checkpoint.best(folder)] == [
        (path.name, found) for path, found in expected
    ]
    assert metrics(folder) == metrics(tmp_path / "whole")


@pytest.fixture
def network(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.onnx"
    path.write_bytes(onnx_network())
    return path


def test_train_py_measures_as_the_command_does(data: Path, tmp_path: Path, network: Path) -> None:
    out = tmp_path / "run"
    plain = tmp_path / "plain"
    train((*SMALL, "--data", data, "--out", plain))
    often = ("--evaluate-every", "0.016", "--evaluate-samples", "16", "--features", network)
    said, _ = train((*SMALL, *often, "--data", data, "--out", out))
    assert differences(newest_state(out), newest_state(plain)) == []
    lines = {line["images"]: line for line in metrics(out)}
    assert [images for images, line in lines.items() if "metric/frechet_distance" in line] == [16, 32]
    for images in (16, 32):
        file = tmp_path / "evaluation.json"
        model = out / "checkpoints" / f"{images:010d}" / "model"
        evaluate(model, data=data, features=network, samples=16, out=file)
        result, line = json.loads(file.read_text()), lines[images]
        for name in ("frechet_distance", "kernel_distance", "ms_ssim"):
            for side, prefix in (("generated", "metric"), ("real", "metric/real")):
                figure = result[name][side]
                assert line[f"{prefix}/{name}"] == (figure["mean"] if isinstance(figure, dict) else figure)
        assert (
            line["metric/sliced_wasserstein_distance/16"]
            == (result["sliced_wasserstein_distance"]["generated"]["16"])
        )
    best, found = checkpoint.best(out)[0]
    assert found.ranked_by == "frechet_distance"
    assert f"best by frechet_distance, {found.value:.4g}: {best / 'model'}" in said


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--features", "NETWORK"), "say how often with --evaluate-every"),
        (("--evaluate-every", "1", "--features", "nothing"), "there is no feature network nothing"),
        (
            ("--evaluate-every", "1", "--evaluate-samples", "15"),
            "evaluate_samples must be from 16 to 50000",
        ),
        (("--evaluate-every", "-1"), "evaluate_every must be 0 or more"),
    ],
)
def test_what_cannot_be_measured_is_refused_before_the_run(
    data: Path,
    tmp_path: Path,
    network: Path,
    arguments: tuple[str, ...],
    message: str,
    capfd: pytest.CaptureFixture[str],
) -> None:
    given = [str(network) if argument == "NETWORK" else argument for argument in arguments]
    try:
        code = main([*SMALL, *given, "--data", str(data), "--out", str(tmp_path / "run")])
    except SystemExit as end:  # of the parser
        code = int(end.code or 0)
    assert code == 2
    said = capfd.readouterr()
    assert message in " ".join((said.out + said.err).replace("│", " ").split())
    assert not (tmp_path / "run").exists()


@pytest.mark.long
def test_of_two_processes_one_measures(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    often = ("--evaluate-every", "0.016", "--evaluate-samples", "16")
    launch = [
        "-m",
        "accelerate.commands.launch",
        "--multi_gpu",
        "--num_processes",
        "2",
        "--main_process_port",
        "0",
    ]
    done = subprocess.run(
        [sys.executable, *launch, "train.py", *SMALL, *often, "--data", str(data), "--out", str(out)],
        cwd=ROOT,
        env=environment(ACCELERATE_USE_CPU="true"),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    swd = "metric/sliced_wasserstein_distance/mean"
    assert [line["images"] for line in metrics(out) if swd in line] == [16, 32]
    assert done.stdout.count("best by sliced_wasserstein_distance/mean") == 1
