"""Before a run: what each phase of its growth will take, and the largest piece of a batch that fits into memory.

Every phase is tried with a game of its own, on noise for pictures, by rounds in which every penalty is due; of the
run's weights, optimisers and random numbers nothing is touched. Small pieces are tried first, and a larger one only if
a straight line through them says that it fits: on a CPU, what does not fit is not refused but killed.
"""

import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import inf
from pathlib import Path

import torch
from accelerate import Accelerator
from rich.console import Console
from rich.table import Table as Columns

from common.aspect import size_at
from training import checkpoint
from training.distributed import collective
from training.iteration import Table, memory_format, set_up_system
from training.monitoring.memory import Memory, memory_of, release
from training.optim.ema import MovingAverage
from training.recipes.recipe import DataFormat, Recipe
from training.rng import KeyedRNG
from training.system import Batch, TrainState

_SECONDS = 0.5  # of a phase's timing, at most one round more
_ROUNDS = 16  # of a phase's timing, at most: the lazy penalties' usual period
_SHARE = 0.05  # of a phase's images that its timing may take, at most one round more


@dataclass(frozen=True)
class Forecast:
    """What one phase will take."""

    phase: int  # index in the growth
    pictures: str  # their size, and whether they fade in
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
    """Sizes of pieces from `part` down to 2, each half of the one before: [20, 10, 5, 3, 2]."""
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
    known: dict[int, int],  # the pieces of an earlier choice, by phase: not exceeded
) -> Preflight:
    """Try every phase that is not over.

    Raises:
        ValueError: a phase does not fit into memory, however small its pieces.
    """
    memory = memory_of(accelerator.device)
    limit = memory.limit()
    devices = [accelerator.device] if accelerator.device.type == "cuda" else []
    with torch.random.fork_rng(devices), collective.alone():
        trials = _Trials(recipe, data, accelerator, memory)
        phases = recipe.growth().phases
        total = round(recipe.kimg * 1000)
        ahead = [i for i, phase in enumerate(phases) if phase.end > images and phase.start < max(total, 1)]
        found = [trials.phase(i, max(images, phases[i].start), limit, known.get(i, 0)) for i in ahead]
        saved = checkpoint.size(trials.table.system, trials.average)
    del trials
    release(accelerator.device)
    return _agreed(Preflight(tuple(found), limit, saved), accelerator.device)


class _Trials:
    """A game to try phases with."""

    def __init__(self, recipe: Recipe, data: DataFormat, accelerator: Accelerator, memory: Memory) -> None:
        self.recipe, self.data, self.accelerator, self.memory = recipe, data, accelerator, memory
        self.device = accelerator.device
        system = set_up_system(recipe, data, self.device)
        self.average = MovingAverage(system.generator, recipe.ema_half_life * 1000)
        self.table = Table(system, accelerator)

    def phase(self, index: int, begin: float, limit: float, known: int) -> Forecast:
        """Choose the phase's piece and time its rounds."""
        growth, total = self.recipe.growth(), round(self.recipe.kimg * 1000)
        phase = growth.phases[index]
        left = min(phase.end, total) - begin
        train_state = TrainState(
            int(begin + left / 2), total, 0, index
        )  # amid a fade both its sizes are computed
        part = phase.batch // self.accelerator.num_processes
        sizes = halvings(min(size for size in (part, self.recipe.micro_batch, known) if size > 0))
        fit = largest_that_fits(sizes, lambda size: self._bytes(train_state, size), limit)
        height, width = size_at(phase.resolution, self.data.aspect)
        pictures = f"{height}x{width}" + (" fading in" if phase.fading else "")
        if fit is None:
            raise ValueError(
                f"{pictures} does not fit into memory ({limit / 1e9:.2f} GB), even {sizes[-1]} pictures at a time: "
                "choose a lower resolution or narrower networks"
            )
        rate = self._rate(train_state, fit[0], left * _SHARE)
        return Forecast(index, pictures, phase.batch, *fit, rate, left / rate)

    def _bytes(self, train_state: TrainState, micro_batch: int) -> float:
        """Peak memory of a round of one piece, larger by what a second one adds to."""
        self.memory.forget_peak()
        try:
            self._round(train_state, micro_batch, count=min(2 * micro_batch, self._part(train_state)))
        except torch.OutOfMemoryError:
            return inf
        return self.memory.peak()

    def _rate(self, train_state: TrainState, micro_batch: int, images: float) -> float:
        """Real images per second: rounds from one in which all penalties are due, until there is time no more."""
        begin = time.perf_counter()
        shown = rounds = 0
        while rounds == 0 or (rounds < _ROUNDS and shown < images and time.perf_counter() - begin < _SECONDS):
            self._round(
                TrainState(train_state.images, train_state.total, rounds, train_state.phase),
                micro_batch,
                self._part(train_state),
            )
            rounds += 1
            shown += self.recipe.growth().at(train_state.images).batch * self.table.system.turns
        return shown / (time.perf_counter() - begin)

    def _part(self, train_state: TrainState) -> int:
        return self.recipe.growth().at(train_state.images).batch // int(self.accelerator.num_processes)

    def _round(self, train_state: TrainState, micro_batch: int, count: int) -> None:
        """Every player's moves on `count` pictures, in pieces; no weight moves, as the step size is zero."""
        stage = self.recipe.growth().at(train_state.images)
        reals = torch.rand(count, self.data.channels, *size_at(stage.resolution, self.data.aspect)) * 2 - 1
        batch = Batch(
            reals.to(self.device, memory_format=memory_format(self.recipe)),
            torch.zeros(count, dtype=torch.long, device=self.device) if self.data.class_names else None,
            KeyedRNG(self.recipe.seed, train_state.images, stage.batch, slice(0, count), self.device),
            stage,
        )
        for updater in self.table.system.updaters:
            for _ in range(updater.moves):
                scalars = self.table.gradients(updater, batch, train_state, micro_batch)
                self.table.step(updater, train_state, scalars, share=0.0)
        self.average.update(self.table.system.generator, max(train_state.images, 1), count)
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)


def _agreed(own: Preflight, device: torch.device) -> Preflight:
    """What holds for all ranks: the smallest pieces and the slowest rates."""
    if collective.ranks() == 1:
        return own
    agreed = [
        Forecast(
            f.phase,
            f.pictures,
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
    for name in ("phase", "pictures", "batch", "at once", "memory", "img/s", "time left"):
        table.add_column(name, justify="left" if name == "pictures" else "right")
    for f in preflight.forecasts:
        amounts = (f"{f.memory / 1e9:.2f} GB", f"{f.rate:.1f}", _duration(f.seconds))
        table.add_row(str(f.phase), f.pictures, str(f.batch), str(f.micro_batch), *amounts)
    console.print(table)
    seconds = sum(f.seconds for f in preflight.forecasts)
    console.print(f"in all {_duration(seconds)}; memory for {preflight.limit / 1e9:.2f} GB")
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
