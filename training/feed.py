"""Real images as a pure function of how many were shown before, prepared one batch ahead."""

from concurrent.futures import Future, ThreadPoolExecutor

import torch
from torch import Tensor

from data_prep.store import PyramidDataset
from training.draws import derive_seed


class Feed:
    """An endless stream of images: every epoch in an order of its own, each image mirrored or not by a coin.

    The stream depends on the seed alone. A batch is a stretch of it, and this rank's part a stretch of the batch, so
    neither the number of ranks nor a resume changes which images are shown.
    """

    def __init__(
        self,
        dataset: PyramidDataset,
        resolution: int,  # side of the images, one of the data set's levels
        seed: int,  # the run's
        flip: bool,  # mirror images left to right with probability 1/2
    ) -> None:
        self._dataset, self._resolution, self._seed, self._flip = dataset, resolution, seed, flip
        self._orders: dict[int, Tensor] = {}
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="feed")
        self._ahead: tuple[int, slice, Future[Tensor]] | None = None

    def take(self, start: int, part: slice, batch: int) -> Tensor:
        """Images number start + part.start ... of the stream: float32 (N, C, R, R) in [-1, 1], on the CPU.

        Args:
            start: images shown before the batch.
            part: this rank's samples of the batch.
            batch: size of the global batch; the next one is prepared meanwhile.
        """
        if self._ahead is None or self._ahead[:2] != (start, part):
            self._ahead = self._prepare(start, part)
        images = self._ahead[2].result()
        self._ahead = self._prepare(start + batch, part)
        return images.float() / 127.5 - 1

    def close(self) -> None:
        """Stop preparing."""
        self._worker.shutdown(cancel_futures=True)

    def _prepare(self, start: int, part: slice) -> tuple[int, slice, Future[Tensor]]:
        return start, part, self._worker.submit(self._read, range(start + part.start, start + part.stop))

    def _read(self, positions: range) -> Tensor:
        epochs = [divmod(position, len(self._dataset)) for position in positions]
        indices = [int(self._order(epoch)[place]) for epoch, place in epochs]
        images = self._dataset.images(indices, self._resolution)
        if self._flip:
            coins = [derive_seed(self._seed, "flip", position) & 1 for position in positions]
            mirrored = torch.tensor(coins, dtype=torch.bool).view(-1, 1, 1, 1)
            images = torch.where(mirrored, images.flip(3), images)
        return images

    def _order(self, epoch: int) -> Tensor:
        """The order of the epoch's images. Only the two newest orders are kept."""
        if epoch not in self._orders:
            rng = torch.Generator().manual_seed(derive_seed(self._seed, "order", epoch))
            self._orders = {e: order for e, order in self._orders.items() if e == epoch - 1}
            self._orders[epoch] = torch.randperm(len(self._dataset), generator=rng)
        return self._orders[epoch]
