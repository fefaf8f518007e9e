"""Sample grids from fixed seeds, at every resolution."""

from pathlib import Path

import torch

from models.generator import Generator
from models.pictures import grid, save_png
from models.sampler import Sampler

SEEDS = range(36)  # the pictures of every grid


def save_grids(generator: Generator, folder: Path, device: torch.device) -> dict[int, Path]:
    """Write `<side>.png` for each resolution into the folder. Returns the paths by side."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = {}
    for pictures in Sampler(generator, device).stream(SEEDS):
        side = pictures.shape[-1]
        paths[side] = folder / f"{side:04d}.png"
        save_png(grid(pictures), paths[side])
    return paths
