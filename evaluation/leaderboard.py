"""Train, evaluate and rank many systems: `python -m evaluation.leaderboard --data DATA --kimg N --out FOLDER`.

FOLDER/leaderboard.html, .md, .json   the leaderboard, rewritten after each system
FOLDER/samples/                       a row of samples of each system
FOLDER/evaluations/                   cached evaluation results
FOLDER/runs/                          the training runs, and their output in NAME.log
"""

import fcntl
import hashlib
import logging
import shlex
import signal
import statistics
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, get_args

import tyro
from tyro.conf import arg

from common.aspect import size_text
from common.command import exit_status
from data_prep.store import PyramidDataset
from evaluation import leaderboard_page
from evaluation.baselines import Baseline, fit
from evaluation.cached_evaluator import ROW_LENGTH, CachedEvaluator
from evaluation.leaderboard_page import Row, Statistic
from evaluation.progress import StartTask, progress_bars
from evaluation.report import flatten
from evaluation.training_runs import TrainingFailedError, TrainingLimit, TrainingRun, list_recipes
from models.checkpoint import find_model, load_generator, read_config

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class LeaderboardOptions:
    """Train systems equally long, evaluate them in the same way, and rank them.

    Run the same command again to continue a leaderboard that was stopped.
    """

    data: Annotated[Path, arg(metavar="DATA")]
    """the real images: a data set made by `python -m data_prep prepare`"""
    out: Annotated[Path, arg(metavar="FOLDER")]
    """folder to write; the leaderboard is FOLDER/leaderboard.html"""
    recipes: Annotated[str, arg(metavar="all|NAME,...")] = "all"
    """recipes, separated by commas; all: every system, in its -cpu form if it has one"""
    kimg: Annotated[float | None, arg(metavar="FLOAT", help_behavior_hint="(default: the recipe's)")] = None
    """length of each training, thousands of images shown"""
    minutes: Annotated[float | None, arg(metavar="FLOAT", help_behavior_hint="(default: no limit)")] = None
    """length of each training, minutes at most"""
    trainings: int = 1
    """trainings of each recipe, with seeds 0, 1, ..."""
    seeds: int = 3
    """evaluations of each training, each with other samples and another split of the data"""
    samples: int = 2000
    """images to generate per evaluation; fewer if the data set has less than twice as many"""
    features: Annotated[Path | None, arg(metavar="FILE", help_behavior_hint="")] = None
    """network (.onnx) from `images` to `features`, for the Frechet and kernel distances; the Frechet distance then
    ranks"""
    overrides: Annotated[
        tuple[str, ...], arg(name="set", metavar="RECIPE.OPTION=VALUE ...", help_behavior_hint="")
    ] = ()
    """options of recipes, such as lsgan-cpu.batch=64 "lsgan-cpu.widths=128 64 32 32" """

    def __post_init__(self) -> None:
        if self.kimg is None and self.minutes is None:
            raise ValueError("say how long to train each system: with --kimg, --minutes, or both")
        for name in ("kimg", "minutes", "trainings", "seeds"):
            value = getattr(self, name)
            if value is not None and value <= 0:
                raise ValueError(f"--{name} must be positive, not {value}")


@dataclass
class Leaderboard:
    """The systems to compare, and the rows so far."""

    options: LeaderboardOptions
    dataset: PyramidDataset
    recipes: dict[str, dict[str, Any]]  # to compare, as listed by `train.py --list`
    train_options: dict[str, list[str]]  # set by --set, by recipe, as arguments of train.py
    evaluator: CachedEvaluator
    lock: int  # open file, locked while anything works in the folder
    rows: list[Row] = field(default_factory=list)

    def run(self) -> Iterator[Row]:
        """Add all rows, and write the leaderboard after each system's, which is then yielded."""
        with progress_bars() as start_task:
            self.rows += self.reference_rows(start_task)
        for name in self.recipes:
            with progress_bars() as start_task:
                row = self.system_row(name, start_task)
            self.rows.append(row)
            leaderboard_page.write(self.options.out, self.rows, self.evaluator.ranked_by, self.metadata())
            yield row

    def reference_rows(self, start_task: StartTask) -> list[Row]:
        """Rows of the baselines, and of real images against other real ones: the floor, which is part of any result."""
        rows, results = [], []
        for name in get_args(Baseline):
            generator = fit(name, self.dataset, start_task)
            results = self.evaluator.evaluate(name, name, generator, start_task)
            metrics = summarize(flatten(result) for result in results)
            samples = self.evaluator.save_samples(name, generator)
            rows.append(Row(name, "baseline", metrics, samples=samples))
        floor = summarize(flatten(result, "real") for result in results)
        images = self.dataset.images(range(ROW_LENGTH), self.dataset.size)
        return [*rows, Row("real images", "real", floor, samples=self.evaluator.save_row("real", images))]

    def system_row(self, name: str, start_task: StartTask) -> Row:
        """Train and evaluate a recipe. Its row states the reason if that fails."""
        if self.recipes[name]["needs_labels"] and not self.dataset.label_names:
            return Row(name, "system", state="needs labels", reason="the data have none")
        try:
            runs = [self.training_run(name, seed) for seed in range(self.options.trainings)]
            for run in runs:
                kimg = self.options.kimg or self.recipes[name]["kimg"]
                run.train(self.lock, start_task(f"training {run.folder.name}", round(kimg * 1000)))
            return self.evaluated_row(name, runs, start_task)
        except (TrainingFailedError, ValueError, OSError, RuntimeError) as error:
            message = str(error).strip() or type(error).__name__
            return Row(name, "system", state="failed", reason=message.splitlines()[-1])

    def training_run(self, name: str, seed: int) -> TrainingRun:
        """The training run of a recipe with a seed."""
        folder = self.options.out / "runs" / (f"{name}-{seed}" if seed else name)
        overrides = self.train_options.get(name, ())
        options = ("--resolution", str(self.dataset.size), "--seed", str(seed), *overrides)
        limit = TrainingLimit(self.options.kimg, self.options.minutes)
        return TrainingRun(folder, name, self.options.data, limit, options)

    def evaluated_row(self, name: str, runs: Sequence[TrainingRun], start_task: StartTask) -> Row:
        """The row of a recipe whose runs are complete."""
        results, costs = [], []
        for run in runs:
            model = find_model(run.folder)
            generator, about = load_generator(model), read_config(model)["about"]
            digest = hashlib.sha256((model / "model.safetensors").read_bytes()).hexdigest()
            evaluations = self.evaluator.evaluate(run.folder.name, digest, generator, start_task)
            results += [flatten(result) for result in evaluations]
            images, seconds = run.images(), run.seconds()
            cost = {"images": images, "seconds": seconds, "images_per_second": images / seconds}
            costs.append({**cost, **about["parameters"]})
        untrained = flatten(self.evaluator.evaluate_untrained(name, generator, start_task))
        metrics = {
            **summarize(results),
            **summarize(costs),
            "untrained": Statistic(untrained[self.evaluator.ranked_by]),
        }
        return Row(name, "system", metrics, samples=self.evaluator.save_samples(name, generator))

    def metadata(self) -> dict[str, Any]:
        """How the leaderboard was made: what its files hold besides the rows."""
        options, dataset, network = self.options, self.dataset, self.evaluator.network
        return {
            "title": f"Leaderboard: {dataset.path.resolve().name}",
            "text": self.description(),
            "data": {"fingerprint": dataset.fingerprint, "images": len(dataset), "size": dataset.size},
            "limit": {"kimg": options.kimg, "minutes": options.minutes, "set": self.train_options},
            "images_per_set": self.evaluator.images_per_set,
            "evaluations": options.seeds,
            "trainings": options.trainings,
            "features": network.identity() if network else None,
            "device": self.evaluator.device,
        }

    def description(self) -> list[str]:
        """The same in sentences."""
        options, evaluator, dataset = self.options, self.evaluator, self.dataset
        data = f"{len(dataset):,} images at {size_text(dataset.size, dataset.aspect)}"
        length = f"for {options.kimg * 1000:,.0f} images" if options.kimg else "for its recipe's length"
        if options.minutes:
            length += f", but at most {leaderboard_page.duration(options.minutes * 60)}"
        runs = f"each of {options.trainings} trainings" if options.trainings > 1 else "one training"
        text = [
            f"{data}. Each system was trained {length}, on {evaluator.device}.",
            f"{evaluator.images_per_set:,} generated images are compared with as many real ones: mean "
            f"(± standard deviation) over {options.seeds} evaluations of {runs}. The distance between real images "
            "and other real images is the floor.",
        ]
        if evaluator.network is not None:
            file = evaluator.network.file
            text.append(
                f"Frechet and kernel distances are computed in the features of {file}; they are not FID and KID."
            )
        done = sum(row.kind == "system" for row in self.rows)
        if done < len(self.recipes):
            text.append(f"{done} of {len(self.recipes)} systems so far.")
        return text


def summarize(results: Iterable[dict[str, float]]) -> dict[str, Statistic]:
    """Mean and standard deviation of each metric over several results."""
    listed = list(results)
    values = {name: [result[name] for result in listed] for name in listed[0]}
    return {
        name: Statistic(statistics.fmean(each), statistics.stdev(each) if len(each) > 1 else None)
        for name, each in values.items()
    }


def select_recipes(recipes: str, known: dict[str, dict[str, Any]]) -> list[str]:
    """The names of the recipes that `--recipes` selects.

    Raises:
        ValueError: one does not exist.
    """
    if recipes == "all":
        return [name for name in known if f"{name}-cpu" not in known]
    names = list(dict.fromkeys(recipes.split(",")))
    unknown = [name for name in names if name not in known]
    if unknown:
        raise ValueError(f"--recipes: there is no {', '.join(unknown)}; there are {', '.join(known)}")
    return names


def parse_overrides(overrides: Sequence[str], names: Sequence[str]) -> dict[str, list[str]]:
    """The values of `--set` as arguments of train.py, by recipe.

    Raises:
        ValueError: one is not RECIPE.OPTION=VALUE.
    """
    options: dict[str, list[str]] = {}
    for override in overrides:
        target, equals, value = override.partition("=")
        name, dot, option = target.partition(".")
        if not (equals and dot and option) or name not in names:
            raise ValueError(
                f"--set {override}: write RECIPE.OPTION=VALUE, where RECIPE is one of {', '.join(names)}"
            )
        options.setdefault(name, []).extend([f"--{option}", *shlex.split(value)])
    return options


@contextmanager
def lock_folder(folder: Path) -> Iterator[int]:
    """Lock a folder by an open file, which child processes may inherit; wait while another process holds the lock."""
    with (folder / ".lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            _log.warning("waiting for another process that is working in %s", folder)
            fcntl.flock(file, fcntl.LOCK_EX)
        yield file.fileno()


@contextmanager
def open_leaderboard(options: LeaderboardOptions) -> Iterator[Leaderboard]:
    """A leaderboard to run, with its folder locked.

    Raises:
        ValueError: an argument is out of bounds, or the data cannot be evaluated.
    """
    dataset, known = PyramidDataset(options.data), list_recipes()
    names = select_recipes(options.recipes, known)
    train_options = parse_overrides(options.overrides, names)
    evaluator = CachedEvaluator(options.out, dataset, options.samples, options.seeds, options.features)
    (options.out / "runs").mkdir(exist_ok=True)
    with closing(evaluator), lock_folder(options.out) as lock:
        recipes = {name: known[name] for name in names}
        yield Leaderboard(options, dataset, recipes, train_options, evaluator, lock)


def main() -> int:
    """Run the command line and return its exit status."""

    def work() -> None:
        options = tyro.cli(LeaderboardOptions, prog="python -m evaluation.leaderboard")
        with open_leaderboard(options) as leaderboard:
            ranked_by = leaderboard.evaluator.ranked_by
            for row in leaderboard.run():
                metric = row.metrics.get(ranked_by)
                print(f"{row.name}: {row.problem if metric is None else f'{metric.mean:.1f}'}", flush=True)
        print(f"written to {options.out / leaderboard_page.NAME}.html, .md and .json")

    signal.signal(
        signal.SIGTERM, signal.default_int_handler
    )  # stop a training as Ctrl-C does, so that it saves
    return exit_status(work, "stopped; run the same command again to continue")


if __name__ == "__main__":
    sys.exit(main())
