"""Sliced Wasserstein distance between two sets of images, per level of their Laplacian pyramids.

"Progressive Growing of GANs" (Karras et al. 2018, arXiv 1710.10196), section 5. A small distance means that patches of
that scale look alike in both sets: coarse levels compare shape and color, fine ones texture and sharpness.

Deviation: the pyramid is the project's own (`data_prep.pyramid`). Both blur with the 5-tap binomial filter
and mirror the border, but to halve, the paper keeps every second pixel, and to double, it inserts zeros, where
ours is bilinear. Values are therefore comparable with each other, not with published ones.
"""

from collections.abc import Callable, Iterator
from tempfile import TemporaryFile

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from data_prep import pyramid

PATCHES = 128  # per image and level
SIDE = 7  # of a patch, pixels
DIRECTIONS = 512  # random projections: the paper's 4 repeats of 128
COARSEST = 16  # shorter side of the coarsest level, pixels
MAX_IMAGES = 16384  # images of a set that are used, the paper's number: at most 0.8 GB of patches per level
SCALE = 1000  # factor of the distance, as in the paper

_PROJECTIONS_PER_CHUNK = 2**26  # of a set, 268 MB
_PATCHES_PER_CHUNK = 2**14  # read and projected in one matrix product


def level_sizes(resolution: int) -> tuple[int, ...]:
    """Shorter sides of the levels, finest first: (resolution, ..., 32, 16)."""
    return tuple(size for size in reversed(pyramid.level_sizes(resolution)) if size >= COARSEST)


class Patches:
    """Random patches of a set's Laplacian pyramids, gathered batch by batch, kept in temporary files.

    They are stored in float16, which changes distances by less than 1 in 10,000 compared with float32. `close` frees
    the files.
    """

    def __init__(
        self,
        resolution: int,  # shorter side of the images, pixels; at least COARSEST
        channels: int,  # of the images
        rng: np.random.Generator,  # of the patches' positions
    ) -> None:
        self.levels = level_sizes(resolution)
        self.channels = channels
        self.images = 0  # gathered so far
        self._rng = rng
        self._files = [TemporaryFile() for _ in self.levels]  # noqa: SIM115 - open until close
        self._sums = np.zeros((len(self.levels), 2, channels))  # of values and of squares, per channel

    def add(self, images: Tensor) -> None:
        """Add patches of images, uint8 (N, C, H, W); images beyond MAX_IMAGES are left out."""
        images = images[: MAX_IMAGES - self.images].cpu()
        if not len(images):
            return
        self.images += len(images)
        base, bands = pyramid.laplacian(images.float(), len(self.levels))
        for level, file, sums in zip([*bands, base], self._files, self._sums, strict=True):
            patches = self._cut(level)
            sums += patches.sum((0, 2), dtype=np.float64), np.square(patches).sum((0, 2), dtype=np.float64)
            file.write(patches.astype(np.float16).tobytes())

    def projections(self, level: int, directions: NDArray[np.float64]) -> NDArray[np.float32]:
        """Patches of a level, normalized per channel over the set and projected on directions: sorted (D, P).

        Args:
            level: index into `levels`.
            directions: unit vectors (D, C * 49).

        """
        mean, square = self._sums[level] / (self.images * PATCHES * SIDE**2)
        deviation = np.sqrt(np.maximum(square - mean**2, 0))
        deviation[deviation == 0] = 1  # a constant channel becomes zero
        # ((patch - mean) / deviation) . d  =  patch . (d / deviation)  -  mean . (d / deviation)
        scaled = directions.reshape(len(directions), self.channels, -1) / deviation[:, None]
        offsets = (scaled.sum(2) @ mean)[:, None].astype(np.float32)
        weights = scaled.reshape(directions.shape).astype(np.float32)
        projected = np.empty((len(directions), self.images * PATCHES), np.float32)
        for start, patches in self._read(level):
            projected[:, start : start + len(patches)] = weights @ patches.T
        projected -= offsets
        projected.sort(axis=1)
        return projected

    def close(self) -> None:
        """Free the files; the patches are gone."""
        for file in self._files:
            file.close()

    def _cut(self, level: Tensor) -> NDArray[np.float32]:
        """Patches at random positions of a level (N, C, h, w): (N * PATCHES, C, SIDE * SIDE)."""
        rows, columns = (
            self._rng.integers(side - SIDE + 1, size=(len(level), PATCHES)) for side in level.shape[2:]
        )
        windows = level.unfold(2, SIDE, 1).unfold(3, SIDE, 1).numpy()  # (N, C, h - 6, w - 6, 7, 7), a view
        patches = windows[np.arange(len(level))[:, None], :, rows, columns]  # (N, PATCHES, C, 7, 7)
        return patches.reshape(-1, self.channels, SIDE**2)

    def _read(self, level: int) -> Iterator[tuple[int, NDArray[np.float32]]]:
        """The level's patches (P, C * 49) in chunks, each with the index of its first patch."""
        file, width = self._files[level], self.channels * SIDE**2
        file.seek(0)
        start = 0
        while chunk := file.read(_PATCHES_PER_CHUNK * width * np.dtype(np.float16).itemsize):
            patches = np.frombuffer(chunk, np.float16).reshape(-1, width).astype(np.float32)
            yield start, patches
            start += len(patches)


def sliced_wasserstein(
    a: Patches,
    b: Patches,
    rng: np.random.Generator,
    advance: Callable[[int], None] = lambda _steps: None,
) -> dict[int, float]:
    """Distance per level, times 1000: the mean of |a - b| over sorted projections and random directions.

    Args:
        a: one set.
        b: another with as many images of the same shape.
        rng: of the directions.
        advance: called with the number of directions that were done.

    Returns:
        The distance by the level's shorter side in pixels, finest first.

    """
    assert (a.levels, a.channels, a.images) == (b.levels, b.channels, b.images)
    chunk = max(1, _PROJECTIONS_PER_CHUNK // (a.images * PATCHES))
    distances = {}
    for level, size in enumerate(a.levels):
        directions = rng.standard_normal((DIRECTIONS, a.channels * SIDE**2))
        directions /= np.linalg.norm(directions, axis=1, keepdims=True)
        total = 0.0
        for start in range(0, DIRECTIONS, chunk):
            part = directions[start : start + chunk]
            gaps = a.projections(level, part)
            gaps -= b.projections(level, part)
            total += np.abs(gaps, out=gaps).mean(1, dtype=np.float64).sum()
            advance(len(part))
        distances[size] = SCALE * float(total) / DIRECTIONS
    return distances
