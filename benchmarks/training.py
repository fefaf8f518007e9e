"""How fast training is: `python -m benchmarks.training MEASURE [--recipe NAME] [--FIELD VALUE ...]`.

overhead  the trainer against a hand-written loop of the same step
eager     a recipe of the MSG-GAN family against a plain float32 implementation, ingredient by ingredient
ranks     two processes against one, a core or a CUDA device for each
growth    time per image and peak memory of every phase (of every resolution, if the recipe does not grow)

A recipe's fields may be set as for train.py. Contestants take turns; CPU time stands beside wall time, since it tells
more on a busy machine. On a CUDA device wall time counts.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch
import tyro
from torch import Tensor

from benchmarks.iterations import Cost, HandWritten, Operations, compare, cost, table
from benchmarks.plain_msg_gan import PlainDiscriminator, PlainGenerator, PlainTraining, take_weights
from data_prep.store import PyramidDataset
from models.architectures.progan import paper_widths
from training import run
from training.data.loader import BatchLoader, SampleRange
from training.monitoring.memory import memory_of, release
from training.optim.ema import MovingAverage
from training.recipes import RECIPES
from training.recipes.msg_gan import MSGRecipe
from training.recipes.recipe import Recipe, with_settings
from training.system import System
from training.updaters.images import latents

NEVER = 1e9  # thousands of images


def device() -> torch.device:
    """Where training would run."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def timed(call: Callable[[], object], iterations: int) -> Callable[[], None]:
    """The call, `iterations` times."""

    def work() -> None:
        for _ in range(iterations):
            call()

    return work


# --- overhead


def overhead(recipe: Recipe, options: argparse.Namespace) -> None:
    """The trainer, its loader, reports and moving average included, against loops with and without these."""
    iterations = options.iterations
    with tempfile.TemporaryDirectory() as folder:
        batch = recipe.growth_schedule().at(0).batch
        recipe = with_settings(
            recipe,
            kimg=NEVER,
            log_every=iterations * batch / 1000,  # a report in every measurement
            snapshot_every=NEVER,
            checkpoint_every=NEVER,
        )
        record = run.begin(Path(folder) / "run", options.recipe, recipe, options.data)
        trainer = run.set_up(Path(folder) / "run", record, options.data)
        bare, fed = HandWritten(recipe, device()), FedByHand(recipe, options.data)
        images = iterations * bare.images
        contestants = {
            "hand-written, images in memory, no moving average": (timed(bare.iteration, iterations), images),
            "hand-written, with loader and moving average": (timed(fed.iteration, iterations), images),
            "the trainer": (timed(trainer.advance, iterations), images),
        }
        print(
            f"{options.recipe}, {options.repeats} x {iterations} iterations of {batch} images, "
            f"a report every {images} images"
        )
        print(table(compare(contestants, options.repeats, device())))
        fed.loader.close()
        trainer.loader.close()


class FedByHand(HandWritten):
    """A hand-written loop that reads images and averages the generator's weights."""

    def __init__(self, recipe: Recipe, data: Path) -> None:
        super().__init__(recipe, device())
        self.loader = BatchLoader(PyramidDataset(data), recipe.seed, recipe.flip)
        self.average = MovingAverage(self.system.generator, recipe.ema_half_life * 1000)

    def iteration(self) -> dict[str, Tensor]:
        """Read, train, average."""
        shown, size = self.train_state.images, self.images
        ranges = [SampleRange(start, start + size, self.stage.resolution) for start in (shown, shown + size)]
        reals, _ = self.loader.take(*ranges)
        self.reals = reals.to(self.reals)
        scalars = super().iteration()
        self.average.update(self.system.generator, self.train_state.images, size)
        return scalars


# --- eager


def eager(recipe: Recipe, options: argparse.Namespace) -> None:
    """The recipe as it is shipped against a plain float32 implementation, and what each ingredient gives."""
    if (
        not isinstance(recipe, MSGRecipe)
        or recipe.pair.objective != "rp-gan"
        or recipe.network.combine != "lin_cat"
    ):
        raise ValueError(
            "eager knows MSG-GAN with --objective rp-gan and --combine lin_cat: try --recipe msg-gan-cpu"
        )
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    gamma = recipe.penalties.r1[:1]
    recipe = with_settings(recipe, kimg=NEVER, lr=recipe.optimizer.lr[:1], r1=gamma, r2=gamma)
    plain = with_settings(recipe, precision="fp32", channels_last=False, penalty_every=1)
    check_losses(plain)
    channels_last = with_settings(plain, channels_last=recipe.compute.channels_last)
    every_iteration = with_settings(channels_last, precision=recipe.compute.precision)
    shipped = HandWritten(recipe, device())
    loops = {
        "plain": plain_iterations(plain, with_plain_networks),
        "+ the recipe's networks (upsampling within convolution)": plain_iterations(plain, with_its_networks),
        "+ its updaters (other networks frozen, no unused graph, fused Adam)": HandWritten(
            plain, device()
        ).iteration,
        "+ channels last": HandWritten(channels_last, device()).iteration,
        "+ bf16": HandWritten(every_iteration, device()).iteration,
        f"+ R1 and R2 every {recipe.penalties.penalty_every} iterations: as shipped": shipped.iteration,
    }
    iterations = recipe.penalties.penalty_every  # so that R1 and R2 are due as often in every measurement
    images = iterations * recipe.batch
    contestants = {name: (timed(call, iterations), images) for name, call in loops.items()}
    costs = compare(contestants, options.repeats, device())
    print(f"{options.recipe}, {options.repeats} x {iterations} iterations of {recipe.batch} images")
    print(table(costs))
    with Operations() as counter:
        timed(shipped.iteration, iterations)()
    report_use(counter.total / images, list(costs.values())[-1], recipe.compute.precision)


def report_use(operations: float, costs: Sequence[Cost], precision: str) -> None:
    """Say what share of the machine's matrix peak the operations of an image, at these costs, are."""
    kind = torch.bfloat16 if precision == "bf16" else torch.float32
    peak = matrix_peak(kind)
    print(
        f"as shipped: {operations / 1e9:.2f} GFLOP an image; a large matrix product, {kind}: {peak / 1e9:.0f} GFLOP/s"
    )
    for kind_of_time in ("wall", "cpu"):
        found = operations / statistics.median(getattr(taken, kind_of_time) for taken in costs) * 1e3
        print(f"by {kind_of_time} time {found / 1e9:.0f} GFLOP/s, {found / peak:.1%} of that")


def with_plain_networks(recipe: MSGRecipe, system: System) -> PlainTraining:
    """The plain step on plain networks that have the system's weights."""
    widths = recipe.network.widths or paper_widths(recipe.resolution)
    generator, discriminator = PlainGenerator(widths, recipe.network.latent_size), PlainDiscriminator(widths)
    own_discriminator, own_generator = (updater.network for updater in system.updaters)
    take_weights(generator.to(device()), own_generator)
    take_weights(discriminator.to(device()), own_discriminator)
    lr, gamma = recipe.optimizer.lr[0], recipe.penalties.r1[0]
    return PlainTraining(generator, discriminator, list(discriminator.parameters()), lr, gamma)


def with_its_networks(recipe: MSGRecipe, system: System) -> PlainTraining:
    """The plain step on the system's own networks."""
    discriminator, generator = (updater.network for updater in system.updaters)
    parameters, lr = list(discriminator.parameters()), recipe.optimizer.lr[0]
    gamma = recipe.penalties.r1[0]
    return PlainTraining(generator, lambda images: discriminator(images).logits, parameters, lr, gamma)


def plain_iterations(
    recipe: MSGRecipe,
    training: Callable[[MSGRecipe, System], PlainTraining],  # what is stepped
) -> Callable[[], tuple[Tensor, Tensor]]:
    """The plain step, beginning with the recipe's weights, on the batches of a hand-written loop."""
    loop = HandWritten(recipe, device())
    plain = training(recipe, loop.system)

    def step() -> tuple[Tensor, Tensor]:
        batch = loop.batch(loop.reals)
        losses = plain.step(batch, latents(loop.system.generator, batch))
        loop.train_state = replace(
            loop.train_state,
            images=loop.train_state.images + recipe.batch,
            iteration=loop.train_state.iteration + 1,
        )
        return losses

    return step


def check_losses(recipe: MSGRecipe) -> None:
    """See that the plain step and the recipe's compute the same losses, twice; the second pair after a step of each."""
    recipe = with_settings(recipe, lr=(1e-4,))
    loop, plain = HandWritten(recipe, device()), plain_iterations(recipe, with_plain_networks)
    for _ in range(2):
        scalars = loop.iteration()
        ours, theirs = torch.stack([scalars["loss/d"], scalars["loss/g"]]), torch.stack(plain())
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


def matrix_peak(kind: torch.dtype) -> float:
    """Floating-point operations per second of a large matrix product, the best of several."""
    here = device()
    side = 8192 if here.type == "cuda" else 2048
    a, b = torch.randn(2, side, side, device=here, dtype=kind)
    costs = [cost(partial(torch.mm, a, b), 1, here) for _ in range(8)]
    return 2 * side**3 / min(taken.wall if here.type == "cuda" else taken.cpu for taken in costs) * 1e3


# --- ranks


def ranks(recipe: Recipe, options: argparse.Namespace) -> None:
    """Images per second of train.py, its loader and reports included, in one process and in two."""
    cores = sorted(os.sched_getaffinity(0))
    places = torch.cuda.device_count() or len(cores)
    if places < 2:
        raise ValueError(f"ranks needs two cores, or two CUDA devices; this process may use {places}")
    rates: dict[int, list[float]] = {1: [], 2: []}
    for _ in range(options.repeats):
        for processes, found in rates.items():
            found.append(rate(processes, set(cores[:processes]), recipe, options))
    one, two = (statistics.median(found) for found in rates.values())
    ratio = statistics.median(b / a for a, b in zip(*rates.values(), strict=True))
    print(
        f"{options.recipe}, {options.repeats} runs of each, images/s: "
        f"one process {one:.1f}, two {two:.1f}, {ratio:.2f} times as many"
    )


def rate(processes: int, cores: set[int], recipe: Recipe, options: argparse.Namespace) -> float:
    """Images per second of so many processes with a core each: the median of the reports between first and last."""
    every = options.iterations * recipe.growth_schedule().at(0).batch / 1000
    launch = ["-m", "torch.distributed.run", "--nproc-per-node", str(processes)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    if not torch.cuda.is_available():
        environment["ACCELERATE_USE_CPU"] = "true"
    allowed = os.sched_getaffinity(0)
    with tempfile.TemporaryDirectory() as folder:
        own = [
            "--recipe",
            options.recipe,
            "--data",
            str(options.data),
            "--out",
            f"{folder}/run",
            "--tracker",
            "none",
        ]
        times = {"kimg": 5 * every, "log-every": every, "snapshot-every": NEVER, "checkpoint-every": NEVER}
        more = [str(word) for name, value in times.items() for word in (f"--{name}", value)]
        if not torch.cuda.is_available():
            os.sched_setaffinity(0, cores)  # children inherit it
        try:
            command = [sys.executable, *launch, "train.py", *own, *options.fields, *more]
            subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL)
        finally:
            os.sched_setaffinity(0, allowed)
        lines = Path(folder, "run", "metrics.jsonl").read_text().splitlines()
    return statistics.median(float(json.loads(line)["img_per_s"]) for line in lines[1:-1])


# --- growth


def growth(recipe: Recipe, options: argparse.Namespace) -> None:
    """Time per image and peak memory of every phase or resolution."""
    memory = memory_of(device())
    memory.forget_peak()
    print(f"{options.recipe}; the process alone takes {memory.peak() / 1e9:.2f} GB")
    print(
        "| side | batch | wall, ms/image | CPU, ms/image | memory, GB |\n|---:|---:|---:|---:|---:|",
        flush=True,
    )
    rows = []
    for name, one, images in moments(recipe):
        memory.forget_peak()
        loop = HandWritten(one, device(), images)
        work, shown = timed(loop.iteration, options.iterations), options.iterations * loop.images
        costs = [cost(work, shown, device()) for _ in range(options.repeats + 1)][
            1 if options.repeats else 0 :
        ]
        peak = memory.peak() / 1e9
        wall, cpu = (
            statistics.median(getattr(taken, kind_of_time) for taken in costs)
            for kind_of_time in ("wall", "cpu")
        )
        print(f"| {name} | {loop.stage.batch} | {wall:.2f} | {cpu:.2f} | {peak:.2f} |", flush=True)
        side = loop.stage.resolution
        rows.append({"side": side, "fading": loop.stage.blend < 1, "wall": wall, "cpu": cpu, "memory": peak})
        del loop, work
        release(device())
    if options.out:
        options.out.write_text(
            json.dumps({"recipe": options.recipe, "device": device().type, "rows": rows}, indent=1) + "\n"
        )


def moments(recipe: Recipe) -> Iterator[tuple[str, Recipe, int]]:
    """What to measure: a name, a recipe and how many images count as shown (amid each phase)."""
    phases = recipe.growth_schedule().phases
    if len(phases) > 1:
        for phase in phases:
            middle = phase.start + 1000 if phase.end == float("inf") else (phase.start + phase.end) / 2
            yield f"{phase.resolution}{' fading in' if phase.fading else ''}", recipe, int(middle)
        return
    if not isinstance(recipe, MSGRecipe):
        raise ValueError(
            "growth knows recipes that grow, and MSG-GAN at each resolution: try --recipe progan-cpu"
        )
    widths = recipe.network.widths or paper_widths(recipe.resolution)
    for level in range(2, len(widths) + 1):
        side = 2 << level
        yield str(side), with_settings(recipe, resolution=side, widths=widths[:level]), 0


# --- the command


MEASURES = {"overhead": overhead, "eager": eager, "ranks": ranks, "growth": growth}


def parse(arguments: Sequence[str]) -> tuple[argparse.Namespace, Recipe]:
    """The command's own arguments, and the recipe with the fields that are set."""
    parser = argparse.ArgumentParser("python -m benchmarks.training", description=__doc__, allow_abbrev=False)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("measure", choices=MEASURES)
    parser.add_argument("--recipe", choices=sorted(RECIPES), default="msg-gan-cpu")
    parser.add_argument(
        "--data", type=Path, default=Path("demo/data"), help="a prepared data set: overhead, ranks"
    )
    parser.add_argument("--repeats", type=int, default=5, help="measurements of each, beside one to warm up")
    parser.add_argument(
        "--iterations",
        type=int,
        default=8,
        help="iterations of a measurement; in eager, the penalties' period",
    )
    parser.add_argument("--out", type=Path, help="growth: also write the figures to this file, as JSON")
    own, fields = parser.parse_known_args(arguments)
    own.fields = fields
    default = RECIPES[own.recipe]()
    return own, tyro.cli(
        type(default),
        default=default,
        args=fields,
        prog=f"python -m benchmarks.training {own.measure} --recipe {own.recipe}",
        config=(tyro.conf.OmitArgPrefixes,),
    )


def main() -> None:
    """Measure."""
    options, recipe = parse(sys.argv[1:])
    try:
        MEASURES[options.measure](recipe, options)
    except ValueError as error:
        sys.exit(f"benchmarks.training: {error}")


if __name__ == "__main__":
    main()
