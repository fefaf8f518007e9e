"""Generate images with a trained generator: `python -m models.sample MODEL --seeds 0-15 --out grid.png`."""

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
MAX_GRID = 2**28  # pixels; the whole grid is held in memory


@dataclass(frozen=True)
class Arguments:
    """Generate images with a trained generator. A seed always gives the same image, whatever else is generated."""

    model: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="MODEL")]
    """folder of a model, or of a training run (its newest checkpoint is used)"""
    seeds: Annotated[str, tyro.conf.arg(metavar="SEEDS")]
    """numbers and ranges, such as 0-15,20,31"""
    out: Annotated[Path, tyro.conf.arg(metavar="FILE|FOLDER")]
    """FILE.png for a grid of all images, or a folder for one SEED.png each"""
    resolution: Annotated[
        int | None, tyro.conf.arg(metavar="PIXELS", help_behavior_hint="(default: the largest)")
    ] = None
    """shorter side of the images, one that the model yields"""
    truncation: Annotated[float, tyro.conf.arg(metavar="0..1")] = 1.0
    """variety, from 0 (the most typical image) to 1 (the full distribution)"""
    label: Annotated[
        str | None, tyro.conf.arg(metavar="NAME", help_behavior_hint="(default: drawn by each seed)")
    ] = None
    """label of all images, for a conditional model"""


def parse_seeds(text: str) -> list[int]:
    """The seeds in a list of numbers and inclusive ranges: `0-2,7` is [0, 1, 2, 7].

    Raises:
        ValueError: not such a list, seeds out of bounds, or more than `MAX_SEEDS` of them.
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
            raise ValueError(f"--seeds {text[:60]}: {part} is not an ascending range within 0 to {MAX_SEED}")
        if len(seeds) + len(span) > MAX_SEEDS:
            raise ValueError(f"--seeds {text[:60]}: at most {MAX_SEEDS} seeds at a time")
        seeds.extend(span)
    return seeds


def sample(options: Arguments) -> str:
    """Generate the images and write them. Returns what was written, in words.

    Raises:
        ValueError: an argument is out of bounds, or there is no complete model.
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
    torch.set_num_threads(1)  # the last bits depend on it; the service does the same
    sampler = Sampler(load_generator(options.model))
    resolutions = sampler.generator.resolutions
    resolution = resolutions[-1] if options.resolution is None else options.resolution
    if resolution not in resolutions:
        raise ValueError(f"--resolution {resolution}: the model has {', '.join(map(str, resolutions))}")
    if options.label is not None:
        check_label(sampler.generator.class_names, options.label)
    pixels = math.prod(size_at(resolution, sampler.generator.aspect))
    if not to_folder and len(seeds) * pixels > MAX_GRID:
        raise ValueError(
            f"--out {options.out}: a grid holds at most {MAX_GRID // pixels} images of this size; name a folder"
        )

    def images() -> Iterator[Tensor]:
        for seed in seeds:
            yield sampler.generate([seed], resolution, options.truncation, options.label)[0]

    if to_folder:
        options.out.mkdir(parents=True, exist_ok=True)
        for seed, image in zip(seeds, images(), strict=True):
            save_png(image, options.out / f"{seed}.png")
        return f"{len(seeds)} images are in {options.out}"
    save_png(grid(torch.stack(list(images()))), options.out)
    return f"a grid of {len(seeds)} images is in {options.out}"


def main() -> int:
    """Run the command line and return its exit status."""
    return exit_status(lambda: sample(tyro.cli(Arguments, prog="python -m models.sample")))


if __name__ == "__main__":
    sys.exit(main())
