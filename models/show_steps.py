"""Show how images are generated, step by step: `python -m models.show_steps MODEL --seeds 0-7 --out steps.png`."""

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import torch
import tyro
from torch import Tensor
from torch.nn import functional as F

from common.aspect import resolution_of
from common.command import exit_status
from common.images import grid, save_png, to_uint8
from models.architectures.draw import DRAWGenerator
from models.architectures.gran import GRANGenerator
from models.checkpoint import load_generator
from models.sample import MAX_GRID, parse_seeds
from models.sampler import Sampler


@dataclass(frozen=True)
class Arguments:
    """Write a sheet with a row per seed: the canvas after each step (DRAW, GRAN) or each resolution (others)."""

    model: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="MODEL")]
    """folder of a model, or of a training run (its newest checkpoint is used)"""
    seeds: Annotated[str, tyro.conf.arg(metavar="SEEDS")]
    """numbers and ranges, such as 0-7,20; the images are those of models.sample"""
    out: Annotated[Path, tyro.conf.arg(metavar="FILE.png")]
    """image file to write"""


def stages(sampler: Sampler, seed: int) -> Iterator[Tensor]:
    """Yield the stages of a seed's image: uint8 (1, C, H, W), the finished one last."""
    generator = sampler.generator
    if not isinstance(generator, DRAWGenerator | GRANGenerator):
        yield from sampler.stream([seed])
        return
    z = generator.prior(1, torch.Generator().manual_seed(seed))
    with torch.inference_mode():
        canvases = [to_uint8(canvas) for canvas in generator.canvases(z)]
    yield from canvases


def sheet(sampler: Sampler, seeds: list[int]) -> Tensor:
    """A row per seed, a column per stage, all as large as the last: uint8 (C, H, W).

    Raises:
        ValueError: it would be too large.
    """
    rows: list[Tensor] = []
    for seed in seeds:
        *coarse, last = stages(sampler, seed)
        fit = MAX_GRID // ((1 + len(coarse)) * last[0, 0].numel())
        if len(seeds) > fit:
            raise ValueError(f"a sheet holds at most {fit} seeds of this model, not {len(seeds)}")
        side = resolution_of(last)
        enlarged = [F.interpolate(stage, scale_factor=side // resolution_of(stage)) for stage in coarse]
        rows.extend([*enlarged, last])
    return grid(torch.cat(rows), len(rows) // len(seeds))


def write_sheet(options: Arguments) -> str:
    """Generate the sheet and write it. Returns what was written, in words.

    Raises:
        ValueError: an argument is out of bounds, or there is no complete model.
    """
    seeds = parse_seeds(options.seeds)
    if options.out.suffix.lower() != ".png" or not options.out.absolute().parent.is_dir():
        raise ValueError(f"--out {options.out} must be a file that ends in .png, in a folder that exists")
    torch.set_num_threads(1)  # the last bits depend on it; the service does the same
    save_png(sheet(Sampler(load_generator(options.model)), seeds), options.out)
    return f"the steps of {len(seeds)} images are in {options.out}"


def main() -> int:
    """Run the command line and return its exit status."""
    return exit_status(lambda: write_sheet(tyro.cli(Arguments, prog="python -m models.show_steps")))


if __name__ == "__main__":
    sys.exit(main())
