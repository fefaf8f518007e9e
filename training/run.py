"""A run's folder: begun, resumed, carried out.

RUN/run.json        recipe, data, versions: what is needed to go on or to do it again
RUN/metrics.jsonl   one line per report
RUN/samples/        grids by images shown
RUN/growth.gif      these as a video, once the run is complete
RUN/checkpoints/    see `state.py`
"""

import json
import os
import platform
import subprocess
import uuid
from collections.abc import Collection
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from accelerate import Accelerator
from pydantic import TypeAdapter, ValidationError
from rich.console import Console

from common.aspect import size_at
from common.atomic import write_text
from data_prep.store import PyramidDataset
from training import checkpoint, preflight
from training.data.loader import BatchLoader
from training.distributed.launch import accelerator_for
from training.iteration import set_up_system
from training.monitoring.evaluation_result import Measure
from training.monitoring.guard import EventLog
from training.monitoring.memory import memory_of
from training.monitoring.tracking import Tracker, open_trackers
from training.optim.ema import MovingAverage
from training.recipes import RECIPES
from training.recipes.recipe import MAY_CHANGE, DataFormat, Recipe
from training.system import System, TrainState
from training.trainer import Trainer


@dataclass(frozen=True)
class RunRecord:
    """What `run.json` holds."""

    recipe_name: str  # key of RECIPES
    recipe: Recipe
    data: Path  # the data set's folder
    fingerprint: str  # of the data set
    identity: str  # the W&B run's id
    versions: dict[str, str]  # of Python, the libraries and this project's commit


def begin(folder: Path, recipe_name: str, recipe: Recipe, data: Path) -> RunRecord:
    """Create a run's folder.

    Raises:
        ValueError: the folder is in use, the data cannot be read or is smaller than the recipe's resolution.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ValueError(f"{folder} exists and is not empty; name another --out, or go on with --resume")
    above = next(path for path in folder.absolute().parents if path.exists())
    if not above.is_dir():
        raise ValueError(f"--out {folder} cannot be made: {above} is a file")
    dataset = open_data(data, recipe)
    identity = os.environ.get("WANDB_RUN_ID") or uuid.uuid4().hex[:12]  # a sweep chooses it
    return RunRecord(recipe_name, recipe, data.resolve(), dataset.fingerprint, identity, _versions())


def write(folder: Path, record: RunRecord) -> None:
    """Publish `run.json`."""
    folder.mkdir(parents=True, exist_ok=True)
    content = {**asdict(record), "data": str(record.data)}
    write_text(folder / "run.json", json.dumps(content, indent=2) + "\n")


def read(folder: Path) -> RunRecord:
    """Read `run.json`.

    Raises:
        ValueError: there is no run, or its record does not fit this version.
    """
    path = folder / "run.json"
    if not path.is_file():
        raise ValueError(f"there is no run to resume in {folder} (no run.json); start one without --resume")
    try:
        content = json.loads(path.read_text())
        recipe = TypeAdapter(type(RECIPES[content["recipe_name"]]())).validate_python(content["recipe"])
        return RunRecord(**{**content, "recipe": recipe, "data": Path(content["data"])})
    except (KeyError, TypeError, ValueError, ValidationError) as error:
        raise ValueError(f"{path} does not fit this version: {error}") from None


def check_resume(record: RunRecord, recipe: Recipe, data: Path | None) -> None:
    """See that going on means the same run.

    Raises:
        ValueError: a field that may not change differs, or the data are not those that the run began with.
    """
    was, now = asdict(record.recipe), asdict(recipe)
    changed = [name for name in was if was[name] != now[name] and name not in MAY_CHANGE]
    if changed:
        raise ValueError(
            f"--resume cannot change {', '.join(changed)}; only {', '.join(sorted(MAY_CHANGE))} may differ. "
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
    measure: Measure | None = None,  # how good the generator is; None where the recipe never asks
) -> Trainer:
    """Build the trainer, at the newest checkpoint or at the start where there is none, and write `run.json`.

    Raises:
        ValueError: the recipe's networks cannot be built, do not fit into memory, or accelerate is not set up for them.
    """
    recipe, dataset = record.recipe, open_data(data, record.recipe)
    accelerator = accelerator_for(recipe)
    micro_batches = look_ahead(folder, record, dataset, accelerator)
    memory_of(accelerator.device).forget_peak()
    system = set_up_system(recipe, _format(dataset), accelerator.device)
    average = MovingAverage(system.generator, recipe.ema_half_life * 1000)
    train_state = TrainState(0, round(recipe.kimg * 1000), 0)
    saved = checkpoint.checkpoints(folder)
    if saved:
        train_state = checkpoint.load(saved[-1], system, average, train_state.total)
    about = {
        "recipe": record.recipe_name,
        "settings": asdict(recipe),
        "data": _describe(dataset),
        "parameters": _parameters(system),
    }
    opened: list[Tracker] = []
    if accelerator.is_main_process:
        write(folder, record)
        config = {
            **asdict(recipe),
            "recipe": record.recipe_name,
            "data": _describe(dataset),
            "versions": record.versions,
        }
        opened = open_trackers(trackers, folder, train_state.images, record.identity, config, artifacts)
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
        measure,
    )


def look_ahead(
    folder: Path, record: RunRecord, dataset: PyramidDataset, accelerator: Accelerator
) -> dict[int, int]:
    """Say what the rest of the run will take. Returns the samples that fit into memory at once, by phase.

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
        kept = recipe.keep + (recipe.keep_best if recipe.evaluate_every else 0)
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
