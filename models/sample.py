"""Draw pictures from a trained generator: `python -m models.sample MODEL_DIR --seeds 0-15 --out grid.png`."""

import math
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import torch
import tyro
from torch import Tensor

from common.aspect import size_at
from common.command import exit_status
from common.images import grid, save_png
from models.checkpoint import load_generator
from models.sampler import Sampler, check_label

MAX_SEEDS = 10_000
MAX_SEED = 2**32 - 1
MAX_GRID = 2**28  # pixels; a grid is held in memory as a whole


@dataclass(frozen=True)
class Arguments:
    """Draw pictures from a trained generator. One seed gives one picture, whatever else is drawn."""

    model: Annotated[Path, tyro.conf.Positional]
    """a model's folder, or a training run (its newest checkpoint)"""
    seeds: str
    """which pictures, such as 0-15,20,31"""
    out: Path
    """FILE.png for a grid of all, or a folder for a SEED.png each"""
    resolution: int | None = None
    """shorter side in pixels, one that the model yields; the largest by default"""
    truncation: float = 1.0
    """variety, from 0 (the most typical picture) to 1 (the full range)"""
    label: str | None = None
    """what the pictures are of, by name, for a model of labelled pictures; without it each seed draws its own"""


def parse_seeds(text: str) -> list[int]:
    """The seeds that a list of numbers and ranges names, both ends included: `0-2,7` is [0, 1, 2, 7].

    Raises:
        ValueError: not such a list, out of bounds, or of more than `MAX_SEEDS` seeds.
    """
    seeds: list[int] = []
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        last = last if dash else first
        if not (first.isdecimal() and last.isdecimal() and len(first) <= 10 and len(last) <= 10):
            raise ValueError(
                f"--seeds {text[:60]}: {part[:20]!r} is neither a number nor a range such as 0-15"
            )
        span = range(int(first), int(last) + 1)
        if not span or span[-1] > MAX_SEED:
            raise ValueError(f"--seeds {text[:60]}: {part} does not ascend within 0 to {MAX_SEED}")
        if len(seeds) + len(span) > MAX_SEEDS:
            raise ValueError(f"--seeds {text[:60]}: at most {MAX_SEEDS} seeds at a time")
        seeds.extend(span)
    return seeds


def sample(options: Arguments) -> None:
    """Draw the pictures and write them.

    Raises:
        ValueError: an argument is out of bounds, or there is no whole model.
    """
    seeds = parse_seeds(options.seeds)
    if not 0 <= options.truncation <= 1:
        raise ValueError(f"--truncation must be from 0 to 1, not {options.truncation}")
    to_folder = options.out.is_dir() or not options.out.suffix
    if not to_folder and options.out.suffix.lower() != ".png":
        raise ValueError(f"--out {options.out} must be a folder, or a file that ends in .png")
    if not to_folder and not options.out.absolute().parent.is_dir():
        raise ValueError(f"--out {options.out}: there is no folder {options.out.parent}")
    if options.out.is_file() and to_folder:
        raise ValueError(f"--out {options.out} is a file; name a folder, or a file that ends in .png")
    torch.set_num_threads(1)  # the last bits depend on it: the pictures are those of the service
    sampler = Sampler(load_generator(options.model))
    resolutions = sampler.generator.resolutions
    resolution = resolutions[-1] if options.resolution is None else options.resolution
    if resolution not in resolutions:
        raise ValueError(f"--resolution {resolution}: the model has {', '.join(map(str, resolutions))}")
    if options.label is not None:
        check_label(sampler.generator.class_names, options.label)
    pixels = math.prod(size_at(resolution, sampler.generator.aspect))
    if not to_folder and len(seeds) * pixels > MAX_GRID:
        raise ValueError(f"a grid holds at most {MAX_GRID // pixels} pictures of this size; name a folder")

    def pictures() -> Iterator[Tensor]:
        for seed in seeds:
            yield sampler.generate([seed], resolution, options.truncation, options.label)[0]

    if to_folder:
        options.out.mkdir(parents=True, exist_ok=True)
        for seed, picture in zip(seeds, pictures(), strict=True):
            save_png(picture, options.out / f"{seed}.png")
    else:
        save_png(grid(torch.stack(list(pictures()))), options.out)


def main() -> int:
    """Run the command line and return its exit status."""
    return exit_status(lambda: sample(tyro.cli(Arguments, prog="python -m models.sample")))


if __name__ == "__main__":
    sys.exit(main())
