"""The only training loop."""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from math import isfinite
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor

from training import checkpoint
from training.data.loader import BatchLoader, SampleRange
from training.distributed import collective
from training.iteration import Table, memory_format
from training.monitoring.diversity import relative_diversity
from training.monitoring.evaluation_result import EvaluationResult, Measure
from training.monitoring.guard import Finding, Guard, Rollbacks, logged
from training.monitoring.memory import memory_of, release
from training.monitoring.progress import TrainingProgress
from training.monitoring.samples import save_grids
from training.monitoring.tracking import Tracker
from training.monitoring.video import write_growth_video
from training.optim.ema import MovingAverage
from training.recipes.recipe import Recipe
from training.rng import KeyedRNG
from training.signals import handled
from training.system import Batch, System, TrainState, Updater


class TrainingError(RuntimeError):
    """Training cannot go on. The message says why, and what to do; the last checkpoint is from before."""


class RollbackRequested(TrainingError):
    """What has happened since some moment is to be undone."""

    def __init__(self, finding: Finding) -> None:
        super().__init__(finding.text)
        self.since = finding.since  # images shown at that moment


class Trainer:
    """Plays the game until the clock runs out or someone asks to stop."""

    def __init__(
        self,
        system: System,
        loader: BatchLoader,
        recipe: Recipe,
        run: Path,  # the run's folder
        about: dict[str, Any],  # what checkpoints say of themselves
        trackers: Sequence[Tracker],
        average: MovingAverage,
        train_state: TrainState,
        micro_batches: dict[
            int, int
        ],  # samples that this rank computes at once, at most, by phase; without: all
        accelerator: Accelerator,
        measure: Measure | None,  # how good the generator is; None for a recipe that never asks
    ) -> None:
        self.system, self.loader, self.recipe, self.run_folder, self.about = (
            system,
            loader,
            recipe,
            run,
            about,
        )
        self.trackers, self.average, self.train_state, self.accelerator = (
            trackers,
            average,
            train_state,
            accelerator,
        )
        self.device, self.layout = accelerator.device, memory_format(recipe)
        self.table, self.micro_batches = Table(system, accelerator), micro_batches
        self.growth, self.measure = recipe.growth(), measure
        self.guard = Guard(recipe.guard, logged(run, train_state.images))
        self.rollbacks = Rollbacks(run, recipe.guard)
        self.sums: dict[str, tuple[Tensor, int]] = {}
        self.asked_to_stop = False
        self.before = train_state.images  # images shown before the last round
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
        """A round, and the reports that are due after it."""
        self.round()
        over = self.train_state.images >= self.train_state.total
        shown = over or self.due(self.recipe.snapshot_every)
        judged = self.measure is not None and (over or self.due(self.recipe.evaluate_every))
        figures = self.snapshot() if shown else {}
        measured = self.evaluate() if judged else None
        if measured is not None:
            figures |= {f"metric/{name}": value for name, value in measured.figures.items()}
        if shown or judged or self.due(self.recipe.log_every):
            self.log(figures)
        if judged or self.due(self.recipe.checkpoint_every):
            self.save(measured)

    def stop(self) -> None:
        """Stop after this round."""
        self.asked_to_stop = True

    def due(self, every: float) -> bool:
        """Whether the last round passed a multiple of `every` thousand images."""
        return self.train_state.images // (every * 1000) > self.before // (every * 1000)

    def round(self) -> None:
        """One round: in every turn a fresh batch, on which each player whose turn it is moves."""
        self.before = self.train_state.images
        moves = {updater.name: updater.moves_in(self.train_state) for updater in self.system.updaters}
        for left in range(max(moves.values()), 0, -1):  # turns, the present one included
            batch = self.batch()
            for updater in self.system.updaters:
                if left <= moves[updater.name]:
                    self.step(updater, batch)
            self.train_state = replace(self.train_state, images=self.train_state.images + batch.stage.batch)
            self.progress.advance(batch.stage.batch)
        self.train_state = replace(self.train_state, round=self.train_state.round + 1)
        self.average.update(
            self.system.generator, self.train_state.images, self.train_state.images - self.before
        )

    def batch(self) -> Batch:
        """Take this rank's part of the next batch. In a new phase the optimisers forget the moments of the last."""
        images = self.train_state.images
        stage = self.growth.at(images)
        if stage.phase != self.train_state.phase:
            for updater in self.system.updaters:
                updater.optimizer.state.clear()
            self.train_state = replace(self.train_state, phase=stage.phase)
        reals, labels = self.loader.take(self.sample_range(images), self.sample_range(images + stage.batch))
        return Batch(
            reals.to(self.device, memory_format=self.layout),
            None if labels is None else labels.to(self.device),
            KeyedRNG(
                self.rollbacks.seed(self.recipe.seed),
                images,
                stage.batch,
                self.part(stage.batch),
                self.device,
            ),
            stage,
        )

    def part(self, batch: int) -> slice:
        """Samples of a global batch that are for this rank."""
        size = batch // self.accelerator.num_processes
        return slice(self.accelerator.process_index * size, (self.accelerator.process_index + 1) * size)

    def sample_range(self, images: int) -> SampleRange:
        """What this rank takes of the batch after `images` shown."""
        stage = self.growth.at(images)
        part = self.part(stage.batch)
        return SampleRange(images + part.start, images + part.stop, stage.resolution)

    def step(self, updater: Updater, batch: Batch) -> None:
        """One move."""
        scalars = self.gradients(updater, batch)
        scalars[f"gradient/{updater.name}"] = self.table.step(
            updater, self.train_state, scalars, self.rollbacks.pace
        )
        updater.after_step(scalars, batch.stage)
        for name, value in scalars.items():
            total, count = self.sums.get(name, (torch.zeros((), device=self.device), 0))
            self.sums[name] = (total + value, count + 1)

    def gradients(self, updater: Updater, batch: Batch) -> dict[str, Tensor]:
        """A move's gradients. Where memory runs out, this rank's part is cut finer from here to the phase's end."""
        micro_batch = self.micro_batches.get(batch.stage.phase, len(batch.reals))
        try:
            return self.table.gradients(updater, batch, self.train_state, micro_batch)
        except torch.OutOfMemoryError as error:
            if micro_batch == 1 or collective.ranks() > 1:  # other ranks wait where this one has not come to
                raise TrainingError(
                    f"memory ran out at {self.train_state.images} images with {micro_batch} images at once; "
                    f"go on with --resume --micro-batch {max(1, micro_batch // 2)}"
                ) from error
        self.micro_batches[batch.stage.phase] = (micro_batch + 1) // 2
        release(self.device)
        self.alert(
            "out of memory",
            f"{micro_batch} images at once were too many; going on with {(micro_batch + 1) // 2}",
        )
        return self.gradients(updater, batch)

    def log(self, figures: Mapping[str, float] = MappingProxyType({})) -> None:
        """Report the means since the last report, and figures. Raises TrainingError where the guard says so."""
        if not self.sums:
            return
        means = torch.stack([total / count for total, count in self.sums.values()])
        values = dict(zip(self.sums, collective.mean_over_ranks(means).tolist(), strict=True))
        self.sums = {}
        for updater in self.system.updaters:
            values[f"lr/{updater.name}"] = updater.learning_rate(self.train_state) * self.rollbacks.pace
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
        """Go back to the newest checkpoint from before the trouble, slow down, and draw other noise.

        Raises:
            TrainingError: there is none, or the run was set back often enough.
        """
        saved = checkpoint.checkpoints(self.run_folder)
        good = [folder for folder in saved if int(folder.name) <= trouble.since]
        if not good or self.rollbacks.left == 0:
            why = (
                "was set back as often as it may be"
                if good
                else "has no checkpoint from before to go back to"
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
        pace = self.rollbacks.pace
        self.alert(
            "rolled back",
            f"from {origin} images to {self.train_state.images}; learning rates are {pace:g} times",
        )

    def alert(self, title: str, text: str) -> None:
        """Report what a person should know of now."""
        self.progress.say(f"{title}: {text}")
        for tracker in self.trackers:
            tracker.alert(self.train_state.images, title, text)

    def snapshot(self) -> dict[str, float]:
        """Write the sample grids. Returns how diverse the samples are, in the diversity of reals."""
        share = 0.0
        if self.accelerator.is_main_process:
            folder = self.run_folder / "samples" / f"{self.train_state.images:010d}"
            generator = self.average.refreshed()
            paths = save_grids(generator, folder, self.device)
            for tracker in self.trackers:
                tracker.grids(self.train_state.images, paths)
            share = relative_diversity(generator, self.loader, self.device)
        return {"diversity": collective.first(share, self.device)}

    def evaluate(self) -> EvaluationResult | None:
        """Measure the average as a checkpoint will hold it. The first rank does, and the others learn nothing."""
        measured = None
        if self.accelerator.is_main_process and self.measure is not None:
            measured = self.measure(
                copy.deepcopy(self.average.refreshed())
            )  # which it may do with as it likes
        collective.any_rank(False, self.device)  # wait for it
        return measured

    def write_video(self) -> None:
        """Write the growth video."""
        if self.accelerator.is_main_process:
            path = self.run_folder / "growth.gif"
            if write_growth_video(self.run_folder / "samples", path):
                for tracker in self.trackers:
                    tracker.video(self.train_state.images, path)

    def save(self, measured: EvaluationResult | None = None) -> None:
        """Write a checkpoint; never of a state whose loss was not finite."""
        self.log()
        if self.accelerator.is_main_process:
            about = {**self.about, "images": self.train_state.images}
            more = {
                "processes": self.accelerator.num_processes,
                "pieces": self.micro_batches,
                "measured": measured and asdict(measured),
            }
            kept = (self.recipe.keep, self.recipe.keep_best)
            folder = checkpoint.save(
                self.run_folder, self.system, self.average, self.train_state, about, *kept, more
            )
            for tracker in self.trackers:
                tracker.artifact(self.train_state.images, folder)
        collective.any_rank(False, self.device)  # wait until it is there
