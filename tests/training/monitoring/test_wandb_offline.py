"""W&B without an account: what a real run leaves behind, and that a resumed one goes on under the same id."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import wandb
from PIL import Image
from wandb.proto import wandb_internal_pb2

from tests.prepared import write_dataset
from tests.training.event_files import values
from tests.training.toy import TINY, metrics, shapes, train
from training.monitoring.tracking import Wandb
from training.recipes.recipe import flat_settings
from training.run import read

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


def set_home(home: Path, patch: pytest.MonkeyPatch) -> Path:
    """Make a place for all that W&B writes outside the run's folder, and give it no account."""
    for name in ("WANDB_DATA_DIR", "WANDB_CACHE_DIR", "WANDB_CONFIG_DIR", "HOME"):
        patch.setenv(name, str(home))
    patch.delenv("WANDB_API_KEY", raising=False)
    patch.setenv("WANDB_MODE", "offline")
    home.mkdir()
    return home


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of 64 images, then resumed to 96."""
    root = tmp_path_factory.mktemp("wandb")
    data = write_dataset(root / "data", shapes(20, 16))
    folder = root / "run"
    brief = ("--kimg", "0.064", "--snapshot-every", "0.032")
    wanted = ("--tracker", "wandb", "tensorboard", "--artifacts")
    with pytest.MonkeyPatch.context() as patch:
        set_home(root / "home", patch)
        for arguments in (
            (*TINY, *brief, *wanted, "--data", data, "--out", folder),
            ("--resume", *wanted, "--out", folder, "--kimg", "0.096"),
        ):
            train(arguments)
            wandb.teardown()  # ends W&B's own process, and with it what it has still to write
    return folder


@pytest.fixture(scope="module")
def sessions(run: Path) -> list[list[Any]]:
    """The records of each session of the run."""
    return [list(_records(path)) for path in sorted(run.glob("wandb/offline-run-*/run-*.wandb"))]


def test_both_sessions_are_one_run(run: Path, sessions: list[list[Any]]) -> None:
    assert len(sessions) == 2
    identity = json.loads((run / "run.json").read_text())["wandb_id"]
    for records in sessions:
        begun = [record.run for record in records if record.HasField("run")]
        assert {session.run_id for session in begun} == {identity}
        assert {session.display_name for session in begun} == {"run"}
        assert {session.project for session in begun} == {"crescendo"}


def test_the_recipe_is_the_runs_config(run: Path, sessions: list[list[Any]]) -> None:
    recipe = json.loads(json.dumps(flat_settings(read(run).recipe)))
    for records, kimg in zip(sessions, (0.064, 0.096), strict=True):
        config: dict[str, Any] = {}
        for record in records:
            for changes in (record.run.config, record.config):
                config |= {item.key: json.loads(item.value_json) for item in changes.update if item.key}
        assert {name: config[name] for name in recipe} == recipe | {"kimg": kimg}
        assert config["recipe"] == "msg-gan-cpu"
        assert config["data"]["images"] == 20
        assert config["versions"] == json.loads((run / "run.json").read_text())["versions"]


def test_every_metric_is_logged_at_its_time(run: Path, sessions: list[list[Any]]) -> None:
    logged = [step for records in sessions for step in _history(records) if "loss/d" in step]
    bare = [
        {key: value for key, value in step.items() if not key.startswith(("_", "samples/", "growth"))}
        for step in logged
    ]
    for step in bare:
        assert step.pop("img_per_s") > 0
        assert step.pop("memory_gb") > 0.1  # torch alone takes that
    assert bare == metrics(run)
    assert [step["_step"] for step in logged] == [step["images"] for step in bare] == [16, 32, 48, 64, 80, 96]


def test_the_metrics_say_where_training_is(run: Path) -> None:
    for step in metrics(run):
        assert (step["resolution"], step["blend"], step["batch"]) == (16, 1.0, 8)
        assert min(step["gradient/d"], step["gradient/g"], step["lr/d"], step["lr/g"]) > 0


def test_the_system_is_recorded(sessions: list[list[Any]]) -> None:
    for records in sessions:
        assert any(record.HasField("environment") for record in records)
        measured = {item.key for record in records for item in record.stats.item}
        assert "memory_percent" in measured


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


def test_every_checkpoint_is_an_artifact_once(sessions: list[list[Any]]) -> None:
    found = [
        [json.loads(record.artifact.metadata)["images"] for record in records if record.HasField("artifact")]
        for records in sessions
    ]
    assert found == [[32, 64], [96]]


def test_the_growth_video_is_logged_at_each_end(run: Path, sessions: list[list[Any]]) -> None:
    logged = [step["_step"] for records in sessions for step in _history(records) if "growth._type" in step]
    assert logged == [64, 96]
    *_, last = sorted(run.glob("wandb/offline-run-*/files/media/videos/growth_*.gif"))
    assert last.read_bytes() == (run / "growth.gif").read_bytes()
    with Image.open(last) as video:
        assert getattr(video, "n_frames", 1) == 4


def test_tensorboard_has_the_same(run: Path) -> None:
    for name in ("loss/d", "img_per_s"):
        assert [images for images, _ in values(run, name)] == [16, 32, 48, 64, 80, 96]
    losses = [value.simple_value for _, value in values(run, "loss/d")]
    assert losses == pytest.approx([step["loss/d"] for step in metrics(run)])
    assert [images for images, _ in values(run, "samples/16x16")] == [0, 32, 64, 96]
    assert values(run, "growth")[-1][1].image.encoded_image_string == (run / "growth.gif").read_bytes()


def _recorded(run: Path, kind: str) -> list[Any]:
    """The records of one kind, of a run of one session."""
    (path,) = run.glob("wandb/offline-run-*/run-*.wandb")
    return [getattr(record, kind) for record in _records(path) if record.HasField(kind)]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return set_home(tmp_path / "home", monkeypatch)


@pytest.mark.parametrize("wanted", [True, False])
def test_alerts_always_and_checkpoints_on_request(home: Path, tmp_path: Path, wanted: bool) -> None:
    folder = tmp_path / "run"
    checkpoint = folder / "checkpoints" / "0000000016"
    (checkpoint / "model").mkdir(parents=True)
    (checkpoint / "state.json").write_text("{}")
    (checkpoint / "model" / "config.json").write_text("[]")
    tracker = Wandb(folder, "abc123", {"lr": 0.1}, checkpoints=wanted)
    tracker.alert(16, "out of memory", "going on with 4")
    tracker.artifact(16, checkpoint)
    tracker.close()
    wandb.teardown()  # ends W&B's own process, and with it what it has still to write
    (alert,) = _recorded(folder, "alert")
    assert (alert.title, alert.text) == ("out of memory", "After 16 images: going on with 4")
    artifacts = _recorded(folder, "artifact")
    assert len(artifacts) == wanted
    for artifact in artifacts:
        assert (artifact.name, artifact.type) == ("checkpoint-abc123", "model")
        assert json.loads(artifact.metadata) == {"images": 16}
        assert set(artifact.aliases) == {"latest", "images-16"}
        kept = {entry.path: Path(entry.local_path).read_text() for entry in artifact.manifest.contents}
        assert kept == {"state.json": "{}", "model/config.json": "[]"}


def test_steps_rise_though_a_run_goes_back(home: Path, tmp_path: Path) -> None:
    tracker = Wandb(tmp_path / "run", "abc123", {}, checkpoints=False)
    for images, loss in ((16, 1.0), (32, 2.0), (48, 3.0)):
        tracker.scalars(images, {"loss/d": loss})
    for loss in (4.0, 5.0):
        tracker.rewind(16)
        tracker.scalars(32, {"loss/d": loss})
    tracker.close()
    wandb.teardown()
    (path,) = (tmp_path / "run").glob("wandb/offline-run-*/run-*.wandb")
    logged = [(step["_step"], step["images"], step["loss/d"]) for step in _history(list(_records(path)))]
    assert logged == [(16, 16, 1.0), (32, 32, 2.0), (48, 48, 3.0), (64, 32, 4.0), (80, 32, 5.0)]


def test_disabled_writes_nothing(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_MODE", "disabled")
    (tmp_path / "run").mkdir()
    picture = home / "0004.png"
    Image.new("RGB", (4, 4)).save(picture)
    tracker = Wandb(tmp_path / "run", "abc123", {}, checkpoints=True)
    tracker.scalars(16, {"loss/d": 1.0})
    tracker.grids(16, {4: picture})
    tracker.alert(16, "title", "text")
    tracker.close()
    assert list((tmp_path / "run").iterdir()) == []


@pytest.mark.parametrize(("mode", "words"), [("online", "No API key configured"), ("sideways", "'sideways'")])
def test_a_refusal_is_a_sentence(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: str, words: str
) -> None:
    monkeypatch.setenv("WANDB_MODE", mode)
    with pytest.raises(ValueError, match=rf"^W&B does not start: .*{words}.*--tracker none$"):
        Wandb(tmp_path, "abc123", {}, checkpoints=False)
