"""Several real processes, of one machine or of two, train as one.

They give the same weights to float tolerance, whatever couples the samples of a batch.
Sums over a batch are added in another order on two ranks, so gradients differ in their last bits. Adam's first steps
are about lr times the sign of the gradient: where a gradient is next to nothing, last bits become steps. The runs are
therefore of a few rounds at a small lr. The weights then differ by some 2e-7; with batch statistics, means or
gradients left to each rank, the losses alone differ by more than the tolerance.
"""

import socket
import subprocess
import sys
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path

import psutil
import pytest
import torch

from tests.prepared import write_dataset
from tests.training.ranks import train_on_ranks
from tests.training.toy import ROOT, TINY, environment, metrics, newest_state, shapes, train

Arguments = tuple[str | Path, ...]
FEW = (
    *(*TINY, "--tracker", "none", "--precision", "fp32", "--kimg", "0.032"),
    *("--lr", "0.001"),
)
SYSTEMS = {
    "ra-hinge": ("--objective", "ra-hinge", "--r1", "0"),
    "rp-gan with R1 and R2": ("--objective", "rp-gan", "--r1", "1", "--penalty-every", "1"),
    "wgan with gradient penalty": (
        *("--objective", "wgan", "--r1", "0"),
        *("--gradient-penalty", "10", "--drift", "0.001"),
    ),
    "ADA with R1 and R2 on half of the batch": (
        *("--objective", "non-saturating", "--r1", "1"),
        *(
            "--penalty-every",
            "1",
            "--penalty-fraction",
            "0.5",
            "--augment",
            "flip",
            "color",
            "translation",
            "cutout",
        ),
        *("--ada-target", "0.6", "--ada-kimg", "0.1"),
    ),
}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("ranks") / "data", shapes(20, 16))


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _launch(arguments: Arguments, processes: int, *machine: str) -> subprocess.Popen[str]:
    """Train on CPU processes, as the manual says."""
    launch = ["-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", str(processes)]
    launch += machine or ("--main_process_port", str(_free_port()))
    return subprocess.Popen(
        [sys.executable, *launch, "train.py", *map(str, arguments)],
        cwd=ROOT,
        env=environment(ACCELERATE_USE_CPU="true"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def _launch_on_two_machines(arguments: Arguments) -> list[subprocess.Popen[str]]:
    """A process on each of two "machines", which meet at this one's address."""
    meeting = (
        "--num_machines",
        "2",
        "--main_process_ip",
        "127.0.0.1",
        "--main_process_port",
        str(_free_port()),
    )
    return [_launch(arguments, 2, *meeting, "--machine_rank", str(rank)) for rank in range(2)]


def _end(process: subprocess.Popen[str], code: int = 0) -> tuple[str, str]:
    said, complained = process.communicate(timeout=250)
    assert process.returncode == code, (said, complained)
    return said, complained


def _assert_alike(run: Path, expected: Path, lines: int = 2) -> None:
    """The newest lines of both and their weights."""
    for line, expected_line in zip(metrics(run)[-lines:], metrics(expected)[-lines:], strict=True):
        assert line == pytest.approx(expected_line, rel=1e-4, abs=1e-5)
    weights, expected_weights = newest_state(run), newest_state(expected)
    assert weights.keys() == expected_weights.keys()
    for name, value in expected_weights.items():
        torch.testing.assert_close(
            weights[name], value, rtol=1e-5, atol=5e-6, msg=lambda m, n=name: f"{n}: {m}"
        )


@pytest.fixture(scope="module")
def alone(data: Path) -> Callable[[str], Path]:
    """The run of a system on one process."""

    @cache
    def run(system: str) -> Path:
        folder = data.parent / f"one {system}"
        train((*FEW, *SYSTEMS[system], "--data", data, "--out", folder))
        return folder

    return run


@pytest.mark.parametrize("system", SYSTEMS)
def test_two_ranks_train_as_one(
    data: Path, alone: Callable[[str], Path], tmp_path: Path, system: str
) -> None:
    two = data.parent / f"two {system}"
    arguments = (*FEW, *SYSTEMS[system], "--data", data, "--out", two)
    _assert_one_speaks("".join(train_on_ranks(arguments, tmp_path)), two)
    _assert_alike(two, alone(system))


def test_two_ranks_of_a_launch_train_as_one(data: Path, alone: Callable[[str], Path]) -> None:
    two = data.parent / "launched"
    said, _ = _end(_launch((*FEW, *SYSTEMS["ra-hinge"], "--data", data, "--out", two), 2))
    _assert_one_speaks(said, two)
    _assert_alike(two, alone("ra-hinge"))


def _assert_one_speaks(said: str, run: Path) -> None:
    """One rank alone reports."""
    assert said.count("kimg") == len(metrics(run))
    assert said.count("before the run, per process") == 1


@pytest.mark.long
def test_four_ranks_train_as_one(data: Path, alone: Callable[[str], Path], tmp_path: Path) -> None:
    four = data.parent / "four"
    train_on_ranks((*FEW, *SYSTEMS["ra-hinge"], "--data", data, "--out", four), tmp_path, 4)
    _assert_alike(four, alone("ra-hinge"))


def test_two_machines_train_as_one(data: Path, alone: Callable[[str], Path]) -> None:
    two = data.parent / "machines"
    for machine in _launch_on_two_machines((*FEW, *SYSTEMS["ra-hinge"], "--data", data, "--out", two)):
        _end(machine)
    _assert_alike(two, alone("ra-hinge"))


def test_a_run_may_go_on_with_more_ranks(data: Path, alone: Callable[[str], Path], tmp_path: Path) -> None:
    """The global batch stays: half on one rank and half on two is the whole on one."""
    folder = data.parent / "more"
    arguments = (*FEW, *SYSTEMS["ra-hinge"])
    train((*arguments, "--kimg", "0.016", "--data", data, "--out", folder))
    train_on_ranks(("--resume", "--tracker", "none", "--kimg", "0.032", "--out", folder), tmp_path)
    _assert_alike(folder, alone("ra-hinge"), lines=1)  # the first part took samples where it ended


def test_a_machine_that_dies_ends_the_run_which_then_goes_on(data: Path) -> None:
    folder = data.parent / "died"
    long = ("--kimg", "400", "--checkpoint-every", "0.008", "--data", data, "--out", folder)
    stays, dies = _launch_on_two_machines((*FEW, *SYSTEMS["ra-hinge"], *long))
    _wait(lambda: any(folder.glob("checkpoints/[0-9]*")) or stays.poll() is not None)
    for process in (*psutil.Process(dies.pid).children(recursive=True), dies):
        process.kill()
    begin = time.monotonic()
    _, complained = _end(stays, code=1)
    assert time.monotonic() - begin < 60
    assert "train.py: another process of the run has ended, or cannot be reached" in complained
    dies.communicate()
    saved = max(int(path.name) for path in folder.glob("checkpoints/[0-9]*"))
    train(("--resume", "--tracker", "none", "--kimg", str((saved + 8) / 1000), "--out", folder))
    assert metrics(folder)[-1]["images"] == saved + 8


@pytest.mark.long
def test_a_rank_that_dies_ends_its_machine(data: Path) -> None:
    folder = data.parent / "rank"
    long = ("--kimg", "400", "--checkpoint-every", "0.008", "--data", data, "--out", folder)
    process = _launch((*FEW, *SYSTEMS["ra-hinge"], *long), 2)
    _wait(lambda: any(folder.glob("checkpoints/[0-9]*")) or process.poll() is not None)
    ranks = [p for p in psutil.Process(process.pid).children(recursive=True) if "train.py" in p.cmdline()]
    assert len(ranks) == 2
    ranks[1].kill()
    begin = time.monotonic()
    _end(process, code=1)
    assert time.monotonic() - begin < 60
    assert not any(rank.is_running() for rank in ranks)


def _wait(moment: Callable[[], bool]) -> None:
    give_up = time.monotonic() + 200
    while not moment():
        assert time.monotonic() < give_up, "the moment never came"
        time.sleep(0.05)
