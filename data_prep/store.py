"""The data set on disk: one Arrow column of PNG images per pyramid level; its writer and its reader.

    DST/manifest.json      written last: without it the data set is not complete
    DST/data-00000.arrow   Arrow IPC files; columns image_4, image_8, ..., image_SIZE, [label,] path
    DST/README.md          describes the files to `datasets.load_dataset(DST)` (Hugging Face)
    DST/UNFINISHED         exists until the manifest is written

The Arrow schema names the Hugging Face features (`Image`, `ClassLabel`) of the columns. Any Arrow reader can open the
files.
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

from common.aspect import SQUARE, Aspect, checked_aspect, size_at
from common.atomic import write_text
from data_prep import pyramid

FORMAT: Final = "crescendo-pyramid"
VERSION: Final = 1
MANIFEST = "manifest.json"
UNFINISHED = "UNFINISHED"
README = "README.md"
SHARD_BYTES = 256 * 2**20
PYRAMID = "5-tap binomial blur, bilinear halving, reflected border, chained in float32, each level rounded"
BATCH_ROWS = 64  # rows per Arrow record batch, which the writer holds in memory
MAX_MANIFEST_BYTES = 64 * 2**20


class Shard(BaseModel):
    """One Arrow file of the data set."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    file: str = Field(pattern=r"^data-\d{5}\.arrow$")
    rows: int = Field(ge=1)
    bytes: int = Field(ge=1)
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")


class Manifest(BaseModel):
    """The contents of the data set. A data set with a manifest is complete."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    format: Literal["crescendo-pyramid"]
    version: Literal[1]
    count: int = Field(ge=1)
    channels: Literal[1, 3, 4]
    size: int = Field(ge=8, le=2**14)
    levels: tuple[int, ...]
    aspect: tuple[int, int] = Field(
        SQUARE, validation_alias=AliasChoices("aspect", "frame"), serialization_alias="frame"
    )  # `frame` on disk, since version 0.1
    pyramid: str
    label_names: tuple[str, ...]
    fingerprint: str
    shards: tuple[Shard, ...]


class Row(NamedTuple):
    """One image: its photo's path in the source, a PNG per level coarsest first, and its label's index."""

    path: str
    pngs: tuple[bytes, ...]
    label: int | None


class PyramidWriter:
    """Writes a data set, row by row, into an existing folder. One record batch is held in memory.

    Shards are `.part` files until `publish`, which writes the manifest last.
    """

    def __init__(
        self,
        path: Path,
        size: int,  # pixels: shorter side of the finest level
        channels: int,  # 1, 3 or 4
        label_names: Sequence[str] = (),  # name of each label's index
        aspect: Aspect = SQUARE,  # proportions of the images
    ) -> None:
        self._path = path
        self._size, self._channels, self._aspect = size, channels, aspect
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
        """Add one image."""
        assert len(row.pngs) == len(self._levels)
        assert (row.label is not None) == bool(self._label_names)
        self._rows.append(row)
        self.count += 1
        if len(self._rows) == BATCH_ROWS:
            self._flush()
            if self._sink.tell() >= SHARD_BYTES:
                self._close_shard()

    def publish(self) -> Manifest:
        """Finish the shards and make them a data set; at least one image must have been added."""
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
            aspect=self._aspect,
            pyramid=PYRAMID,
            label_names=self._label_names,
            fingerprint=hashlib.sha256(digests.encode()).hexdigest(),
            shards=tuple(self._shards),
        )
        for shard in self._shards:
            (self._path / (shard.file + ".part")).rename(self._path / shard.file)
        write_text(self._path / README, _readme(manifest))
        write_text(
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
            names = pa.nulls(len(pngs), pa.string())  # HF's Image: bytes in the column, not a file at a path
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
    """A prepared data set, memory-mapped: opening reads no image, reading a level touches only its column.

    It can be used by several threads, and pickled for or inherited by other processes.

    Attributes:
        path: the data set's folder.
        levels: shorter sides in pixels, coarsest first: (4, 8, ..., size).
        size: shorter side of the finest level.
        aspect: height and width of the coarsest level; all levels have its proportions.
        channels: 1, 3 or 4.
        label_names: name of each label's index; empty without labels.
        fingerprint: changes whenever a stored byte does.

    Raises:
        ValueError: no data set, an unfinished one, another version, or a shard that is missing or has the wrong length.

    """

    path: Path
    levels: tuple[int, ...]
    size: int
    aspect: Aspect
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
                f"{self.path} holds {self._count} images, but its manifest says {manifest.count}: {_AGAIN}"
            )

    def __len__(self) -> int:
        return self._count

    def __reduce__(self) -> tuple[type["PyramidDataset"], tuple[Path]]:
        return PyramidDataset, (self.path,)

    def images(self, indices: Sequence[int], resolution: int) -> Tensor:
        """Images at one level: uint8 (N, C, H, W) in the order of `indices`.

        Raises:
            ValueError: a resolution that is not a level, an index out of range, or a damaged image.

        """
        if resolution not in self.levels:
            raise ValueError(
                f"{self.path} has no level {resolution}, only {', '.join(map(str, self.levels))}"
            )
        size = size_at(resolution, self.aspect)
        images = np.empty((len(indices), *size, self.channels), np.uint8)
        for position, index in enumerate(indices):
            batch, row = self._locate(index)
            png = batch.column(_column(resolution)).field(0)[row].as_buffer()
            try:
                with Image.open(io.BytesIO(png), formats=("PNG",)) as image:
                    images[position] = np.asarray(image).reshape(images.shape[1:])
            except (OSError, SyntaxError, ValueError) as error:
                raise ValueError(
                    f"image {index} of {self.path} at resolution {resolution} is damaged ({error}): {_VERIFY}"
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
        """Path of each image's photo, relative to the source that the data set was prepared from."""
        located = (self._locate(index) for index in indices)
        return [batch.column("path")[row].as_py() for batch, row in located]

    def bands(self, index: int) -> tuple[Tensor, list[Tensor]]:
        """Laplacian pyramid of one image, between its stored levels.

        `pyramid.reconstruct` gives, once rounded, the stored full image bit for bit.

        Returns:
            The base, float32 (1, C, *aspect) in [0, 255], and the bands finest first, in [-255, 255].

        """
        return pyramid.differences([self.images([index], level).float() for level in reversed(self.levels)])

    def verify(self) -> None:
        """Read everything and compare the checksums.

        Raises:
            ValueError: a shard differs; the message names it.

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
            raise ValueError(f"{file} does not have the columns of its manifest: {_AGAIN}")
        for batch in batches:
            self._batches.append(batch)
            self._starts.append(self._count)
            self._count += batch.num_rows

    def _locate(self, index: int) -> tuple[Any, int]:
        """The record batch that holds an image, and its row there."""
        if not 0 <= index < self._count:
            raise ValueError(f"there is no image {index} in {self.path}, which holds {self._count}")
        number = bisect.bisect_right(self._starts, index) - 1
        return self._batches[number], index - self._starts[number]


_AGAIN = "prepare the data set again (python -m data_prep prepare)"
_VERIFY = "check the data set with python -m data_prep verify"


def read_manifest(path: Path) -> Manifest:
    """The manifest of the data set in folder `path`.

    Raises:
        ValueError: no such folder, no manifest, or a manifest of another version.

    """
    file = path / MANIFEST
    if not path.is_dir():
        raise ValueError(
            f"there is no data set at {path}: make one with python -m data_prep prepare SRC {path}"
        )
    if not file.is_file():
        if (path / UNFINISHED).is_file():
            raise ValueError(f"the preparation of {path} did not finish: run it again with --replace")
        raise ValueError(
            f"{path} is not a prepared data set (it has no {MANIFEST}): "
            f"make one with python -m data_prep prepare SRC {path}"
        )
    if file.stat().st_size > MAX_MANIFEST_BYTES:
        raise ValueError(f"{file} is larger than any manifest: {_AGAIN}")
    text = file.read_bytes()
    try:
        found = json.loads(text)
        if isinstance(found, dict) and (found.get("format"), found.get("version")) != (FORMAT, VERSION):
            raise ValueError(
                f"{file} has format {found.get('format')!r} version {found.get('version')!r}, "
                f"this program reads {FORMAT!r} version {VERSION}: {_AGAIN}"
            )
        manifest = Manifest.model_validate(found)
    except (ValidationError, json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"{file} is damaged ({str(error).splitlines()[0]}): {_AGAIN}") from error
    if manifest.levels != pyramid.level_sizes(manifest.size):
        raise ValueError(f"{file} is damaged (levels {manifest.levels} for size {manifest.size}): {_AGAIN}")
    try:
        checked_aspect(manifest.aspect)
    except ValueError as error:
        raise ValueError(f"{file} is damaged ({error}): {_AGAIN}") from None
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
    labels = f"`label` is one of {len(manifest.label_names)} names, " if manifest.label_names else ""
    return f"""---
configs:
- config_name: default
  data_files:
  - split: train
    path: "data-*.arrow"
---

{manifest.count} image pyramids. Each level is a column of PNG images:
{", ".join(f"`{_column(level)}`" for level in manifest.levels)}; {labels}`path` is the photo it came from.

    datasets.load_dataset("THIS FOLDER")

Prepared by Crescendo (`python -m data_prep prepare`). `manifest.json` holds the checksums, `report.html`
shows which photos were kept, and why the others were not. The rights to the images remain with the photos' owners.
"""
