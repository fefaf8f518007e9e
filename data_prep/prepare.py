"""From a folder of photos to a published data set: one stream of decode, crop, pyramid, store."""

import io
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import torch
from PIL import Image

from data_prep import cat_align, decode, pyramid, report, sources, store
from data_prep.crop import centre_square, cut
from data_prep.progress import Advance
from data_prep.workers import WorkerDied, ordered_map

Align = Literal["cat", "none"]

THUMBNAIL = 96  # pixels: longer side of the thumbnails of refused photos
WRITTEN = ("data-*.arrow", "data-*.arrow.part", "*.json.part", "*.md.part", "*.html.part", store.README)


@dataclass(frozen=True)
class Recipe:
    """How every photo is prepared."""

    size: int  # pixels: shorter side of the finest level
    align: Align = "none"
    channels: decode.Channels = 3
    labelled: bool = False  # keep only photos with a label
    aspect: pyramid.Aspect = pyramid.SQUARE  # proportions of the pictures

    def __post_init__(self) -> None:
        if self.size > 1024:
            raise ValueError(f"size {self.size} is above 1024, the largest level")
        pyramid.level_sizes(self.size)


@dataclass(frozen=True)
class Kept:
    """A photo that became a picture."""

    pngs: tuple[bytes, ...]  # a PNG per level, coarsest first


@dataclass(frozen=True)
class Refused:
    """A photo that did not become a picture."""

    outcome: Literal["filtered", "quarantined"]
    reason: str
    thumbnail: bytes = b""  # JPEG, where the photo could be decoded


def prepare_photo(photo: sources.Photo, recipe: Recipe) -> Kept | Refused:
    """Decode, crop and reduce one photo; whatever is wrong with it is the reason of a `Refused`."""
    pixels = None
    try:
        pixels = decode.decode(_read(photo.path, decode.MAX_FILE_BYTES), recipe.channels)
        height, width = pixels.shape[:2]
        if recipe.labelled and photo.label is None:
            raise ValueError("it has no label")
        if recipe.align == "cat":
            annotation = sources.annotation_path(photo.path)
            if not annotation.is_file():
                raise cat_align.BadAnnotationError(f"there is no annotation {annotation.name} beside it")
            points = cat_align.parse(_read(annotation, cat_align.MAX_BYTES))
            square = cat_align.face_square(points, width, height)
        else:
            square = centre_square(width, height, recipe.aspect)
    except (OSError, ValueError) as error:
        return Refused("quarantined", str(error), b"" if pixels is None else _thumbnail(pixels))
    if square.side < recipe.size:
        sides = "a side" if recipe.aspect == pyramid.SQUARE else "on its shorter side"
        reason = f"too small: its crop has {square.side:.1f} pixels {sides}, the data set {recipe.size}"
        return Refused("filtered", reason, _thumbnail(pixels))
    image = cut(pixels, square, recipe.size, recipe.aspect)
    finest_first = pyramid.gaussian(image[None].float(), len(pyramid.level_sizes(recipe.size)))
    return Kept(
        tuple(store.encode_png(level[0].round().clamp(0, 255).byte()) for level in reversed(finest_first))
    )


def prepare_in_worker(photo: sources.Photo, recipe: Recipe) -> Kept | Refused:
    """`prepare_photo` on one core: the other workers have the others."""
    torch.set_num_threads(1)
    return prepare_photo(photo, recipe)


def prepare(
    found: sources.Source,
    destination: Path,
    recipe: Recipe,
    workers: int,
    progress: Callable[[int], Advance],
) -> report.Report:
    """Prepare all photos of a source into the folder `destination`, made by `claim`.

    The data set appears only when all of it is written; the result does not depend on `workers`. Without a
    single usable photo there is a report but no data set.
    """
    label_names = sorted({photo.label for photo in found.photos if photo.label}) if recipe.labelled else []
    writer = store.PyramidWriter(destination, recipe.size, recipe.channels, label_names, recipe.aspect)
    result = report.Report(found, recipe.size, recipe.aspect)
    with progress(len(found.photos)) as advance:
        for photo, outcome in ordered_map(partial(prepare_in_worker, recipe=recipe), found.photos, workers):
            match outcome:
                case Kept(pngs):
                    label = label_names.index(photo.label) if recipe.labelled and photo.label else None
                    writer.append(store.Row(photo.name, pngs, label))
                    result.keep(photo, pngs)
                case Refused(kind, reason, thumbnail):
                    result.refuse(photo, kind, reason, thumbnail)
                case WorkerDied():
                    reason = "decoding it ended the worker process (out of memory, or a fault of the decoder)"
                    result.refuse(photo, "quarantined", reason)
            advance()
    result.write(destination)
    if writer.count:
        writer.publish()
    return result


def claim(destination: Path, replace: bool) -> None:
    """Make `destination` an empty folder, marked as unfinished.

    Raises:
        ValueError: something is there already; with `replace`, other than an unfinished preparation.

    """
    if destination.is_dir() and any(destination.iterdir()):
        if (destination / store.MANIFEST).exists() or not (destination / store.UNFINISHED).exists():
            raise ValueError(f"{destination} is not empty: choose another folder or remove it")
        if not replace:
            raise ValueError(
                f"{destination} holds an unfinished preparation: add --replace to start it afresh"
            )
        for pattern in (*WRITTEN, report.JSON, report.HTML):
            for file in destination.glob(pattern):
                file.unlink()
    elif destination.exists() and not destination.is_dir():
        raise ValueError(f"{destination} is a file: choose another folder")
    destination.mkdir(parents=True, exist_ok=True)
    store.write_whole(
        destination / store.UNFINISHED,
        "This preparation is running, was stopped, or found nothing to keep (then report.html says why).\n"
        "Nothing here is a data set yet. Run the same command with --replace to start afresh.\n",
    )


def _read(path: Path, limit: int) -> bytes:
    size = path.stat().st_size
    if size > limit:
        raise ValueError(f"{path.name} has {size} bytes, more than the {limit} allowed")
    return path.read_bytes()


def _thumbnail(pixels: decode.Pixels) -> bytes:
    image = Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels[:, :, :3])
    image.thumbnail((THUMBNAIL, THUMBNAIL))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=80)
    return buffer.getvalue()
