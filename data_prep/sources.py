"""Find the photos of a source folder, and their labels, without opening a photo."""

import csv
import os
from dataclasses import dataclass, field, replace
from pathlib import Path

SUFFIXES = frozenset(
    f".{suffix}"
    for suffix in (
        *("jpg", "jpeg", "jpe", "jfif", "mpo", "png", "apng", "webp", "avif", "gif", "bmp", "dib"),
        *("tif", "tiff", "jp2", "j2k", "ppm", "pgm", "pnm", "heic", "heif"),
    )
)
ANNOTATION_SUFFIX = ".cat"


@dataclass(frozen=True)
class Photo:
    """A file with the suffix of an image."""

    path: Path
    name: str  # relative to the source, with forward slashes; always printable
    label: str | None = None


@dataclass
class Source:
    """The contents of a source folder, sorted by name."""

    photos: list[Photo] = field(default_factory=list)
    orphans: list[str] = field(default_factory=list)  # annotations without their photo
    ignored: int = 0  # number of other files


def annotation_path(photo: Path) -> Path:
    """The path of a photo's annotation in the CAT layout: `NAME.jpg.cat` next to `NAME.jpg`."""
    return photo.with_name(photo.name + ANNOTATION_SUFFIX)


def find(folder: Path) -> Source:
    """Find all photos below `folder`: every file with the suffix of an image, except hidden ones.

    Raises:
        ValueError: `folder`, or a folder in it, cannot be read.

    """

    def refuse(error: OSError) -> None:
        raise ValueError(f"cannot read the folder {error.filename}: {error.strerror}")

    source = Source()
    for parent, folders, files in os.walk(folder, onerror=refuse):
        folders[:] = [name for name in folders if not name.startswith(".")]
        here = Path(parent)
        for file in files:
            path = here / file
            suffix = path.suffix.lower()
            if suffix in SUFFIXES and not file.startswith(".") and (path.is_file() or path.is_symlink()):
                source.photos.append(Photo(path, _name(path, folder)))
            elif suffix == ANNOTATION_SUFFIX and not file.startswith("."):
                if not path.with_suffix("").is_file():
                    source.orphans.append(_name(path, folder))
            else:
                source.ignored += 1
    source.photos.sort(key=lambda photo: photo.name)
    source.orphans.sort()
    return source


def label_by_folder(photos: list[Photo]) -> list[Photo]:
    """Label each photo with the first folder of its name. Photos in no subfolder get no label."""
    return [replace(photo, label=photo.name.split("/")[0] if "/" in photo.name else None) for photo in photos]


def label_by_file(photos: list[Photo], file: Path) -> list[Photo]:
    """Label photos by a CSV file. Photos that it does not name get no label.

    Its first line is a header; its first two columns are path (relative to the source folder) and label.

    Raises:
        ValueError: the file cannot be read, a line lacks a column, a path has two labels, or no photo is named.

    """
    labels = _read_labels(file)
    labeled = [replace(photo, label=labels.get(photo.name)) for photo in photos]
    if labeled and not any(photo.label for photo in labeled):
        raise ValueError(
            f"{file} names no photo: its paths must be relative to the source, like {photos[0].name}"
        )
    return labeled


def _read_labels(file: Path) -> dict[str, str]:
    labels: dict[str, str] = {}
    try:
        with file.open(newline="", encoding="utf-8") as lines:
            rows = csv.reader(lines)
            next(rows, None)
            for row in rows:
                if len(row) < 2 or not row[1].strip():
                    raise ValueError(f"line {rows.line_num} of {file} is not PATH,LABEL")
                path, label = row[0].strip(), row[1].strip()
                if labels.setdefault(path, label) != label:
                    raise ValueError(f"{file} gives {path} two labels, {labels[path]} and {label}")
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"cannot read the labels of {file}: {error}") from error
    return labels


def _name(path: Path, folder: Path) -> str:
    return os.fsencode(path.relative_to(folder).as_posix()).decode("utf-8", "backslashreplace")
