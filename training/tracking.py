"""Where a run's reports go: JSON lines in its folder always, Weights & Biases and TensorBoard as asked for."""

import json
import os
from collections.abc import Collection
from pathlib import Path
from typing import Any

import wandb
from PIL import Image
from tensorboardX import SummaryWriter
from tensorboardX.proto.summary_pb2 import Summary

from models.atomic import write_text


class Tracker:
    """Takes what a run reports, in order of images shown; what it has no place for it leaves out."""

    def scalars(self, images: int, values: dict[str, float]) -> None:
        """Metrics at this time."""

    def grids(self, images: int, paths: dict[int, Path]) -> None:
        """Sample grids at this time, by resolution."""

    def alert(self, images: int, title: str, text: str) -> None:
        """Something that a person should know of now."""

    def video(self, images: int, path: Path) -> None:
        """The run's growth as an animated GIF."""

    def artifact(self, images: int, folder: Path) -> None:
        """A checkpoint has been written."""

    def close(self) -> None:
        """Flush and finish."""


class JsonLines(Tracker):
    """`metrics.jsonl`: one object a line, with `images` and the metrics, or `images`, `alert` and `text`.

    Pictures and checkpoints are files of the run already.
    """

    def __init__(self, run: Path, images: int) -> None:
        """Go on after `images` shown: what an interrupted run wrote beyond is taken back."""
        path = run / "metrics.jsonl"
        if path.exists():
            kept = [line for line in path.read_text().splitlines() if _images(line) <= images]
            write_text(path, "".join(f"{line}\n" for line in kept))
        self._file = path.open("a")

    def scalars(self, images: int, values: dict[str, float]) -> None:
        """Append a line."""
        self._write({"images": images, **values})

    def alert(self, images: int, title: str, text: str) -> None:
        """Append a line."""
        self._write({"images": images, "alert": title, "text": text})

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _write(self, content: dict[str, Any]) -> None:
        self._file.write(json.dumps(content) + "\n")
        self._file.flush()


def _images(line: str) -> float:
    try:
        return float(json.loads(line)["images"])
    except (ValueError, KeyError, TypeError):
        return float("inf")  # cut short by a crash


class Wandb(Tracker):
    """A W&B run, offline unless WANDB_MODE says otherwise; resumed under the same id.

    Its steps are images shown, so the sessions of a resumed run continue one another, online and once synced.
    """

    def __init__(
        self,
        run: Path,  # the run's folder; W&B's files go to its `wandb/`
        identity: str,  # the W&B run's id
        config: dict[str, Any],  # JSON values
        checkpoints: bool,  # whether to keep each checkpoint as a version of an artifact
    ) -> None:
        """Begin or resume the W&B run.

        Raises:
            ValueError: W&B refuses: no such mode, or online without an API key.
        """
        self._checkpoints, self._kept = checkpoints, -1  # images shown before the last that was kept
        try:
            self._run = wandb.init(
                project=os.environ.get("WANDB_PROJECT", "crescendo"),
                id=identity,
                name=run.name,
                dir=run,
                config=config,
                resume="allow",
                mode=os.environ.get("WANDB_MODE", "offline"),  # type: ignore[arg-type]  # W&B checks the value
                settings=wandb.Settings(silent=True, console="off"),
            )
        except (wandb.Error, ValueError) as error:
            told = " ".join(str(error).split())
            raise ValueError(
                f"W&B does not start: {told} Mend that, set WANDB_MODE=offline, or leave W&B out with --tracker none"
            ) from None
        self._run.define_metric("*", step_metric="images")

    def scalars(self, images: int, values: dict[str, float]) -> None:
        """Log metrics against images shown."""
        self._run.log({"images": images, **values}, step=images)

    def grids(self, images: int, paths: dict[int, Path]) -> None:
        """Log a picture per resolution."""
        pictures = {f"samples/{side}x{side}": wandb.Image(str(path)) for side, path in paths.items()}
        self._run.log({"images": images, **pictures}, step=images)

    def alert(self, images: int, title: str, text: str) -> None:
        """Have W&B notify whoever asked it to (by mail or Slack)."""
        self._run.alert(title, f"After {images} images: {text}", "WARN")

    def video(self, images: int, path: Path) -> None:
        """Log the video."""
        self._run.log({"images": images, "growth": wandb.Video(str(path), format="gif")}, step=images)

    def artifact(self, images: int, folder: Path) -> None:
        """Log the checkpoint as the newest version of the artifact `checkpoint-ID`, if these are wanted."""
        if self._checkpoints and images > self._kept:
            self._kept = images
            artifact = wandb.Artifact(f"checkpoint-{self._run.id}", "model", metadata={"images": images})
            artifact.add_dir(str(folder))
            self._run.log_artifact(artifact, aliases=["latest", f"images-{images}"])

    def close(self) -> None:
        """Finish the W&B run."""
        self._run.finish()


class TensorBoard(Tracker):
    """Event files in the run's `tensorboard/`: `tensorboard --logdir RUN/tensorboard` shows them."""

    def __init__(self, run: Path, images: int, config: dict[str, Any]) -> None:
        """Go on after `images` shown: what an interrupted run wrote beyond is marked as overwritten."""
        self._writer = SummaryWriter(
            str(run / "tensorboard"), purge_step=images + 1, filename_suffix=f".{images:010d}"
        )
        listing = json.dumps(config, indent=4)
        self._writer.add_text("config", "".join(f"    {line}\n" for line in listing.splitlines()), images)

    def scalars(self, images: int, values: dict[str, float]) -> None:
        """Write metrics against images shown."""
        for name, value in values.items():
            self._writer.add_scalar(name, value, images)

    def grids(self, images: int, paths: dict[int, Path]) -> None:
        """Write a picture per resolution."""
        for side, path in paths.items():
            self._picture(f"samples/{side}x{side}", path, images)

    def alert(self, images: int, title: str, text: str) -> None:
        """Write it among the texts."""
        self._writer.add_text("alerts", f"**{title}**: {text}", images)

    def video(self, images: int, path: Path) -> None:
        """Write the video among the pictures, where it moves."""
        self._picture("growth", path, images)

    def close(self) -> None:
        """Flush and close the files."""
        self._writer.close()

    def _picture(self, name: str, path: Path, images: int) -> None:
        with Image.open(path) as picture:
            width, height = picture.size
        encoded = Summary.Image(width=width, height=height, encoded_image_string=path.read_bytes())
        summary = Summary(value=[Summary.Value(tag=name, image=encoded)])
        self._writer.file_writer.add_summary(summary, images)


def open_trackers(
    names: Collection[str],  # of "wandb" and "tensorboard", those wanted beside `metrics.jsonl`
    run: Path,  # the run's folder
    images: int,  # shown so far
    identity: str,  # the W&B run's id
    config: dict[str, Any],  # JSON values
    checkpoints: bool,  # whether W&B keeps them as artifacts
) -> list[Tracker]:
    """The trackers of a run, ready to go on.

    Raises:
        ValueError: one of them refuses.
    """
    trackers: list[Tracker] = [JsonLines(run, images)]
    if "wandb" in names:
        trackers.append(Wandb(run, identity, config, checkpoints))
    if "tensorboard" in names:
        trackers.append(TensorBoard(run, images, config))
    return trackers
