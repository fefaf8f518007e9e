"""Where a run's reports go: JSON lines in its folder always, Weights & Biases and TensorBoard as asked for."""

import json
import os
from collections.abc import Collection, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import wandb
from PIL import Image
from tensorboardX import SummaryWriter
from tensorboardX.proto.event_pb2 import Event, SessionLog
from tensorboardX.proto.summary_pb2 import Summary

from common.atomic import write_text
from training.monitoring.samples import picture_size


class Tracker:
    """Takes what a run reports, in order of images shown; what it has no place for it leaves out."""

    def scalars(self, images: int, values: dict[str, float]) -> None:
        """Metrics at this time."""

    def grids(self, images: int, paths: dict[int, Path]) -> None:
        """Sample grids at this time, by resolution."""

    def alert(self, images: int, title: str, text: str) -> None:
        """Something that a person should know of now."""

    def rewind(self, images: int) -> None:
        """The run goes back to this time: what was reported since is void."""

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
        self._path = run / "metrics.jsonl"
        self._file = self._path.open("a")
        self.rewind(images)

    def rewind(self, images: int) -> None:
        """Take back the lines of later times."""
        self._file.close()
        kept = read_lines(self._path, images)
        write_text(self._path, "".join(f"{json.dumps(line)}\n" for line in kept))
        self._file = self._path.open("a")

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


def read_lines(path: Path, images: int) -> list[dict[str, Any]]:
    """The lines of `metrics.jsonl` up to so many images; none where there is no file."""
    lines: list[dict[str, Any]] = []
    for text in path.read_text().splitlines() if path.exists() else ():
        with suppress(ValueError):  # cut short by a crash
            lines.append(json.loads(text))
    return [line for line in lines if line["images"] <= images]


class Wandb(Tracker):
    """A W&B run, offline unless WANDB_MODE says otherwise; resumed under the same id.

    Its steps are images shown, so the sessions of a resumed run continue one another, online and once synced. They can
    only rise: once a run has gone back they are ahead of the images shown, which are the axis of every chart.
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
        self._step, self._ahead = 0, 0  # the last step, and how far it was ahead of the images shown
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

    def rewind(self, images: int) -> None:
        """Let what comes follow what was reported, which W&B cannot take back."""
        self._ahead = self._step - images
        self._kept = images

    def scalars(self, images: int, values: dict[str, float]) -> None:
        """Log metrics against images shown."""
        self._log(images, values)

    def grids(self, images: int, paths: dict[int, Path]) -> None:
        """Log a picture per resolution."""
        pictures = {_grid_name(path, side): wandb.Image(str(path)) for side, path in paths.items()}
        self._log(images, pictures)

    def alert(self, images: int, title: str, text: str) -> None:
        """Have W&B notify whoever asked it to (by mail or Slack)."""
        self._run.alert(title, f"After {images} images: {text}", "WARN")

    def video(self, images: int, path: Path) -> None:
        """Log the video."""
        self._log(images, {"growth": wandb.Video(str(path), format="gif")})

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

    def _log(self, images: int, values: Mapping[str, Any]) -> None:
        self._step = images + self._ahead
        self._run.log({"images": images, **values}, step=self._step)


class TensorBoard(Tracker):
    """Event files in the run's `tensorboard/`: `tensorboard --logdir RUN/tensorboard` shows them."""

    def __init__(self, run: Path, images: int, config: dict[str, Any]) -> None:
        """Go on after `images` shown: what an interrupted run wrote beyond is marked as overwritten."""
        self._writer = SummaryWriter(
            str(run / "tensorboard"), purge_step=images + 1, filename_suffix=f".{images:010d}"
        )
        listing = json.dumps(config, indent=4)
        self._writer.add_text("config", "".join(f"    {line}\n" for line in listing.splitlines()), images)

    def rewind(self, images: int) -> None:
        """Mark what came later as overwritten."""
        start = Event(step=images + 1, session_log=SessionLog(status=SessionLog.START))
        self._writer.file_writer.add_event(start, images + 1)

    def scalars(self, images: int, values: dict[str, float]) -> None:
        """Write metrics against images shown."""
        for name, value in values.items():
            self._writer.add_scalar(name, value, images)

    def grids(self, images: int, paths: dict[int, Path]) -> None:
        """Write a picture per resolution."""
        for side, path in paths.items():
            self._picture(_grid_name(path, side), path, images)

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


def _grid_name(path: Path, resolution: int) -> str:
    """What a grid is logged as, such as `samples/64x96` for pictures of height 64 and width 96."""
    with Image.open(path) as grid:
        height, width = picture_size(grid, resolution)
    return f"samples/{height}x{width}"


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
