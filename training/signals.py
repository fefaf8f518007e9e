"""Ctrl-C and SIGTERM: they ask a run to save and stop."""

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def handled(stop: Callable[[], None]) -> Iterator[None]:
    """Call `stop` on Ctrl-C and SIGTERM. A second Ctrl-C, at least one second after the first, interrupts at once.

    The second is needed because launchers forward to their processes the Ctrl-C that the terminal has already sent.
    """
    received: list[float] = []  # times, seconds

    def handle(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 - the signature that signal needs
        received.append(time.monotonic())
        if number == signal.SIGINT and received[-1] - received[0] >= 1:
            raise KeyboardInterrupt
        stop()

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
