"""Prepared data sets of pictures that a test has made."""

from pathlib import Path

from torch import Tensor

from data_prep import pyramid
from data_prep.store import PyramidWriter, Row, encode_png


def write_dataset(folder: Path, images: Tensor) -> Path:
    """A data set of the pictures, uint8 (N, C, R, R)."""
    folder.mkdir()
    size = images.shape[-1]
    writer = PyramidWriter(folder, size, images.shape[1])
    levels = pyramid.gaussian(images.float(), len(pyramid.level_sizes(size)))[::-1]
    for number in range(len(images)):
        pngs = tuple(encode_png(level[number].round().clamp(0, 255).byte()) for level in levels)
        writer.append(Row(f"{number}.png", pngs, None))
    writer.publish()
    return folder
