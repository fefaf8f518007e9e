"""Training runs as processes of `train.py`, which the leaderboard starts, resumes and stops at their limit.

All that is known of a run is in its files. While one trains, it holds the leaderboard's lock as well: if the
leaderboard is killed, the next one waits for it, and it ends at its next report, which has no reader anymore.
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
_BORDER = " \n╭╮│─╰╯"  # around tyro's error messages


class TrainingFailedError(Exception):
    """A run ended before its limit. The message is the reason."""


@dataclass(frozen=True)
class TrainingLimit:
    """When a run is complete: as soon as either is reached."""

    kimg: float | None  # thousands of images shown; None for the recipe's own length
    minutes: float | None  # of training; None for no limit

    def reached(self, images: int, seconds: float) -> bool:
        """Whether a run is complete after this many images shown and seconds of training."""
        return (self.kimg is not None and images >= self.kimg * 1000) or self.timed_out(seconds)

    def timed_out(self, seconds: float) -> bool:
        """Whether a run's time is up."""
        return self.minutes is not None and seconds >= self.minutes * 60


@dataclass(frozen=True)
class TrainingRun:
    """A training run, started or not."""

    folder: Path
    recipe: str  # name
    data: Path  # the data set's folder
    limit: TrainingLimit
    options: tuple[str, ...]  # more arguments of train.py

    def train(self, lock: int, advance: Advance) -> None:
        """Start or resume the run, and train it to its limit. Its output goes to FOLDER.log.

        Args:
            lock: file descriptor of the leaderboard's lock, which the process inherits.
            advance: called with the number of images shown since the last call.

        Raises:
            TrainingFailedError: it ended before its limit.

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
            last_line, advanced, stopping = "", 0, False
            try:
                for line in process.stdout or ():
                    log.write(line)
                    last_line = line.strip(_BORDER) or last_line
                    images, seconds = self._reported()
                    advance(images - advanced)
                    advanced = images
                    if not stopping and self.limit.timed_out(seconds):
                        process.terminate()  # it saves a checkpoint
                        stopping = True
            except KeyboardInterrupt:
                process.terminate()
                log.write(process.communicate()[0])
                raise
        advance(self.images() - advanced)
        if process.returncode != 0 and not self.limit.reached(self.images(), self.seconds()):
            killed = f"killed by signal {-process.returncode}" if process.returncode < 0 else ""
            raise TrainingFailedError(killed or last_line)

    def images(self) -> int:
        """Images shown up to the newest checkpoint; 0 without one."""
        with suppress(ValueError):
            return int(read_config(find_model(self.folder))["about"]["images"])
        return 0

    def seconds(self) -> float:
        """Training time up to the newest checkpoint, without startup."""
        return self._reported(self.images())[1]

    def _arguments(self) -> list[str]:
        if (self.folder / "run.json").is_file():
            start = ["--resume"]
        else:
            shutil.rmtree(self.folder, ignore_errors=True)  # left by a process that was killed as it started
            start = ["--recipe", self.recipe]
        length = [] if self.limit.kimg is None else ["--kimg", str(self.limit.kimg)]
        reports = [] if self.limit.minutes is None else ["--log-every", "0.1"]  # time is checked at each
        places = ["--data", str(self.data), "--out", str(self.folder), "--tracker", "none"]
        return [*start, *places, *length, *reports, *self.options]

    def _reported(self, max_images: int = sys.maxsize) -> tuple[int, float]:
        """Images and seconds by the reports up to a number of images."""
        path = self.folder / "metrics.jsonl"
        rates = {0: 1.0}  # images per second since the previous report, by images shown
        for text in path.read_text().splitlines() if path.is_file() else ():
            with suppress(ValueError, KeyError):  # a line cut short by a kill; an alert
                line = json.loads(text)
                rates[line["images"]] = line["img_per_s"]
        shown = [images for images in rates if images <= max_images]
        return shown[-1], sum((after - before) / rates[after] for before, after in pairwise(shown))


def list_recipes() -> dict[str, dict[str, Any]]:
    """What `train.py --list` prints of each recipe, by name."""
    done = subprocess.run([sys.executable, str(_TRAIN), "--list"], capture_output=True, text=True, check=True)
    recipes: dict[str, dict[str, Any]] = json.loads(done.stdout)
    return recipes
