"""What several processes compute together, to be compared with what one does."""

from collections.abc import Callable
from pathlib import Path

import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from safetensors.torch import load_file, save_file
from torch import Tensor

Compute = Callable[[slice], dict[str, Tensor]]  # of the samples of a batch of eight that are a rank's


def on_ranks(compute: Compute, folder: Path, count: int = 2) -> list[dict[str, Tensor]]:
    """What each of 2, 4 or 8 ranks computes for its part of the batch.

    `compute` is a module's function, `folder` an empty one.
    """
    mp.spawn(_rank, (compute, folder, count), nprocs=count)  # type: ignore[no-untyped-call]
    return [load_file(folder / f"{rank}.safetensors") for rank in range(count)]


def _rank(rank: int, compute: Compute, folder: Path, count: int) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder / 'meet'}", rank=rank, world_size=count)
    size = 8 // count
    save_file(compute(slice(rank * size, (rank + 1) * size)), folder / f"{rank}.safetensors")
    dist.destroy_process_group()
