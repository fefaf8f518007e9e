"""What an experiment is: rows that are measured one by one, then a table and a figure of them all."""

import json
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from statistics import mean, stdev
from typing import Any, NamedTuple

from common.atomic import write_text

Result = dict[str, Any]  # JSON values


class Row(NamedTuple):
    """One line of an experiment."""

    steps: int  # what it costs, in steps that cost about the same in every row
    measure: Callable[[], Result]


@dataclass(frozen=True)
class Experiment(ABC):
    """Subclasses have sizes for fields, which are the command line and stand beside every result.

    Raises:
        ValueError: a size is not positive.
    """

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if isinstance(value, int | float) and not value > 0:
                raise ValueError(f"{name} must be positive, not {value}")

    @abstractmethod
    def rows(self) -> Mapping[str, Row]:
        """The rows by name, in the order in which they are measured. A name is a file's, too."""

    @abstractmethod
    def table(self, results: Mapping[str, Result]) -> str:
        """The rows' results as a Markdown table."""

    @abstractmethod
    def figure(self, results: Mapping[str, Result], path: Path) -> None:
        """Draw the rows' results to a PNG file."""


def run(experiment: Experiment, out: Path, say: Callable[[str], None] = partial(print, flush=True)) -> str:
    """Measure the rows that have no result in the folder yet; write `table.md` and `figure.png` beside them.

    Returns:
        the table.

    Raises:
        ValueError: the folder holds results of other sizes.
    """
    out.mkdir(parents=True, exist_ok=True)
    sizes, rows = json.loads(json.dumps(asdict(experiment), default=str)), experiment.rows()
    results = {name: _read(out / f"{name}.json", sizes) for name in rows}
    missing = [name for name, result in results.items() if result is None]
    start, done, total = time.monotonic(), 0, sum(rows[name].steps for name in missing)
    for name in missing:
        results[name] = rows[name].measure()
        content = {"sizes": sizes, "result": results[name]}
        write_text(out / f"{name}.json", json.dumps(content, allow_nan=False) + "\n")
        done += rows[name].steps
        rate = done / (time.monotonic() - start)
        say(
            f"{name}: {done} of {total} steps, {rate:.0f} a second, {(total - done) / rate / 60:.1f} minutes left"
        )
    whole = {name: result for name, result in results.items() if result is not None}
    table = experiment.table(whole)
    write_text(out / "table.md", table)
    experiment.figure(whole, out / "figure.png")
    return table


def _read(path: Path, sizes: dict[str, Any]) -> Result | None:
    """The result in a row's file; None where there is none."""
    if not path.exists():
        return None
    content = json.loads(path.read_text(encoding="utf-8"))
    if content["sizes"] != sizes:
        raise ValueError(
            f"{path} was measured with {content['sizes']}, not {sizes}: name another folder with --out"
        )
    result: Result = content["result"]
    return result


def spread(values: Sequence[float], digits: int) -> str:
    """Mean and standard deviation over seeds, for a table."""
    deviation = stdev(values) if len(values) > 1 else 0.0
    return f"{mean(values):z.{digits}f} ± {deviation:.{digits}f}"


def markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)
