"""Checkpoints in this process: what is saved, what is kept, and that going on is as if nothing had happened."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from models.checkpoint import find_model, load_generator
from tests.prepared import write_dataset
from tests.training.toy import RECIPE, differences, metrics, newest_state, shapes, state_of
from training import checkpoint, run
from training.optim.ema import MovingAverage
from training.recipes.recipe import DataFormat, with_settings
from training.schedules import TrainState
from training.system import System
from training.trainer import Trainer

ALL_AT_ONCE = with_settings(
    RECIPE, objective="ra-hinge", r1=(1.0, 0.5), gradient_penalty=1.0, drift=0.1, lr=(0.003, 0.001)
)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("state") / "data", shapes(10, 8))


def _trainer(folder: Path, data: Path, recipe: Any = ALL_AT_ONCE) -> Trainer:
    """A run from its newest checkpoint on, as train.py sets it up."""
    record = (
        run.read(folder) if (folder / "run.json").exists() else run.begin(folder, "msg-gan", recipe, data)
    )
    return run.set_up(folder, replace(record, recipe=recipe), data)


def _train(folder: Path, data: Path, recipe: Any = ALL_AT_ONCE) -> None:
    assert _trainer(folder, data, recipe).run()


def _checkpoints(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "checkpoints").iterdir())


@pytest.fixture(scope="module")
def whole(data: Path) -> Path:
    """A run of eight rounds, uninterrupted, that keeps all its checkpoints."""
    folder = data.parent / "whole"
    _train(folder, data, with_settings(ALL_AT_ONCE, keep=10))
    return folder


def test_checkpoints_come_when_due_and_at_the_end(whole: Path) -> None:
    assert _checkpoints(whole) == ["0000000016", "0000000032", "0000000048", "0000000064"]
    assert [line["images"] for line in metrics(whole)] == [16, 32, 48, 64]


def test_training_changes_every_weight(whole: Path, data: Path) -> None:
    torch.manual_seed(ALL_AT_ONCE.seed)
    fresh = checkpoint._tensors(ALL_AT_ONCE.build(DataFormat(3)))
    trained = newest_state(whole)
    same = [name for name, value in fresh.items() if torch.equal(value, trained[name])]
    assert [name for name in same if not name.endswith("center")] == []  # the average alone has a centre


@pytest.mark.parametrize("rounds", [2, 4, 6])
def test_going_on_gives_the_same_bits(whole: Path, data: Path, tmp_path: Path, rounds: int) -> None:
    """N rounds, then a new trainer for the rest: the files of an uninterrupted run, bit for bit."""
    folder = tmp_path / "run"
    trainer = _trainer(folder, data)
    for _ in range(rounds):
        trainer.train()
    trainer.save()
    _train(folder, data)
    assert differences(newest_state(folder), newest_state(whole)) == []
    assert metrics(folder)[-1] == metrics(whole)[-1]


def test_a_stop_between_reports_gives_the_same_weights(whole: Path, data: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    trainer = _trainer(folder, data)
    for _ in range(3):
        trainer.train()
    trainer.save()
    _train(folder, data)
    assert differences(newest_state(folder), newest_state(whole)) == []


def test_another_seed_gives_other_weights(whole: Path, data: Path, tmp_path: Path) -> None:
    _train(tmp_path / "run", data, replace(ALL_AT_ONCE, seed=1))
    assert len(differences(newest_state(tmp_path / "run"), newest_state(whole))) > 20


def test_a_run_may_be_made_longer(whole: Path, data: Path, tmp_path: Path) -> None:
    steady = with_settings(RECIPE, lr=RECIPE.optimizer.lr[:1])  # no schedule looks at the run's length
    _train(tmp_path / "long", data, steady)
    _train(tmp_path / "grown", data, replace(steady, kimg=0.032))
    _train(tmp_path / "grown", data, steady)
    assert differences(newest_state(tmp_path / "grown"), newest_state(tmp_path / "long")) == []


def test_a_complete_run_does_nothing_more(data: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    _train(folder, data)
    before = {path: path.stat().st_mtime_ns for path in (folder / "checkpoints").rglob("*")}
    lines = metrics(folder)
    _train(folder, data)
    assert {path: path.stat().st_mtime_ns for path in (folder / "checkpoints").rglob("*")} == before
    assert metrics(folder) == lines


@pytest.mark.parametrize("keep", [1, 2])
def test_only_the_newest_are_kept(data: Path, tmp_path: Path, keep: int) -> None:
    _train(tmp_path / "run", data, with_settings(ALL_AT_ONCE, keep=keep))
    assert _checkpoints(tmp_path / "run") == ["0000000016", "0000000032", "0000000048", "0000000064"][-keep:]


def _parts() -> tuple[System, MovingAverage]:
    torch.manual_seed(0)
    system = RECIPE.build(DataFormat(3))
    return system, MovingAverage(system.generator, 100)


def _save(folder: Path, images: int, keep: int = 3) -> Path:
    return checkpoint.save(folder, *_parts(), TrainState(images, 100, images // 8), {"images": images}, keep)


def test_a_half_written_checkpoint_is_never_taken(tmp_path: Path) -> None:
    whole = _save(tmp_path, 8)
    whole.rename(whole.with_name(".0000000008.partial"))  # as a kill leaves it
    assert checkpoint.checkpoints(tmp_path) == []
    with pytest.raises(ValueError, match="neither a model"):
        find_model(tmp_path)
    assert _save(tmp_path, 8) == whole  # what was left is no obstacle
    assert _checkpoints(tmp_path) == ["0000000008"]
    assert find_model(tmp_path) == whole / "model"


@pytest.mark.parametrize(
    "stage", ["safetensors.torch.serialize_file", "models.checkpoint.write_text", "os.fsync"]
)
def test_a_crash_while_saving_leaves_the_one_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stage: str
) -> None:
    first = _save(tmp_path, 8, keep=1)
    before = state_of(first)

    def full(*_: Any, **__: Any) -> None:
        raise OSError("no space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(stage, full)
        with pytest.raises(OSError, match="no space"):
            _save(tmp_path, 16, keep=1)
    assert checkpoint.checkpoints(tmp_path) == [first]
    assert differences(state_of(first), before) == []
    assert _checkpoints(tmp_path) == ["0000000008"]


def test_a_checkpoint_holds_everything(tmp_path: Path) -> None:
    folder = _save(tmp_path, 24)
    assert json.loads((folder / "state.json").read_text()) == {"images": 24, "iteration": 3, "phase": 0}
    system, average = _parts()
    for parameter in (*system.generator.parameters(), *average.generator.parameters()):
        parameter.data.zero_()
    assert checkpoint.load(folder, system, average, total=500) == TrainState(24, 500, 3)
    fresh, _ = _parts()
    for key, value in fresh.generator.state_dict().items():
        assert torch.equal(system.generator.state_dict()[key], value), key
    shipped = load_generator(folder / "model").state_dict()
    for key, value in average.generator.state_dict().items():
        assert torch.equal(shipped[key], value), key


@pytest.mark.parametrize(
    "file", ["state.safetensors", "state.json", "model/model.safetensors", "model/config.json"]
)
@pytest.mark.parametrize("damage", ["cut", "gone", "noise"])
def test_a_damaged_checkpoint_is_named(tmp_path: Path, file: str, damage: str) -> None:
    folder = _save(tmp_path, 8)
    path = folder / file
    if damage == "gone":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:-9] if damage == "cut" else b"\xff\x00" * 50)
    with pytest.raises(ValueError, match=r"0000000008 is damaged .*; remove it"):
        checkpoint.load(folder, *_parts(), total=100)


def test_another_games_checkpoint_is_refused(tmp_path: Path) -> None:
    folder = _save(tmp_path, 8)
    system = with_settings(RECIPE, widths=(8, 4)).build(DataFormat(3))
    with pytest.raises(ValueError, match="is damaged"):
        checkpoint.load(folder, system, MovingAverage(system.generator, 100), total=100)


def test_lines_beyond_the_checkpoint_are_taken_back(data: Path, whole: Path, tmp_path: Path) -> None:
    """A kill may leave lines of what was not saved, the last one cut short."""
    folder = tmp_path / "run"
    trainer = _trainer(folder, data)
    for _ in range(2):
        trainer.train()
    trainer.save()
    with (folder / "metrics.jsonl").open("a") as file:
        file.write('{"images": 24, "loss/d": 9.0}\n{"images": 32, "lo')
    _train(folder, data)
    assert metrics(folder) == metrics(whole)
