"""How signals ask a run to stop."""

import os
import signal

import pytest

from training import signals


class TrainState:
    """A time that the test sets."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def train_state(monkeypatch: pytest.MonkeyPatch) -> TrainState:
    train_state = TrainState()
    monkeypatch.setattr(signals, "time", train_state)
    return train_state


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_asks_and_does_not_interrupt(train_state: TrainState, number: signal.Signals) -> None:
    options: list[str] = []
    with signals.handled(lambda: options.append("stop")):
        os.kill(os.getpid(), number)
        train_state.now += 0.2
        os.kill(os.getpid(), number)  # the same, passed on by a launcher
    assert options == ["stop", "stop"]


def test_a_later_second_ctrl_c_interrupts(train_state: TrainState) -> None:
    with signals.handled(lambda: None):
        os.kill(os.getpid(), signal.SIGINT)
        train_state.now += 3
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)


def test_sigterm_never_interrupts(train_state: TrainState) -> None:
    with signals.handled(lambda: None):
        os.kill(os.getpid(), signal.SIGTERM)
        train_state.now += 30
        os.kill(os.getpid(), signal.SIGTERM)


def test_handlers_are_put_back(train_state: TrainState) -> None:
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    with pytest.raises(ZeroDivisionError), signals.handled(lambda: None):
        raise ZeroDivisionError
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before
