"""Train a recipe on a prepared data set: `accelerate launch train.py --recipe msg-gan-cpu --data DST --out RUN`."""

import argparse
import dataclasses
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import tyro

from models.generator import Generator
from training import checkpoint, run
from training.distributed.collective import LostRankError
from training.distributed.launch import accelerator_for
from training.monitoring.evaluation_result import EvaluationResult, Measure
from training.recipes import RECIPES
from training.recipes.recipe import Recipe
from training.trainer import TrainingError


def parse(arguments: Sequence[str]) -> tuple[argparse.Namespace, Recipe]:
    """The command line's own arguments, and the recipe with the fields that it sets."""
    parser = argparse.ArgumentParser("train.py", description=__doc__, add_help=False, allow_abbrev=False)
    parser.add_argument("--recipe", choices=sorted(RECIPES), help="what to train")
    parser.add_argument("--data", type=Path, help="a data set made by `python -m data_prep prepare`")
    parser.add_argument("--out", type=Path, help="the run's folder")
    parser.add_argument("--list", action="store_true", help="only print the recipes, as JSON")
    parser.add_argument("--resume", action="store_true", help="go on with the run in --out")
    parser.add_argument("--preflight", action="store_true", help="only say what the run will take")
    trackers = ["wandb", "tensorboard", "none"]
    parser.add_argument(
        "--tracker", nargs="+", choices=trackers, default=["wandb"], help="beside metrics.jsonl"
    )
    parser.add_argument("--features", type=Path, help="network (.onnx) for the metrics of --evaluate-every")
    parser.add_argument("--artifacts", action="store_true", help="have W&B keep every checkpoint")
    own, fields = parser.parse_known_args(arguments)
    if own.list:
        print(json.dumps({name: described(RECIPES[name]()) for name in sorted(RECIPES)}, indent=2))
        parser.exit()
    asked_help = not {"-h", "--help"}.isdisjoint(fields)
    if asked_help:
        print(parser.format_help(), flush=True)
    elif "none" in own.tracker and len(own.tracker) > 1:
        parser.error("--tracker none goes with no other")
    elif own.artifacts and "wandb" not in own.tracker:
        parser.error("--artifacts needs --tracker wandb")
    elif own.out is None:
        parser.error("--out RUN is needed")
    elif own.resume:
        own.record = run.read(own.out)
        if own.recipe not in (None, own.record.recipe_name):
            raise ValueError(f"the run in {own.out} is of recipe {own.record.recipe_name}, not {own.recipe}")
    elif own.recipe is None or own.data is None:
        parser.error("--recipe NAME and --data DST are needed (or --resume)")
    default = own.record.recipe if "record" in own else RECIPES[own.recipe or "msg-gan-cpu"]()
    return own, tyro.cli(
        type(default), default=default, args=fields, prog=f"train.py --recipe {own.recipe or 'msg-gan-cpu'}"
    )


def described(recipe: Recipe) -> dict[str, object]:
    """What `--list` says of a recipe."""
    return {"resolution": recipe.resolution, "kimg": recipe.kimg, "needs_labels": recipe.needs_labels}


def monitor(recipe: Recipe, data: Path, features: Path | None) -> Measure | None:
    """What measures the generator while it trains, as `python -m evaluation` does; None where no recipe asks.

    Raises:
        ValueError: the data set is too small, or the network not one for its pictures.
    """
    if recipe.evaluate_every == 0:
        if features is not None:
            raise ValueError("--features is for metrics while training: say how often with --evaluate-every")
        return None
    from evaluation.metrics.features import FeatureNetwork  # seconds to import
    from evaluation.monitor import Monitor

    network = FeatureNetwork(features) if features else None
    evaluate = Monitor(run.open_data(data, recipe), recipe.resolution, recipe.evaluate_pictures, network)

    def measure(generator: Generator) -> EvaluationResult | None:
        found = evaluate(generator)
        return EvaluationResult(**vars(found)) if found else None

    return measure


def main(arguments: Sequence[str]) -> int:
    """Begin or resume a run. Returns the exit code: 0 done, 1 failed, 2 bad arguments, 130 stopped and saved."""
    try:
        own, recipe = parse(arguments)
        if own.resume:
            run.check_resume(own.record, recipe, own.data)
            record = dataclasses.replace(own.record, recipe=recipe)
        else:
            record = run.begin(own.out, own.recipe, recipe, own.data)
        data = own.data or record.data
        if own.preflight:
            run.look_ahead(own.out, record, run.open_data(data, recipe), accelerator_for(recipe))
            return 0
        measure = monitor(recipe, data, own.features)
        trainer = run.set_up(own.out, record, data, own.tracker, own.artifacts, measure)
    except (ValueError, OSError) as error:
        print(f"train.py: {error}", file=sys.stderr)
        return 2
    try:
        complete = trainer.run()
    except (TrainingError, LostRankError) as error:
        print(f"train.py: {error}", file=sys.stderr)
        return 1
    if trainer.accelerator.is_main_process:
        if not complete:
            print(f"stopped and saved; go on with: accelerate launch train.py --resume --out {own.out}")
        for best, found in checkpoint.best(own.out)[:1]:
            print(f"best by {found.rank}, {found.value:.4g}: {best / 'model'}")
    return 0 if complete else 130


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
