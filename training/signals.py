"""How Ctrl-C and SIGTERM reach a run."""

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def handled(stop: Callable[[], None]) -> Iterator[None]:
    """Let Ctrl-C and SIGTERM ask for a stop; a second Ctrl-C, a second or more later, interrupts at once.

    Launchers pass on to their processes the Ctrl-C that the terminal has sent to all: that is still the first.
    """
    options: list[float] = []

    def handle(number: int, aspect: FrameType | None) -> None:  # noqa: ARG001 - the signature that signal wants
        options.append(time.monotonic())
        if number == signal.SIGINT and options[-1] - options[0] >= 1:
            raise KeyboardInterrupt
        stop()

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
