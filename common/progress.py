"""Progress of long work, shown as bars on stderr or not at all."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

Advance = Callable[[int], None]  # so many more steps are done
Begin = Callable[[str, int], Advance]  # begin a part of the work: its name, its number of steps


def silent(_name: str, _total: int) -> Advance:
    """Show nothing."""
    return lambda _steps: None


@contextmanager
def progress_bars() -> Iterator[Begin]:
    """Show a bar with rate and time left for each part of the work."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        _Rate(),
        TimeRemainingColumn(),
    )
    progress = Progress(*columns, console=Console(stderr=True))

    def begin(name: str, total: int) -> Advance:
        progress.start()
        return partial(progress.advance, progress.add_task(name, total=total))

    try:
        yield begin
    finally:
        if progress.tasks:
            progress.stop()


class _Rate(TextColumn):
    """Steps per second since the start."""

    def __init__(self) -> None:
        super().__init__("")

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:.1f}/s")
