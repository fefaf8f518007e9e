"""Iterations of a recipe in a hand-written loop on random images, and timers to compare them with others."""

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from training.iteration import memory_format, set_up_system
from training.recipes.recipe import DataFormat, Recipe
from training.rng import KeyedRNG
from training.schedules import TrainState
from training.system import Batch, System, Updater

RGB = DataFormat(channels=3)


class HandWritten:
    """What a training script would do: the updaters step in turn, and nothing else happens."""

    def __init__(
        self,
        recipe: Recipe,
        device: torch.device,
        images: int = 0,  # real images that count as shown: how far growing networks have grown
    ) -> None:
        self.recipe, self.device = recipe, device
        self.system: System = set_up_system(recipe, RGB, device)
        stage = recipe.growth_schedule().at(images)
        self.train_state = TrainState(images, round(recipe.kimg * 1000), 0, stage.phase)
        self.stage = stage
        rng = torch.Generator().manual_seed(0)
        reals = torch.rand(stage.batch, RGB.channels, stage.resolution, stage.resolution, generator=rng)
        self.reals = (reals * 2 - 1).to(device, memory_format=memory_format(recipe))

    @property
    def images(self) -> int:
        """Real images of an iteration."""
        return self.stage.batch * self.system.sub_steps

    def iteration(self) -> dict[str, Tensor]:
        """Train for one iteration. Returns what was to be logged last."""
        scalars: dict[str, Tensor] = {}
        for sub_step in range(self.system.sub_steps):
            batch = self.batch(self.reals)
            for updater in self.system.updaters:
                if sub_step >= self.system.sub_steps - updater.steps:
                    scalars |= self.step(updater, batch)
            self.train_state = replace(self.train_state, images=self.train_state.images + self.stage.batch)
        self.train_state = replace(self.train_state, iteration=self.train_state.iteration + 1)
        return scalars

    def batch(self, reals: Tensor) -> Batch:
        """A batch of the reals, with the random numbers of the current iteration."""
        whole = slice(0, len(reals))
        rng = KeyedRNG(self.recipe.seed, self.train_state.images, len(reals), whole, self.device)
        return Batch(reals, None, rng, self.stage)

    def step(self, updater: Updater, batch: Batch) -> dict[str, Tensor]:
        """One update step: the loss of the updater's own network, its gradients, its optimizer's step."""
        for other in self.system.updaters:
            other.network.requires_grad_(other is updater)
        updater.spec.optimizer.zero_grad()
        with torch.autocast(
            self.device.type, torch.bfloat16, enabled=self.recipe.compute.precision == "bf16"
        ):
            output = updater.compute_loss(batch, self.train_state)
        output.loss.backward()  # type: ignore[no-untyped-call]
        updater.spec.apply_schedules(self.train_state)
        updater.step(output.scalars)
        updater.after_step(output.scalars, batch.stage)
        return {name: value.detach() for name, value in output.scalars.items()}


@dataclass(frozen=True)
class Cost:
    """What an image costs, milliseconds."""

    wall: float
    cpu: float  # of all of this process's threads


def cost(work: Callable[[], object], images: int, device: torch.device) -> Cost:
    """What each of the `images` costs that the work shows."""
    synchronize(device)
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    synchronize(device)
    scale = 1e3 / images
    return Cost((time.perf_counter() - wall) * scale, (time.process_time() - cpu) * scale)


class Operations(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts the floating-point operations of matrix products and convolutions within it, those of autograd included.

    torch's own `FlopCounterMode` follows modules by hooks, which do not go with gradients by pictures that are leaves.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.total = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Compute an operation, and count."""
        result = func(*args, **(kwargs or {}))
        count = flop_registry.get(func.overloadpacket)
        if count is not None:
            self.total += count(*args, **(kwargs or {}), out_val=result)
        return result


def synchronize(device: torch.device) -> None:
    """Wait for what the device has been given to do."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def compare(
    contestants: Mapping[str, tuple[Callable[[], object], int]],  # name: (work, images that it shows)
    repeats: int,  # measurements of each, after one that is not counted
    device: torch.device,
) -> dict[str, list[Cost]]:
    """Measure the contestants in turns, so that what else the machine does strikes all alike."""
    costs: dict[str, list[Cost]] = {name: [] for name in contestants}
    for repeat in range(repeats + 1):
        for name, (work, images) in contestants.items():
            taken = cost(work, images, device)
            if repeat > 0:
                costs[name].append(taken)
    return costs


def table(costs: Mapping[str, list[Cost]]) -> str:
    """Medians, and each contestant's cost to that of the first: the median of the ratios of neighbours in time."""
    first = next(iter(costs.values()))
    lines = ["| | wall, ms/image | CPU, ms/image | wall, ratio | CPU, ratio |", "|---|---:|---:|---:|---:|"]
    for name, own in costs.items():
        pairs = list(zip(own, first, strict=True))
        figures = (
            statistics.median(taken.wall for taken in own),
            statistics.median(taken.cpu for taken in own),
            statistics.median(taken.wall / other.wall for taken, other in pairs),
            statistics.median(taken.cpu / other.cpu for taken, other in pairs),
        )
        lines.append(
            f"| {name} | {figures[0]:.2f} | {figures[1]:.2f} | {figures[2]:.3f} | {figures[3]:.3f} |"
        )
    return "\n".join(lines)
