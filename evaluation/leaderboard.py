"""Command line: python -m evaluation.leaderboard --help.

OUT/leaderboard.html, .md, .json   the board, written anew after each row
OUT/samples/                       a row of pictures of each
OUT/evaluations/                   what was found, by what was evaluated and how
OUT/runs/                          the training runs, and in NAME.log what they said
"""

import fcntl
import hashlib
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

from common.aspect import size_text
from common.command import exit_status
from data_prep.store import PyramidDataset
from evaluation import leaderboard_page
from evaluation.baselines import Baseline, fit
from evaluation.cached_evaluator import PICTURES, Judge
from evaluation.leaderboard_page import Figure, Row
from evaluation.progress import Begin, bars
from evaluation.report import flat
from evaluation.training_runs import Limit, TrainingFailedError, TrainingRun, known_recipes
from models.checkpoint import find_model, load_generator, read_config


@dataclass(frozen=True)
class Arguments:
    """Train systems alike, evaluate them alike, and rank them. The same command goes on where it was stopped."""

    data: Path
    """the real pictures: a data set made by python -m data_prep prepare"""
    out: Path
    """the board's folder; OUT/leaderboard.html is the board"""
    recipes: str = "all"
    """names with commas between, or all: of each system the -cpu form where it has one"""
    kimg: float | None = None
    """images that each is shown, thousands; without it each recipe's own number"""
    minutes: float | None = None
    """time that each is trained, at most"""
    trainings: int = 1
    """runs of each recipe, from seeds 0, 1 and so on"""
    seeds: int = 3
    """evaluations of each run, each with other samples and other halves of the data"""
    samples: int = 2000
    """pictures that an evaluation generates; fewer where the data set has not twice as many"""
    features: Path | None = None
    """a network (.onnx) that turns `images` into `features`, for kernel and Frechet distance, which then ranks"""
    settings: Annotated[tuple[str, ...], tyro.conf.arg(name="set")] = ()
    """fields of recipes, such as lsgan-cpu.batch=64 "lsgan-cpu.widths=128 64 32 32" """

    def __post_init__(self) -> None:
        if self.kimg is None and self.minutes is None:
            raise ValueError(
                "say how long each is to be trained: --kimg, --minutes, or whichever comes first"
            )
        for name in ("kimg", "minutes", "trainings", "seeds"):
            value = getattr(self, name)
            if value is not None and value <= 0:
                raise ValueError(f"--{name} must be positive, not {value}")


@dataclass
class Leaderboard:
    """Who takes part, and the rows so far."""

    options: Arguments
    dataset: PyramidDataset
    recipes: dict[str, dict[str, Any]]  # those that take part: what `train.py --list` says of them
    fields: dict[str, list[str]]  # that are set, by recipe, as train.py takes them
    judge: Judge
    lock: int  # open file that is held while anything works in the folder
    rows: list[Row] = field(default_factory=list)

    def hold(self) -> None:
        """Add all rows, and write the board after each system's."""
        with bars() as begin:
            self.rows += self.references(begin)
        for name in self.recipes:
            with bars() as begin:
                row = self.system(name, begin)
            self.rows.append(row)
            leaderboard_page.write(self.options.out, self.rows, self.judge.rank, self.about())
            found = row.figures.get(self.judge.rank)
            print(f"{name}: {row.why if found is None else f'{found.mean:.1f}'}", flush=True)

    def references(self, begin: Begin) -> list[Row]:
        """The baselines, and reals against other reals, which every evaluation finds beside: the floor."""
        rows, found = [], []
        for name in get_args(Baseline):
            generator = fit(name, self.dataset, begin)
            found = self.judge(name, name, generator, begin)
            figures = means(flat(each) for each in found)
            rows.append(Row(name, "baseline", figures, samples=self.judge.draw(name, generator)))
        floor = means(flat(each, "real") for each in found)
        pictures = self.dataset.images(range(PICTURES), self.dataset.size)
        return [*rows, Row("real pictures", "real", floor, samples=self.judge.show("real", pictures))]

    def system(self, name: str, begin: Begin) -> Row:
        """A recipe's row, whatever becomes of it."""
        if self.recipes[name]["needs_labels"] and not self.dataset.label_names:
            return Row(name, "system", state="needs labels", reason="the data have none")
        try:
            runs = [self.run(name, seed) for seed in range(self.options.trainings)]
            for run in runs:
                kimg = self.options.kimg or self.recipes[name]["kimg"]
                run.train(self.lock, begin(f"training {run.folder.name}", round(kimg * 1000)))
            return self.judged(name, runs, begin)
        except (TrainingFailedError, ValueError, OSError, RuntimeError) as error:
            told = str(error).strip() or type(error).__name__
            return Row(name, "system", state="failed", reason=told.splitlines()[-1])

    def run(self, name: str, seed: int) -> TrainingRun:
        """The run of a recipe from a seed."""
        folder = self.options.out / "runs" / (f"{name}-{seed}" if seed else name)
        fields = ("--resolution", str(self.dataset.size), "--seed", str(seed), *self.fields.get(name, ()))
        return TrainingRun(
            folder, name, self.options.data, Limit(self.options.kimg, self.options.minutes), fields
        )

    def judged(self, name: str, runs: Sequence[TrainingRun], begin: Begin) -> Row:
        """The row of a recipe whose runs are over."""
        found, costs = [], []
        for run in runs:
            model = find_model(run.folder)
            generator, about = load_generator(model), read_config(model)["about"]
            digest = hashlib.sha256((model / "model.safetensors").read_bytes()).hexdigest()
            found += [flat(each) for each in self.judge(run.folder.name, digest, generator, begin)]
            images, seconds = run.images(), run.seconds()
            spent = {"images": images, "seconds": seconds, "images_per_second": images / seconds}
            costs.append({**spent, **about["parameters"]})
        fresh = flat(self.judge.untrained(name, generator, begin))[self.judge.rank]
        figures = {**means(found), **means(costs), "untrained": Figure(fresh)}
        return Row(name, "system", figures, samples=self.judge.draw(name, generator))

    def about(self) -> dict[str, Any]:
        """What the board says of itself."""
        options, dataset, network = self.options, self.dataset, self.judge.network
        return {
            "title": f"Leaderboard: {dataset.path.resolve().name}",
            "text": self.text(),
            "data": {"fingerprint": dataset.fingerprint, "images": len(dataset), "size": dataset.size},
            "limit": {"kimg": options.kimg, "minutes": options.minutes, "set": self.fields},
            "images_per_set": self.judge.count,
            "evaluations": options.seeds,
            "trainings": options.trainings,
            "features": network.identity() if network else None,
            "device": self.judge.device,
        }

    def text(self) -> list[str]:
        """The same in sentences."""
        options, judge, dataset = self.options, self.judge, self.dataset
        data = f"{len(dataset):,} pictures at {size_text(dataset.size, dataset.aspect)}"
        length = f"for {options.kimg * 1000:,.0f} images" if options.kimg else "as long as its recipe says"
        if options.minutes:
            length += f", but no longer than {leaderboard_page.duration(options.minutes * 60)}"
        runs = f"each of {options.trainings} trainings" if options.trainings > 1 else "one training"
        text = [
            f"{data}. Each system was trained {length}. The device was {judge.device}.",
            f"{judge.count:,} generated pictures are compared with as many real ones: means (± standard deviations) "
            f"over {options.seeds} evaluations of {runs}. Real pictures against other real ones are the floor of a "
            "distance.",
        ]
        if judge.network is not None:
            file = judge.network.file
            text.append(f"Frechet and kernel distance are of the features of {file}: not FID and KID.")
        seen = sum(row.kind == "system" for row in self.rows)
        if seen < len(self.recipes):
            text.append(f"{seen} of {len(self.recipes)} systems so far.")
        return text


def means(found: Iterable[dict[str, float]]) -> dict[str, Figure]:
    """Mean and standard deviation of each figure over several findings."""
    listed = list(found)
    values = {name: [each[name] for each in listed] for name in listed[0]}
    return {
        name: Figure(statistics.fmean(each), statistics.stdev(each) if len(each) > 1 else None)
        for name, each in values.items()
    }


def chosen(recipes: str, known: dict[str, dict[str, Any]]) -> list[str]:
    """The names that `--recipes` means.

    Raises:
        ValueError: one is not a recipe.
    """
    if recipes == "all":
        return [name for name in known if f"{name}-cpu" not in known]
    names = list(dict.fromkeys(recipes.split(",")))
    unknown = [name for name in names if name not in known]
    if unknown:
        raise ValueError(f"--recipes: there is no {', '.join(unknown)}; there are {', '.join(known)}")
    return names


def set_fields(settings: Sequence[str], names: Sequence[str]) -> dict[str, list[str]]:
    """What `--set` sets, as train.py's arguments by recipe.

    Raises:
        ValueError: one is not RECIPE.OPTION=VALUE.
    """
    fields: dict[str, list[str]] = {}
    for setting in settings:
        place, equals, value = setting.partition("=")
        name, dot, option = place.partition(".")
        if not (equals and dot and option) or name not in names:
            raise ValueError(f"--set {setting}: write RECIPE.OPTION=VALUE, RECIPE one of {', '.join(names)}")
        fields.setdefault(name, []).extend([f"--{option}", *shlex.split(value)])
    return fields


@contextmanager
def locked(folder: Path) -> Iterator[int]:
    """Hold the folder's lock, an open file that child processes may hold too; wait for it where another does."""
    with (folder / ".lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"waiting for what is still at work in {folder}", file=sys.stderr)
            fcntl.flock(file, fcntl.LOCK_EX)
        yield file.fileno()


def lead(options: Arguments) -> None:
    """Hold the contest.

    Raises:
        ValueError: an argument is out of bounds, or the data cannot be evaluated.
    """
    dataset, known = PyramidDataset(options.data), known_recipes()
    names = chosen(options.recipes, known)
    fields = set_fields(options.settings, names)
    judge = Judge(options.out, dataset, options.samples, options.seeds, options.features)
    (options.out / "runs").mkdir(exist_ok=True)
    with closing(judge), locked(options.out) as lock:
        Leaderboard(options, dataset, {name: known[name] for name in names}, fields, judge, lock).hold()
    print(f"written to {options.out / leaderboard_page.NAME}.html, .md and .json")


def main() -> int:
    """Run the command line and return its exit status."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # a training is to save, as after Ctrl-C
    return exit_status(
        lambda: lead(tyro.cli(Arguments, prog="python -m evaluation.leaderboard")),
        "stopped; the same command goes on",
    )


if __name__ == "__main__":
    sys.exit(main())
