"""One judge for many generators: the same evaluations of each, remembered, and the same pictures of each."""

import hashlib
import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from common.aspect import size_text
from common.atomic import write_text
from common.images import grid, save_png
from data_prep.store import PyramidDataset
from evaluation.evaluate import Evaluator
from evaluation.metrics.features import FeatureNetwork
from evaluation.metrics.swd import COARSEST
from evaluation.progress import Begin
from evaluation.protocol import set_size
from evaluation.report import ranked_by
from models.generator import Generator
from models.sampler import Sampler

PICTURES = 12  # in a row


class Judge:
    """Evaluates generators of the data's full size, each with every seed. What was found before is not found again."""

    def __init__(
        self,
        folder: Path,  # where `evaluations/` and `samples/` go
        dataset: PyramidDataset,
        samples: int,  # pictures of an evaluation; fewer are where the data set has not twice as many
        seeds: int,  # evaluations of a generator, each with other samples and other halves of the data
        features: Path | None,  # network for Frechet and kernel distance
    ) -> None:
        """See beforehand that the pictures can be evaluated.

        Raises:
            ValueError: they are too few or too small, or the network does not take them.

        """
        if dataset.size < COARSEST:
            size, least = (size_text(each, dataset.aspect) for each in (dataset.size, COARSEST))
            raise ValueError(f"{dataset.path} goes up to {size}; evaluation needs at least {least}")
        self.count = set_size(dataset, samples)
        self.network = FeatureNetwork(features) if features else None
        if self.network is not None:
            self.network(dataset.images([0], dataset.size))
        self.rank = ranked_by(self.network)
        self._evaluators = [Evaluator(dataset, samples, self.network, seed) for seed in range(seeds)]
        self._how = [dataset.fingerprint, samples, self.network.identity() if self.network else None]
        self._folder, self._resolution = folder, dataset.size
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        for name in ("evaluations", "samples"):
            (folder / name).mkdir(parents=True, exist_ok=True)

    def __call__(self, name: str, identity: str, generator: Generator, begin: Begin) -> list[dict[str, Any]]:
        """What `evaluate` finds with each seed.

        Args:
            name: the generator's, for people.
            identity: the generator's; another generator has another.
            generator: moved to the device that evaluates.
            begin: told of each part of the work.

        Raises:
            ValueError: its pictures are of another size, or cannot be evaluated.

        """
        if generator.resolutions[-1] != self._resolution:
            size = size_text(generator.resolutions[-1], generator.aspect)
            raise ValueError(
                f"its pictures have grown to {size} only: train longer, or --set it to grow faster"
            )
        generator.to(self.device)
        return [self._found(name, identity, generator, seed, begin) for seed in range(len(self._evaluators))]

    def untrained(self, name: str, generator: Generator, begin: Begin) -> dict[str, Any]:
        """What the first evaluation finds of the same network with fresh weights."""
        torch.manual_seed(0)
        fresh = type(generator)(**generator.settings()).to(self.device).eval()
        fresh.grow(self._resolution, 1.0)
        fresh.refresh_statistics()
        identity = f"fresh {type(generator).__name__} {json.dumps(generator.settings(), sort_keys=True)}"
        return self._found(f"untrained-{name}", identity, fresh, 0, begin)

    def draw(self, name: str, generator: Generator) -> str:
        """Write a row of pictures, whose seeds are the same for all. Returns its path within the folder."""
        return self.show(name, Sampler(generator, self.device).generate(range(PICTURES)))

    def show(self, name: str, pictures: Tensor) -> str:
        """Write a row of uint8 pictures (N, C, H, W). Returns its path within the folder."""
        path = Path("samples", f"{name}.png")
        save_png(grid(pictures, columns=len(pictures)), self._folder / path)
        return str(path)

    def close(self) -> None:
        """Free what is kept of the reals."""
        for evaluator in self._evaluators:
            evaluator.close()

    def _found(
        self, name: str, identity: str, generator: Generator, seed: int, begin: Begin
    ) -> dict[str, Any]:
        digest = hashlib.sha256(json.dumps([identity, seed, *self._how]).encode()).hexdigest()[:12]
        path = self._folder / "evaluations" / f"{name}-{seed}-{digest}.json"
        if not path.is_file():
            result = self._evaluators[seed](generator, begin)
            write_text(path, json.dumps(result, indent=2, allow_nan=False) + "\n")
        found: dict[str, Any] = json.loads(path.read_text())
        return found
