"""How an evaluation reports its progress."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

Advance = Callable[[int], None]  # reports that so many more steps are done
StartTask = Callable[[str, int], Advance]  # starts a task with a name and a number of steps


def no_progress(_name: str, _total: int) -> Advance:
    """Report nothing."""
    return lambda _steps: None


@contextmanager
def progress_bars() -> Iterator[StartTask]:
    """Show a progress bar with the time left for each task, on stderr."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    progress = Progress(*columns, console=Console(stderr=True))

    def start_task(name: str, total: int) -> Advance:
        progress.start()
        return partial(progress.advance, progress.add_task(name, total=total))

    try:
        yield start_task
    finally:
        if progress.tasks:
            progress.stop()
