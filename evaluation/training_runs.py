"""Training as the leaderboard sees it: runs of `train.py`, each a process, of which only files are known.

They are begun, gone on with, and stopped at their limit. While one trains it holds the leaderboard's lock too. Should
the leaderboard be killed, the next one waits for it; it ends at its next report, which nobody hears any more.
"""

import json
import shutil
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from evaluation.progress import Advance
from models.checkpoint import find_model, read_config

_TRAIN = Path(__file__).parents[1] / "train.py"
_BORDER = " \n╭╮│─╰╯"  # around what it complains of


class TrainingFailedError(Exception):
    """A run has ended before its limit. The message says why."""


@dataclass(frozen=True)
class Limit:
    """When a run is over: at whichever comes first."""

    kimg: float | None  # thousands of images shown; None for the recipe's own
    minutes: float | None  # of training; None for any

    def reached(self, images: int, seconds: float) -> bool:
        """Whether a run is over that has shown so many images, in so many seconds."""
        return (self.kimg is not None and images >= self.kimg * 1000) or self.timed_out(seconds)

    def timed_out(self, seconds: float) -> bool:
        """Whether a run's time is up."""
        return self.minutes is not None and seconds >= self.minutes * 60


@dataclass(frozen=True)
class TrainingRun:
    """A run, begun or not."""

    folder: Path
    recipe: str  # name
    data: Path  # the data set's folder
    limit: Limit
    fields: tuple[str, ...]  # of the recipe, as train.py takes them

    def train(self, lock: int, advance: Advance) -> None:
        """Begin the run or go on with it, to its limit. What it says goes to FOLDER.log.

        Args:
            lock: the open file that the leaderboard holds.
            advance: told of images shown.

        Raises:
            TrainingFailedError: it ended before.

        """
        if self.limit.reached(self.images(), self.seconds()):
            return
        command = [sys.executable, str(_TRAIN), *self._arguments()]
        streams: dict[str, Any] = {
            "stdout": subprocess.PIPE,
            "stderr": subprocess.STDOUT,
            "errors": "replace",
        }
        with (
            self.folder.with_name(f"{self.folder.name}.log").open("a") as log,
            subprocess.Popen(command, text=True, pass_fds=[lock], **streams) as process,
        ):
            last, told, stopping = "", 0, False
            try:
                for line in process.stdout or ():
                    log.write(line)
                    last = line.strip(_BORDER) or last
                    shown, seconds = self._reported()
                    advance(shown - told)
                    told = shown
                    if not stopping and self.limit.timed_out(seconds):
                        process.terminate()  # it saves
                        stopping = True
            except KeyboardInterrupt:
                process.terminate()
                log.write(process.communicate()[0])
                raise
        advance(self.images() - told)
        if process.returncode != 0 and not self.limit.reached(self.images(), self.seconds()):
            killed = f"killed by signal {-process.returncode}" if process.returncode < 0 else ""
            raise TrainingFailedError(killed or last)

    def images(self) -> int:
        """Images shown before the newest checkpoint; 0 where there is none."""
        with suppress(ValueError):
            return int(read_config(find_model(self.folder))["about"]["images"])
        return 0

    def seconds(self) -> float:
        """Time that the training to the newest checkpoint took, starts not included."""
        return self._reported(self.images())[1]

    def _arguments(self) -> list[str]:
        if (self.folder / "run.json").is_file():
            start = ["--resume"]
        else:
            shutil.rmtree(self.folder, ignore_errors=True)  # what one killed as it began has left
            start = ["--recipe", self.recipe]
        length = [] if self.limit.kimg is None else ["--kimg", str(self.limit.kimg)]
        reports = [] if self.limit.minutes is None else ["--log-every", "0.1"]  # it is stopped at one
        places = ["--data", str(self.data), "--out", str(self.folder), "--tracker", "none"]
        return [*start, *places, *length, *reports, *self.fields]

    def _reported(self, images: int = sys.maxsize) -> tuple[int, float]:
        """Images and seconds that the reports up to so many images tell of."""
        path = self.folder / "metrics.jsonl"
        rates = {0: 1.0}  # images per second, by images shown: since the report before
        for text in path.read_text().splitlines() if path.is_file() else ():
            with suppress(ValueError, KeyError):  # cut short by a kill; an alert
                line = json.loads(text)
                rates[line["images"]] = line["img_per_s"]
        shown = [each for each in rates if each <= images]
        return shown[-1], sum((after - before) / rates[after] for before, after in pairwise(shown))


def known_recipes() -> dict[str, dict[str, Any]]:
    """What `train.py --list` says of each recipe, by name."""
    done = subprocess.run([sys.executable, str(_TRAIN), "--list"], capture_output=True, text=True, check=True)
    recipes: dict[str, dict[str, Any]] = json.loads(done.stdout)
    return recipes
