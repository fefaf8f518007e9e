"""`python -m evaluation.leaderboard`: what is trained, for how long, and the files that are written."""

import fcntl
import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from evaluation import leaderboard, leaderboard_page
from evaluation.leaderboard import parse_overrides, select_recipes, summarize
from evaluation.leaderboard_page import Row, Statistic
from evaluation.training_runs import TrainingLimit, TrainingRun
from models.checkpoint import read_config
from tests.evaluation.pattern_images import pattern_images
from tests.prepared import write_dataset

ROOT = Path(__file__).resolve().parents[2]
SWD = "sliced_wasserstein_distance/mean"
SECONDS = 500  # timeout of every wait
RECIPES = "dcgan-cpu,cgan,vae-cpu"  # a small one; one that needs labels; one of another size
OVERRIDES = [
    "dcgan-cpu.widths=8 8",
    "dcgan-cpu.batch=8",
    "dcgan-cpu.log-every=0.016",
    "dcgan-cpu.checkpoint-every=0.032",
]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("data") / "patterns", pattern_images(40, 0, 16))


def call(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    monkeypatch.setattr(sys, "argv", ["leaderboard", *map(str, arguments)])
    handler = signal.getsignal(signal.SIGTERM)
    try:
        return leaderboard.main()
    except SystemExit as stop:  # tyro's own refusals
        return int(stop.code or 0)
    finally:
        signal.signal(signal.SIGTERM, handler)


def times(folder: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


@pytest.mark.timeout(2 * SECONDS)
def test_a_killed_leaderboard_can_be_continued(
    tmp_path: Path, data: Path, network_file: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "board"
    arguments = ["--data", data, "--out", out, "--recipes", RECIPES, "--kimg", "0.16", "--samples", "16"]
    arguments += ["--seeds", "2", "--features", network_file(), "--set", *OVERRIDES]
    command = [sys.executable, "-m", "evaluation.leaderboard", *map(str, arguments)]
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as process:
        give_up = time.monotonic() + SECONDS
        while not any((out / "runs").glob("dcgan-cpu/checkpoints/[0-9]*")):
            assert process.poll() is None, "it ended by itself"
            assert time.monotonic() < give_up
            time.sleep(0.002)
        process.kill()
    begun = times(out / "evaluations")
    assert len(begun) == 4, "both baselines, each with two seeds"
    assert not (out / "leaderboard.json").exists()

    assert call(monkeypatch, *arguments) == 0
    assert begun.items() <= times(out / "evaluations").items(), "an evaluation was repeated"
    content = json.loads((out / "leaderboard.json").read_text())
    rows = {row["name"]: row for row in content["rows"]}
    assert set(rows) == {"real images", "mean-image", "gaussian-pixel", *RECIPES.split(",")}
    names = [row["name"] for row in content["rows"]]
    assert (names[0], *names[-2:]) == ("real images", "cgan", "vae-cpu")
    assert (rows["cgan"]["state"], rows["vae-cpu"]["state"]) == ("needs labels", "failed")
    assert "train.py: widths must be" in rows["vae-cpu"]["reason"]
    check_system(out, rows["dcgan-cpu"])
    assert (
        rows["real images"]["metrics"]["frechet_distance"]["mean"]
        < rows["mean-image"]["metrics"]["frechet_distance"]["mean"]
    )
    page, text = ((out / f"leaderboard.{kind}").read_text() for kind in ("html", "md"))
    assert page.count("<tbody") == len(rows)
    assert text.count("![") == page.count("data:image/webp;base64,") == len(rows) - 2
    assert str(tmp_path) not in page + text + json.dumps(content), "no machine's paths"

    done = times(out / "evaluations") | times(out / "runs" / "dcgan-cpu")
    monkeypatch.setattr(
        leaderboard, "list_recipes", lambda: {"dcgan-cpu": {"needs_labels": False, "kimg": 300}}
    )
    arguments[arguments.index(RECIPES)] = "dcgan-cpu"
    assert call(monkeypatch, *arguments) == 0
    assert times(out / "evaluations") | times(out / "runs" / "dcgan-cpu") == done
    again = json.loads((out / "leaderboard.json").read_text())
    assert {row["name"]: row for row in again["rows"]}["dcgan-cpu"] == rows["dcgan-cpu"]


def check_system(out: Path, row: dict[str, Any]) -> None:
    """A system's row has the values of its run and its evaluations."""
    metrics = row["metrics"]
    model = out / "runs" / row["name"] / "checkpoints" / "0000000160" / "model"
    assert metrics["images"]["mean"] == read_config(model)["about"]["images"] == 160
    ends, block, norm = 3 * 8 * 16, 8 * 8 * 16, 2 * 8  # kernels of 4x4, and scales and shifts
    assert metrics["generator"]["mean"] == 100 * 8 * 16 + norm + block + norm + ends
    assert metrics["rest"]["mean"] == ends + block + norm + 8 * 16
    found = [json.loads(path.read_text()) for path in (out / "evaluations").glob(f"{row['name']}-*.json")]
    distances = [each["frechet_distance"]["generated"] for each in found]
    assert len(set(distances)) == 2, "the seeds make no difference"
    assert metrics["frechet_distance"]["mean"] == pytest.approx(sum(distances) / 2)
    assert metrics["frechet_distance"]["sd"] == pytest.approx(abs(distances[0] - distances[1]) / 2**0.5)
    (fresh,) = (json.loads(path.read_text()) for path in (out / "evaluations").glob("untrained-dcgan-cpu-*"))
    assert metrics["untrained"]["mean"] == fresh["frechet_distance"]["generated"] not in distances
    assert Image.open(out / row["samples"]).size == (12 * 16, 16)


@pytest.mark.timeout(2 * SECONDS)
def test_a_run_stops_at_ctrl_c_and_when_its_time_is_up(tmp_path: Path, data: Path) -> None:
    fields = ("--resolution", "16", "--batch", "20", "--kimg", "10000")
    run = TrainingRun(tmp_path / "gan", "gan", data, TrainingLimit(None, minutes=1000), fields)
    advances: list[int] = []

    def interrupted(images: int) -> None:
        if images > 0:
            raise KeyboardInterrupt

    with (tmp_path / "lock").open("w") as lock:
        with pytest.raises(KeyboardInterrupt):
            run.train(lock.fileno(), interrupted)
        saved, spent = run.images(), run.seconds()
        assert saved > 0, "it was stopped before it could save"
        run = replace(run, limit=TrainingLimit(None, spent / 60 + 0.01))
        run.train(lock.fileno(), advances.append)
        assert saved < run.images() == sum(advances) < 10_000_000
        assert run.seconds() >= spent + 0.6
        before = times(tmp_path)
        run.train(lock.fileno(), advances.append)
        assert times(tmp_path) == before, "it was trained further"


def report(images: int, rate: float) -> str:
    return json.dumps({"images": images, "loss/d": 1.0, "img_per_s": rate}) + "\n"


def test_seconds_come_from_the_reports(tmp_path: Path) -> None:
    (tmp_path / "checkpoints" / "300" / "model").mkdir(parents=True)
    config = {"format": 2, "architecture": "mlp", "about": {"images": 300}}
    (tmp_path / "checkpoints" / "300" / "model" / "config.json").write_text(json.dumps(config))
    alert = json.dumps({"images": 300, "alert": "stalled", "text": ""}) + "\n"
    lines = report(100, 50) + report(300, 20) + alert + report(400, 100) + '{"images": 500, "img'
    (tmp_path / "metrics.jsonl").write_text(lines)
    run = TrainingRun(tmp_path, "gan", tmp_path, TrainingLimit(1, None), ())
    assert run.images() == 300
    assert run.seconds() == 100 / 50 + 200 / 20, "reports after the checkpoint do not count"


def test_a_run_that_was_not_started() -> None:
    run = TrainingRun(Path("nothing"), "gan", Path("nothing"), TrainingLimit(1, None), ())
    assert (run.images(), run.seconds()) == (0, 0)


@pytest.mark.parametrize(
    ("limit", "images", "seconds", "reached"),
    [
        (TrainingLimit(1, None), 999, 1e9, False),
        (TrainingLimit(1, None), 1000, 0, True),
        (TrainingLimit(None, 2), 10**9, 119, False),
        (TrainingLimit(None, 2), 0, 120, True),
        (TrainingLimit(1, 2), 1000, 0, True),
        (TrainingLimit(1, 2), 0, 120, True),
        (TrainingLimit(1, 2), 999, 119, False),
    ],
)
def test_limits(limit: TrainingLimit, images: int, seconds: float, reached: bool) -> None:
    assert limit.reached(images, seconds) == reached


def test_the_lock_outlives_a_killed_leaderboard(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with leaderboard.lock_folder(tmp_path) as held:
        child = subprocess.Popen([sys.executable, "-c", "input()"], pass_fds=[held], stdin=subprocess.PIPE)
    with (tmp_path / ".lock").open() as other:  # what a killed leaderboard's training holds
        with pytest.raises(BlockingIOError):
            fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
        child.communicate(b"\n")
    with leaderboard.lock_folder(tmp_path):
        assert capsys.readouterr().err == ""


KNOWN: dict[str, dict[str, Any]] = {name: {} for name in ("gan", "gran", "gran-cpu", "selu", "selu-cpu")}


def test_select_recipes() -> None:
    assert select_recipes("all", KNOWN) == ["gan", "gran-cpu", "selu-cpu"]
    assert select_recipes("gran,gan,gran", KNOWN) == ["gran", "gan"]
    with pytest.raises(ValueError, match="there is no gen, x; there are gan, gran"):
        select_recipes("gen,gan,x", KNOWN)


def test_overrides() -> None:
    overrides = ["gan.widths=8 16", "gan.batch=2", "vae.no-flip="]
    found = parse_overrides(overrides, ["gan", "vae"])
    assert found == {"gan": ["--widths", "8", "16", "--batch", "2"], "vae": ["--no-flip"]}
    for wrong in ("gan.batch", "batch=2", "gan.=2", "gran.batch=2"):
        with pytest.raises(ValueError, match=r"write RECIPE\.OPTION=VALUE, where RECIPE is one of gan, vae"):
            parse_overrides([wrong], ["gan", "vae"])


def test_summarize() -> None:
    assert summarize([{"a": 1.0, "b": 5.0}, {"a": 3.0, "b": 5.0}]) == {"a": (2, 2**0.5), "b": (5, 0)}
    assert summarize([{"a": 1.0}]) == {"a": Statistic(1.0, None)}


def test_the_files(tmp_path: Path) -> None:
    def done(name: str, kind: Any, distance: float) -> Row:
        return Row(name, kind, {SWD: Statistic(distance, 0.25), "seconds": Statistic(300)})

    rows = [
        Row("broken", "system", state="failed", reason="<b> | 3"),
        done("far", "system", 30),
        Row("choosy", "system", state="needs labels", reason="the data have none"),
        done("near", "system", 10),
        done("mean", "baseline", 20),
        done("reals", "real", 15),
    ]
    leaderboard_page.write(tmp_path, rows, SWD, {"title": "Cats & dogs", "text": ["Small."], "limit": 3})
    content = json.loads((tmp_path / "leaderboard.json").read_text())
    order = ["reals", "near", "mean", "far", "choosy", "broken"]
    assert [row["name"] for row in content["rows"]] == order
    assert content["rows"][1]["metrics"][SWD] == {"mean": 10, "sd": 0.25}
    assert (content["limit"], content["ranked_by"]) == (3, SWD)
    text = (tmp_path / "leaderboard.md").read_text()
    assert "| near | 10.0 ± 0.2 |  |  |  | 5 min |" in text
    assert "| broken | failed: <b> \\| 3 |" in text
    page = (tmp_path / "leaderboard.html").read_text()
    assert "Cats &amp; dogs" in page
    assert "failed: &lt;b&gt; | 3" in page
    assert [page.index(f">{name}</td>") for name in order] == sorted(
        page.index(f">{name}</td>") for name in order
    )
    assert "Frechet" not in page


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "with --kimg, --minutes, or both"),
        (("--kimg", "0"), "--kimg must be positive, not 0"),
        (("--minutes", "-1"), "--minutes must be positive, not -1"),
        (("--kimg", "1", "--seeds", "0"), "--seeds must be positive, not 0"),
        (("--kimg", "1", "--recipes", "gnn"), "there is no gnn; there are gan"),
        (("--kimg", "1", "--samples", "8"), "--samples must be from 16 to"),
        (("--kimg", "1", "--data", "SMALL"), "goes up to 8x8; evaluation needs at least 16x16"),
        (("--kimg", "1", "--set", "gan=3"), "write RECIPE.OPTION=VALUE"),
        (("--kimg", "1", "--features", "nothing"), "there is no feature network"),
    ],
)
def test_refused(
    tmp_path: Path,
    data: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
    message: str,
) -> None:
    if "SMALL" in arguments:
        write_dataset(tmp_path / "small", pattern_images(40, 0, 16)[..., ::2, ::2])
    monkeypatch.setattr(leaderboard, "list_recipes", lambda: {"gan": {"kimg": 1, "needs_labels": False}})
    names = {"SMALL": tmp_path / "small", "nothing": tmp_path / "nothing"}
    given = [names.get(argument, argument) for argument in arguments]
    assert call(monkeypatch, "--data", data, "--out", tmp_path / "board", *given) == 2
    complained = " ".join(capsys.readouterr().err.replace("│", " ").split())
    assert message in complained
    assert not (tmp_path / "board" / "runs").exists()
