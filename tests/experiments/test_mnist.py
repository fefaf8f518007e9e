"""Reading MNIST: both forms give the same digits, and what is missing or damaged is told."""

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest
import torch

from experiments.mnist import read

IMAGES = np.random.default_rng(0).integers(0, 256, (3, 28, 28), np.uint8)
LABELS = np.array([7, 0, 9], np.uint8)


def _write_idx(path: Path, array: np.ndarray) -> None:
    header = struct.pack(">HBB", 0, 8, array.ndim) + struct.pack(f">{array.ndim}I", *array.shape)
    path.write_bytes(gzip.compress(header + array.tobytes()))


def _publish(folder: Path, labels: np.ndarray = LABELS) -> None:
    _write_idx(folder / "t10k-images-idx3-ubyte.gz", IMAGES)
    _write_idx(folder / "t10k-labels-idx1-ubyte.gz", labels)


def test_both_forms_give_the_same_digits(tmp_path: Path) -> None:
    _publish(tmp_path)
    images, labels = read(tmp_path, "test")
    assert torch.equal(images, torch.tensor(IMAGES)[:, None])
    assert (images.dtype, labels.dtype, labels.tolist()) == (torch.uint8, torch.int64, [7, 0, 9])
    np.savez(tmp_path / "train.npz", images=IMAGES, labels=LABELS)
    for one, other in zip(read(tmp_path, "train"), (images, labels), strict=True):
        assert torch.equal(one, other)


def test_what_is_missing_is_told_with_where_it_is_to_be_had(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"neither train-images-idx3-ubyte\.gz nor train\.npz; .* https://"):
        read(tmp_path, "train")
    _publish(tmp_path)
    (tmp_path / "t10k-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(ValueError, match=r"t10k-labels-idx1"):
        read(tmp_path, "test")


@pytest.mark.parametrize("length", [0, 3, 20, -10])
def test_files_cut_short_are_refused(tmp_path: Path, length: int) -> None:
    for name in ("t10k-images-idx3-ubyte.gz", "test.npz"):
        _publish(tmp_path)
        np.savez(tmp_path / "test.npz", images=IMAGES, labels=LABELS)
        if not name.endswith("npz"):
            (tmp_path / "test.npz").unlink()
        (tmp_path / name).write_bytes((tmp_path / name).read_bytes()[:length])
        with pytest.raises(ValueError, match=f"{name} cannot be read, fetch it again"):
            read(tmp_path, "test")


def test_what_is_not_digits_is_refused(tmp_path: Path) -> None:
    _publish(tmp_path, np.array([7, 0], np.uint8))
    with pytest.raises(ValueError, match=r"not digits of MNIST, but uint8 \(3, 28, 28\) and uint8 \(2,\)"):
        read(tmp_path, "test")
    _publish(tmp_path, np.array([7, 0, 10], np.uint8))
    with pytest.raises(ValueError, match="not digits"):
        read(tmp_path, "test")
    _write_idx(tmp_path / "t10k-images-idx3-ubyte.gz", IMAGES.astype(">u4"))
    with pytest.raises(ValueError, match="cannot be read"):
        read(tmp_path, "test")
    np.savez(tmp_path / "test.npz", images=np.array([None, "x"]), labels=LABELS)
    with pytest.raises(ValueError, match="cannot be read"):
        read(tmp_path, "test")
