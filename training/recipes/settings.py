"""A recipe's settings as JSON: what `--show-config` prints, and what `run.json` and model cards hold."""

import json
from dataclasses import asdict, fields, is_dataclass
from pathlib import Path
from typing import Any, TypeVar, cast

from training.recipes.recipe import Recipe

R = TypeVar("R", bound=Recipe)


def to_json(recipe: Recipe) -> dict[str, Any]:
    """The settings as JSON values, nested as the recipe's options are."""
    return cast(dict[str, Any], json.loads(json.dumps(asdict(recipe))))


def from_json(default: R, settings: dict[str, Any]) -> R:
    """A recipe with these settings; those that are left out are the default's.

    Raises:
        ValueError: a setting is unknown, or its value does not fit.
    """
    from pydantic import TypeAdapter, ValidationError  # a tenth of a second, which --help does without

    merged = _merge(default, settings, "")
    try:
        return TypeAdapter(type(default)).validate_python(merged)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(map(str, first["loc"]))
        raise ValueError(f"setting {name}: {first['msg']}" if name else first["msg"]) from None


def _merge(options: Any, settings: Any, within: str) -> dict[str, Any]:
    """The options' values as a dictionary, replaced by the settings."""
    if not isinstance(settings, dict):
        raise ValueError(f"setting {within[:-1]} must be an object, not {settings!r}")
    known = {each.name: getattr(options, each.name) for each in fields(options)}
    unknown = [name for name in settings if name not in known]
    if unknown:
        raise ValueError(f"unknown setting {within}{unknown[0]}; known: {', '.join(known)}")
    return {
        name: _merge(value, settings.get(name, {}), f"{within}{name}.")
        if is_dataclass(value)
        else settings.get(name, value)
        for name, value in known.items()
    }


def read_config(path: Path) -> tuple[str, dict[str, Any]]:
    """The recipe's name and the settings in a file that `--show-config` printed, or in a `run.json`.

    Raises:
        ValueError: the file cannot be read, or holds no settings.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return str(content["recipe"]), dict(content["settings"])
    except OSError as error:
        raise ValueError(f"--config {path} cannot be read: {error.strerror}") from None
    except (ValueError, KeyError, TypeError):
        raise ValueError(
            f"--config {path} must be JSON with a recipe and its settings, as printed by --show-config"
        ) from None
