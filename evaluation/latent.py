"""What directions of the latent space mean: `python -m evaluation.latent arithmetic|suppress MODEL ... --out FILE.png`.

DCGAN (Radford et al. 2016, arXiv 1511.06434, section 6.3): sums and differences of latent vectors, each the mean of
several seeds, paint what the same sums of meanings would ("smiling woman - woman + man").

Deviations: section 6.3.1 finds feature maps of the generator that draw windows, by logistic regression on marked
pictures, and drops them; `suppress` finds a direction of the latent space so, and moves along it.
"""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import torch
import tyro
from torch import Tensor

from common.command import exit_status
from common.images import grid, save_png, to_uint8
from evaluation.logistic_regression import fit
from models.checkpoint import load_generator
from models.generator import Generator
from models.sample import parse_seeds

_PENALTY = 0.01  # of the regression
_VARIANTS = 8  # of the result of arithmetic
_SHOWN = 8  # seeds of a suppression


@dataclass(frozen=True)
class Arithmetic:
    """Paint a - b + c, each the mean of several seeds: rows of their pictures, then the result and some near it."""

    model: Annotated[Path, tyro.conf.Positional]
    """a model's folder, or a training run (its newest checkpoint)"""
    a: str
    """seeds such as 3,8,21 whose pictures show a thing with a property; three leave latent vectors their length"""
    b: str
    """seeds of the thing without it"""
    c: str
    """seeds of another thing, to be given the property"""
    out: Path
    """FILE.png: in each row the pictures of some seeds and, last, of their mean; in the last row the result"""
    noise: float = 0.25
    """half the range of the uniform noise on what is near the result"""


@dataclass(frozen=True)
class Suppress:
    """Find the direction that tells marked seeds from others, and paint seeds without it, as they are, and with it."""

    model: Annotated[Path, tyro.conf.Positional]
    """a model's folder, or a training run (its newest checkpoint)"""
    marked: Literal["darker", "lighter"] | Path
    """a file of the marked seeds, such as 3,8,20-24; or those whose picture is darker, or lighter, than the median"""
    out: Path
    """FILE.png of three rows: without the property, as drawn, with it"""
    seeds: str = "0-399"
    """what to learn from; the marked ones are among them"""


@dataclass(frozen=True)
class Direction:
    """A linear score of latent vectors, and what it is on average of those with and without a property."""

    slope: Tensor  # (latent_size,)
    offset: float
    without: float
    having: float
    accuracy: float  # on a quarter of the seeds, by a direction found on the others

    def moved(self, z: Tensor, score: float) -> Tensor:
        """The nearest latent vectors (N, latent_size) whose score is the given one."""
        apart = score - (z @ self.slope + self.offset)
        return z + torch.outer(apart / self.slope.square().sum(), self.slope)


def latents(generator: Generator, seeds: list[int]) -> Tensor:
    """The seeds' latent vectors: (N, latent_size)."""
    return torch.cat([generator.prior(1, torch.Generator().manual_seed(seed)) for seed in seeds])


@torch.no_grad()
def paint(generator: Generator, z: Tensor) -> Tensor:
    """The pictures of latent vectors (N, latent_size): uint8 (N, C, H, W)."""
    return torch.cat([to_uint8(generator(one)[-1]) for one in torch.split(z, 1)])


def arithmetic(generator: Generator, groups: list[list[int]], noise: float) -> tuple[Tensor, list[Tensor]]:
    """The latent vector of a - b + c, and the rows of pictures for the groups of seeds a, b, c and for the result."""
    vectors = [latents(generator, group) for group in groups]
    a, b, c = (group.mean(0, keepdim=True) for group in vectors)
    result = a - b + c
    rows = [paint(generator, torch.cat([group, group.mean(0, keepdim=True)])) for group in vectors]
    shifts = torch.rand(_VARIANTS, result.shape[1], generator=torch.Generator().manual_seed(0)) * 2 - 1
    rows.append(paint(generator, torch.cat([result, result + noise * shifts])))
    return result, rows


def find_direction(z: Tensor, marked: Tensor) -> Direction:
    """The direction that tells the latent vectors (N, latent_size) that are marked (N,) from the others.

    Raises:
        ValueError: fewer than four vectors are marked, or are not.
    """
    if min(int(marked.sum()), int((~marked).sum())) < 4:
        raise ValueError("mark at least four of --seeds, and leave at least four unmarked")
    x, labels = z.double().numpy(), marked.long().numpy()
    order = np.random.default_rng(0).permutation(len(x))
    known, held_out = order[len(x) // 4 :], order[: len(x) // 4]
    accuracy = fit(x[known], labels[known], 2, _PENALTY).accuracy(x[held_out], labels[held_out])
    found = fit(x, labels, 2, _PENALTY)
    slope = (found.weight[:, 1] - found.weight[:, 0]) / found.deviation
    offset = found.bias[1] - found.bias[0] - found.mean @ slope
    scores = x @ slope + offset
    without, having = (float(scores[labels == label].mean()) for label in (0, 1))
    return Direction(torch.from_numpy(slope).to(z), float(offset), without, having, accuracy)


def _marked(pictures: Tensor, seeds: list[int], options: Literal["darker", "lighter"] | Path) -> Tensor:
    """Which of the seeds are marked: bool (N,)."""
    if isinstance(options, Path):
        chosen = parse_seeds(options.read_text().strip())
        if not set(chosen) <= set(seeds):
            raise ValueError(f"{options} marks seeds that are not among --seeds")
        return torch.tensor([seed in set(chosen) for seed in seeds])
    light = pictures[:, :3].float().mean((1, 2, 3))
    return light < light.median() if options == "darker" else light > light.median()


def draw(options: Arithmetic | Suppress) -> str:
    """Write the picture. Returns what there is to say of it.

    Raises:
        ValueError: an argument is out of bounds, there is no whole model, or it is one of labelled pictures.
    """
    if options.out.suffix.lower() != ".png" or not options.out.absolute().parent.is_dir():
        raise ValueError(f"--out {options.out} must be a file that ends in .png, in a folder that is there")
    generator = load_generator(options.model)
    if generator.class_names:
        raise ValueError(f"{options.model} paints by label, which has no place in latent arithmetic")
    if isinstance(options, Arithmetic):
        groups = [parse_seeds(seeds) for seeds in (options.a, options.b, options.c)]
        result, rows = arithmetic(generator, groups, options.noise)
        save_png(_in_rows(rows), options.out)
        length = float(
            result.square().mean().sqrt() / latents(generator, list(range(64))).square().mean().sqrt()
        )
        return f"the result's length is {length:.2f} of a seed's"
    seeds = parse_seeds(options.seeds)
    z = latents(generator, seeds)
    pictures = paint(generator, z) if not isinstance(options.marked, Path) else torch.empty(0)
    found = find_direction(z, _marked(pictures, seeds, options.marked))
    shown = z[:_SHOWN]
    rows = [
        paint(generator, each)
        for each in (found.moved(shown, found.without), shown, found.moved(shown, found.having))
    ]
    save_png(_in_rows(rows), options.out)
    return f"the direction tells {found.accuracy:.0%} of seeds that it was not found on"


def _in_rows(rows: list[Tensor]) -> Tensor:
    """Rows of pictures (N, C, H, W), short ones filled with black, as one: uint8 (C, H, W)."""
    width = max(map(len, rows))
    filled = [torch.cat([row, row.new_zeros(width - len(row), *row.shape[1:])]) for row in rows]
    return grid(torch.cat(filled), columns=width)


def main() -> int:
    """Run the command line and return its exit status."""
    return exit_status(
        lambda: print(draw(tyro.cli(Arithmetic | Suppress, prog="python -m evaluation.latent")))
    )


if __name__ == "__main__":
    sys.exit(main())
