"""Command line: python -m data_prep {prepare,synthesize,verify} --help."""

import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Literal

import tyro

from common.command import exit_status

Source = Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="SRC")]
Destination = Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="DST")]
Size = Annotated[str, tyro.conf.arg(metavar="SIDE|HEIGHTxWIDTH")]
Labels = Annotated[
    str | None, tyro.conf.arg(metavar="folders|FILE.csv", help_behavior_hint="(default: no labels)")
]
Workers = Annotated[int, tyro.conf.arg(metavar="N", help_behavior_hint="(default: one per core)")]
Number = Annotated[int, tyro.conf.arg(metavar="N")]
Pixels = Annotated[int, tyro.conf.arg(metavar="PIXELS")]


def prepare(
    src: Source,
    dst: Destination,
    /,
    size: Size,
    align: Literal["cat", "none"] = "none",
    channels: Literal[1, 3, 4] = 3,
    labels: Labels = None,
    workers: Workers = 0,
    replace: bool = False,
) -> str:
    """Turn a folder of photos into a data set of image pyramids.

    Args:
        src: Folder of photos, searched with its subfolders. --align cat needs NAME.jpg.cat next to NAME.jpg.
        dst: New folder for the data set. Its report.html shows which photos were kept, and why the others were not.
        size: Size of the finest level in pixels: a side such as 64, or height and width such as 64x96. The shorter side
            is a power of two from 8 to 1024, the longer one at most four times as long. Smaller photos are left out.
        align: "cat" crops the face by its annotation and levels the eyes; "none" crops the center.
        channels: 1 for grey, 3 for color, 4 for color with alpha.
        labels: "folders" for the first folder of each photo's path, or a CSV file with a header and lines PATH,LABEL.
        workers: Number of processes.
        replace: Start over if DST holds an unfinished preparation.

    """
    from common.progress import progress_bars
    from data_prep import sources
    from data_prep.prepare import Recipe, claim
    from data_prep.prepare import prepare as run
    from data_prep.pyramid import parse_size

    if not src.is_dir():
        raise ValueError(f"there is no folder {src}")
    side, aspect = parse_size(size)
    recipe = Recipe(side, align, channels, labels is not None, aspect)
    processes = _workers(workers)
    found = sources.find(src)
    if not found.photos:
        raise ValueError(f"{src} holds no file with the suffix of an image")
    if labels == "folders":
        found.photos = sources.label_by_folder(found.photos)
    elif labels is not None:
        found.photos = sources.label_by_file(found.photos, Path(labels))
    claim(dst, replace)
    with progress_bars() as progress:
        counts = run(found, dst, recipe, processes, progress).counts
    summary = (
        f"{counts['found']} photos found: {counts['kept']} kept, {counts['filtered']} filtered, "
        f"{counts['quarantined']} quarantined; the reasons are in {dst / 'report.html'}"
    )
    if not counts["kept"]:
        print(summary)
        raise ValueError(f"no photo was kept, so {dst} is not a data set")
    return f"{summary}\nthe data set is in {dst}"


def synthesize(
    dst: Destination,
    /,
    count: Number = 500,
    size: Pixels = 512,
    seed: Number = 0,
    workers: Workers = 0,
) -> str:
    """Draw cat portraits with annotations (in the CAT layout) and labels. They are drawings, not photos.

    Args:
        dst: New folder for the portraits.
        count: Number of portraits, 1 to 100000. A larger number does not change the first ones.
        size: Side of a portrait in pixels, 64 to 2048. The face takes about 0.4 of it.
        seed: Seed of the random numbers; another seed draws other cats.
        workers: Number of processes.

    """
    from common.progress import progress_bars
    from data_prep.synthesize import Sample
    from data_prep.synthesize import synthesize as run

    with progress_bars() as progress:
        run(Sample(dst, count, size, seed), _workers(workers), progress)
    return f"{count} portraits are in {dst}"


def verify(dst: Destination, /) -> str | int:
    """Compare every byte of a data set with its checksums. The exit status is 1 if they differ.

    Args:
        dst: Folder of a prepared data set.

    """
    from common.aspect import size_text
    from data_prep.store import PyramidDataset

    try:
        dataset = PyramidDataset(dst)
        dataset.verify()
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    size = size_text(dataset.size, dataset.aspect)
    return f"{dst} is intact: {len(dataset)} images up to {size} pixels, fingerprint {dataset.fingerprint}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line, by default that of the process, and return its exit status."""
    commands: dict[str, Callable[..., str | int]] = {
        "prepare": prepare,
        "synthesize": synthesize,
        "verify": verify,
    }
    return exit_status(
        lambda: tyro.extras.subcommand_cli_from_dict(commands, prog="python -m data_prep", args=arguments),
        stopped="stopped; what was written is unfinished: run the command again with --replace to start over",
    )


def _workers(number: int) -> int:
    if not 0 <= number <= 256:
        raise ValueError(f"--workers must be from 1 to 256, not {number}")
    return number or os.cpu_count() or 1


if __name__ == "__main__":
    sys.exit(main())
