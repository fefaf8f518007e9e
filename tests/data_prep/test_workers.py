import multiprocessing
import os
import signal
import time
from functools import partial

import pytest

from data_prep.workers import WorkerDied, ordered_map


def square(number: int) -> int:
    time.sleep(0.02 if number % 3 == 0 else 0)  # later items overtake
    return number * number


def die_on(number: int, deadly: tuple[int, ...]) -> int:
    if number in deadly:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def fail(number: int) -> int:
    raise ZeroDivisionError(number)


@pytest.mark.parametrize("workers", [1, 3])
def test_results_come_in_order(workers: int) -> None:
    assert list(ordered_map(square, range(40), workers)) == [(number, number**2) for number in range(40)]


def test_items_are_taken_as_they_are_needed() -> None:
    taken = []

    def items() -> "list[int]":
        for number in range(1000):
            taken.append(number)
            yield number  # type: ignore[misc]

    results = ordered_map(square, items(), 2)
    assert next(results) == (0, 0)
    assert len(taken) < 20
    results.close()  # type: ignore[attr-defined]


@pytest.mark.timeout(60)
def test_a_killed_worker_costs_its_item_alone() -> None:
    results = dict(ordered_map(partial(die_on, deadly=(5, 6, 29)), range(30), 2))
    assert list(results) == list(range(30))
    assert {number for number, result in results.items() if isinstance(result, WorkerDied)} == {5, 6, 29}
    assert all(result == number for number, result in results.items() if number not in (5, 6, 29))


def test_an_exception_is_raised_here_and_leaves_no_process() -> None:
    with pytest.raises(ZeroDivisionError):
        list(ordered_map(fail, range(5), 2))
    assert not multiprocessing.active_children()
