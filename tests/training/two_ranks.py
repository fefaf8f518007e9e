"""What two processes compute together, to be compared with what one does."""

from collections.abc import Callable
from pathlib import Path

import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from safetensors.torch import load_file, save_file
from torch import Tensor

Compute = Callable[[slice], dict[str, Tensor]]  # of the samples of a batch of eight that are a rank's


def on_two_ranks(compute: Compute, folder: Path) -> list[dict[str, Tensor]]:
    """What each rank computes for its half of the batch. `compute` is a module's function, `folder` an empty one."""
    mp.spawn(_rank, (compute, folder), nprocs=2)  # type: ignore[no-untyped-call]
    return [load_file(folder / f"{rank}.safetensors") for rank in (0, 1)]


def _rank(rank: int, compute: Compute, folder: Path) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder / 'meet'}", rank=rank, world_size=2)
    save_file(compute(slice(rank * 4, rank * 4 + 4)), folder / f"{rank}.safetensors")
    dist.destroy_process_group()
