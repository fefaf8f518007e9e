import json
import multiprocessing
import pickle
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch
from torch import Tensor

from common.images import encode_png
from data_prep import pyramid, store
from data_prep.store import PyramidDataset, PyramidWriter, Row

RANDOM = np.random.default_rng(7)


def pictures(count: int, size: int, channels: int) -> list[list[Tensor]]:
    """Levels of random pictures, coarsest first; the levels have nothing to do with each other."""
    return [
        [
            torch.from_numpy(RANDOM.integers(0, 256, (channels, level, level), np.uint8))
            for level in pyramid.level_sizes(size)
        ]
        for _ in range(count)
    ]


def write(
    path: Path, levels: list[list[Tensor]], labels: list[int] | None = None, names: tuple[str, ...] = ()
) -> None:
    path.mkdir()
    writer = PyramidWriter(path, levels[0][-1].shape[-1], levels[0][-1].shape[0], names)
    for number, images in enumerate(levels):
        label = labels[number] if labels else None
        writer.append(Row(f"photo {number}.jpg", tuple(encode_png(image) for image in images), label))
    writer.publish()


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_every_level_comes_back(tmp_path: Path, channels: int) -> None:
    levels = pictures(5, 32, channels)
    write(tmp_path / "set", levels)
    dataset = PyramidDataset(tmp_path / "set")
    assert (len(dataset), dataset.size, dataset.channels, dataset.levels) == (5, 32, channels, (4, 8, 16, 32))
    for number, level in enumerate(dataset.levels):
        images = dataset.images([4, 0, 0, 2], level)
        assert images.dtype == torch.uint8
        assert torch.equal(images, torch.stack([levels[index][number] for index in (4, 0, 0, 2)]))
    assert dataset.source_paths([3]) == ["photo 3.jpg"]
    dataset.verify()


def test_a_manifest_without_proportions_is_of_squares(tmp_path: Path) -> None:
    write(tmp_path / "set", pictures(1, 8, 3))
    file = tmp_path / "set" / "manifest.json"
    manifest = json.loads(file.read_text())
    assert manifest.pop("frame") == [4, 4]
    file.write_text(json.dumps(manifest))
    assert PyramidDataset(tmp_path / "set").aspect == (4, 4)
    file.write_text(json.dumps(manifest | {"frame": [4, 3]}))
    with pytest.raises(ValueError, match="damaged \\(aspect must be"):
        PyramidDataset(tmp_path / "set")
    file.write_text(json.dumps(manifest | {"frame": [4, 6]}))
    with pytest.raises(ValueError, match="at resolution 8 is damaged"):
        PyramidDataset(tmp_path / "set").images([0], 8)


def test_shards_and_batches_are_one_sequence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "BATCH_ROWS", 4)
    monkeypatch.setattr(store, "SHARD_BYTES", 10_000)
    levels = pictures(31, 16, 3)
    write(tmp_path / "set", levels, [index % 3 for index in range(31)], ("a", "b", "c"))
    dataset = PyramidDataset(tmp_path / "set")
    assert len(list((tmp_path / "set").glob("data-*.arrow"))) > 2
    assert torch.equal(dataset.images(range(31), 16), torch.stack([images[-1] for images in levels]))
    assert dataset.labels(range(30, -1, -1)).tolist() == [index % 3 for index in range(30, -1, -1)]
    assert dataset.label_names == ("a", "b", "c")


def test_bands_give_every_stored_level_back_bit_for_bit(tmp_path: Path) -> None:
    write(tmp_path / "set", pictures(3, 64, 3))
    dataset = PyramidDataset(tmp_path / "set")
    for index in range(3):
        base, bands = dataset.bands(index)
        assert torch.equal(base, dataset.images([index], 4).float())
        for coarser in range(len(bands)):
            level = pyramid.reconstruct(base, bands[coarser:])
            assert torch.equal(level.round().byte(), dataset.images([index], 64 >> coarser))


def test_another_level_is_not_read(tmp_path: Path) -> None:
    levels = pictures(3, 64, 3)
    write(tmp_path / "set", levels)
    file = tmp_path / "set" / "data-00000.arrow"
    data = file.read_bytes()
    for images in levels:
        png = encode_png(images[-1])
        data = data.replace(png, bytes(len(png)))
    file.write_bytes(data)
    dataset = PyramidDataset(tmp_path / "set")
    for number, level in enumerate(dataset.levels[:-1]):
        assert torch.equal(
            dataset.images([0, 1, 2], level), torch.stack([images[number] for images in levels])
        )
    with pytest.raises(ValueError, match=r"image 1 of .* at resolution 64 is damaged"):
        dataset.images([1], 64)


def test_hugging_face_opens_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
    import datasets

    levels = pictures(3, 16, 3)
    write(tmp_path / "set", levels, [1, 0, 1], ("cat", "dog"))
    (tmp_path / "set" / "report.json").write_text('{"not": "data"}')
    loaded = datasets.load_dataset(str(tmp_path / "set"), cache_dir=str(tmp_path / "cache"))["train"]
    assert loaded.column_names == ["image_4", "image_8", "image_16", "label", "path"]
    assert loaded.features["label"].int2str(loaded[0]["label"]) == "dog"
    for number, level in enumerate((4, 8, 16)):
        image = np.asarray(loaded[2][f"image_{level}"])
        assert np.array_equal(image, levels[2][number].permute(1, 2, 0))


def test_any_arrow_reader_opens_it(tmp_path: Path) -> None:
    levels = pictures(2, 8, 1)
    write(tmp_path / "set", levels)
    table = pa.ipc.open_file(tmp_path / "set" / "data-00000.arrow").read_all()
    assert table.column("image_8")[1]["bytes"].as_py() == encode_png(levels[1][-1])


def _read_in_child(dataset: PyramidDataset, results: "multiprocessing.Queue[list[int]]") -> None:
    results.put(dataset.images([1, 0], 16).flatten().tolist())


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_other_processes_read_it(tmp_path: Path, method: str) -> None:
    write(tmp_path / "set", pictures(2, 16, 3))
    dataset = PyramidDataset(tmp_path / "set")
    context = multiprocessing.get_context(method)
    results = context.Queue()
    child = context.Process(target=_read_in_child, args=(dataset, results))
    child.start()
    assert results.get(timeout=60) == dataset.images([1, 0], 16).flatten().tolist()
    child.join()
    assert child.exitcode == 0


def test_threads_and_copies_read_it(tmp_path: Path) -> None:
    levels = pictures(40, 16, 3)
    write(tmp_path / "set", levels)
    dataset = pickle.loads(pickle.dumps(PyramidDataset(tmp_path / "set")))
    expected = torch.stack([images[-1] for images in levels])
    with ThreadPoolExecutor(8) as threads:
        parts = list(threads.map(lambda start: dataset.images(range(start, start + 5), 16), range(0, 40, 5)))
    assert torch.equal(torch.cat(parts), expected)


def test_wrong_questions_are_refused(tmp_path: Path) -> None:
    write(tmp_path / "set", pictures(2, 16, 3))
    dataset = PyramidDataset(tmp_path / "set")
    with pytest.raises(ValueError, match="no level 32, only 4, 8, 16"):
        dataset.images([0], 32)
    for index in (-1, 2):
        with pytest.raises(ValueError, match=f"no image {index}"):
            dataset.images([index], 16)
    with pytest.raises(ValueError, match="has no labels: prepare it with --labels"):
        dataset.labels([0])
    assert dataset.images([], 16).shape == (0, 3, 16, 16)


def _edit(key: str, value: object) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        manifest = json.loads((path / "manifest.json").read_text())
        manifest[key] = value
        (path / "manifest.json").write_text(json.dumps(manifest))

    return change


def _shorten(path: Path) -> None:
    file = path / "data-00000.arrow"
    file.write_bytes(file.read_bytes()[:-1])


def _unfinish(path: Path) -> None:
    (path / "manifest.json").unlink()
    (path / "UNFINISHED").touch()


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (
            lambda path: (path / "manifest.json").unlink(),
            "has no manifest.json",
        ),
        (_unfinish, "did not finish: run it again with --replace"),
        (lambda path: (path / "data-00000.arrow").unlink(), r"data-00000.arrow is missing"),
        (_shorten, r"data-00000.arrow has \d+ bytes instead of \d+"),
        (lambda path: (path / "manifest.json").write_text("{"), "manifest.json is damaged"),
        (lambda path: (path / "manifest.json").write_text("[]"), "manifest.json is damaged"),
        (lambda path: (path / "manifest.json").write_bytes(b"\xff\xfe"), "manifest.json is damaged"),
        (lambda path: (path / "manifest.json").write_text("[" * 100_000), "manifest.json is damaged"),
        (_edit("version", 2), "version 2, this program reads 'crescendo-pyramid' version 1"),
        (_edit("format", "other"), "has format 'other'"),
        (_edit("count", 3), "holds 2 images, but its manifest says 3"),
        (_edit("levels", [4, 16]), "manifest.json is damaged"),
        (_edit("channels", 1000), "manifest.json is damaged"),
        (_edit("label_names", ["a"]), "does not have the columns of its manifest"),
        (
            _edit("shards", [{"file": "../data-00000.arrow", "rows": 2, "bytes": 1, "sha256": "0" * 64}]),
            "damaged",
        ),
    ],
)
def test_what_is_not_whole_is_refused(tmp_path: Path, harm: Callable[[Path], None], message: str) -> None:
    write(tmp_path / "set", pictures(2, 16, 3))
    harm(tmp_path / "set")
    with pytest.raises(ValueError, match=message):
        PyramidDataset(tmp_path / "set")


def test_no_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"there is no data set at .*: make one with"):
        PyramidDataset(tmp_path / "none")


def test_verify_names_the_shard_of_a_flipped_bit(tmp_path: Path) -> None:
    write(tmp_path / "set", pictures(2, 16, 3))
    file = tmp_path / "set" / "data-00000.arrow"
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
    with pytest.raises(ValueError, match=r"data-00000.arrow differs from its checksum"):
        PyramidDataset(tmp_path / "set").verify()


def test_the_fingerprint_follows_the_bytes(tmp_path: Path) -> None:
    levels = pictures(2, 16, 3)
    for name in ("one", "same"):
        write(tmp_path / name, levels)
    levels[1][2][0, 5, 5] ^= 1
    write(tmp_path / "other", levels)
    one, same, other = (PyramidDataset(tmp_path / name).fingerprint for name in ("one", "same", "other"))
    assert one == same != other
