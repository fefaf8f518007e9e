"""The growth of a run as an animated GIF: its sample grids in order, every frame the same seeds.

A GIF needs no codec, plays everywhere, and is what W&B and TensorBoard both take. It has 256 colours a frame; the grids
themselves stay in the run's `samples/`.
"""

import io
from collections.abc import Iterator, Sequence
from pathlib import Path

from PIL import Image

from common.atomic import write_bytes
from training.monitoring.samples import ROWS_OF_LARGE, picture_size

TILES = ROWS_OF_LARGE  # rows and columns of pictures, the first of each grid's
SIDE = 128  # shorter side of a picture in the video, pixels: a whole multiple of what is smaller
FRAMES = 64  # at most; of more snapshots, evenly chosen ones
FRAME_MS = 150  # how long a frame is seen
LAST_MS = 3000  # how long the last one is


def write_growth_video(samples: Path, path: Path) -> bool:
    """Write the video of a run's `samples` folder to `path`, whole or not at all.

    A frame is a snapshot's largest grid. Returns whether there is a video: one snapshot does not make one.
    """
    folders = sorted(folder for folder in samples.glob("[0-9]*") if any(folder.glob("*.png")))
    if len(folders) < 2:
        return False
    first, *others = _frames(_chosen(folders))
    durations = [FRAME_MS] * len(others) + [LAST_MS]
    buffer = io.BytesIO()
    first.save(buffer, "GIF", save_all=True, append_images=others, duration=durations, loop=0)
    write_bytes(path, buffer.getvalue())
    return True


def _chosen(folders: Sequence[Path]) -> list[Path]:
    """At most `FRAMES` of the folders, evenly spread, the first and the last among them."""
    count = min(FRAMES, len(folders))
    return [folders[place * (len(folders) - 1) // (count - 1)] for place in range(count)]


def _frames(folders: Sequence[Path]) -> Iterator[Image.Image]:
    for folder in folders:
        path = max(folder.glob("*.png"))
        side = int(path.stem)
        with Image.open(path) as grid:
            height, width = picture_size(grid, side)
            pictures = grid.convert("RGB").crop((0, 0, TILES * width, TILES * height))
            height, width = picture_size(grid, SIDE)
        filter_ = Image.Resampling.NEAREST if side < SIDE else Image.Resampling.LANCZOS
        yield pictures.resize((TILES * width, TILES * height), filter_).quantize()
