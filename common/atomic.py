"""Files and folders that appear whole or not at all: write aside, fsync, rename."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

UNFINISHED_FILES = ".*.partial"  # matches what an interrupted write leaves in a folder


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file; an older one is replaced only once the new one is safely on disk."""
    aside = path.with_name(f".{path.name}.{os.getpid()}.partial")
    with aside.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    aside.replace(path)
    _sync_folder(path.parent)


def write_text(path: Path, content: str) -> None:
    """`write_bytes` in UTF-8."""
    write_bytes(path, content.encode())


@contextmanager
def new_folder(path: Path, sync: bool = True) -> Iterator[Path]:
    """Yield a folder to fill, which becomes `path` once the block ends without an error.

    Args:
        path: the new folder.
        sync: flush every file to disk first; without it, the folder may be incomplete after a power failure.

    Raises:
        OSError: there is something at `path` other than an empty folder; it is left as it was.
    """
    aside = path.with_name(f".{path.name}.partial")
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    try:
        yield aside
        if sync:
            _sync_tree(aside)
    except BaseException:
        shutil.rmtree(aside, ignore_errors=True)
        raise
    aside.rename(path)
    _sync_folder(path.parent)


def _sync_tree(folder: Path) -> None:
    for file in folder.rglob("*"):
        if file.is_file():
            with file.open("rb") as handle:
                os.fsync(handle.fileno())
        else:
            _sync_folder(file)
    _sync_folder(folder)


def _sync_folder(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
