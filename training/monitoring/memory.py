"""How much memory this process takes, and how much it may: on a CUDA device the device's, else the machine's.

On a machine the limit is what is free there or in the process's control groups (containers, batch systems), whichever
is less, in equal parts for the processes that train on it.
"""

import gc
import os
import resource
import sys
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import torch

_FILL = 0.9  # share of the free memory that may be taken: the rest is for what is not foreseen


class Memory(ABC):
    """Memory of one kind. All figures are bytes."""

    @abstractmethod
    def limit(self) -> float:
        """What this process may take in all, by what is free now."""

    @abstractmethod
    def forget_peak(self) -> None:
        """Begin a new measurement of the peak."""

    @abstractmethod
    def peak(self) -> float:
        """The most that was taken since."""


class HostMemory(Memory):
    """The machine's: resident size. Where the system cannot forget a peak, the peak is that of the process's life."""

    def limit(self) -> float:
        """What is resident, and this process's part of what is free."""
        neighbours = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))  # set by torch's launcher
        return float(psutil.Process().memory_info().rss + _FILL * available() / neighbours)

    def forget_peak(self) -> None:
        """Ask Linux to."""
        with suppress(OSError):
            Path("/proc/self/clear_refs").write_text("5")

    def peak(self) -> float:
        """The largest resident size."""
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


class DeviceMemory(Memory):
    """A CUDA device's, as torch reserves it."""

    def __init__(self, device: torch.device) -> None:
        self._device = device

    def limit(self) -> float:
        """What is reserved, and what is free."""
        free, _ = torch.cuda.mem_get_info(self._device)
        return torch.cuda.memory_reserved(self._device) + _FILL * free

    def forget_peak(self) -> None:
        """Give back what is not in use."""
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(self._device)

    def peak(self) -> float:
        """The most that was reserved."""
        return torch.cuda.max_memory_reserved(self._device)


def memory_of(device: torch.device) -> Memory:
    """The memory that computing on a device takes."""
    return DeviceMemory(device) if device.type == "cuda" else HostMemory()


def release(device: torch.device) -> None:
    """Give back what nothing holds any more."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()


def available(
    groups: Path = Path("/sys/fs/cgroup"),  # where control groups are mounted
    own: Path = Path("/proc/self/cgroup"),  # which of them are this process's
) -> float:
    """Bytes that are free to this process: on the machine or, if that is less, in one of its control groups."""
    return min([float(psutil.virtual_memory().available), *_group_rooms(groups, own)])


def _group_rooms(groups: Path, own: Path) -> Iterator[float]:
    """What is free in each control group that this process is in and that has a limit. Files read count as free."""
    for line in own.read_text().splitlines() if own.exists() else ():
        _, controllers, path = line.split(":", 2)
        if controllers == "":  # version 2
            root, limit, used, files = groups, "memory.max", "memory.current", "inactive_file"
        elif controllers == "memory":  # version 1
            root, files = groups / "memory", "total_inactive_file"
            limit, used = "memory.limit_in_bytes", "memory.usage_in_bytes"
        else:
            continue
        place = root / path.lstrip("/")
        for group in (place, *place.parents):
            if group.is_relative_to(root) and (group / limit).is_file():
                most = (group / limit).read_text().strip()
                if most != "max":
                    counts = dict(row.split() for row in (group / "memory.stat").read_text().splitlines())
                    yield max(0, int(most) - int((group / used).read_text()) + int(counts[files]))
