"""Real runs, killed and stopped at many moments, that end as an uninterrupted one: bit for bit."""

import json
import random
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from models.checkpoint import load_generator
from tests.prepared import write_dataset
from tests.training.toy import (
    TINY,
    differences,
    kill_when,
    metrics,
    newest_state,
    shapes,
    start,
    state_of,
    train,
)

QUIET = ("--tracker", "none")
LAST = 400  # images of TINY
SECONDS = 100  # within which anything that is waited for comes
Moment = Callable[[Path], object]  # of a run's folder: true when it has come


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("interruptions") / "data", shapes(20, 16))


@pytest.fixture(scope="module")
def whole(data: Path) -> Path:
    """The run that nothing interrupts."""
    folder = data.parent / "whole"
    train((*TINY, *QUIET, "--data", data, "--out", folder))
    return folder


def _lines(run: Path) -> int:
    path = run / "metrics.jsonl"
    return path.read_bytes().count(b"\n") if path.exists() else 0


def _newest(run: Path) -> int:
    return max((int(path.name) for path in run.glob("checkpoints/[0-9]*")), default=0)


def _being_written(run: Path) -> bool:
    return any(run.glob("checkpoints/.*.partial"))


def _run_until(arguments: tuple[str | Path, ...], run: Path, moment: Moment) -> subprocess.Popen[str]:
    """Start train.py and wait for a moment of it."""
    process = start(arguments)
    give_up = time.monotonic() + SECONDS
    while not moment(run):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < give_up, "the moment never came"
        time.sleep(0.0002)
    return process


def test_a_run_killed_again_and_again_ends_in_the_same_bits(whole: Path, data: Path) -> None:
    run = data.parent / "killed"
    chance = random.Random(0)
    seen: list[tuple[int, bool]] = []  # at each kill: newest checkpoint, and whether one was being written

    def written_beyond(images: int) -> Moment:
        return lambda run: _newest(run) >= images and _being_written(run)

    def somewhere_beyond(images: int) -> Moment:
        return lambda run: _newest(run) >= images and (time.sleep(chance.uniform(0, 0.15)), True)

    moments: list[Moment] = [
        lambda run: (run / "run.json").exists(),  # before the first checkpoint
        lambda run: _lines(run) == 3,  # between two
        written_beyond(32),  # while one is written
        somewhere_beyond(160),
        somewhere_beyond(224),
    ]
    arguments: tuple[str | Path, ...] = (*TINY, *QUIET, "--data", data, "--out", run)
    for moment in moments:
        kill_when(lambda moment=moment: moment(run), arguments, SECONDS)
        seen.append((_newest(run), _being_written(run)))
        arguments = ("--resume", *QUIET, "--out", run)
        if seen[-1][0]:
            load_generator(run)  # what is there is whole
    train(arguments)
    assert seen[0][0] == 0  # one before the first checkpoint
    assert any(partial for _, partial in seen)  # one that left a checkpoint half-written
    assert seen[-1][0] < LAST  # the last one before the end
    assert _newest(run) == LAST
    assert differences(newest_state(run), newest_state(whole)) == []
    assert metrics(run) == metrics(whole)


def test_a_run_asked_to_stop_saves_and_says_how_to_go_on(whole: Path, data: Path) -> None:
    run = data.parent / "stopped"
    arguments: tuple[str | Path, ...] = (*TINY, *QUIET, "--data", data, "--out", run)
    for number, images in ((signal.SIGINT, 32), (signal.SIGTERM, 128)):
        process = _run_until(arguments, run, lambda run, images=images: _newest(run) >= images)
        time.sleep(0.05)
        process.send_signal(number)
        said, complained = process.communicate(timeout=SECONDS)
        assert process.returncode == 130, (said, complained)
        assert "Traceback" not in complained
        assert f"continue with: accelerate launch train.py --resume --out {run}" in said
        assert images <= _newest(run) < LAST
        assert not _being_written(run)
        assert metrics(run)[-1]["images"] == _newest(run)  # saved where it stopped, not at the last due time
        arguments = ("--resume", *QUIET, "--out", run)
    train(arguments)
    assert differences(newest_state(run), newest_state(whole)) == []


def test_a_loss_that_is_not_finite_ends_the_run_with_a_sentence(data: Path) -> None:
    """The step size, zero at first, becomes absurd: the checkpoints from before the loss broke stay."""
    run = data.parent / "broken"
    absurd = ("--lr", "0", "1e30", "--precision", "fp32", "--checkpoint-every", "0.008")
    _, complained = train((*TINY, *QUIET, *absurd, "--data", data, "--out", run), code=1)
    assert "is not finite after" in complained
    assert "Try a lower learning rate" in complained
    assert "Traceback" not in complained
    newest = state_of(run / "checkpoints" / f"{_newest(run):010d}")
    assert all(tensor.isfinite().all() for tensor in newest.values())
    assert load_generator(run / "checkpoints" / "0000000008" / "model")  # where nothing had moved yet
    assert _newest(run) < LAST
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    reports = [line for line in lines if "alert" not in line]
    assert all(abs(value) < float("inf") for line in reports for value in line.values())
    assert len(reports) == len(lines) - 1
