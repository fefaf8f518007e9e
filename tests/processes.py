"""Processes of a test's own that are there at once: forks of one, begun once for all tests, that has imported torch.

A fork is a process like any other, to be killed and to be sent signals; what it costs is not the seconds of imports.
"""

import multiprocessing as mp
import os
import tempfile
from collections.abc import Callable
from multiprocessing import forkserver
from pathlib import Path
from unittest.mock import patch

import torch

ROOT = Path(__file__).parents[1]
IMPORTED = [
    "pytest",
    "train",
    "torch._dynamo",
    "tests.training.toy",
    "tests.systems",
]  # by that process; the third by the first Adam of a process


def ensure_fork_server() -> None:
    """Have what `forkserver` processes of this process are forked from, which imports as this one does."""
    mp.get_context("forkserver").set_forkserver_preload(IMPORTED)
    with patch.dict(os.environ, PYTHONPATH=str(ROOT), OMP_NUM_THREADS="1"):
        forkserver.ensure_running()


class Fork:
    """A process that calls a module's function, with what it prints."""

    def __init__(self, function: Callable[..., object], *arguments: object, **environment: str) -> None:
        """Start it; `environment` is the whole of its environment."""
        ensure_fork_server()
        with tempfile.NamedTemporaryFile(delete=False) as file:
            self._printed = Path(file.name)
        self.process = mp.get_context("forkserver").Process(
            target=_call, args=(self._printed, environment, function, arguments), daemon=True
        )
        self.process.start()

    @property
    def code(self) -> int | None:
        """Its exit code, negative for a signal that ended it; None while it runs."""
        return self.process.exitcode

    def wait(self, seconds: float) -> int | None:
        """Its exit code when it has ended, which may take so many seconds; None if it still runs after them."""
        self.process.join(seconds)
        return self.code

    def kill(self) -> None:
        """Send it SIGKILL, and wait until it has ended."""
        self.process.kill()
        self.process.join()

    def printed(self) -> str:
        """What it has printed so far, to standard output and error."""
        return self._printed.read_text()


def _call(
    printed: Path, environment: dict[str, str], function: Callable[..., object], arguments: tuple[object, ...]
) -> None:
    with printed.open("w") as file:
        for descriptor in (1, 2):
            os.dup2(file.fileno(), descriptor)
    os.chdir(ROOT)
    os.environ.clear()
    os.environ.update(environment)
    torch.set_num_threads(1)
    function(*arguments)
