"""Checkpoints: everything that changes while training, written whole or not at all and read back bit for bit.

A checkpoint is a folder `RUN/checkpoints/<images shown>`: `state.safetensors` (networks and optimizers), `state.json`
(the train state, the sizes of micro-batches, the result of the evaluation) and `model/` (the moving average of the
generator, in the format that sampling, evaluation and serving read). Some systems also have `discriminator.json`
(`models/discriminator_checkpoint.py`). Random numbers, the order of the data and all schedules are functions of the
train state, so nothing else needs saving.
"""

import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any, cast

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from common.atomic import new_folder, write_text
from common.evaluation_result import EvaluationResult
from models.checkpoint import load_generator, save_generator
from models.discriminator_checkpoint import describe_discriminator
from training.optim.ema import MovingAverage
from training.schedules import TrainState
from training.system import System


def save(
    run: Path,
    system: System,
    average: MovingAverage,
    train_state: TrainState,
    about: dict[str, Any],  # the training run, as `config.json` of the model stores it
    keep: int,  # newest checkpoints to keep
    keep_best: int = 0,  # best checkpoints to keep besides
    extra: Mapping[str, Any] = MappingProxyType({}),  # further entries of state.json
) -> Path:
    """Write a checkpoint and remove all but the newest `keep` and the best. Returns its folder.

    A checkpoint that exists already is kept: its content is the same, and replacing it could lose it.
    """
    folder = run / "checkpoints" / f"{train_state.images:010d}"
    if folder.exists():
        return folder
    with new_folder(folder) as aside:
        save_file(_tensors(system), aside / "state.safetensors")
        for updater in system.updaters:
            describe_discriminator(updater.network, f"{updater.name}.network.", aside)
        (aside / "model").mkdir()
        save_generator(average.refreshed(), aside / "model", about)
        write_text(
            aside / "state.json",
            json.dumps(
                {
                    "images": train_state.images,
                    "iteration": train_state.iteration,
                    "phase": train_state.phase,
                    **extra,
                }
            ),
        )
    kept = {*checkpoints(run)[-keep:], *(folder for folder, _ in best(run)[:keep_best])}
    remove(run, [checkpoint for checkpoint in checkpoints(run) if checkpoint not in kept])
    return folder


def remove(run: Path, folders: Sequence[Path]) -> None:
    """Remove checkpoints in this order, and leftovers of removals that were killed. Each is either whole or gone."""
    for leftover in run.glob("checkpoints/.*.removed"):
        shutil.rmtree(leftover)
    for folder in folders:
        shutil.rmtree(folder.rename(folder.with_name(f".{folder.name}.removed")))


def checkpoints(run: Path) -> list[Path]:
    """The run's checkpoints, oldest first."""
    return sorted(path for path in run.glob("checkpoints/*") if path.name.isdigit())


def best(run: Path) -> list[tuple[Path, EvaluationResult]]:
    """The evaluated checkpoints that are comparable with the newest of them, with their results, best first.

    Everything is read from the checkpoints themselves, so the list stays right when some of them are removed.

    Raises:
        ValueError: a checkpoint is damaged.
    """
    found: list[tuple[Path, EvaluationResult]] = []
    for folder in checkpoints(run):
        with _named(folder):
            result = _read(folder).get("evaluation")
            found += [(folder, EvaluationResult(**result))] if result else []
    comparable = [(folder, result) for folder, result in found if result.comparable(found[-1][1])]
    return sorted(comparable, key=lambda pair: pair[1].value)


def load(folder: Path, system: System, average: MovingAverage, total: int) -> TrainState:
    """Load a checkpoint into the system and the moving average. Returns the train state to continue from.

    Raises:
        ValueError: the checkpoint is damaged, or belongs to another system.
    """
    with _named(folder):
        return _load(folder, system, average, total)


def micro_batches(folder: Path, processes: int) -> dict[int, int]:
    """Sizes of the run's micro-batches by phase; empty if it ran with another number of processes.

    Raises:
        ValueError: the checkpoint is damaged.
    """
    with _named(folder):
        saved = _read(folder)
        same = saved.get("processes") == processes
        return (
            {int(phase): int(micro_batch) for phase, micro_batch in saved["micro_batches"].items()}
            if same
            else {}
        )


def size(system: System, average: MovingAverage) -> int:
    """Bytes of a checkpoint's tensors."""
    tensors = [*_tensors(system).values(), *average.generator.state_dict().values()]
    return sum(tensor.nbytes for tensor in tensors)


@contextmanager
def _named(folder: Path) -> Iterator[None]:
    """Name the checkpoint in the message of any error."""
    try:
        yield
    except (OSError, SafetensorError, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise ValueError(
            f"{folder} is damaged ({error}); remove it to continue from the one before"
        ) from None


def _read(folder: Path) -> dict[str, Any]:
    return cast(dict[str, Any], json.loads((folder / "state.json").read_text()))


def _load(folder: Path, system: System, average: MovingAverage, total: int) -> TrainState:
    tensors = load_file(folder / "state.safetensors")
    for updater in system.updaters:
        updater.network.load_state_dict(_under(tensors, f"{updater.name}.network."))
        updater.extra_state.load_state_dict(_under(tensors, f"{updater.name}.state."))
        slots: dict[int, dict[str, Tensor]] = {}
        parameters = [p for group in updater.spec.optimizer.param_groups for p in group["params"]]
        for key, value in _under(tensors, f"{updater.name}.optimizer.").items():
            index, slot = key.split(".")
            like = parameters[int(index)]
            # Fused optimizers go through memory in order: a moment needs its parameter's layout (channels last or not).
            laid_out = torch.empty_like(like).copy_(value) if value.shape == like.shape else value
            slots.setdefault(int(index), {})[slot] = laid_out
        groups = updater.spec.optimizer.state_dict()["param_groups"]
        updater.spec.optimizer.load_state_dict({"state": slots, "param_groups": groups})
    average.load(load_generator(folder / "model"))
    saved = _read(folder)
    return TrainState(saved["images"], total, saved["iteration"], saved["phase"])


def _tensors(system: System) -> dict[str, Tensor]:
    tensors: dict[str, Tensor] = {}
    for updater in system.updaters:
        for key, value in updater.network.state_dict().items():
            tensors[f"{updater.name}.network.{key}"] = value
        for key, value in updater.extra_state.state_dict().items():
            tensors[f"{updater.name}.state.{key}"] = value
        for index, slots in updater.spec.optimizer.state_dict()["state"].items():
            for slot, value in slots.items():
                tensors[f"{updater.name}.optimizer.{index}.{slot}"] = torch.as_tensor(value)
    return {key: value.detach().cpu().contiguous() for key, value in tensors.items()}


def _under(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}
