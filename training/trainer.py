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

from training import collective, state
from training.diversity import relative_diversity
from training.draws import Draws
from training.ema import MovingAverage
from training.feed import Feed, Stretch
from training.game import Batch, Clock, Game, Player
from training.guard import Finding, Guard, Rollbacks, logged
from training.measured import Measure, Measured
from training.memory import memory_of, release
from training.play import Table, memory_format
from training.progress import TrainingProgress
from training.recipes.recipe import Recipe
from training.signals import handled
from training.snapshot import save_grids
from training.tracking import Tracker
from training.video import write_growth_video


class TrainingError(RuntimeError):
    """Training cannot go on. The message says why, and what to do; the last checkpoint is from before."""


class SetBackError(TrainingError):
    """What has happened since some moment is to be undone."""

    def __init__(self, finding: Finding) -> None:
        super().__init__(finding.text)
        self.since = finding.since  # images shown at that moment


class Trainer:
    """Plays the game until the clock runs out or someone asks to stop."""

    def __init__(
        self,
        game: Game,
        feed: Feed,
        recipe: Recipe,
        run: Path,  # the run's folder
        about: dict[str, Any],  # what checkpoints say of themselves
        trackers: Sequence[Tracker],
        average: MovingAverage,
        clock: Clock,
        pieces: dict[int, int],  # samples that this rank computes at once, at most, by phase; without: all
        accelerator: Accelerator,
        measure: Measure | None,  # how good the generator is; None for a recipe that never asks
    ) -> None:
        self.game, self.feed, self.recipe, self.run_folder, self.about = game, feed, recipe, run, about
        self.trackers, self.average, self.clock, self.accelerator = trackers, average, clock, accelerator
        self.device, self.layout = accelerator.device, memory_format(recipe)
        self.table, self.pieces = Table(game, accelerator), pieces
        self.growth, self.measure = recipe.growth(), measure
        self.guard = Guard(recipe.guard, logged(run, clock.images))
        self.rollbacks = Rollbacks(run, recipe.guard)
        self.sums: dict[str, tuple[Tensor, int]] = {}
        self.asked_to_stop = False
        self.before = clock.images  # images shown before the last round
        self.progress = TrainingProgress(clock.images, clock.total, accelerator.is_main_process)

    def run(self) -> bool:
        """Train. Returns whether the run is complete (False: it was asked to stop, and saved)."""
        total = self.clock.total
        try:
            with self.progress, handled(self.stop):
                if self.clock.images == 0:
                    self.snapshot()
                over = False
                while not over:
                    over = self.clock.images >= total or collective.any_rank(self.asked_to_stop, self.device)
                    try:
                        self.save() if over else self.advance()
                    except SetBackError as trouble:
                        self.roll_back(trouble)
                        over = False
                if self.clock.images >= total:
                    self.film()
            return self.clock.images >= total
        finally:
            self.feed.close()
            for tracker in self.trackers:
                tracker.close()
            self.accelerator.end_training()

    def advance(self) -> None:
        """A round, and the reports that are due after it."""
        self.round()
        over = self.clock.images >= self.clock.total
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
        return self.clock.images // (every * 1000) > self.before // (every * 1000)

    def round(self) -> None:
        """One round: in every turn a fresh batch, on which each player whose turn it is moves."""
        self.before = self.clock.images
        moves = {player.name: player.moves_in(self.clock) for player in self.game.players}
        for left in range(max(moves.values()), 0, -1):  # turns, the present one included
            batch = self.batch()
            for player in self.game.players:
                if left <= moves[player.name]:
                    self.step(player, batch)
            self.clock = replace(self.clock, images=self.clock.images + batch.stage.batch)
            self.progress.advance(batch.stage.batch)
        self.clock = replace(self.clock, round=self.clock.round + 1)
        self.average.update(self.game.generator, self.clock.images, self.clock.images - self.before)

    def batch(self) -> Batch:
        """Take this rank's part of the next batch. In a new phase the optimisers forget the moments of the last."""
        images = self.clock.images
        stage = self.growth.at(images)
        if stage.phase != self.clock.phase:
            for player in self.game.players:
                player.optimizer.state.clear()
            self.clock = replace(self.clock, phase=stage.phase)
        reals, labels = self.feed.take(self.stretch(images), self.stretch(images + stage.batch))
        return Batch(
            reals.to(self.device, memory_format=self.layout),
            None if labels is None else labels.to(self.device),
            Draws(
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

    def stretch(self, images: int) -> Stretch:
        """What this rank takes of the batch after `images` shown."""
        stage = self.growth.at(images)
        part = self.part(stage.batch)
        return Stretch(images + part.start, images + part.stop, stage.resolution)

    def step(self, player: Player, batch: Batch) -> None:
        """One move."""
        scalars = self.gradients(player, batch)
        scalars[f"gradient/{player.name}"] = self.table.step(player, self.clock, scalars, self.rollbacks.pace)
        player.stepped(scalars, batch.stage)
        for name, value in scalars.items():
            total, count = self.sums.get(name, (torch.zeros((), device=self.device), 0))
            self.sums[name] = (total + value, count + 1)

    def gradients(self, player: Player, batch: Batch) -> dict[str, Tensor]:
        """A move's gradients. Where memory runs out, this rank's part is cut finer from here to the phase's end."""
        piece = self.pieces.get(batch.stage.phase, len(batch.reals))
        try:
            return self.table.gradients(player, batch, self.clock, piece)
        except torch.OutOfMemoryError as error:
            if piece == 1 or collective.ranks() > 1:  # other ranks wait where this one has not come to
                raise TrainingError(
                    f"memory ran out at {self.clock.images} images with {piece} images at once; "
                    f"go on with --resume --micro-batch {max(1, piece // 2)}"
                ) from error
        self.pieces[batch.stage.phase] = (piece + 1) // 2
        release(self.device)
        self.alert("out of memory", f"{piece} images at once were too many; going on with {(piece + 1) // 2}")
        return self.gradients(player, batch)

    def log(self, figures: Mapping[str, float] = MappingProxyType({})) -> None:
        """Report the means since the last report, and figures. Raises TrainingError where the guard says so."""
        if not self.sums:
            return
        means = torch.stack([total / count for total, count in self.sums.values()])
        values = dict(zip(self.sums, collective.mean_over_ranks(means).tolist(), strict=True))
        self.sums = {}
        for player in self.game.players:
            values[f"lr/{player.name}"] = player.learning_rate(self.clock) * self.rollbacks.pace
        stage = self.growth.at(self.before)
        values |= {"resolution": stage.resolution, "blend": stage.blend, "batch": stage.batch}
        values["memory_gb"] = memory_of(self.device).peak() / 1e9
        values["img_per_s"] = self.progress.report(values)
        values |= figures
        if all(isfinite(value) for value in values.values()):
            for tracker in self.trackers:
                tracker.scalars(self.clock.images, values)
        for finding, policy in self.guard.check({"images": self.clock.images, **values}):
            self.alert(finding.title, finding.text)
            if policy != "warn":
                raise SetBackError(finding) if policy == "rollback" else TrainingError(finding.text)

    def roll_back(self, trouble: SetBackError) -> None:
        """Go back to the newest checkpoint from before the trouble, slow down, and draw other noise.

        Raises:
            TrainingError: there is none, or the run was set back often enough.
        """
        saved = state.checkpoints(self.run_folder)
        good = [folder for folder in saved if int(folder.name) <= trouble.since]
        if not good or self.rollbacks.left == 0:
            why = (
                "was set back as often as it may be"
                if good
                else "has no checkpoint from before to go back to"
            )
            raise TrainingError(f"{trouble} The run {why}.") from trouble
        origin, self.sums = self.clock.images, {}
        collective.any_rank(False, self.device)  # every rank has seen the checkpoints
        self.rollbacks.add(origin, int(good[-1].name))
        if self.accelerator.is_main_process:
            state.remove(self.run_folder, saved[: len(good) - 1 : -1])  # newest first: a kill leaves no gap
            self.rollbacks.write()
        self.clock = state.load(good[-1], self.game, self.average, self.clock.total)
        self.before = self.clock.images
        self.guard.forget(self.clock.images)
        self.progress.go_back(self.clock.images)
        for tracker in self.trackers:
            tracker.rewind(self.clock.images)
        pace = self.rollbacks.pace
        self.alert(
            "rolled back", f"from {origin} images to {self.clock.images}; learning rates are {pace:g} times"
        )

    def alert(self, title: str, text: str) -> None:
        """Report what a person should know of now."""
        self.progress.say(f"{title}: {text}")
        for tracker in self.trackers:
            tracker.alert(self.clock.images, title, text)

    def snapshot(self) -> dict[str, float]:
        """Write the sample grids. Returns how diverse the samples are, in the diversity of reals."""
        share = 0.0
        if self.accelerator.is_main_process:
            folder = self.run_folder / "samples" / f"{self.clock.images:010d}"
            generator = self.average.settled()
            paths = save_grids(generator, folder, self.device)
            for tracker in self.trackers:
                tracker.grids(self.clock.images, paths)
            share = relative_diversity(generator, self.feed, self.device)
        return {"diversity": collective.first(share, self.device)}

    def evaluate(self) -> Measured | None:
        """Measure the average as a checkpoint will hold it. The first rank does, and the others learn nothing."""
        measured = None
        if self.accelerator.is_main_process and self.measure is not None:
            measured = self.measure(copy.deepcopy(self.average.settled()))  # which it may do with as it likes
        collective.any_rank(False, self.device)  # wait for it
        return measured

    def film(self) -> None:
        """Write the growth video."""
        if self.accelerator.is_main_process:
            path = self.run_folder / "growth.gif"
            if write_growth_video(self.run_folder / "samples", path):
                for tracker in self.trackers:
                    tracker.video(self.clock.images, path)

    def save(self, measured: Measured | None = None) -> None:
        """Write a checkpoint; never of a state whose loss was not finite."""
        self.log()
        if self.accelerator.is_main_process:
            about = {**self.about, "images": self.clock.images}
            more = {
                "processes": self.accelerator.num_processes,
                "pieces": self.pieces,
                "measured": measured and asdict(measured),
            }
            kept = (self.recipe.keep, self.recipe.keep_best)
            folder = state.save(self.run_folder, self.game, self.average, self.clock, about, *kept, more)
            for tracker in self.trackers:
                tracker.artifact(self.clock.images, folder)
        collective.any_rank(False, self.device)  # wait until it is there
