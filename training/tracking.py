"""Where metrics and sample grids go: JSON lines in the run's folder always, Weights & Biases unless told otherwise."""

import json
import os
from pathlib import Path
from typing import Any, Protocol

import wandb

from models.atomic import write_text


class Tracker(Protocol):
    """Takes what a run reports, in order of images shown."""

    def scalars(self, images: int, values: dict[str, float]) -> None:
        """Metrics at this time."""

    def grids(self, images: int, paths: dict[int, Path]) -> None:
        """Sample grids at this time, by resolution."""

    def close(self) -> None:
        """Flush and finish."""


class JsonLines:
    """`metrics.jsonl`: one object a line, with `images` and the metrics."""

    def __init__(self, run: Path, images: int) -> None:
        """Go on after `images` shown: what an interrupted run wrote beyond is taken back."""
        path = run / "metrics.jsonl"
        if path.exists():
            kept = [line for line in path.read_text().splitlines() if _images(line) <= images]
            write_text(path, "".join(f"{line}\n" for line in kept))
        self._file = path.open("a")

    def scalars(self, images: int, values: dict[str, float]) -> None:
        """Append a line."""
        self._file.write(json.dumps({"images": images, **values}) + "\n")
        self._file.flush()

    def grids(self, images: int, paths: dict[int, Path]) -> None:
        """Grids are files of the run already."""

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _images(line: str) -> float:
    try:
        return float(json.loads(line)["images"])
    except (ValueError, KeyError, TypeError):
        return float("inf")  # cut short by a crash


class Wandb:
    """A W&B run, offline unless WANDB_MODE says otherwise; resumed under the same id."""

    def __init__(self, run: Path, identity: str, name: str, config: dict[str, Any]) -> None:
        self._run = wandb.init(
            project=os.environ.get("WANDB_PROJECT", "crescendo"),
            id=identity,
            name=name,
            dir=run,
            config=config,
            resume="allow",
            mode=os.environ.get("WANDB_MODE", "offline"),  # type: ignore[arg-type]  # W&B checks the value
            settings=wandb.Settings(silent=True, console="off"),
        )
        self._run.define_metric("*", step_metric="images")

    def scalars(self, images: int, values: dict[str, float]) -> None:
        """Log metrics against images shown."""
        self._run.log({"images": images, **values})

    def grids(self, images: int, paths: dict[int, Path]) -> None:
        """Log a picture per resolution."""
        pictures = {f"samples/{side}x{side}": wandb.Image(str(path)) for side, path in paths.items()}
        self._run.log({"images": images, **pictures})

    def close(self) -> None:
        """Finish the W&B run."""
        self._run.finish()
