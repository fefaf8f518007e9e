"""Real images as a pure function of how many were shown before, prepared one batch ahead."""

from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import torch
from torch import Tensor

from common.images import from_uint8
from data_prep.store import PyramidDataset
from training.rng import derive_seed


@dataclass(frozen=True)
class SampleRange:
    """Images number `start` up to `stop` of the stream, at one size."""

    start: int
    stop: int
    resolution: int  # one of the data set's levels


class BatchLoader:
    """An endless stream of images: every epoch in an order of its own, each image mirrored or not by a coin.

    The stream depends on the seed alone. A batch is a stretch of it, and this rank's part a stretch of the batch, so
    neither the number of ranks nor a resume changes which images are shown.
    """

    def __init__(
        self,
        dataset: PyramidDataset,
        seed: int,  # the run's
        flip: bool,  # mirror images left to right with probability 1/2
    ) -> None:
        self._dataset, self._seed, self._flip = dataset, seed, flip
        self._orders: dict[int, Tensor] = {}
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="feed")
        self._ahead: tuple[SampleRange, Future[tuple[Tensor, Tensor | None]]] | None = None

    def take(self, wanted: SampleRange, following: SampleRange) -> tuple[Tensor, Tensor | None]:
        """A stretch of the stream: images, float32 (N, C, H, W) in [-1, 1], and labels, int64 (N,), on the CPU.

        `following`, which will be taken next, is prepared meanwhile. Data without labels have None for them.
        """
        if self._ahead is None or self._ahead[0] != wanted:
            self._ahead = self._prepare(wanted)
        images, labels = self._ahead[1].result()
        self._ahead = self._prepare(following)
        return from_uint8(images), labels

    def some(self, count: int, resolution: int) -> Tensor:
        """Images from all over the data set, at most `count`, always the same: uint8 (N, C, H, W)."""
        step = max(1, len(self._dataset) // count)
        return self._dataset.images(list(range(0, len(self._dataset), step))[:count], resolution)

    def close(self) -> None:
        """Stop preparing."""
        self._worker.shutdown(cancel_futures=True)

    def _prepare(self, wanted: SampleRange) -> tuple[SampleRange, Future[tuple[Tensor, Tensor | None]]]:
        return wanted, self._worker.submit(self._read, wanted)

    def _read(self, wanted: SampleRange) -> tuple[Tensor, Tensor | None]:
        positions = range(wanted.start, wanted.stop)
        epochs = [divmod(position, len(self._dataset)) for position in positions]
        indices = [int(self._order(epoch)[place]) for epoch, place in epochs]
        images = self._dataset.images(indices, wanted.resolution)
        if self._flip:
            coins = [derive_seed(self._seed, "flip", position) & 1 for position in positions]
            mirrored = torch.tensor(coins, dtype=torch.bool).view(-1, 1, 1, 1)
            images = torch.where(mirrored, images.flip(3), images)
        return images, self._dataset.labels(indices) if self._dataset.label_names else None

    def _order(self, epoch: int) -> Tensor:
        """The order of the epoch's images. Only the two newest orders are kept."""
        if epoch not in self._orders:
            rng = torch.Generator().manual_seed(derive_seed(self._seed, "order", epoch))
            self._orders = {e: order for e, order in self._orders.items() if e == epoch - 1}
            self._orders[epoch] = torch.randperm(len(self._dataset), generator=rng)
        return self._orders[epoch]
