"""Map a function over many items in worker processes: results are in order, and dead workers are replaced."""

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

AHEAD = 4  # items in flight per worker


class WorkerDied:
    """Stands for a result: the process that worked on the item was killed, for example for lack of memory."""


def ordered_map(
    function: Callable[[Item], Result], items: Iterable[Item], workers: int
) -> Iterator[tuple[Item, Result | WorkerDied]]:
    """Yield (item, function(item)) in the order of `items`, computed by `workers` processes.

    If a worker is killed, every item that was in flight is tried again on its own. An item that kills its worker again
    yields `WorkerDied` in place of a result. `function` must be importable by name.
    """
    with _Pool[Item, Result](function, workers) as pool:
        for item in items:
            pool.submit(item)
            if pool.in_flight >= workers * AHEAD:
                yield pool.next()
        while pool.in_flight:
            yield pool.next()


class _Pool(Generic[Item, Result]):
    """A window of submitted items over a process pool that is rebuilt when it breaks."""

    def __init__(self, function: Callable[[Item], Result], workers: int) -> None:
        self._function = function
        self._workers = workers
        self._window: deque[tuple[Item, Future[Result] | Result | WorkerDied]] = deque()
        self._executor = self._start(workers)

    def __enter__(self) -> "_Pool[Item, Result]":
        return self

    def __exit__(self, *_: object) -> None:
        self._executor.shutdown(cancel_futures=True)

    @property
    def in_flight(self) -> int:
        return len(self._window)

    def submit(self, item: Item) -> None:
        try:
            self._window.append((item, self._executor.submit(self._function, item)))
        except BrokenProcessPool:
            self._recover()
            self._window.append((item, self._executor.submit(self._function, item)))

    def next(self) -> tuple[Item, Result | WorkerDied]:
        item, outcome = self._window[0]
        if isinstance(outcome, Future):
            try:
                outcome = outcome.result()
            except BrokenProcessPool:
                self._recover()
                return self.next()
        self._window.popleft()
        return item, outcome

    def _recover(self) -> None:
        """Get the result of every item in flight, of lost ones in a process of their own; then start a new pool."""
        self._executor.shutdown(cancel_futures=True)
        results = [(item, self._result(item, outcome)) for item, outcome in self._window]
        self._window = deque(results)
        self._executor = self._start(self._workers)

    def _result(self, item: Item, outcome: Future[Result] | Result | WorkerDied) -> Result | WorkerDied:
        if not isinstance(outcome, Future):
            return outcome
        if outcome.done() and not outcome.cancelled() and outcome.exception() is None:
            return outcome.result()
        with self._start(1) as alone:
            try:
                return alone.submit(self._function, item).result()
            except BrokenProcessPool:
                return WorkerDied()

    def _start(self, workers: int) -> ProcessPoolExecutor:
        # The fork server imports the heavy modules once and has no threads, so forking it is safe.
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload([getattr(self._function, "func", self._function).__module__])
        return ProcessPoolExecutor(workers, context, initializer=_start_worker)


def _start_worker() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent handles Ctrl-C
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
