"""Loading batches of real images: a pure function of the images shown, one batch ahead."""

from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import torch
from torch import Tensor

from common.images import from_uint8
from data_prep.store import PyramidDataset
from training.rng import derive_seed


@dataclass(frozen=True)
class SampleRange:
    """Samples `start` to `stop` (excluded) of the stream, at one resolution."""

    start: int
    stop: int
    resolution: int  # one of the data set's, pixels


class BatchLoader:
    """An endless stream of images: each epoch in a random order, each image mirrored at random.

    The stream depends only on the seed. A batch is a range of it, and this rank's part a range of the batch, so neither
    the number of ranks nor a resume changes which images are shown.
    """

    def __init__(
        self,
        dataset: PyramidDataset,
        seed: int,  # the run's
        flip: bool,  # mirror images left to right with probability 1/2
    ) -> None:
        self._dataset, self._seed, self._flip = dataset, seed, flip
        self._orders: dict[int, Tensor] = {}
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="batch-loader")
        self._ahead: tuple[SampleRange, Future[tuple[Tensor, Tensor | None]]] | None = None

    def take(self, wanted: SampleRange, following: SampleRange) -> tuple[Tensor, Tensor | None]:
        """The samples of a range: images, float32 (N, C, H, W) in [-1, 1], and labels, int64 (N,), on the CPU.

        `following`, the range that will be taken next, is loaded in the background. Data without labels give None.
        """
        if self._ahead is None or self._ahead[0] != wanted:
            self._ahead = self._prepare(wanted)
        images, labels = self._ahead[1].result()
        self._ahead = self._prepare(following)
        return from_uint8(images), labels

    def some(self, count: int, resolution: int) -> Tensor:
        """At most `count` images, evenly spaced over the data set and always the same: uint8 (N, C, H, W)."""
        step = max(1, len(self._dataset) // count)
        return self._dataset.images(list(range(0, len(self._dataset), step))[:count], resolution)

    def close(self) -> None:
        """Stop loading."""
        self._worker.shutdown(cancel_futures=True)

    def _prepare(self, wanted: SampleRange) -> tuple[SampleRange, Future[tuple[Tensor, Tensor | None]]]:
        return wanted, self._worker.submit(self._read, wanted)

    def _read(self, wanted: SampleRange) -> tuple[Tensor, Tensor | None]:
        positions = range(wanted.start, wanted.stop)
        places = (divmod(position, len(self._dataset)) for position in positions)
        indices = [int(self._order(epoch)[place]) for epoch, place in places]
        images = self._dataset.images(indices, wanted.resolution)
        if self._flip:
            mirror = [derive_seed(self._seed, "flip", position) & 1 for position in positions]
            mirrored = torch.tensor(mirror, dtype=torch.bool).view(-1, 1, 1, 1)
            images = torch.where(mirrored, images.flip(3), images)
        return images, self._dataset.labels(indices) if self._dataset.label_names else None

    def _order(self, epoch: int) -> Tensor:
        """The order of the epoch's images. Only the two most recent orders are kept."""
        if epoch not in self._orders:
            rng = torch.Generator().manual_seed(derive_seed(self._seed, "order", epoch))
            self._orders = {e: order for e, order in self._orders.items() if e == epoch - 1}
            self._orders[epoch] = torch.randperm(len(self._dataset), generator=rng)
        return self._orders[epoch]
