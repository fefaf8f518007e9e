"""Sample grids from fixed seeds, at every resolution: as many rows as columns."""

from pathlib import Path

import torch
from PIL import Image

from common.images import grid, save_png
from models.generator import Generator
from models.sampler import Sampler

ROWS = 6  # and columns of a grid of pictures up to 256x256
ROWS_OF_LARGE = (
    4  # of larger ones, the first of each of the others' rows: fewer make files of a bearable size
)
SEEDS = range(ROWS * ROWS)


def seeds_at(resolution: int) -> list[int]:
    """The seeds of a grid's pictures, row by row."""
    rows = ROWS if resolution <= 256 else ROWS_OF_LARGE
    return [ROWS * row + column for row in range(rows) for column in range(rows)]


def picture_size(grid: Image.Image, resolution: int) -> tuple[int, int]:
    """Height and width of the pictures of a grid at a resolution."""
    shorter = min(grid.size)
    return grid.height * resolution // shorter, grid.width * resolution // shorter


def save_grids(generator: Generator, folder: Path, device: torch.device) -> dict[int, Path]:
    """Write `<side>.png` for each resolution into the folder. Returns the paths by side.

    Every picture is painted anew for each side, a third more work: to stream them side by side would hold the features
    of all at once, which at 1024x1024 are gigabytes.
    """
    folder.mkdir(parents=True, exist_ok=True)
    sampler = Sampler(generator, device)
    paths = {side: folder / f"{side:04d}.png" for side in generator.resolutions}
    for side, path in paths.items():
        save_png(grid(sampler.generate(seeds_at(side), side)), path)
    return paths
