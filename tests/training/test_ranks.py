"""Two real processes train as one: the same weights to float tolerance, whatever couples the samples of a batch.

Sums over a batch are added in another order on two ranks, so gradients differ in their last bits. Adam's first steps
are about lr times the sign of the gradient: where a gradient is next to nothing, last bits become steps. The runs are
therefore of a few rounds at a small lr. The weights then differ by some 2e-7; with batch statistics, means or
gradients left to each rank, the losses alone differ by more than the tolerance.
"""

import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from toy import ROOT, TINY, environment, metrics, newest_state, shapes, train

from tests.prepared import write_dataset

FEW = (
    *(*TINY, "--tracker", "none", "--precision", "fp32", "--kimg", "0.032"),
    *("--lr", "0.001", "--lr-end", "0.001"),
)
SYSTEMS = {
    "ra-hinge": ("--objective", "ra-hinge", "--r1", "0", "--r1-end", "0"),
    "rp-gan with R1 and R2": ("--objective", "rp-gan", "--r1", "1", "--r1-end", "1", "--penalty-every", "1"),
    "wgan with gradient penalty": (
        *("--objective", "wgan", "--r1", "0", "--r1-end", "0"),
        *("--gradient-penalty", "10", "--drift", "0.001"),
    ),
}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("ranks") / "data", shapes(20, 16))


def _launch(arguments: tuple[str | Path, ...]) -> subprocess.Popen[str]:
    """Train on two CPU processes, as the manual says."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    launch = (
        "-m",
        "accelerate.commands.launch",
        "--multi_gpu",
        "--num_processes",
        "2",
        "--main_process_port",
        port,
    )
    return subprocess.Popen(
        [sys.executable, *map(str, (*launch, "train.py", *arguments))],
        cwd=ROOT,
        env=environment(ACCELERATE_USE_CPU="true"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


@pytest.mark.parametrize("system", SYSTEMS)
def test_two_ranks_train_as_one(data: Path, system: str) -> None:
    one, two = (data.parent / f"{name} {system}" for name in ("one", "two"))
    arguments = (*FEW, *SYSTEMS[system], "--data", data)
    together = _launch((*arguments, "--out", two))
    train((*arguments, "--out", one))
    said, complained = together.communicate(timeout=250)
    assert together.returncode == 0, (said, complained)
    assert said.count("kimg") == len(metrics(two))  # one rank speaks
    for line, expected in zip(metrics(two), metrics(one), strict=True):
        assert line == pytest.approx(expected, rel=1e-4, abs=1e-5)
    weights, expected_weights = newest_state(two), newest_state(one)
    assert weights.keys() == expected_weights.keys()
    for name, value in expected_weights.items():
        torch.testing.assert_close(
            weights[name], value, rtol=1e-5, atol=5e-6, msg=lambda m, n=name: f"{n}: {m}"
        )
