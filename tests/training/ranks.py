"""What several processes compute together, to be compared with what one does.

The ranks of a test are forks of one process that has imported the program (see `tests/processes.py`), so they are there
at once, know nothing of another test's, and end with their test.
"""

import os
from collections.abc import Callable, Sequence
from contextlib import redirect_stderr, redirect_stdout
from functools import partial
from pathlib import Path

import torch
import torch.distributed as dist
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.multiprocessing.spawn import start_processes

from tests.processes import ensure_fork_server
from tests.training.toy import environment
from train import main

Compute = Callable[[slice], dict[str, Tensor]]  # of the samples of a batch of eight that are a rank's


def on_ranks(compute: Compute, folder: Path, count: int = 2) -> list[dict[str, Tensor]]:
    """What each of 2, 4 or 8 ranks computes for its part of the batch.

    `compute` is a module's function, `folder` an empty one.

    Raises:
        torch.multiprocessing.ProcessRaisedException: a rank failed; its traceback is in the message.
    """
    ensure_fork_server()
    ranks = start_processes(  # type: ignore[no-untyped-call]
        _rank, (compute, folder, count), nprocs=count, join=False, daemon=True, start_method="forkserver"
    )
    try:
        while not ranks.join():
            pass
    finally:  # also where the test's time is up
        for process in ranks.processes:
            process.kill()
    return [load_file(folder / f"{rank}.safetensors") for rank in range(count)]


def _rank(rank: int, compute: Compute, folder: Path, count: int) -> None:
    torch.set_num_threads(1)
    # what `accelerate launch` says; the ranks meet beforehand
    launched = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": count, "LOCAL_WORLD_SIZE": count}
    os.environ |= environment(**{name: str(value) for name, value in launched.items()})
    dist.init_process_group("gloo", init_method=f"file://{folder / 'meet'}", rank=rank, world_size=count)
    size = 8 // count
    save_file(compute(slice(rank * size, (rank + 1) * size)), folder / f"{rank}.safetensors")
    if dist.is_initialized():
        dist.destroy_process_group()


def train_on_ranks(arguments: Sequence[str | Path], folder: Path, count: int = 2) -> list[str]:
    """Run train.py's `main` on ranks, as `accelerate launch` does. Returns what each of them printed."""
    on_ranks(partial(_train, [str(argument) for argument in arguments], folder), folder, count)
    return [(folder / f"{rank}.txt").read_text() for rank in range(count)]


def _train(arguments: list[str], folder: Path, _: slice) -> dict[str, Tensor]:
    os.environ["ACCELERATE_USE_CPU"] = "true"
    with (folder / f"{dist.get_rank()}.txt").open("w") as said, redirect_stdout(said), redirect_stderr(said):
        code = main(arguments)
    assert code == 0, Path(said.name).read_text()
    return {"code": torch.tensor(code)}
