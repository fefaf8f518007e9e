"""A trained generator on disk: `model.safetensors` (weights) and `config.json` (architecture and settings)."""

import json
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import Any, cast

from safetensors import SafetensorError
from safetensors.torch import load_file, save

from common.atomic import write_bytes, write_text
from models import architectures
from models.checkpoint_upgrade import from_format_1
from models.generator import Generator

FORMAT = 2  # version of config.json; see `checkpoint_upgrade.py` for older ones


def _architectures() -> Iterator[tuple[str, type[Generator]]]:
    """The generators in `models/architectures/` that have a name."""
    for module in iter_modules(architectures.__path__, f"{architectures.__name__}."):
        for kind in vars(import_module(module.name)).values():
            if isinstance(kind, type) and issubclass(kind, Generator) and "architecture" in vars(kind):
                yield kind.architecture, kind


ARCHITECTURES: dict[str, type[Generator]] = dict(_architectures())


def save_generator(generator: Generator, folder: Path, about: dict[str, Any]) -> None:
    """Write a generator into an existing folder, config.json last, so that a folder that has one is complete.

    Args:
        generator: the network; its class must be one of `ARCHITECTURES`.
        folder: where `model.safetensors` and `config.json` go.
        about: further information about the weights (JSON values), stored under `about`.
    """
    name = type(generator).architecture
    assert ARCHITECTURES[name] is type(generator)
    weights = {key: value.detach().cpu().contiguous() for key, value in generator.state_dict().items()}
    write_bytes(folder / "model.safetensors", save(weights))
    config = {"format": FORMAT, "architecture": name, "generator": generator.settings(), "about": about}
    write_text(folder / "config.json", json.dumps(config, indent=2) + "\n")


def find_model(path: Path) -> Path:
    """The model folder at `path`: `path` itself, or the model of a training run's newest checkpoint.

    Raises:
        ValueError: there is neither.
    """
    if (path / "config.json").is_file():
        return path
    found = sorted(path.glob("checkpoints/[0-9]*/model/config.json"))  # none that are still being written
    if found:
        return found[-1].parent
    raise ValueError(f"{path} is neither a model (no config.json) nor a training run with a checkpoint")


def read_config(folder: Path) -> dict[str, Any]:
    """The configuration of a model folder, that of an older version upgraded.

    Raises:
        ValueError: missing, not JSON, or of an unknown format or architecture.
    """
    path = folder / "config.json"
    try:
        config: Any = json.loads(path.read_text())
    except OSError as error:
        raise ValueError(f"{folder} is not a model: {path.name} cannot be read ({error.strerror})") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"{path} is damaged: not JSON ({error}); export the model again") from None
    version = config.get("format") if isinstance(config, dict) else None
    if version not in (1, FORMAT):
        raise ValueError(
            f"{path} has format {version!r}, this version reads formats 1 to {FORMAT}; "
            "export the model again with this version"
        )
    if config.get("architecture") not in ARCHITECTURES:
        raise ValueError(
            f"{path} names an unknown architecture, {config.get('architecture')!r}; known are "
            f"{', '.join(ARCHITECTURES)}"
        )
    try:
        if version == 1:
            config["generator"] = from_format_1(config["architecture"], config["generator"])
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path} is damaged: no settings of a generator ({error!r})") from None
    return cast(dict[str, Any], config)


def load_generator(path: Path) -> Generator:
    """Load the generator of a model folder or of a run's newest checkpoint, in evaluation mode, on the CPU.

    Raises:
        ValueError: there is no model, or it is damaged; the message says what and where.
    """
    folder = find_model(path)
    config = read_config(folder)
    weights = folder / "model.safetensors"
    try:
        generator = ARCHITECTURES[config["architecture"]](**config["generator"])
        generator.load_state_dict(load_file(weights))
    except (OSError, SafetensorError) as error:
        raise ValueError(f"{weights} cannot be read ({error}); export the model again") from None
    except (KeyError, TypeError, RuntimeError) as error:
        raise ValueError(f"{folder}: weights and config.json do not match: {error}") from None
    return generator.eval().requires_grad_(False)
