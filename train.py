"""Train a recipe on a prepared data set: `accelerate launch train.py --recipe msg-gan-cpu --data DATA --out RUN`."""

import argparse
import dataclasses
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import tyro

from training.recipes import RECIPES
from training.recipes.lookup import find_file, make_recipe
from training.recipes.recipe import Recipe
from training.recipes.settings import from_json, read_config, to_json

if TYPE_CHECKING:  # what trains takes seconds to import, and --help and --list do without
    from training.monitoring.evaluation import Evaluate

DEFAULT = "msg-gan-cpu"  # whose settings --help shows


def parser() -> argparse.ArgumentParser:
    """Options of the command besides the recipe's settings."""
    own = argparse.ArgumentParser("train.py", description=__doc__, add_help=False, allow_abbrev=False)
    own.add_argument("--recipe", metavar="NAME", help="what to train (see --list), or path/to/file.py:name")
    own.add_argument(
        "--data", type=Path, metavar="DATA", help="a data set made by `python -m data_prep prepare`"
    )
    own.add_argument("--out", type=Path, metavar="RUN", help="the run's folder")
    own.add_argument("--config", type=Path, metavar="FILE", help="settings, as printed by --show-config")
    own.add_argument("--show-config", action="store_true", help="only print the resolved settings, as JSON")
    own.add_argument("--list", action="store_true", help="only print the recipes, as JSON")
    own.add_argument("--resume", action="store_true", help="continue the run in --out")
    own.add_argument("--preflight", action="store_true", help="only print what the run will take")
    trackers = ["wandb", "tensorboard", "none"]
    own.add_argument(
        "--tracker", nargs="+", choices=trackers, default=["wandb"], help="besides metrics.jsonl"
    )
    own.add_argument(
        "--features", type=Path, metavar="FILE", help="network (.onnx) for the metrics of --evaluate-every"
    )
    own.add_argument("--artifacts", action="store_true", help="upload every checkpoint to W&B")
    return own


def parse(arguments: Sequence[str]) -> tuple[argparse.Namespace, Recipe]:
    """The command's own options, and the recipe with the settings given.

    Raises:
        ValueError: the recipe, its settings or the run to resume cannot be read.
        SystemExit: the arguments are wrong, or something was only to be printed.
    """
    command = parser()
    own, settings = command.parse_known_args(arguments)
    if own.list:
        print(json.dumps({name: described(RECIPES[name]()) for name in sorted(RECIPES)}, indent=2))
        command.exit()
    if not {"-h", "--help"}.isdisjoint(settings):
        print(command.format_help(), flush=True)
    elif "none" in own.tracker and len(own.tracker) > 1:
        command.error("--tracker none cannot be combined with another")
    elif own.artifacts and "wandb" not in own.tracker:
        command.error("--artifacts needs --tracker wandb")
    elif own.out is None and not own.show_config:
        command.error("--out RUN is needed")
    elif own.resume and own.config is not None:
        command.error("--config goes with a new run; a resumed one has its settings in run.json")
    elif not own.resume and own.recipe is None and own.config is None:
        command.error("--recipe NAME (or --config FILE) is needed, or --resume")
    elif not own.resume and own.data is None and not own.show_config:
        command.error("--data DATA is needed (or --resume)")
    default = base(own)
    recipe = tyro.cli(
        type(default),
        default=default,
        args=settings,
        prog=f"train.py --recipe {own.recipe or DEFAULT}",
        config=(tyro.conf.OmitArgPrefixes,),  # one flat list of options, whichever class holds them
    )
    if own.show_config:
        print(json.dumps({"recipe": own.recipe, "settings": to_json(recipe)}, indent=2))
        command.exit()
    return own, recipe


def base(own: argparse.Namespace) -> Recipe:
    """The recipe that the command line's settings are applied to: a run's, a file's, or one by name."""
    if own.resume and own.out is not None:
        from training import run

        record = own.record = run.read(own.out)
        if own.recipe not in (None, record.recipe_name):
            raise ValueError(f"the run in {own.out} is of recipe {record.recipe_name}, not {own.recipe}")
        return record.recipe
    if own.config is not None:
        name, settings = read_config(own.config)
        own.recipe = own.recipe or name
        if name.rpartition(":")[2] != own.recipe.rpartition(":")[2]:
            raise ValueError(f"--config {own.config} is of recipe {name}, not {own.recipe}")
        return from_json(make_recipe(own.recipe, find_file(own.recipe)), settings)
    return make_recipe(own.recipe or DEFAULT, find_file(own.recipe or DEFAULT))


def described(recipe: Recipe) -> dict[str, object]:
    """What `--list` says of a recipe."""
    return {"resolution": recipe.resolution, "kimg": recipe.kimg, "needs_labels": recipe.needs_labels}


def evaluation(recipe: Recipe, data: Path, features: Path | None) -> "Evaluate | None":
    """What evaluates the generator during training, as `python -m evaluation` does; None where no recipe asks.

    Raises:
        ValueError: the data set is too small, or the network does not fit its images.
    """
    if recipe.monitoring.evaluate_every == 0:
        if features is not None:
            raise ValueError("--features is for metrics during training: say how often with --evaluate-every")
        return None
    from evaluation.metrics.features import FeatureNetwork
    from evaluation.monitor import Monitor
    from training import run

    network = FeatureNetwork(features) if features else None
    dataset = run.open_data(data, recipe)
    return Monitor(dataset, recipe.resolution, recipe.monitoring.evaluate_samples, network)


def main(arguments: Sequence[str]) -> int:
    """Begin or resume a run. Returns the exit code: 0 done, 1 failed, 2 bad arguments, 130 stopped and saved."""
    try:
        own, recipe = parse(arguments)
        from training import checkpoint, run
        from training.distributed.collective import LostRankError
        from training.distributed.launch import accelerator_for
        from training.trainer import TrainingError

        if own.resume:
            run.check_resume(own.record, recipe, own.data)
            record = dataclasses.replace(own.record, recipe=recipe)
        else:
            record = run.begin(own.out, own.recipe, recipe, own.data)
        data = own.data or record.data
        if own.preflight:
            accelerator = accelerator_for(recipe.compute.precision, recipe.growth_schedule())
            run.run_preflight(own.out, record, run.open_data(data, recipe), accelerator)
            return 0
        evaluate = evaluation(recipe, data, own.features)
        trainer = run.set_up(own.out, record, data, own.tracker, own.artifacts, evaluate)
    except (ValueError, OSError) as error:
        print(f"train.py: {error}", file=sys.stderr)
        return 2
    try:
        complete = trainer.run()
    except (TrainingError, LostRankError) as error:
        print(f"train.py: {error}", file=sys.stderr)
        return 1
    if trainer.accelerator.is_main_process:
        for best, found in checkpoint.best(own.out)[:1]:
            print(f"best by {found.ranked_by}, {found.value:.4g}: {best / 'model'}")
        if complete:
            print(f"{own.out} is trained: python -m models.sample {own.out} --seeds 0-15 --out grid.png")
        else:
            print(f"stopped and saved; continue with: accelerate launch train.py --resume --out {own.out}")
    return 0 if complete else 130


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
