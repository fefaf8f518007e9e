"""From a folder of photos to a complete data set: a stream of decode, crop, pyramid, store."""

import io
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import torch
from PIL import Image

from common.aspect import SQUARE, Aspect
from common.atomic import UNFINISHED_FILES, write_text
from common.images import encode_png
from common.progress import Begin, silent
from data_prep import cat_align, decode, pyramid, report, sources, store
from data_prep.crop import center_square, crop_and_resize
from data_prep.workers import WorkerDied, ordered_map

Align = Literal["cat", "none"]

THUMBNAIL = 96  # pixels: longer side of the thumbnails of refused photos
WRITTEN = ("data-*.arrow", "data-*.arrow.part", UNFINISHED_FILES, store.README)  # files of a preparation


@dataclass(frozen=True)
class Recipe:
    """How every photo is prepared."""

    size: int  # pixels: shorter side of the finest level
    align: Align = "none"
    channels: decode.Channels = 3
    labeled: bool = False  # keep only photos with a label
    aspect: Aspect = SQUARE  # proportions of the images

    def __post_init__(self) -> None:
        if self.size > 1024:
            raise ValueError(f"size {self.size} is above 1024, the largest level")
        pyramid.level_sizes(self.size)


@dataclass(frozen=True)
class Kept:
    """The image that a photo was turned into."""

    pngs: tuple[bytes, ...]  # a PNG per level, coarsest first


@dataclass(frozen=True)
class Refused:
    """A photo that was not used."""

    outcome: Literal["filtered", "quarantined"]
    reason: str
    thumbnail: bytes = b""  # JPEG; empty if the photo could not be decoded


def prepare_photo(photo: sources.Photo, recipe: Recipe) -> Kept | Refused:
    """Decode, crop and reduce one photo. Whatever is wrong with it becomes the reason of a `Refused`."""
    pixels = None
    try:
        pixels = decode.decode(_read(photo.path, decode.MAX_FILE_BYTES), recipe.channels)
        height, width = pixels.shape[:2]
        if recipe.labeled and photo.label is None:
            raise ValueError("it has no label")
        if recipe.align == "cat":
            annotation = sources.annotation_path(photo.path)
            if not annotation.is_file():
                raise cat_align.BadAnnotationError(f"there is no annotation {annotation.name} beside it")
            points = cat_align.parse(_read(annotation, cat_align.MAX_BYTES))
            square = cat_align.face_square(points, width, height)
        else:
            square = center_square(width, height, recipe.aspect)
    except (OSError, ValueError) as error:
        return Refused("quarantined", str(error), b"" if pixels is None else _thumbnail(pixels))
    if square.side < recipe.size:
        sides = "per side" if recipe.aspect == SQUARE else "on its shorter side"
        reason = f"too small: its crop has {square.side:.1f} pixels {sides}, the data set has {recipe.size}"
        return Refused("filtered", reason, _thumbnail(pixels))
    image = crop_and_resize(pixels, square, recipe.size, recipe.aspect)
    finest_first = pyramid.gaussian(image[None].float(), len(pyramid.level_sizes(recipe.size)))
    return Kept(tuple(encode_png(level[0].round().clamp(0, 255).byte()) for level in reversed(finest_first)))


def prepare_in_worker(photo: sources.Photo, recipe: Recipe) -> Kept | Refused:
    """`prepare_photo` on one core; the other workers use the others."""
    torch.set_num_threads(1)
    return prepare_photo(photo, recipe)


def prepare(
    found: sources.Source,
    destination: Path,
    recipe: Recipe,
    workers: int,
    progress: Begin = silent,
) -> report.Report:
    """Prepare all photos of a source in the folder `destination`, which `claim` has made.

    The data set is complete only once all of it is written. The result does not depend on `workers`. If no photo can be
    used, there is a report but no data set.
    """
    label_names = sorted({photo.label for photo in found.photos if photo.label}) if recipe.labeled else []
    writer = store.PyramidWriter(destination, recipe.size, recipe.channels, label_names, recipe.aspect)
    result = report.Report(found, recipe.size, recipe.aspect)
    advance = progress("preparing", len(found.photos))
    for photo, outcome in ordered_map(partial(prepare_in_worker, recipe=recipe), found.photos, workers):
        match outcome:
            case Kept(pngs):
                label = label_names.index(photo.label) if recipe.labeled and photo.label else None
                writer.append(store.Row(photo.name, pngs, label))
                result.keep(photo, pngs)
            case Refused(kind, reason, thumbnail):
                result.refuse(photo, kind, reason, thumbnail)
            case WorkerDied():
                reason = "decoding it crashed the worker process (out of memory, or a bug in the decoder)"
                result.refuse(photo, "quarantined", reason)
        advance(1)
    result.write(destination)
    if writer.count:
        writer.publish()
    return result


def claim(destination: Path, replace: bool) -> None:
    """Make `destination` an empty folder, marked as unfinished.

    Raises:
        ValueError: the folder is not empty; with `replace`, it holds anything but an unfinished preparation.

    """
    if destination.is_dir() and any(destination.iterdir()):
        if (destination / store.MANIFEST).exists() or not (destination / store.UNFINISHED).exists():
            raise ValueError(f"{destination} is not empty: choose another folder, or remove it")
        if not replace:
            raise ValueError(f"{destination} holds an unfinished preparation: add --replace to start over")
        for pattern in (*WRITTEN, report.JSON, report.HTML):
            for file in destination.glob(pattern):
                file.unlink()
    elif destination.exists() and not destination.is_dir():
        raise ValueError(f"{destination} is a file: choose another folder")
    destination.mkdir(parents=True, exist_ok=True)
    write_text(
        destination / store.UNFINISHED,
        "This preparation is still running, was stopped, or kept no photo (see report.html for the reasons).\n"
        "This folder is not a data set yet. Run the same command with --replace to start over.\n",
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
