"""How an evaluation tells what it is at."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

Advance = Callable[[int], None]  # that many more are done
Begin = Callable[[str, int], Advance]  # a part of the work, by name, of so many steps


def silent(_name: str, _total: int) -> Advance:
    """Tell nobody."""
    return lambda _steps: None


@contextmanager
def bars() -> Iterator[Begin]:
    """A bar with time left for each part of the work, on stderr."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    progress = Progress(*columns, console=Console(stderr=True))

    def begin(name: str, total: int) -> Advance:
        progress.start()
        return partial(progress.advance, progress.add_task(name, total=total))

    try:
        yield begin
    finally:
        if progress.tasks:
            progress.stop()
