"""The data set on disk: one Arrow column of PNG images per pyramid level; its writer and its reader.

    DST/manifest.json      written last: without it the data set is not whole
    DST/data-00000.arrow   Arrow IPC files; columns image_4, image_8, ..., image_SIZE, [label,] path
    DST/README.md          tells `datasets.load_dataset(DST)` (Hugging Face) where the images are
    DST/UNFINISHED         there from the first moment until the manifest is published

The Arrow schema names Hugging Face's features (`Image`, `ClassLabel`) of the columns. Any Arrow reader
opens them.
"""

import bisect
import hashlib
import io
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

import numpy as np
import pyarrow as pa
import torch
from PIL import Image
from pydantic import AliasChoices, BaseModel, ConfigDict, Field, ValidationError
from torch import Tensor

from data_prep import pyramid

FORMAT: Final = "crescendo-pyramid"
VERSION: Final = 1
MANIFEST = "manifest.json"
UNFINISHED = "UNFINISHED"
README = "README.md"
SHARD_BYTES = 256 * 2**20
PYRAMID = "5-tap binomial blur, bilinear halving, reflected border, chained in float32, each level rounded"
BATCH_ROWS = 64  # rows per Arrow record batch: what the writer holds in memory
MAX_MANIFEST_BYTES = 64 * 2**20


class Shard(BaseModel):
    """One Arrow file of the data set."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    file: str = Field(pattern=r"^data-\d{5}\.arrow$")
    rows: int = Field(ge=1)
    bytes: int = Field(ge=1)
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")


class Manifest(BaseModel):
    """What the data set holds; its presence says that the data set is whole."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    format: Literal["crescendo-pyramid"]
    version: Literal[1]
    count: int = Field(ge=1)
    channels: Literal[1, 3, 4]
    size: int = Field(ge=8, le=2**14)
    levels: tuple[int, ...]
    aspect: tuple[int, int] = Field(
        pyramid.SQUARE, validation_alias=AliasChoices("aspect", "frame"), serialization_alias="frame"
    )  # `frame` on disk, as in data sets of version 0.1
    pyramid: str
    label_names: tuple[str, ...]
    fingerprint: str
    shards: tuple[Shard, ...]


class Row(NamedTuple):
    """One picture: its path in the source, a PNG per level coarsest first, and its label's index."""

    path: str
    pngs: tuple[bytes, ...]
    label: int | None


def encode_png(image: Tensor) -> bytes:
    """PNG of a uint8 (C, H, W) image with 1, 3 or 4 channels."""
    array = image.permute(1, 2, 0).numpy()
    buffer = io.BytesIO()
    Image.fromarray(array[:, :, 0] if array.shape[2] == 1 else np.ascontiguousarray(array)).save(
        buffer, "PNG"
    )
    return buffer.getvalue()


def write_whole(path: Path, text: str) -> None:
    """Write a file aside and rename it, so that it is whole whenever it is there."""
    aside = path.with_name(path.name + ".part")
    with aside.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    aside.rename(path)
    _sync_folder(path.parent)


class PyramidWriter:
    """Writes a data set, one row at a time, into an existing folder; memory holds one record batch.

    Shards stay `.part` files until `publish`; the manifest is the last thing to appear.
    """

    def __init__(
        self,
        path: Path,
        size: int,  # pixels: shorter side of the finest level
        channels: int,  # 1, 3 or 4
        label_names: Sequence[str] = (),  # name of each label's index
        aspect: pyramid.Aspect = pyramid.SQUARE,  # proportions of the pictures
    ) -> None:
        self._path = path
        self._size, self._channels, self._frame = size, channels, aspect
        self._levels = pyramid.level_sizes(size)
        self._label_names = tuple(label_names)
        self._schema = _schema(self._levels, self._label_names)
        self._rows: list[Row] = []
        self._shards: list[Shard] = []
        self._sink: Any = None  # the open shard
        self._writer: Any = None
        self._shard_rows = 0
        self.count = 0

    def append(self, row: Row) -> None:
        """Add one picture."""
        assert len(row.pngs) == len(self._levels)
        assert (row.label is not None) == bool(self._label_names)
        self._rows.append(row)
        self.count += 1
        if len(self._rows) == BATCH_ROWS:
            self._flush()
            if self._sink.tell() >= SHARD_BYTES:
                self._close_shard()

    def publish(self) -> Manifest:
        """Finish the shards and make them a data set; at least one picture must have been added."""
        assert self.count, "nothing to publish"
        self._flush()
        self._close_shard()
        digests = "".join(shard.sha256 for shard in self._shards)
        manifest = Manifest(
            format=FORMAT,
            version=VERSION,
            count=self.count,
            channels=self._channels,  # type: ignore[arg-type]
            size=self._size,
            levels=self._levels,
            aspect=self._frame,
            pyramid=PYRAMID,
            label_names=self._label_names,
            fingerprint=hashlib.sha256(digests.encode()).hexdigest(),
            shards=tuple(self._shards),
        )
        for shard in self._shards:
            (self._path / (shard.file + ".part")).rename(self._path / shard.file)
        write_whole(self._path / README, _readme(manifest))
        write_whole(
            self._path / MANIFEST,
            json.dumps(manifest.model_dump(by_alias=True), indent=1, ensure_ascii=False) + "\n",
        )
        (self._path / UNFINISHED).unlink(missing_ok=True)
        return manifest

    def _flush(self) -> None:
        if not self._rows:
            return
        if self._sink is None:
            self._sink = pa.OSFile(str(self._path / (self._shard_name() + ".part")), "wb")
            self._writer = pa.ipc.new_file(self._sink, self._schema)
        paths = [row.path for row in self._rows]
        columns: dict[str, Any] = {}
        for level, pngs in zip(
            self._levels, zip(*(row.pngs for row in self._rows), strict=True), strict=True
        ):
            names = pa.nulls(len(pngs), pa.string())  # HF's Image: the bytes are here, not at a path
            columns[_column(level)] = pa.StructArray.from_arrays(
                [pa.array(pngs, pa.binary()), names], ["bytes", "path"]
            )
        if self._label_names:
            columns["label"] = pa.array([row.label for row in self._rows], pa.int64())
        columns["path"] = pa.array(paths, pa.string())
        self._writer.write_batch(pa.RecordBatch.from_pydict(columns, schema=self._schema))
        self._shard_rows += len(self._rows)
        self._rows.clear()

    def _close_shard(self) -> None:
        if self._sink is None:
            return
        self._writer.close()
        self._sink.close()
        part = self._path / (self._shard_name() + ".part")
        with part.open("rb") as file:
            os.fsync(file.fileno())
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        self._shards.append(
            Shard(file=self._shard_name(), rows=self._shard_rows, bytes=part.stat().st_size, sha256=digest)
        )
        self._sink = self._writer = None
        self._shard_rows = 0

    def _shard_name(self) -> str:
        return f"data-{len(self._shards):05d}.arrow"


class PyramidDataset:
    """A prepared data set, memory-mapped: opening reads no image, reading a level touches its column alone.

    May be used by several threads, and pickled or inherited by other processes.

    Attributes:
        path: the data set's folder.
        levels: shorter sides in pixels, coarsest first: (4, 8, ..., size).
        size: shorter side of the finest level.
        frame: height and width of the coarsest level, proportions of all.
        channels: 1, 3 or 4.
        label_names: name of each label's index; empty without labels.
        fingerprint: changes whenever any stored byte does.

    Raises:
        ValueError: no data set, an unfinished one, another version, a shard missing or of the wrong length.

    """

    path: Path
    levels: tuple[int, ...]
    size: int
    aspect: pyramid.Aspect
    channels: int
    label_names: tuple[str, ...]
    fingerprint: str

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        manifest = read_manifest(self.path)
        self.levels, self.size, self.channels = manifest.levels, manifest.size, manifest.channels
        self.aspect, self.label_names = manifest.aspect, manifest.label_names
        self.fingerprint = manifest.fingerprint
        self._shards = manifest.shards
        self._batches: list[Any] = []
        self._starts: list[int] = []  # of each record batch, in rows
        self._count = 0
        schema = _schema(self.levels, self.label_names)
        for shard in self._shards:
            self._open(shard, schema)
        if self._count != manifest.count:
            raise ValueError(
                f"{self.path} holds {self._count} pictures, its manifest says {manifest.count}: {_AGAIN}"
            )

    def __len__(self) -> int:
        return self._count

    def __reduce__(self) -> tuple[type["PyramidDataset"], tuple[Path]]:
        return PyramidDataset, (self.path,)

    def images(self, indices: Sequence[int], resolution: int) -> Tensor:
        """Pictures at one level: uint8 (N, C, H, W) in the order of `indices`.

        Raises:
            ValueError: a resolution that is not a level, an index out of range, or a damaged picture.

        """
        if resolution not in self.levels:
            raise ValueError(
                f"{self.path} has no level {resolution}, only {', '.join(map(str, self.levels))}"
            )
        size = pyramid.size_at(resolution, self.aspect)
        images = np.empty((len(indices), *size, self.channels), np.uint8)
        for position, index in enumerate(indices):
            batch, row = self._locate(index)
            png = batch.column(_column(resolution)).field(0)[row].as_buffer()
            try:
                with Image.open(io.BytesIO(png), formats=("PNG",)) as picture:
                    images[position] = np.asarray(picture).reshape(images.shape[1:])
            except (OSError, SyntaxError, ValueError) as error:
                raise ValueError(
                    f"picture {index} of {self.path} at {resolution} is damaged ({error}): {_VERIFY}"
                ) from error
        return torch.from_numpy(images).permute(0, 3, 1, 2).contiguous()

    def labels(self, indices: Sequence[int]) -> Tensor:
        """Labels as int64 (N,), each an index into `label_names`.

        Raises:
            ValueError: the data set has no labels, or an index is out of range.

        """
        if not self.label_names:
            raise ValueError(f"{self.path} has no labels: prepare it with --labels")
        located = (self._locate(index) for index in indices)
        return torch.tensor([batch.column("label")[row].as_py() for batch, row in located], dtype=torch.int64)

    def source_paths(self, indices: Sequence[int]) -> list[str]:
        """Path of each picture's photo, relative to the source it was prepared from."""
        located = (self._locate(index) for index in indices)
        return [batch.column("path")[row].as_py() for batch, row in located]

    def bands(self, index: int) -> tuple[Tensor, list[Tensor]]:
        """Laplacian pyramid of one picture between its stored levels.

        `pyramid.reconstruct` of it, rounded, is the stored full image bit for bit.

        Returns:
            The base, float32 (1, C, *frame) in [0, 255], and the bands finest first, in [-255, 255].

        """
        return pyramid.differences([self.images([index], level).float() for level in reversed(self.levels)])

    def verify(self) -> None:
        """Read everything and compare the checksums.

        Raises:
            ValueError: the shard that differs, by name.

        """
        for shard in self._shards:
            with (self.path / shard.file).open("rb") as file:
                if hashlib.file_digest(file, "sha256").hexdigest() != shard.sha256:
                    raise ValueError(f"{self.path / shard.file} differs from its checksum: {_AGAIN}")

    def _open(self, shard: Shard, schema: Any) -> None:
        file = self.path / shard.file
        if not file.is_file():
            raise ValueError(f"{file} is missing: {_AGAIN}")
        if file.stat().st_size != shard.bytes:
            raise ValueError(f"{file} has {file.stat().st_size} bytes instead of {shard.bytes}: {_AGAIN}")
        try:
            reader = pa.ipc.open_file(
                pa.memory_map(str(file)), options=pa.ipc.IpcReadOptions(use_threads=False)
            )
            batches = [reader.get_batch(number) for number in range(reader.num_record_batches)]
        except (pa.ArrowInvalid, OSError) as error:
            raise ValueError(f"{file} is damaged ({error}): {_AGAIN}") from error
        if not reader.schema.equals(schema):
            raise ValueError(f"{file} has other columns than its manifest says: {_AGAIN}")
        for batch in batches:
            self._batches.append(batch)
            self._starts.append(self._count)
            self._count += batch.num_rows

    def _locate(self, index: int) -> tuple[Any, int]:
        """The record batch that holds a picture, and its row there."""
        if not 0 <= index < self._count:
            raise ValueError(f"there is no picture {index} in {self.path}, which holds {self._count}")
        number = bisect.bisect_right(self._starts, index) - 1
        return self._batches[number], index - self._starts[number]


_AGAIN = "prepare the data set again (python -m data_prep prepare)"
_VERIFY = "run `python -m data_prep verify` on it"


def read_manifest(path: Path) -> Manifest:
    """The manifest of the data set in folder `path`.

    Raises:
        ValueError: no such folder, no manifest, or not one of this version.

    """
    file = path / MANIFEST
    if not path.is_dir():
        raise ValueError(
            f"there is no data set at {path}: make one with python -m data_prep prepare SRC {path}"
        )
    if not file.is_file():
        if (path / UNFINISHED).is_file():
            raise ValueError(f"preparation of {path} did not finish: run it again with --replace")
        raise ValueError(
            f"{path} is not a prepared data set (it has no {MANIFEST}; perhaps preparation did not finish): "
            "make one with python -m data_prep prepare"
        )
    if file.stat().st_size > MAX_MANIFEST_BYTES:
        raise ValueError(f"{file} is larger than any manifest: {_AGAIN}")
    text = file.read_bytes()
    try:
        found = json.loads(text)
        if isinstance(found, dict) and (found.get("format"), found.get("version")) != (FORMAT, VERSION):
            raise ValueError(
                f"{file} is of format {found.get('format')!r} version {found.get('version')!r}, "
                f"this program reads {FORMAT!r} version {VERSION}: {_AGAIN}"
            )
        manifest = Manifest.model_validate(found)
    except (ValidationError, json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"{file} is damaged ({str(error).splitlines()[0]}): {_AGAIN}") from error
    if manifest.levels != pyramid.level_sizes(manifest.size):
        raise ValueError(f"{file} is damaged (levels {manifest.levels} for size {manifest.size}): {_AGAIN}")
    short, long = sorted(manifest.aspect)
    if short != pyramid.SMALLEST or long > pyramid.LONGEST:
        raise ValueError(f"{file} is damaged (frame {manifest.aspect}): {_AGAIN}")
    return manifest


def _column(level: int) -> str:
    return f"image_{level}"


def _schema(levels: Sequence[int], label_names: Sequence[str]) -> Any:
    """Arrow schema of a shard, with Hugging Face's features in its metadata."""
    image = pa.struct({"bytes": pa.binary(), "path": pa.string()})
    fields = [pa.field(_column(level), image) for level in levels]
    features: dict[str, Any] = {_column(level): {"_type": "Image"} for level in levels}
    if label_names:
        fields.append(pa.field("label", pa.int64()))
        features["label"] = {"names": list(label_names), "_type": "ClassLabel"}
    fields.append(pa.field("path", pa.string()))
    features["path"] = {"dtype": "string", "_type": "Value"}
    return pa.schema(fields, metadata={"huggingface": json.dumps({"info": {"features": features}})})


def _readme(manifest: Manifest) -> str:
    labels = f"`label` one of {len(manifest.label_names)} names, " if manifest.label_names else ""
    return f"""---
configs:
- config_name: default
  data_files:
  - split: train
    path: "data-*.arrow"
---

{manifest.count} pictures as image pyramids, each level of which is a column of PNG images:
{", ".join(f"`{_column(level)}`" for level in manifest.levels)}; {labels}`path` the photo it came from.

    datasets.load_dataset("THIS FOLDER")

Prepared by Crescendo (`python -m data_prep prepare`). `manifest.json` holds the checksums, `report.html`
shows what was kept and what was refused and why. The rights to the pictures remain with the photos' owners.
"""


def _sync_folder(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
