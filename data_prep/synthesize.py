"""A sample data source that needs no download: drawn cat portraits with annotations, in the CAT layout.

DST/README.txt                    says that these are drawings
DST/labels.csv                    path,coat
DST/CAT_00/00000000_000.jpg       with its .jpg.cat
"""

import csv
import io
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from common.atomic import new_folder
from common.progress import Begin, silent
from data_prep import portrait, sources
from data_prep.workers import WorkerDied, ordered_map

PER_FOLDER = 2000

README = """Drawn cat portraits, made by
`python -m data_prep synthesize DST --count {count} --size {size} --seed {seed}`.

These are procedural drawings for demonstrations and tests, not photographs. Nothing learned from them applies
to real cats. Each NAME.jpg has its nine points in NAME.jpg.cat, as in the CAT data set (Zhang et
al. 2008); labels.csv gives the coat.
"""


@dataclass(frozen=True)
class Sample:
    """What to draw, and where to write it."""

    path: Path
    count: int
    size: int  # pixels: side of a portrait
    seed: int

    def __post_init__(self) -> None:
        if not 1 <= self.count <= 100_000:
            raise ValueError(f"--count {self.count} is not between 1 and 100000")
        if not 64 <= self.size <= 2048:
            raise ValueError(f"--size {self.size} is not between 64 and 2048")
        if not 0 <= self.seed < 2**63:
            raise ValueError(f"--seed {self.seed} is not between 0 and 2^63 - 1")
        if self.path.exists() and (not self.path.is_dir() or any(self.path.iterdir())):
            raise ValueError(f"{self.path} exists and is not an empty folder: choose another, or remove it")


@dataclass(frozen=True)
class Drawn:
    """A portrait as stored in files."""

    jpeg: bytes
    annotation: str
    coat: portrait.Coat


def draw_one(index: int, size: int, seed: int) -> Drawn:
    """Portrait number `index` of a seed; it does not depend on what else is drawn."""
    drawn = portrait.draw(np.random.default_rng([seed, index]), size)
    buffer = io.BytesIO()
    Image.fromarray(drawn.pixels).save(buffer, "JPEG", quality=92, subsampling=0)
    numbers = [len(drawn.points), *(coordinate for point in drawn.points for coordinate in point)]
    return Drawn(buffer.getvalue(), " ".join(map(str, numbers)) + "\n", drawn.coat)


def synthesize(sample: Sample, workers: int, progress: Begin = silent) -> None:
    """Draw the sample. Its folder appears once all of it is drawn."""
    draw = partial(draw_one, size=sample.size, seed=sample.seed)
    with (
        new_folder(sample.path, sync=False) as folder,
        (folder / "labels.csv").open("w", newline="") as labels,
    ):
        (folder / "README.txt").write_text(
            README.format(count=sample.count, size=sample.size, seed=sample.seed)
        )
        table = csv.writer(labels, lineterminator="\n")
        table.writerow(["path", "coat"])
        advance = progress("drawing", sample.count)
        for index, drawn in ordered_map(draw, range(sample.count), workers):
            if isinstance(drawn, WorkerDied):
                raise OSError(
                    f"the process drawing portrait {index} was killed (out of memory?): try fewer --workers"
                )
            name = f"CAT_{index // PER_FOLDER:02d}/{index:08d}_000.jpg"
            path = folder / name
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(drawn.jpeg)
            sources.annotation_path(path).write_text(drawn.annotation)
            table.writerow([name, drawn.coat])
            advance(1)
