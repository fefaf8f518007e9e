"""MNIST (LeCun et al. 1998): 60,000 handwritten digits to learn from, 10,000 to test with, 28x28, white on black."""

import gzip
import zlib
from pathlib import Path
from typing import Literal
from zipfile import BadZipFile

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Split = Literal["train", "test"]

_SOURCE = "https://ossci-datasets.s3.amazonaws.com/mnist/"  # where others fetch the published files from
_PUBLISHED = {"train": "train", "test": "t10k"}  # how their names begin
_UNREADABLE = (OSError, EOFError, KeyError, ValueError, zlib.error, BadZipFile)


def read(folder: Path, split: Split) -> tuple[Tensor, Tensor]:
    """The digits of a split and what they are.

    Args:
        folder: holds the published files (`train-images-idx3-ubyte.gz`, ...), or `train.npz` and `test.npz` with arrays
            `images` (N, 28, 28) and `labels` (N,), uint8.
        split: which part.

    Returns:
        images, uint8 (N, 1, 28, 28), and labels from 0 to 9, int64 (N,).

    Raises:
        ValueError: the folder holds neither form, or what it holds is damaged.
    """
    packed = folder / f"{split}.npz"
    published = folder / f"{_PUBLISHED[split]}-images-idx3-ubyte.gz"
    if not packed.exists() and not published.exists():
        raise ValueError(
            f"{folder} holds neither {published.name} nor {packed.name}; fetch the four files of MNIST from {_SOURCE}"
        )
    source = packed if packed.exists() else published
    try:
        images, labels = _unpack(packed) if source is packed else _published(folder, split)
    except _UNREADABLE as error:
        raise ValueError(f"{source} cannot be read, fetch it again from {_SOURCE}: {error}") from None
    whole = images.shape == (len(labels), 28, 28) and labels.shape == (len(images),) and len(labels) > 0
    if not whole or {images.dtype, labels.dtype} != {np.dtype(np.uint8)} or int(labels.max()) > 9:
        raise ValueError(
            f"{source}: not digits of MNIST, but {images.dtype} {images.shape} and {labels.dtype} {labels.shape}"
        )
    return torch.tensor(images).unsqueeze(1), torch.tensor(labels).long()


def _unpack(path: Path) -> tuple[NDArray[np.generic], NDArray[np.generic]]:
    """Images and labels of an .npz file."""
    with np.load(path, allow_pickle=False) as arrays:
        return arrays["images"], arrays["labels"]


def _published(folder: Path, split: Split) -> tuple[NDArray[np.generic], NDArray[np.generic]]:
    """Images and labels of the published files."""
    name = _PUBLISHED[split]
    return _idx(folder / f"{name}-images-idx3-ubyte.gz"), _idx(folder / f"{name}-labels-idx1-ubyte.gz")


def _idx(path: Path) -> NDArray[np.generic]:
    """The array in a gzipped file of the IDX format: 0, 0, 8 for bytes, the number of sides, the sides, the bytes."""
    content = gzip.decompress(path.read_bytes())
    if content[:3] != b"\0\0\x08" or len(content) < 4:
        raise ValueError(f"{path.name} is not an IDX file of bytes")
    start = 4 + 4 * content[3]
    sides = np.frombuffer(content[4:start], ">u4")
    return np.frombuffer(content[start:], np.uint8).reshape(sides)
