"""Before a run: what each phase of its growth will take, and the largest micro-batch that fits into memory.

Every phase is tried with a system of its own, on random images, in iterations in which every penalty is due; the run's
weights, optimizers and random numbers are not touched. Small micro-batches are tried first, and a larger one only if a
straight line through them says that it fits: on a CPU a process that exceeds memory is killed, not refused.
"""

import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import inf
from pathlib import Path

import torch
from accelerate import Accelerator
from rich.console import Console
from rich.table import Table as Columns

from common.aspect import size_at
from training import checkpoint
from training.distributed import collective
from training.iteration import FixedMicroBatch, memory_format, set_up_system, train_iteration
from training.monitoring.memory import Memory, memory_of, release
from training.optim.ema import MovingAverage
from training.recipes.recipe import DataFormat, Recipe
from training.rng import KeyedRNG
from training.schedules import TrainState
from training.system import Batch

_SECONDS = 0.5  # of a phase's timing, at most one iteration more
_ITERATIONS = 16  # of a phase's timing, at most: the usual period of lazy penalties
_FRACTION = 0.05  # of a phase's images that its timing may take, at most one iteration more
# One in which all lazy penalties with a period up to 16 are due, but no extra steps are (WGAN's critic).
_ORDINARY_ITERATION = 720_720


@dataclass(frozen=True)
class Forecast:
    """What one phase will take."""

    phase: int  # index in the growth
    images: str  # their size, and whether they fade in
    batch: int  # real images per step, over all ranks
    micro_batch: int  # samples that a rank computes at once, at most
    memory: float  # peak, bytes: resident size, or reserved on the device
    rate: float  # real images per second, over all ranks, reading not included
    seconds: float  # left in this phase


@dataclass(frozen=True)
class Preflight:
    """What the rest of a run will take."""

    forecasts: tuple[Forecast, ...]  # of the phases not yet over
    limit: float  # of memory, bytes
    checkpoint: int  # size of one on disk, bytes


def halvings(part: int) -> list[int]:
    """Sizes of micro-batches from `part` down to 2, each half of the one before: [20, 10, 5, 3, 2]."""
    return [part] if part <= 2 else [part, *halvings((part + 1) // 2)]


def largest_that_fits(
    sizes: Sequence[int], trial: Callable[[int], float], limit: float
) -> tuple[int, float] | None:
    """The largest of the sizes (descending) whose trial takes at most `limit`, and what it takes; None if none does.

    A trial gives the bytes that a size takes, infinity if they could not be had.
    """
    small, larger = sizes[-1], sizes[max(0, len(sizes) - 2)]
    low = trial(small)
    slope = (trial(larger) - low) / (larger - small) if larger > small and low <= limit else 0
    for size in sizes:
        foreseen = low + (slope * (size - small) if size > small else 0)
        if foreseen <= limit:
            taken = trial(size)
            if taken <= limit:
                return size, taken
    return None


def estimate(
    recipe: Recipe,
    data: DataFormat,
    accelerator: Accelerator,
    images: int,  # real images shown already
    known: dict[int, int],  # micro-batches chosen earlier, by phase: not exceeded
) -> Preflight:
    """Try every phase that is not over.

    Raises:
        ValueError: a phase does not fit into memory, however small its micro-batches.
    """
    memory = memory_of(accelerator.device)
    limit = memory.limit()
    devices = [accelerator.device] if accelerator.device.type == "cuda" else []
    with torch.random.fork_rng(devices), collective.alone():
        trials = _Trials(recipe, data, accelerator, memory)
        phases = recipe.growth_schedule().phases
        total = round(recipe.kimg * 1000)
        ahead = [i for i, phase in enumerate(phases) if phase.end > images and phase.start < max(total, 1)]
        found = [trials.phase(i, max(images, phases[i].start), limit, known.get(i, 0)) for i in ahead]
        size = checkpoint.size(trials.system, trials.average)
    del trials
    release(accelerator.device)
    return _agreed(Preflight(tuple(found), limit, size), accelerator.device)


class _Trials:
    """A system to try phases with."""

    def __init__(self, recipe: Recipe, data: DataFormat, accelerator: Accelerator, memory: Memory) -> None:
        self.recipe, self.data, self.accelerator, self.memory = recipe, data, accelerator, memory
        self.device, self.growth = accelerator.device, recipe.growth_schedule()
        self.system = set_up_system(recipe, data, self.device)
        self.average = MovingAverage(self.system.generator, recipe.ema_half_life * 1000)

    def phase(self, index: int, begin: float, limit: float, known: int) -> Forecast:
        """Choose the phase's micro-batch and time its iterations."""
        total = round(self.recipe.kimg * 1000)
        phase = self.growth.phases[index]
        left = min(phase.end, total) - begin
        # Amid a fade both its sizes are computed.
        train_state = TrainState(int(begin + left / 2), total, _ORDINARY_ITERATION, index)
        part = self._part(train_state)
        sizes = halvings(min(size for size in (part, self.recipe.compute.micro_batch, known) if size > 0))
        fit = largest_that_fits(sizes, lambda size: self._bytes(train_state, size), limit)
        height, width = size_at(phase.resolution, self.data.aspect)
        images = f"{height}x{width}" + (" fading in" if phase.fading else "")
        if fit is None:
            raise ValueError(
                f"{images} does not fit into memory ({limit / 1e9:.2f} GB), even {sizes[-1]} images at a time: "
                "choose a lower resolution or narrower networks"
            )
        rate = self._rate(train_state, fit[0], left * _FRACTION)
        return Forecast(index, images, phase.batch, *fit, rate, left / rate)

    def _bytes(self, train_state: TrainState, micro_batch: int) -> float:
        """Peak memory of an iteration with one micro-batch, and a second one that adds to its gradients."""
        self.memory.forget_peak()
        try:
            self._train(train_state, micro_batch, count=min(2 * micro_batch, self._part(train_state)))
        except torch.OutOfMemoryError:
            return inf
        return self.memory.peak()

    def _rate(self, train_state: TrainState, micro_batch: int, images: float) -> float:
        """Real images per second: iterations, beginning with one in which all penalties are due, for a short time."""
        begin = time.perf_counter()
        shown = iterations = 0
        while iterations == 0 or (
            iterations < _ITERATIONS and shown < images and time.perf_counter() - begin < _SECONDS
        ):
            now = replace(train_state, iteration=train_state.iteration + iterations)
            self._train(now, micro_batch, self._part(train_state))
            iterations += 1
            shown += self.growth.at(train_state.images).batch * self.system.sub_steps
        return shown / (time.perf_counter() - begin)

    def _part(self, train_state: TrainState) -> int:
        return self.growth.at(train_state.images).batch // int(self.accelerator.num_processes)

    def _train(self, train_state: TrainState, micro_batch: int, count: int) -> None:
        """An iteration on `count` images at learning rate 0."""
        stage = self.growth.at(train_state.images)
        reals = torch.rand(count, self.data.channels, *size_at(stage.resolution, self.data.aspect)) * 2 - 1
        batch = Batch(
            reals.to(self.device, memory_format=memory_format(self.recipe)),
            torch.zeros(count, dtype=torch.long, device=self.device) if self.data.class_names else None,
            KeyedRNG(self.recipe.seed, train_state.images, stage.batch, slice(0, count), self.device),
            stage,
        )
        train_iteration(
            self.system,
            train_state,
            lambda _train_state: batch,
            self.accelerator.autocast,
            FixedMicroBatch(micro_batch),
            self.average,
            lr_scale=0.0,
        )
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)


def _agreed(own: Preflight, device: torch.device) -> Preflight:
    """What holds for all ranks: the smallest pieces and the slowest rates."""
    if collective.ranks() == 1:
        return own
    agreed = [
        Forecast(
            f.phase,
            f.images,
            f.batch,
            int(collective.least(f.micro_batch, device)),
            -collective.least(-f.memory, device),
            collective.least(f.rate, device),
            -collective.least(-f.seconds, device),
        )
        for f in own.forecasts
    ]
    return Preflight(tuple(agreed), own.limit, own.checkpoint)


def show(preflight: Preflight, folder: Path, kept: int, console: Console) -> None:
    """Print the forecasts, and what the checkpoints will take of the disk that holds the run's folder."""
    table = Columns(title="before the run, per process" if collective.ranks() > 1 else "before the run")
    for name in ("phase", "images", "batch", "micro-batch", "memory", "img/s", "time left"):
        table.add_column(name, justify="left" if name == "images" else "right")
    for f in preflight.forecasts:
        amounts = (f"{f.memory / 1e9:.2f} GB", f"{f.rate:.1f}", _duration(f.seconds))
        table.add_row(str(f.phase), f.images, str(f.batch), str(f.micro_batch), *amounts)
    console.print(table)
    seconds = sum(f.seconds for f in preflight.forecasts)
    console.print(f"total {_duration(seconds)}; memory available {preflight.limit / 1e9:.2f} GB")
    place = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    need, free = preflight.checkpoint * (kept + 1), shutil.disk_usage(place).free
    console.print(
        f"a checkpoint takes {preflight.checkpoint / 1e6:.1f} MB, {kept} kept and one being written "
        f"{need / 1e6:.1f} MB, of {free / 1e9:.1f} GB free" + (": too little" if need > free else ""),
        soft_wrap=True,
    )


def _duration(seconds: float) -> str:
    minutes = seconds / 60
    return (
        f"{seconds:.0f} s"
        if minutes < 2
        else f"{minutes:.0f} min"
        if minutes < 120
        else f"{minutes / 60:.1f} h"
    )
