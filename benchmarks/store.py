"""Random access to the data set's Arrow IPC files against Parquet: python -m benchmarks.store DATASET.

Reads the same pictures in the same random order, the PNG bytes of one level alone, from the data set as it is
and from Parquet copies with row groups of several sizes, all in the page cache; then decodes. Prints medians.
"""

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from data_prep.store import PyramidDataset

BATCH = 32
BATCHES = 20
ROUNDS = 5
ROW_GROUPS = (16, 64, 1024)


class ParquetReader:
    """Random access by row group, reading one column, as a trainer would do it."""

    def __init__(self, path: Path) -> None:
        self._file = pq.ParquetFile(path, memory_map=True)
        groups = [
            self._file.metadata.row_group(number).num_rows for number in range(self._file.num_row_groups)
        ]
        self._ends = np.cumsum(groups)

    def read(self, indices: list[int], column: str) -> list[bytes]:
        """PNG bytes of the pictures, each row group of a batch read once."""
        groups = np.searchsorted(self._ends, indices, side="right")
        columns: dict[int, Any] = {
            group: self._file.read_row_group(group, columns=[f"{column}.bytes"], use_threads=False).column(0)
            for group in {int(group) for group in groups}
        }
        starts = np.concatenate([[0], self._ends])
        rows = zip(indices, groups.tolist(), strict=True)
        return [columns[group][index - int(starts[group])]["bytes"].as_py() for index, group in rows]


def main(path: Path) -> None:
    """Measure and print a table."""
    dataset = PyramidDataset(path)
    random = np.random.default_rng(0)
    batches = [random.integers(len(dataset), size=BATCH).tolist() for _ in range(BATCHES)]
    column = f"image_{dataset.size}"
    tables = [
        pa.ipc.open_file(pa.memory_map(str(file))).read_all() for file in sorted(path.glob("data-*.arrow"))
    ]
    table = pa.concat_tables(tables)
    print(f"{len(dataset)} pictures of {dataset.size}; {BATCHES} batches of {BATCH}, {ROUNDS} rounds")
    print("| format | MB | batch of PNG bytes, ms |\n|---|---|---|")
    starts = np.cumsum([0] + [batch.num_rows for batch in table.to_batches()])
    arrow_columns = [batch.column(column).field(0) for batch in table.to_batches()]

    def read_arrow(indices: list[int]) -> list[bytes]:
        at = (np.searchsorted(starts, indices, side="right") - 1).tolist()
        pairs = zip(indices, at, strict=True)
        return [arrow_columns[number][index - int(starts[number])].as_py() for index, number in pairs]

    expected = [read_arrow(batch) for batch in batches]
    print(
        row(
            "Arrow IPC, memory map",
            sum(shard.stat().st_size for shard in path.glob("*.arrow")),
            read_arrow,
            batches,
        )
    )
    with tempfile.TemporaryDirectory() as folder:
        for rows in ROW_GROUPS:
            file = Path(folder) / f"{rows}.parquet"
            pq.write_table(table, file, row_group_size=rows, compression="none", use_dictionary=False)
            reader = ParquetReader(file)

            def read_parquet(indices: list[int], reader: ParquetReader = reader) -> list[bytes]:
                return reader.read(indices, column)

            assert [read_parquet(batch) for batch in batches] == expected
            print(row(f"Parquet, row groups of {rows}", file.stat().st_size, read_parquet, batches))
    for level in dataset.levels:
        time_of = milliseconds(partial(dataset.images, resolution=level), batches)
        print(f"decoded by PyramidDataset at {level}: {BATCH / time_of * 1000:.0f} pictures/s on one core")


def row(name: str, size: int, read: Callable[[list[int]], object], batches: list[list[int]]) -> str:
    """One line of the table."""
    return f"| {name} | {size / 1e6:.1f} | {milliseconds(read, batches):.2f} |"


def milliseconds(read: Callable[[list[int]], object], batches: list[list[int]]) -> float:
    """Median over the rounds of the mean time of a batch."""
    rounds = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        for batch in batches:
            read(batch)
        rounds.append((time.perf_counter() - start) / len(batches) * 1000)
    return statistics.median(rounds)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
