"""Whether a run is still sound, by what it has logged, and what is done where it is not.

A detector is a pure function of the lines of `metrics.jsonl`, so a resumed run judges as an uninterrupted one. What it
finds is reported when it begins, in RUN/events.jsonl too, which is never taken back.
"""

import json
import statistics
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path

from common.atomic import write_text
from training.monitoring.options import MonitoringOptions, Policy
from training.monitoring.tracking import Tracker, read_lines
from training.rng import derive_seed

Line = Mapping[str, float]  # what was logged at one time, `images` among it


@dataclass(frozen=True)
class Finding:
    """What a detector has found."""

    title: str
    text: str
    since: int  # images shown at the last report before it


class Detector(ABC):
    """Looks for one kind of trouble."""

    @abstractmethod
    def find(self, lines: Sequence[Line]) -> Finding | None:
        """Whether the newest of the lines, which are in order of images, shows the trouble."""


class NotFinite(Detector):
    """A loss, penalty or gradient that is infinite or no number."""

    def find(self, lines: Sequence[Line]) -> Finding | None:
        """Whether the newest line has one."""
        bad = [name for name, value in lines[-1].items() if not isfinite(value)] if lines else []
        if not bad:
            return None
        text = (
            f"{', '.join(bad)} is not finite after {lines[-1]['images']} images; the last checkpoint is from before. "
            "Try a lower learning rate, or another seed."
        )
        return Finding("not finite", text, _before(lines, 1))


@dataclass(frozen=True)
class Exploding(Detector):
    """A player's gradient that is many times what it was at this size of pictures."""

    times: float  # the median of at least ten earlier reports
    reports: int = 10

    def find(self, lines: Sequence[Line]) -> Finding | None:
        """Whether the newest line has one."""
        newest = lines[-1] if lines else {}
        alike = [line for line in lines[:-1] if line.get("resolution") == newest.get("resolution")]
        for name, value in newest.items():
            earlier = [line[name] for line in alike if name in line]
            if name.startswith("gradient/") and len(earlier) >= self.reports:
                usual = statistics.median(earlier)
                if value > self.times * usual:
                    text = f"{name} is {value:.3g}, {value / max(usual, 1e-30):.3g} times its median"
                    return Finding("exploding gradient", text, _before(lines, 1))
        return None


@dataclass(frozen=True)
class Won(Detector):
    """A discriminator that has nothing left to learn. Losses that may be negative do not tell."""

    below: float  # its loss
    patience: int  # reports in a row

    def find(self, lines: Sequence[Line]) -> Finding | None:
        """Whether the newest lines show it."""
        newest = lines[-self.patience :]
        names = [name for name in (newest[-1] if newest else {}) if name.startswith("loss/d")]
        for name in names:
            if len(newest) == self.patience and all(0 <= line.get(name, 1.0) < self.below for line in newest):
                text = f"{name} has been below {self.below:g} for {self.patience} reports: the discriminator has won"
                return Finding("discriminator has won", text, _before(lines, self.patience))
        return None


@dataclass(frozen=True)
class Collapsed(Detector):
    """Samples that are much alike: after they were not, at once; in a run that begins so, after some patience."""

    below: float  # share of the reals' diversity
    patience: int  # snapshots in a row

    def find(self, lines: Sequence[Line]) -> Finding | None:
        """Whether the newest snapshot shows it."""
        snapshots = [line for line in lines if "diversity" in line]
        low = 0
        while low < len(snapshots) and snapshots[-1 - low]["diversity"] < self.below:
            low += 1
        was_diverse = any(line["diversity"] >= 2 * self.below for line in snapshots)
        if low == 0 or (low < self.patience and not was_diverse):
            return None
        text = f"samples are {snapshots[-1]['diversity']:.2f} times as diverse as reals"
        return Finding("collapse", text, _before(snapshots, low))


def _before(lines: Sequence[Line], bad: int) -> int:
    """Images shown at the last line before the newest `bad`."""
    return int(lines[-1 - bad]["images"]) if len(lines) > bad else 0


class Guard:
    """The detectors and their policies, over the lines that a run has logged."""

    def __init__(self, options: MonitoringOptions, lines: Sequence[Line]) -> None:
        self.lines = list(lines)
        broken: Policy = "stop" if options.guard_policy == "warn" else options.guard_policy
        self.detectors: tuple[tuple[Detector, Policy], ...] = (
            (NotFinite(), broken),
            (Exploding(options.guard_gradient), options.guard_policy),
            (Won(options.guard_won, options.guard_patience), options.guard_policy),
            (Collapsed(options.guard_diversity, options.guard_patience), options.guard_collapse),
        )

    def check(self, line: Line) -> list[tuple[Finding, Policy]]:
        """Take the newest line. Returns what has begun with it, and what to do."""
        before, self.lines = self.lines, [*self.lines, line]
        found = [(detector.find(self.lines), detector, policy) for detector, policy in self.detectors]
        return [(finding, policy) for finding, by, policy in found if finding and not by.find(before)]

    def forget(self, images: int) -> None:
        """Go back to so many images."""
        self.lines = [line for line in self.lines if line["images"] <= images]


def logged(run: Path, images: int) -> list[Line]:
    """The metrics that the run has logged up to so many images."""
    return [line for line in read_lines(run / "metrics.jsonl", images) if "alert" not in line]


class Rollbacks:
    """How often the run was set back, in RUN/rollbacks.json: each time it goes on more slowly, with other noise."""

    def __init__(self, run: Path, options: MonitoringOptions) -> None:
        self._path, self._options = run / "rollbacks.json", options
        self._made: list[dict[str, int]] = json.loads(self._path.read_text()) if self._path.exists() else []

    @property
    def left(self) -> int:
        """How many more there may be."""
        return self._options.guard_rollbacks - len(self._made)

    @property
    def lr_scale(self) -> float:
        """Factor of all learning rates."""
        return self._options.guard_lr_factor ** len(self._made)

    def seed(self, seed: int) -> int:
        """The seed of noise for a run of that seed."""
        return derive_seed(seed, "rollback", len(self._made)) if self._made else seed

    def add(self, origin: int, target: int) -> None:
        """Count one, from so many images shown to fewer."""
        self._made.append({"from": origin, "to": target})

    def write(self) -> None:
        """Publish the file."""
        write_text(self._path, json.dumps(self._made) + "\n")


class EventLog(Tracker):
    """`events.jsonl`: a line for each alert, never taken back."""

    def __init__(self, run: Path) -> None:
        self._path = run / "events.jsonl"

    def alert(self, images: int, title: str, text: str) -> None:
        """Append a line."""
        with self._path.open("a") as file:
            file.write(json.dumps({"images": images, "title": title, "text": text}) + "\n")
