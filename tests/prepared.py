"""Prepared data sets of the images that a test has made."""

from collections.abc import Sequence
from pathlib import Path
from string import ascii_lowercase

from torch import Tensor

from common.images import encode_png
from data_prep import pyramid
from data_prep.store import PyramidWriter, Row


def write_dataset(folder: Path, images: Tensor, labels: Sequence[int] = ()) -> Path:
    """Write a data set of images, uint8 (N, C, H, W), and their labels, whose names are a, b, c, ..."""
    folder.mkdir()
    _, channels, height, width = images.shape
    size = min(height, width)
    names = ascii_lowercase[: max(labels) + 1] if labels else ()
    aspect = (height * 4 // size, width * 4 // size)
    writer = PyramidWriter(folder, size, channels, names, aspect)
    levels = pyramid.gaussian(images.float(), len(pyramid.level_sizes(size)))[::-1]
    for number in range(len(images)):
        pngs = tuple(encode_png(level[number].round().clamp(0, 255).byte()) for level in levels)
        writer.append(Row(f"{number}.png", pngs, labels[number] if labels else None))
    writer.publish()
    return folder
