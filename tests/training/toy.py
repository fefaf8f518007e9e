"""A tiny recipe, tiny data sets, and runs of both, in this process or in one of their own."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any

import torch
from accelerate.state import AcceleratorState
from safetensors.torch import load_file
from torch import Tensor

from tests.processes import Fork
from train import main
from training import run
from training.monitoring.options import MonitoringOptions
from training.recipes.msg_gan import MSGNetworks, MSGRecipe
from training.recipes.options import OptimizerOptions
from training.recipes.pair import PairOptions
from training.recipes.recipe import Recipe
from training.trainer import Trainer

ROOT = Path(__file__).parents[2]
RECIPE = MSGRecipe(
    resolution=8,
    kimg=0.064,
    batch=8,
    ema_half_life=0.05,
    monitoring=MonitoringOptions(log_every=0.016, snapshot_every=100, checkpoint_every=0.016),
    network=MSGNetworks(widths=(8, 8), latent_size=8),
    optimizer=OptimizerOptions(lr=(0.003,), betas=(0.0, 0.99)),
    pair=PairOptions(objective="ra-hinge"),
)
# The same through train.py, at 16x16: rounds of 8 images, a line every 2, a checkpoint every 4.
TINY = (
    *("--recipe", "msg-gan-cpu", "--resolution", "16", "--widths", "8", "8", "8", "--latent-size", "8"),
    *("--batch", "8", "--kimg", "0.4", "--penalty-every", "2"),
    *("--log-every", "0.016", "--checkpoint-every", "0.032", "--snapshot-every", "100"),
)


def shapes(count: int, size: int, seed: int = 0) -> Tensor:
    """Coloured discs on coloured grounds, uint8 (count, 3, size, size)."""
    rng = torch.Generator().manual_seed(seed)
    y, x = torch.meshgrid(torch.arange(size), torch.arange(size), indexing="ij")
    centers = torch.rand(count, 2, 1, 1, generator=rng) * size
    radii = (0.2 + 0.3 * torch.rand(count, 1, 1, generator=rng)) * size
    disc = ((x - centers[:, 0]) ** 2 + (y - centers[:, 1]) ** 2 < radii**2).unsqueeze(1)
    ground, paint = torch.randint(256, (2, count, 3, 1, 1), generator=rng)
    return torch.where(disc, paint, ground).to(torch.uint8)


def state_of(checkpoint: Path) -> dict[str, Tensor]:
    """Every tensor of a checkpoint: networks, optimisers, moving average."""
    average = load_file(checkpoint / "model" / "model.safetensors")
    return load_file(checkpoint / "state.safetensors") | {f"average.{k}": v for k, v in average.items()}


def newest_state(run: Path) -> dict[str, Tensor]:
    """`state_of` the run's newest checkpoint."""
    return state_of(max((run / "checkpoints").glob("[0-9]*")))


def differences(one: dict[str, Tensor], other: dict[str, Tensor]) -> list[str]:
    """Names of the tensors that are not equal bit for bit."""
    assert one.keys() == other.keys()
    return [name for name in one if not torch.equal(one[name], other[name])]


def metrics(run: Path) -> list[dict[str, Any]]:
    """The lines of `metrics.jsonl`, without rate and memory, which depend on the hour."""
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    hourly = {"img_per_s", "memory_gb"}
    return [{key: value for key, value in line.items() if key not in hourly} for line in lines]


def trainer_of(folder: Path, data: Path, recipe: Recipe = RECIPE, name: str = "msg-gan") -> Trainer:
    """A run in this process, from its newest checkpoint on, as train.py sets it up."""
    fresh = not (folder / "run.json").exists()
    record = run.begin(folder, name, recipe, data) if fresh else run.read(folder)
    return run.set_up(folder, replace(record, recipe=recipe), data)


def environment(**more: str) -> dict[str, str]:
    """A process's environment: one thread, the CPU, W&B without a network."""
    return {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "CUDA_VISIBLE_DEVICES": "",
        "WANDB_MODE": "offline",
        "PYTHONUNBUFFERED": "1",
        **more,
    }


def train(arguments: Sequence[str | Path], code: int = 0) -> tuple[str, str]:
    """Run train.py's `main` in this process and see that its exit code is `code`.

    Returns what it said (stdout, stderr).
    """
    said, complained = StringIO(), StringIO()
    AcceleratorState._reset_state()  # which keeps the precision that the first run of a process has
    try:
        with redirect_stdout(said), redirect_stderr(complained):
            found = main([str(argument) for argument in arguments])
    except SystemExit as end:  # of the parser
        found = int(end.code or 0)
    finally:
        AcceleratorState._reset_state()
    assert found == code, (found, said.getvalue(), complained.getvalue())
    return said.getvalue(), complained.getvalue()


def start(arguments: Sequence[str | Path], **more: str) -> subprocess.Popen[str]:
    """Start train.py as its users do, in a process that begins with nothing."""
    return subprocess.Popen(
        [sys.executable, "train.py", *map(str, arguments)],
        cwd=ROOT,
        env=environment(**more),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def fork(arguments: Sequence[str | Path]) -> Fork:
    """Start train.py in a process of its own that has imported it."""
    return Fork(_exit_as_train, list(map(str, arguments)), **environment())


def kill_when(moment: Callable[[], object], arguments: Sequence[str | Path], seconds: float = 200) -> None:
    """Begin a run in a process of its own, and kill it at a moment, which comes before the run ends."""
    run = fork(arguments)
    give_up = time.monotonic() + seconds
    try:
        while not moment():
            assert run.code is None, f"it ended with {run.code} before the moment came\n{run.printed()}"
            assert time.monotonic() < give_up, f"in {seconds} seconds the moment never came\n{run.printed()}"
            time.sleep(0.0002)
    finally:
        run.kill()
    assert run.code == -signal.SIGKILL, f"it was over before it was killed\n{run.printed()}"


def _exit_as_train(arguments: list[str]) -> None:
    sys.exit(main(arguments))
