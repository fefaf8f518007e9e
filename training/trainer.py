"""The trainer: what happens around the iterations of a run."""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from math import isfinite
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor

from common.evaluation_result import EvaluationResult
from training import checkpoint
from training.data.loader import BatchLoader, SampleRange
from training.distributed import collective
from training.iteration import memory_format, train_iteration
from training.monitoring.diversity import relative_diversity
from training.monitoring.evaluation import Evaluate
from training.monitoring.guard import Finding, Guard, Rollbacks, logged
from training.monitoring.memory import memory_of, release
from training.monitoring.progress import TrainingProgress
from training.monitoring.samples import save_grids
from training.monitoring.tracking import Tracker
from training.monitoring.video import write_growth_video
from training.optim.ema import MovingAverage
from training.recipes.recipe import Recipe
from training.rng import KeyedRNG
from training.schedules import TrainState
from training.signals import handled
from training.system import Batch, System, Updater


class TrainingError(RuntimeError):
    """Training cannot continue. The message says why, and what to do; the last checkpoint is from before."""


class RollbackRequested(TrainingError):
    """Everything since some moment is to be undone."""

    def __init__(self, finding: Finding) -> None:
        super().__init__(finding.text)
        self.since = finding.since  # images shown at that moment


class Trainer:
    """Trains a system until all images have been shown or someone asks it to stop."""

    def __init__(
        self,
        system: System,
        loader: BatchLoader,
        recipe: Recipe,
        run: Path,  # the run's folder
        about: dict[str, Any],  # what checkpoints record of the run
        trackers: Sequence[Tracker],
        average: MovingAverage,
        train_state: TrainState,
        micro_batches: dict[
            int, int
        ],  # samples that this rank computes at once, at most, by phase; absent: all
        accelerator: Accelerator,
        evaluate: Evaluate | None,  # evaluates the generator; None for a recipe that never asks
    ) -> None:
        self.system, self.loader, self.recipe, self.run_folder, self.about = (
            system,
            loader,
            recipe,
            run,
            about,
        )
        self.trackers, self.average, self.train_state = trackers, average, train_state
        self.accelerator, self.micro_batches, self.evaluate_generator = accelerator, micro_batches, evaluate
        self.device, self.layout = accelerator.device, memory_format(recipe)
        self.options, self.growth = recipe.monitoring, recipe.growth_schedule()
        self.guard = Guard(self.options, logged(run, train_state.images))
        self.rollbacks = Rollbacks(run, self.options)
        self.sums: dict[str, tuple[Tensor, int]] = {}
        self.asked_to_stop = False
        self.before = train_state.images  # images shown before the last iteration
        self.progress = TrainingProgress(train_state.images, train_state.total, accelerator.is_main_process)

    def run(self) -> bool:
        """Train. Returns whether the run is complete (False: it was asked to stop, and saved)."""
        total = self.train_state.total
        try:
            with self.progress, handled(self.stop):
                if self.train_state.images == 0:
                    self.snapshot()
                over = False
                while not over:
                    over = self.train_state.images >= total or collective.any_rank(
                        self.asked_to_stop, self.device
                    )
                    try:
                        self.save() if over else self.advance()
                    except RollbackRequested as trouble:
                        self.roll_back(trouble)
                        over = False
                if self.train_state.images >= total:
                    self.write_video()
            return self.train_state.images >= total
        finally:
            self.loader.close()
            for tracker in self.trackers:
                tracker.close()
            self.accelerator.end_training()

    def advance(self) -> None:
        """Train for one iteration, and write the reports that are due after it."""
        self.train()
        over = self.train_state.images >= self.train_state.total
        snapshot_due = over or self.due(self.options.snapshot_every)
        evaluation_due = self.evaluate_generator is not None and (
            over or self.due(self.options.evaluate_every)
        )
        figures = self.snapshot() if snapshot_due else {}
        result = self.evaluate() if evaluation_due else None
        if result is not None:
            figures |= {f"metric/{name}": value for name, value in result.metrics.items()}
        if snapshot_due or evaluation_due or self.due(self.options.log_every):
            self.log(figures)
        if evaluation_due or self.due(self.options.checkpoint_every):
            self.save(result)

    def stop(self) -> None:
        """Stop after this iteration."""
        self.asked_to_stop = True

    def due(self, every: float) -> bool:
        """Whether the last iteration passed a multiple of `every` thousand images."""
        return self.train_state.images // (every * 1000) > self.before // (every * 1000)

    def train(self) -> None:
        """Train for one iteration."""
        self.before = self.train_state.images
        self.train_state = train_iteration(
            self.system,
            self.train_state,
            self.batch,
            self.accelerator.autocast,
            self,
            self.average,
            self.rollbacks.lr_scale,
            self.count,
        )

    def batch(self, train_state: TrainState) -> Batch:
        """The part that this rank computes of the next batch."""
        images = train_state.images
        stage = self.growth.at(images)
        reals, labels = self.loader.take(self.sample_range(images), self.sample_range(images + stage.batch))
        seed, part = self.rollbacks.seed(self.recipe.seed), self.part(stage.batch)
        self.progress.advance(stage.batch)
        return Batch(
            reals.to(self.device, memory_format=self.layout),
            None if labels is None else labels.to(self.device),
            KeyedRNG(seed, images, stage.batch, part, self.device),
            stage,
        )

    def part(self, batch: int) -> slice:
        """The samples of a global batch that this rank computes."""
        size = batch // self.accelerator.num_processes
        return slice(self.accelerator.process_index * size, (self.accelerator.process_index + 1) * size)

    def sample_range(self, images: int) -> SampleRange:
        """The samples that this rank computes of the batch after `images` shown."""
        stage = self.growth.at(images)
        part = self.part(stage.batch)
        return SampleRange(images + part.start, images + part.stop, stage.resolution)

    def count(self, _updater: Updater, scalars: Mapping[str, Tensor]) -> None:
        """Add an update step's scalars to the sums that are logged."""
        for name, value in scalars.items():
            total, count = self.sums.get(name, (torch.zeros((), device=self.device), 0))
            self.sums[name] = (total + value, count + 1)

    def size(self, batch: Batch) -> int:
        """Samples of the batch that this rank computes at once, at most."""
        return self.micro_batches.get(batch.stage.phase, len(batch.reals))

    def out_of_memory(self, batch: Batch, train_state: TrainState, error: torch.OutOfMemoryError) -> None:
        """Use smaller micro-batches from here to the end of the phase.

        Raises:
            TrainingError: there is no smaller one, or other ranks are waiting where this one cannot get to.
        """
        size = self.size(batch)
        if size == 1 or collective.ranks() > 1:
            raise TrainingError(
                f"memory ran out at {train_state.images} images with micro-batches of {size}; "
                f"continue with --resume --micro-batch {max(1, size // 2)}"
            ) from error
        self.micro_batches[batch.stage.phase] = (size + 1) // 2
        release(self.device)
        self.alert(
            "out of memory", f"micro-batches of {size} were too large; continuing with {(size + 1) // 2}"
        )

    def log(self, figures: Mapping[str, float] = MappingProxyType({})) -> None:
        """Report the means since the last report, and figures. Raises TrainingError where the guard demands it."""
        if not self.sums:
            return
        means = torch.stack([total / count for total, count in self.sums.values()])
        values = dict(zip(self.sums, collective.mean_over_ranks(means).tolist(), strict=True))
        self.sums = {}
        for updater in self.system.updaters:
            values[f"lr/{updater.name}"] = updater.spec.lr(self.train_state) * self.rollbacks.lr_scale
        stage = self.growth.at(self.before)
        values |= {"resolution": stage.resolution, "blend": stage.blend, "batch": stage.batch}
        values["memory_gb"] = memory_of(self.device).peak() / 1e9
        values["img_per_s"] = self.progress.report(values)
        values |= figures
        if all(isfinite(value) for value in values.values()):
            for tracker in self.trackers:
                tracker.scalars(self.train_state.images, values)
        for finding, policy in self.guard.check({"images": self.train_state.images, **values}):
            self.alert(finding.title, finding.text)
            if policy != "warn":
                raise RollbackRequested(finding) if policy == "rollback" else TrainingError(finding.text)

    def roll_back(self, trouble: RollbackRequested) -> None:
        """Return to the newest checkpoint from before the trouble, with lower learning rates and other noise.

        Raises:
            TrainingError: there is none, or there have been too many rollbacks.
        """
        saved = checkpoint.checkpoints(self.run_folder)
        good = [folder for folder in saved if int(folder.name) <= trouble.since]
        if not good or self.rollbacks.left == 0:
            why = (
                "has used up its rollbacks (guard_rollbacks)"
                if good
                else "has no checkpoint from before that to return to"
            )
            raise TrainingError(f"{trouble} The run {why}.") from trouble
        origin, self.sums = self.train_state.images, {}
        collective.any_rank(False, self.device)  # every rank has seen the checkpoints
        self.rollbacks.add(origin, int(good[-1].name))
        if self.accelerator.is_main_process:
            checkpoint.remove(
                self.run_folder, saved[: len(good) - 1 : -1]
            )  # newest first: a kill leaves no gap
            self.rollbacks.write()
        self.train_state = checkpoint.load(good[-1], self.system, self.average, self.train_state.total)
        self.before = self.train_state.images
        self.guard.forget(self.train_state.images)
        self.progress.go_back(self.train_state.images)
        for tracker in self.trackers:
            tracker.rewind(self.train_state.images)
        self.alert(
            "rolled back",
            f"from {origin} images to {self.train_state.images}; "
            f"learning rates are multiplied by {self.rollbacks.lr_scale:g}",
        )

    def alert(self, title: str, text: str) -> None:
        """Report something that a person should know now."""
        self.progress.say(f"{title}: {text}")
        for tracker in self.trackers:
            tracker.alert(self.train_state.images, title, text)

    def snapshot(self) -> dict[str, float]:
        """Write the sample grids. Returns the samples' diversity relative to that of reals."""
        diversity = 0.0
        if self.accelerator.is_main_process:
            folder = self.run_folder / "samples" / f"{self.train_state.images:010d}"
            generator = self.average.refreshed()
            paths = save_grids(generator, folder, self.device)
            for tracker in self.trackers:
                tracker.grids(self.train_state.images, paths)
            diversity = relative_diversity(generator, self.loader, self.device)
        return {"diversity": collective.first(diversity, self.device)}

    def evaluate(self) -> EvaluationResult | None:
        """Evaluate the moving average as a checkpoint will hold it. Only the first rank does and gets the result."""
        result = None
        if self.accelerator.is_main_process and self.evaluate_generator is not None:
            result = self.evaluate_generator(copy.deepcopy(self.average.refreshed()))  # a copy it may change
        collective.any_rank(False, self.device)  # wait for it
        return result

    def write_video(self) -> None:
        """Write the growth video."""
        if self.accelerator.is_main_process:
            path = self.run_folder / "growth.gif"
            if write_growth_video(self.run_folder / "samples", path):
                for tracker in self.trackers:
                    tracker.video(self.train_state.images, path)

    def save(self, result: EvaluationResult | None = None) -> None:
        """Write a checkpoint; never of a state whose loss was not finite."""
        self.log()
        if self.accelerator.is_main_process:
            about = {**self.about, "images": self.train_state.images}
            more = {
                "processes": self.accelerator.num_processes,
                "micro_batches": self.micro_batches,
                "evaluation": result and asdict(result),
            }
            kept = (self.options.keep, self.options.keep_best)
            folder = checkpoint.save(
                self.run_folder, self.system, self.average, self.train_state, about, *kept, more
            )
            for tracker in self.trackers:
                tracker.artifact(self.train_state.images, folder)
        collective.any_rank(False, self.device)  # wait until it is there
