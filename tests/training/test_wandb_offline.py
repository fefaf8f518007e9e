"""W&B without an account: what a real run leaves behind, and that a resumed one goes on under the same id."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from toy import TINY, metrics, shapes, train
from wandb.proto import wandb_internal_pb2

from tests.prepared import write_dataset

GRIDS = ("4x4", "8x8", "16x16")
BLOCK = 32768  # W&B's file is of blocks, as LevelDB's log: records cut into pieces of header and data
FULL, FIRST, MIDDLE, LAST = 1, 2, 3, 4


def _records(path: Path) -> Iterator[Any]:
    """The records of a `.wandb` file: 7 bytes of file header; then checksum (4), length (2), type (1), data."""
    content, at, parts = path.read_bytes(), 7, b""
    while at + 7 <= len(content):
        if BLOCK - at % BLOCK < 7:  # no header fits into the rest of the block
            at += BLOCK - at % BLOCK
            continue
        length, kind = int.from_bytes(content[at + 4 : at + 6], "little"), content[at + 6]
        assert kind in (FULL, FIRST, MIDDLE, LAST)
        parts += content[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (FULL, LAST):
            record = wandb_internal_pb2.Record()
            record.ParseFromString(parts)
            parts = b""
            yield record


def _history(records: list[Any]) -> list[dict[str, Any]]:
    """What was logged, step by step."""
    return [
        {item.key or ".".join(item.nested_key): json.loads(item.value_json) for item in record.history.item}
        for record in records
        if record.HasField("history")
    ]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of 64 images, then resumed to 96."""
    root = tmp_path_factory.mktemp("wandb")
    data = write_dataset(root / "data", shapes(20, 16))
    folder = root / "run"
    brief = ("--kimg", "0.064", "--snapshot-every", "0.032")
    train((*TINY, *brief, "--data", data, "--out", folder))
    train(("--resume", "--out", folder, "--kimg", "0.096"))
    return folder


@pytest.fixture(scope="module")
def sessions(run: Path) -> list[list[Any]]:
    """The records of each session of the run."""
    return [list(_records(path)) for path in sorted(run.glob("wandb/offline-run-*/run-*.wandb"))]


def test_both_sessions_are_one_run(run: Path, sessions: list[list[Any]]) -> None:
    assert len(sessions) == 2
    identity = json.loads((run / "run.json").read_text())["identity"]
    for records in sessions:
        begun = [record.run for record in records if record.HasField("run")]
        assert {session.run_id for session in begun} == {identity}
        assert {session.display_name for session in begun} == {"run"}
        assert {session.project for session in begun} == {"crescendo"}


def test_the_recipe_is_the_runs_config(run: Path, sessions: list[list[Any]]) -> None:
    recipe = json.loads((run / "run.json").read_text())["recipe"]
    for records, kimg in zip(sessions, (0.064, 0.096), strict=True):
        config: dict[str, Any] = {}
        for record in records:
            for changes in (record.run.config, record.config):
                config |= {item.key: json.loads(item.value_json) for item in changes.update if item.key}
        assert {name: config[name] for name in recipe} == recipe | {"kimg": kimg}


def test_every_metric_is_logged_at_its_time(run: Path, sessions: list[list[Any]]) -> None:
    logged = [step for records in sessions for step in _history(records) if "loss/d" in step]
    bare = [
        {key: value for key, value in step.items() if not key.startswith(("_", "samples/"))}
        for step in logged
    ]
    for step in bare:
        assert step.pop("img_per_s") > 0
    assert bare == metrics(run)


def test_the_grids_of_every_resolution_are_logged(run: Path, sessions: list[list[Any]]) -> None:
    logged = [
        step
        for records in sessions
        for step in _history(records)
        if "samples/4x4.path" in step or "samples/4x4" in step
    ]
    assert [step["images"] for step in logged] == [0, 32, 64, 96]
    for side in GRIDS:
        pictures = sorted(run.glob(f"wandb/offline-run-*/files/media/images/samples/{side}_*.png"))
        assert len(pictures) == 4
        own = sorted(run.glob(f"samples/*/{int(side.split('x')[0]):04d}.png"))
        contents = {Image.open(path).tobytes() for path in own}
        assert {Image.open(path).tobytes() for path in pictures} == contents
