"""Command line: python -m data_prep {prepare,synthesize,verify} --help."""

import os
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import tyro

Source = Annotated[Path, tyro.conf.Positional]
Destination = Annotated[Path, tyro.conf.Positional]
Workers = Annotated[int, tyro.conf.arg(help_behavior_hint="(default: the cores)")]


def prepare(
    src: Source,
    dst: Destination,
    /,
    size: str,
    align: Literal["cat", "none"] = "none",
    channels: Literal[1, 3, 4] = 3,
    labels: str | None = None,
    workers: Workers = 0,
    replace: bool = False,
) -> int:
    """Turn a folder of photos into a data set of image pyramids.

    Args:
        src: Folder of photos, searched with its subfolders; --align cat needs NAME.jpg.cat beside NAME.jpg.
        dst: Folder to make. report.html in it shows what was kept and what was refused and why.
        size: Of the finest level in pixels: a side, or HEIGHTxWIDTH such as 64x96. The shorter side is a power of
            two from 8 to 1024, the longer one at most four times as long. Smaller photos are left out.
        align: cat: the face by its annotation, eyes levelled. none: as much as there is around the middle.
        channels: 1 grey, 3 colour, 4 colour with alpha.
        labels: "folders" (the first folder of each path), or a CSV file of PATH,LABEL below a header.
        workers: Processes.
        replace: Start afresh where DST holds an unfinished preparation.

    """
    from data_prep import sources
    from data_prep.prepare import Recipe, claim
    from data_prep.prepare import prepare as run
    from data_prep.progress import progress
    from data_prep.pyramid import parse_size

    if not src.is_dir():
        raise ValueError(f"there is no folder {src}")
    side, aspect = parse_size(size)
    recipe = Recipe(side, align, channels, labels is not None, aspect)
    processes = _workers(workers)
    found = sources.find(src)
    if not found.photos:
        raise ValueError(f"{src} holds no file that is named like an image")
    if labels == "folders":
        found.photos = sources.label_by_folder(found.photos)
    elif labels is not None:
        found.photos = sources.label_by_file(found.photos, Path(labels))
    claim(dst, replace)
    result = run(found, dst, recipe, processes, partial(progress, "preparing"))
    counts = result.counts
    print(
        f"{counts['found']} photos found: {counts['kept']} kept, {counts['filtered']} filtered, "
        f"{counts['quarantined']} quarantined; the reasons are in {dst / 'report.html'}"
    )
    if not counts["kept"]:
        print(f"error: nothing was kept, so {dst} is not a data set", file=sys.stderr)
        return 2
    return 0


def synthesize(
    dst: Destination, /, count: int = 500, size: int = 512, seed: int = 0, workers: Workers = 0
) -> int:
    """Draw cat portraits with annotations (in the CAT layout) and labels. They are drawings, not photos.

    Args:
        dst: Folder to make.
        count: How many, 1 to 100000. More portraits leave the first ones as they are.
        size: Side of a portrait in pixels, 64 to 2048. A face takes about 0.4 of it.
        seed: Another seed draws other cats.
        workers: Processes.

    """
    from data_prep.progress import progress
    from data_prep.synthesize import Sample
    from data_prep.synthesize import synthesize as run

    run(Sample(dst, count, size, seed), _workers(workers), partial(progress, "drawing"))
    print(f"{count} portraits drawn in {dst}")
    return 0


def verify(dst: Destination, /) -> int:
    """Compare every byte of a data set with its checksums.

    Args:
        dst: Folder of a prepared data set.

    """
    from data_prep.pyramid import shape_text
    from data_prep.store import PyramidDataset

    try:
        dataset = PyramidDataset(dst)
        dataset.verify()
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    size = shape_text(dataset.size, dataset.aspect)
    print(f"{dst} is whole: {len(dataset)} pictures to {size} px, fingerprint {dataset.fingerprint}")
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line, by default the process's own, and return its exit status."""
    try:
        status: int = tyro.extras.subcommand_cli_from_dict(
            {"prepare": prepare, "synthesize": synthesize, "verify": verify},
            prog="python -m data_prep",
            args=arguments,
        )
        return status
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(
            "stopped; what was written is unfinished: run again with --replace to start afresh",
            file=sys.stderr,
        )
        return 130


def _workers(number: int) -> int:
    if not 0 <= number <= 256:
        raise ValueError(f"--workers {number} is not between 1 and 256")
    return number or os.cpu_count() or 1


if __name__ == "__main__":
    sys.exit(main())
