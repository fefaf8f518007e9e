"""Join levels of LAPGAN that were trained apart: `python -m training.join_lapgan RUN RUN ... MODEL_DIR`.

MODEL_DIR gets one model with each level from the run that trained it (recipe field `levels`). It can be sampled and
evaluated, and exported like a run.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, cast

import tyro

from common.atomic import new_folder
from common.command import exit_status
from models.architectures.lapgan import LAPGANGenerator
from models.checkpoint import find_model, load_generator, read_config, save_generator


@dataclass(frozen=True)
class Part:
    """A run of some of the levels."""

    path: Path
    generator: LAPGANGenerator
    about: dict[str, Any]  # its recipe, data, and images shown

    @property
    def sides(self) -> tuple[int, ...]:
        """Of the levels that it trained."""
        return tuple(self.about["settings"]["levels"]) or self.generator.resolutions


def read(path: Path) -> Part:
    """The newest checkpoint of a run.

    Raises:
        ValueError: there is none, or of another system.
    """
    config = read_config(find_model(path))
    if config["architecture"] != "lapgan":
        raise ValueError(
            f"{path} is of {config['architecture']}, which has no levels to join; name runs of lapgan"
        )
    return Part(path, cast(LAPGANGenerator, load_generator(path)), config["about"])


def join(runs: Sequence[Path], folder: Path) -> None:
    """Write the model that the runs' levels make into a new folder.

    Raises:
        ValueError: networks or data of the runs differ, a level is trained by none or by two, or the folder is in use.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ValueError(f"{folder} exists and is not empty; name another folder")
    parts = [read(run) for run in runs]
    for part in parts[1:]:
        check_fit(parts[0], part)
    whole = parts[0].generator
    trained = {side: part_of(side, parts) for side in whole.resolutions}
    for number, side in enumerate(whole.resolutions):
        whole.levels[number].load_state_dict(trained[side].generator.levels[number].state_dict())
    about = {
        **parts[0].about,
        "settings": {**parts[0].about["settings"], "levels": []},
        "images": min(part.about["images"] for part in parts),
        "levels": {str(side): part.about for side, part in trained.items()},
    }
    folder.parent.mkdir(parents=True, exist_ok=True)
    with new_folder(folder) as aside:
        save_generator(whole, aside, about)


def check_fit(one: Part, other: Part) -> None:
    """Raise ValueError unless both have the same networks and were trained on the same data."""
    ours, theirs = one.generator.settings(), other.generator.settings()
    differing = [name for name in ours if theirs[name] != ours[name]]
    if differing:
        raise ValueError(
            f"{one.path} and {other.path} differ in {', '.join(differing)}: train both with the same"
        )
    if one.about["data"]["fingerprint"] != other.about["data"]["fingerprint"]:
        raise ValueError(
            f"{one.path} and {other.path} were trained on different data; train both on the same"
        )


def part_of(side: int, parts: Sequence[Part]) -> Part:
    """The one part that trained the level. Raises ValueError where there is none, or more than one."""
    found = [part for part in parts if side in part.sides]
    if not found:
        raise ValueError(f"no run trains level {side}; train it with --levels {side} and name that run too")
    if len(found) > 1:
        raise ValueError(
            f"level {side} is trained by {' and '.join(str(p.path) for p in found)}; name one of them"
        )
    return found[0]


def _command(
    paths: Annotated[tuple[Path, ...], tyro.conf.Positional],  # the runs, then the model's new folder
    /,
) -> None:
    """Join levels of LAPGAN that were trained apart into one model."""
    *runs, folder = paths
    if not runs:
        raise ValueError("name one run or more, then the model's new folder: RUN RUN ... MODEL_DIR")
    join(runs, folder)
    print(f"{folder} is a model: python -m models.sample {folder} --seeds 0-15 --out grid.png")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line, by default the process's own, and return its exit status."""
    return exit_status(lambda: tyro.cli(_command, args=arguments))


if __name__ == "__main__":
    sys.exit(main())
