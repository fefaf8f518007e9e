"""A run's folder: how a run is begun, resumed and set up.

RUN/run.json        recipe, data, versions: what is needed to resume or repeat it
RUN/metrics.jsonl   one line per report
RUN/samples/        grids by images shown
RUN/growth.gif      the same as a video, once the run is complete
RUN/checkpoints/    see `checkpoint.py`
"""

import json
import os
import platform
import subprocess
import uuid
from collections.abc import Collection
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from accelerate import Accelerator
from rich.console import Console

from common.aspect import size_at
from common.atomic import write_bytes, write_text
from data_prep.store import PyramidDataset
from models.checkpoint import ARCHITECTURES
from training import checkpoint, preflight
from training.data.loader import BatchLoader
from training.distributed.launch import accelerator_for
from training.iteration import set_up_system
from training.monitoring.evaluation import Evaluate
from training.monitoring.guard import EventLog
from training.monitoring.memory import memory_of
from training.monitoring.tracking import Tracker, open_trackers
from training.optim.ema import MovingAverage
from training.recipes.lookup import COPY, RecipeFile, find_file, make_recipe
from training.recipes.recipe import DataFormat, Recipe, flat_settings, may_change
from training.recipes.settings import from_json, to_json
from training.schedules import TrainState
from training.system import System
from training.trainer import Trainer

FORMAT = 2  # version of run.json and of checkpoints; before version 0.2 of this project it was not recorded


@dataclass(frozen=True)
class RunRecord:
    """The content of `run.json`."""

    recipe_name: str  # key of RECIPES, or file.py:function
    recipe: Recipe
    recipe_file: RecipeFile | None  # of a user's own recipe: while the run exists, its copy there
    data: Path  # the data set's folder
    fingerprint: str  # of the data set
    wandb_id: str  # the W&B run's id
    versions: dict[str, str]  # of Python, the libraries and this project's commit


def begin(folder: Path, recipe_name: str, recipe: Recipe, data: Path) -> RunRecord:
    """Describe a new run.

    Raises:
        ValueError: the folder is in use, the data cannot be read or are smaller than the recipe's resolution.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ValueError(
            f"{folder} exists and is not empty; name another --out, or continue it with --resume"
        )
    above = next(path for path in folder.absolute().parents if path.exists())
    if not above.is_dir():
        raise ValueError(f"--out {folder} cannot be made: {above} is a file")
    dataset = open_data(data, recipe)
    wandb_id = os.environ.get("WANDB_RUN_ID") or uuid.uuid4().hex[:12]  # a sweep chooses it
    file = find_file(recipe_name)
    name = f"{file.path.name}:{file.function}" if file else recipe_name
    return RunRecord(name, recipe, file, data.resolve(), dataset.fingerprint, wandb_id, _versions())


def write(folder: Path, record: RunRecord) -> None:
    """Publish `run.json`, after a copy of the user's recipe file."""
    folder.mkdir(parents=True, exist_ok=True)
    file = record.recipe_file
    if file is not None and file.path != folder / COPY:
        write_bytes(folder / COPY, file.path.read_bytes())
    content = {
        "format": FORMAT,
        "recipe": record.recipe_name,
        "recipe_file": file and {"function": file.function, "sha256": file.sha256},
        "settings": to_json(record.recipe),
        "data": str(record.data),
        "fingerprint": record.fingerprint,
        "wandb_id": record.wandb_id,
        "versions": record.versions,
    }
    write_text(folder / "run.json", json.dumps(content, indent=2) + "\n")


def read(folder: Path) -> RunRecord:
    """Read `run.json`.

    Raises:
        ValueError: there is no run, it is of another format, or its record is damaged.
    """
    path = folder / "run.json"
    if not path.is_file():
        raise ValueError(f"there is no run to resume in {folder} (no run.json); start one without --resume")
    try:
        content = json.loads(path.read_text())
        if content.get("format") != FORMAT:
            raise ValueError(
                f"it is of format {content.get('format', 1)}, and this version resumes format {FORMAT} only: "
                "finish the run with the version that began it"
            )
        file = content["recipe_file"] and RecipeFile(folder / COPY, **content["recipe_file"])
        name = content["recipe"]
        recipe = from_json(make_recipe(name, file), content["settings"])
        others = {key: content[key] for key in ("fingerprint", "wandb_id", "versions")}
        return RunRecord(name, recipe, file, Path(content["data"]), **others)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ValueError(f"{path} cannot be resumed: {error}") from None


def check_resume(record: RunRecord, recipe: Recipe, data: Path | None) -> None:
    """Check that resuming continues the same run.

    Raises:
        ValueError: a setting that may not change differs, or the data are not those that the run began with.
    """
    was, now = flat_settings(record.recipe), flat_settings(recipe)
    changed = [name for name in was if was[name] != now[name] and not may_change(name)]
    if changed:
        allowed = ", ".join(sorted(name for name in was if may_change(name)))
        raise ValueError(
            f"--resume cannot change {', '.join(changed)}; only {allowed} may differ. "
            "Start a new run for another recipe."
        )
    dataset = open_data(data or record.data, recipe)
    if dataset.fingerprint != record.fingerprint:
        raise ValueError(f"{dataset.path} is not the data set that the run began with (fingerprints differ)")


def set_up(
    folder: Path,
    record: RunRecord,
    data: Path,
    trackers: Collection[str] = (),  # see `open_trackers`
    artifacts: bool = False,  # whether W&B keeps checkpoints
    evaluate: Evaluate | None = None,  # evaluates the generator; None where the recipe never asks
) -> Trainer:
    """Build the trainer, at the newest checkpoint or at the start where there is none, and write `run.json`.

    Raises:
        ValueError: the recipe's networks cannot be built, do not fit into memory, or accelerate is not set up for them.
    """
    recipe, dataset = record.recipe, open_data(data, record.recipe)
    accelerator = accelerator_for(recipe.compute.precision, recipe.growth_schedule())
    micro_batches = run_preflight(folder, record, dataset, accelerator)
    memory_of(accelerator.device).forget_peak()
    system = set_up_system(recipe, _format(dataset), accelerator.device)
    if type(system.generator) not in ARCHITECTURES.values():
        raise ValueError(
            f"the recipe's generator, {type(system.generator).__name__}, is not of `models/architectures/`: "
            "it could not be loaded again; put it there, and name its `architecture`"
        )
    average = MovingAverage(system.generator, recipe.ema_half_life * 1000)
    train_state = TrainState(0, round(recipe.kimg * 1000), 0)
    saved = checkpoint.checkpoints(folder)
    if saved:
        train_state = checkpoint.load(saved[-1], system, average, train_state.total)
    about = {
        "recipe": record.recipe_name,
        "settings": to_json(recipe),
        "data": _describe(dataset),
        "parameters": _parameters(system),
    }
    opened: list[Tracker] = []
    if accelerator.is_main_process:
        write(folder, record)
        config = {
            **flat_settings(recipe),
            "recipe": record.recipe_name,
            "data": _describe(dataset),
            "versions": record.versions,
        }
        opened = open_trackers(trackers, folder, train_state.images, record.wandb_id, config, artifacts)
        opened.append(EventLog(folder))
    loader = BatchLoader(dataset, recipe.seed, recipe.flip)
    return Trainer(
        system,
        loader,
        recipe,
        folder,
        about,
        opened,
        average,
        train_state,
        micro_batches,
        accelerator,
        evaluate,
    )


def run_preflight(
    folder: Path, record: RunRecord, dataset: PyramidDataset, accelerator: Accelerator
) -> dict[int, int]:
    """Print what the rest of the run will take. Returns the micro-batches that fit into memory, by phase.

    Raises:
        ValueError: a phase does not fit into memory.
    """
    recipe, saved = record.recipe, checkpoint.checkpoints(folder)
    images = int(saved[-1].name) if saved else 0
    if images >= recipe.kimg * 1000:
        return {}
    known = checkpoint.micro_batches(saved[-1], accelerator.num_processes) if saved else {}
    found = preflight.estimate(recipe, _format(dataset), accelerator, images, known)
    if accelerator.is_main_process:
        options = recipe.monitoring
        kept = options.keep + (options.keep_best if options.evaluate_every else 0)
        preflight.show(found, folder, kept, Console())
    return {forecast.phase: forecast.micro_batch for forecast in found.forecasts}


def open_data(data: Path, recipe: Recipe) -> PyramidDataset:
    """Open the data set that a recipe is to be trained on.

    Raises:
        ValueError: it cannot be read, or is smaller than the recipe's resolution.
    """
    dataset = PyramidDataset(data)
    if dataset.size < recipe.resolution:
        size, wanted = (
            "{}x{}".format(*size_at(r, dataset.aspect)) for r in (dataset.size, recipe.resolution)
        )
        raise ValueError(
            f"{data} goes up to {size}, the recipe to {wanted}: prepare it with --size {wanted}, or "
            f"train with --resolution {dataset.size}"
        )
    return dataset


def _format(dataset: PyramidDataset) -> DataFormat:
    return DataFormat(dataset.channels, dataset.label_names, dataset.aspect)


def _describe(dataset: PyramidDataset) -> dict[str, Any]:
    return {"name": dataset.path.name, "images": len(dataset), "fingerprint": dataset.fingerprint}


def _parameters(system: System) -> dict[str, int]:
    """Trained numbers of the generator, and of the networks that only training needs."""
    networks = (system.generator, *(updater.network for updater in system.updaters))
    counts = {id(each): each.numel() for network in networks for each in network.parameters()}
    generator = sum(each.numel() for each in system.generator.parameters())
    return {"generator": generator, "rest": sum(counts.values()) - generator}


def _versions() -> dict[str, str]:
    versions = {name: version(name) for name in ("torch", "torchvision", "kornia", "accelerate", "wandb")}
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty"]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    return {"python": platform.python_version(), **versions, "commit": found.stdout.strip() or "unknown"}
