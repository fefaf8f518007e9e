"""What the terminal shows while training: a bar with rate and time left, or plain lines where there is no terminal."""

import sys
import time
from types import TracebackType

from rich.progress import (
    BarColumn,
    Progress,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)


class TrainingProgress:
    """Counts images shown."""

    def __init__(self, done: int, total: int, shown: bool) -> None:
        """Start at `done` of `total` images; silent unless `shown` (ranks other than the first)."""
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TaskProgressColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[figures]}"),
            disable=not shown or not sys.stdout.isatty(),
        )
        self._task = self._bar.add_task("training", total=total, completed=done, rate="", figures="")
        self._shown, self._lines = shown, shown and not sys.stdout.isatty()
        self._done, self._total = done, total
        self._marked = (time.monotonic(), done)

    def __enter__(self) -> "TrainingProgress":
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def advance(self, images: int) -> None:
        """Count images."""
        self._done += images
        self._bar.advance(self._task, images)

    def go_back(self, images: int) -> None:
        """Count from fewer images again."""
        self._done = images
        self._marked = (time.monotonic(), images)
        self._bar.update(self._task, completed=images)

    def say(self, text: str) -> None:
        """Print a line, above the bar where there is one."""
        if self._shown:
            self._bar.console.print(text, highlight=False, markup=False, soft_wrap=True)

    def report(self, values: dict[str, float]) -> float:
        """Show the newest figures. Returns images per second since the last report."""
        now, before = time.monotonic(), self._marked
        rate = (self._done - before[1]) / max(now - before[0], 1e-9)
        self._marked = (now, self._done)
        figures = "  ".join(
            f"{name} {value:.3g}" for name, value in values.items() if name.startswith("loss/")
        )
        self._bar.update(self._task, rate=f"{rate:.1f} img/s", figures=figures)
        if self._lines:
            left = (self._total - self._done) / max(rate, 1e-9) / 60
            done = f"{self._done / 1000:9.2f} of {self._total / 1000:g} kimg"
            print(f"{done}  {rate:6.1f} img/s  {left:6.1f} min left  {figures}", flush=True)
        return rate
