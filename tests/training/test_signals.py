"""How signals ask a run to stop."""

import os
import signal

import pytest

from training import signals


class Clock:
    """A time that the test sets."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(signals, "time", clock)
    return clock


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_asks_and_does_not_interrupt(clock: Clock, number: signal.Signals) -> None:
    asked: list[str] = []
    with signals.handled(lambda: asked.append("stop")):
        os.kill(os.getpid(), number)
        clock.now += 0.2
        os.kill(os.getpid(), number)  # the same, passed on by a launcher
    assert asked == ["stop", "stop"]


def test_a_later_second_ctrl_c_interrupts(clock: Clock) -> None:
    with signals.handled(lambda: None):
        os.kill(os.getpid(), signal.SIGINT)
        clock.now += 3
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)


def test_sigterm_never_interrupts(clock: Clock) -> None:
    with signals.handled(lambda: None):
        os.kill(os.getpid(), signal.SIGTERM)
        clock.now += 30
        os.kill(os.getpid(), signal.SIGTERM)


def test_handlers_are_put_back(clock: Clock) -> None:
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    with pytest.raises(ZeroDivisionError), signals.handled(lambda: None):
        raise ZeroDivisionError
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before
