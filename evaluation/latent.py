"""Directions of the latent space: `python -m evaluation.latent arithmetic|suppress MODEL ... --out FILE`.

DCGAN (Radford et al. 2016, arXiv 1511.06434, section 6.3): sums and differences of latent vectors, each the mean of
several seeds, generate what the same sums of concepts would ("smiling woman - woman + man").

Deviations: section 6.3.1 finds feature maps of the generator that draw windows, by logistic regression on annotated
images, and drops them; `suppress` finds a direction of the latent space in the same way, and moves along it.
"""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import torch
import tyro
from torch import Tensor
from tyro.conf import Positional, arg

from common.command import exit_status
from common.images import grid, save_png, to_uint8
from evaluation.logistic_regression import fit
from models.checkpoint import load_generator
from models.generator import Generator
from models.sample import parse_seeds

_DESCRIPTION = "Do arithmetic with latent vectors, or find and suppress a property of the images."
_L2 = 0.01  # penalty of the regression
_VARIANTS = 8  # of the result of arithmetic
_SHOWN = 8  # seeds in a row of `suppress`

Model = Annotated[Path, Positional, arg(metavar="MODEL")]
Seeds = Annotated[str, arg(metavar="SEEDS")]
ImageFile = Annotated[Path, arg(metavar="FILE")]


@dataclass(frozen=True)
class Arithmetic:
    """Generate a - b + c, where each is the mean latent vector of several seeds."""

    model: Model
    """a model's folder, or a training run (its newest checkpoint)"""
    a: Seeds
    """seeds such as 3,8,21 whose images show an object with a property; with three each, the result keeps a latent
    vector's typical length"""
    b: Seeds
    """seeds of the object without the property"""
    c: Seeds
    """seeds of another object, which is to get the property"""
    out: ImageFile
    """PNG file to write: a row each for a, b and c (the seeds' images, then their mean's), then the result and
    variants of it"""
    noise: float = 0.25
    """half the range of the uniform noise that makes the variants"""


@dataclass(frozen=True)
class Suppress:
    """Find the latent direction of a property from annotated seeds, and generate images without and with it."""

    model: Model
    """a model's folder, or a training run (its newest checkpoint)"""
    marked: Annotated[Literal["darker", "lighter"] | Path, arg(metavar="darker|lighter|FILE")]
    """seeds whose images have the property: those darker, or lighter, than the median, or listed in a file (such as
    3,8,20-24)"""
    out: ImageFile
    """PNG file to write, of three rows: without the property, as sampled, with the property"""
    seeds: Seeds = "0-399"
    """seeds to learn from, among them the marked ones"""


@dataclass(frozen=True)
class Direction:
    """A linear classifier of latent vectors, and its mean logits for vectors without and with the property."""

    weight: Tensor  # (latent_size,)
    bias: float
    logit_without: float
    logit_with: float
    accuracy: float  # of a classifier fitted on three quarters of the seeds, on the rest

    def move(self, z: Tensor, logit: float) -> Tensor:
        """The nearest latent vectors (N, latent_size) that have the given logit."""
        gap = logit - (z @ self.weight + self.bias)
        return z + torch.outer(gap / self.weight.square().sum(), self.weight)


def latents(generator: Generator, seeds: list[int]) -> Tensor:
    """The seeds' latent vectors: (N, latent_size)."""
    return torch.cat([generator.prior(1, torch.Generator().manual_seed(seed)) for seed in seeds])


@torch.no_grad()
def generate(generator: Generator, z: Tensor) -> Tensor:
    """The images of latent vectors (N, latent_size): uint8 (N, C, H, W)."""
    return torch.cat([to_uint8(generator(one)[-1]) for one in torch.split(z, 1)])


def arithmetic(generator: Generator, groups: list[list[int]], noise: float) -> tuple[Tensor, list[Tensor]]:
    """The latent vector of a - b + c, and rows of images for the seeds of a, b and c and for the result."""
    vectors = [latents(generator, group) for group in groups]
    a, b, c = (group.mean(0, keepdim=True) for group in vectors)
    result = a - b + c
    rows = [generate(generator, torch.cat([group, group.mean(0, keepdim=True)])) for group in vectors]
    shifts = torch.rand(_VARIANTS, result.shape[1], generator=torch.Generator().manual_seed(0)) * 2 - 1
    rows.append(generate(generator, torch.cat([result, result + noise * shifts])))
    return result, rows


def find_direction(z: Tensor, marked: Tensor) -> Direction:
    """The direction that separates the marked (N,) latent vectors (N, latent_size) from the others.

    Raises:
        ValueError: fewer than four vectors are marked, or fewer than four are not.
    """
    if min(int(marked.sum()), int((~marked).sum())) < 4:
        raise ValueError("mark at least four of --seeds, and leave at least four unmarked")
    x, labels = z.double().numpy(), marked.long().numpy()
    order = np.random.default_rng(0).permutation(len(x))
    train, test = order[len(x) // 4 :], order[: len(x) // 4]
    accuracy = fit(x[train], labels[train], 2, _L2).accuracy(x[test], labels[test])
    classifier = fit(x, labels, 2, _L2)
    weight = (classifier.weight[:, 1] - classifier.weight[:, 0]) / classifier.deviation
    bias = classifier.bias[1] - classifier.bias[0] - classifier.mean @ weight
    logits = x @ weight + bias
    without, with_ = (float(logits[labels == label].mean()) for label in (0, 1))
    return Direction(torch.from_numpy(weight).to(z), float(bias), without, with_, accuracy)


def run(options: Arithmetic | Suppress) -> str:
    """Write the image. Returns a sentence about the result.

    Raises:
        ValueError: an argument is out of bounds, there is no complete model, or it is conditional.
    """
    if options.out.suffix.lower() != ".png" or not options.out.absolute().parent.is_dir():
        raise ValueError(f"--out {options.out} must be a file that ends in .png, in an existing folder")
    generator = load_generator(options.model)
    if generator.class_names:
        raise ValueError(f"{options.model} needs class labels, which latent arithmetic does not support")
    return (
        _arithmetic(options, generator) if isinstance(options, Arithmetic) else _suppress(options, generator)
    )


def _arithmetic(options: Arithmetic, generator: Generator) -> str:
    groups = [parse_seeds(seeds) for seeds in (options.a, options.b, options.c)]
    result, rows = arithmetic(generator, groups, options.noise)
    save_png(_stack(rows), options.out)
    typical = latents(generator, list(range(64))).square().mean().sqrt()
    return (
        f"the result's length is {float(result.square().mean().sqrt() / typical):.2f} of a typical latent's"
    )


def _suppress(options: Suppress, generator: Generator) -> str:
    seeds = parse_seeds(options.seeds)
    z = latents(generator, seeds)
    if isinstance(options.marked, Path):
        marked = _listed(options.marked, seeds)
    else:
        marked = _darker_or_lighter(generate(generator, z), options.marked)
    direction, shown = find_direction(z, marked), z[:_SHOWN]
    variants = (
        direction.move(shown, direction.logit_without),
        shown,
        direction.move(shown, direction.logit_with),
    )
    save_png(_stack([generate(generator, each) for each in variants]), options.out)
    return f"the direction classifies {direction.accuracy:.0%} of held-out seeds correctly"


def _listed(path: Path, seeds: list[int]) -> Tensor:
    """Which of the seeds a file lists: bool (N,)."""
    chosen = set(parse_seeds(path.read_text().strip()))
    if not chosen <= set(seeds):
        raise ValueError(f"{path} marks seeds that are not among --seeds")
    return torch.tensor([seed in chosen for seed in seeds])


def _darker_or_lighter(images: Tensor, which: Literal["darker", "lighter"]) -> Tensor:
    """Which of the images (N, C, H, W) are darker, or lighter, than the median: bool (N,)."""
    light = images[:, :3].float().mean((1, 2, 3))
    return light < light.median() if which == "darker" else light > light.median()


def _stack(rows: list[Tensor]) -> Tensor:
    """Rows of images (N, C, H, W), padded with black, as one image: uint8 (C, H, W)."""
    width = max(map(len, rows))
    padded = [torch.cat([row, row.new_zeros(width - len(row), *row.shape[1:])]) for row in rows]
    return grid(torch.cat(padded), columns=width)


def main() -> int:
    """Run the command line and return its exit status."""

    def work() -> None:
        options = tyro.cli(
            Arithmetic | Suppress, prog="python -m evaluation.latent", description=_DESCRIPTION
        )
        print(run(options))
        print(f"written to {options.out}")

    return exit_status(work)


if __name__ == "__main__":
    sys.exit(main())
