"""Evaluation of many generators in the same way, with results on disk so that none is computed twice."""

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
from evaluation.progress import StartTask
from evaluation.protocol import images_per_set
from evaluation.report import ranking_metric
from models.generator import Generator
from models.sampler import Sampler

ROW_LENGTH = 12  # images in a row of samples


class CachedEvaluator:
    """Evaluates generators of the data set's full size, each with several seeds, and stores the results."""

    def __init__(
        self,
        folder: Path,  # for `evaluations/` and `samples/`
        dataset: PyramidDataset,
        samples: int,  # images per evaluation; fewer if the data set has less than twice as many
        seeds: int,  # evaluations of a generator, each with other samples and another split of the data
        features: Path | None,  # network (.onnx) for the Frechet and kernel distances
    ) -> None:
        """Check beforehand that the data set can be evaluated.

        Raises:
            ValueError: its images are too few or too small, or the network does not accept them.

        """
        if dataset.size < COARSEST:
            size, minimum = (size_text(each, dataset.aspect) for each in (dataset.size, COARSEST))
            raise ValueError(f"{dataset.path} goes up to {size}; evaluation needs at least {minimum}")
        self.images_per_set = images_per_set(dataset, samples)
        self.network = FeatureNetwork(features) if features else None
        if self.network is not None:
            self.network(dataset.images([0], dataset.size))
        self.ranked_by = ranking_metric(self.network)
        self._evaluators = [Evaluator(dataset, samples, self.network, seed) for seed in range(seeds)]
        self._protocol = [dataset.fingerprint, samples, self.network.identity() if self.network else None]
        self._folder, self._resolution = folder, dataset.size
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        for name in ("evaluations", "samples"):
            (folder / name).mkdir(parents=True, exist_ok=True)

    def evaluate(
        self,
        name: str,  # of the generator, for file names and people
        identity: str,  # of the generator: different for every other generator, such as a digest of its weights
        generator: Generator,  # moved to the device of the evaluation
        start_task: StartTask,
    ) -> list[dict[str, Any]]:
        """The results of `evaluation.evaluate.evaluate`, one per seed.

        Raises:
            ValueError: the images are of another size, or cannot be evaluated.

        """
        if generator.resolutions[-1] != self._resolution:
            size = size_text(generator.resolutions[-1], generator.aspect)
            raise ValueError(
                f"its images have grown to only {size}: train longer, or --set options so that it grows faster"
            )
        generator.to(self.device)
        return [
            self._evaluate(name, identity, generator, seed, start_task)
            for seed in range(len(self._evaluators))
        ]

    def evaluate_untrained(self, name: str, generator: Generator, start_task: StartTask) -> dict[str, Any]:
        """The result, with the first seed, of the same network with freshly initialized weights."""
        torch.manual_seed(0)
        fresh = type(generator)(**generator.settings()).to(self.device).eval()
        fresh.grow(self._resolution, 1.0)
        fresh.refresh_statistics()
        identity = f"fresh {type(generator).__name__} {json.dumps(generator.settings(), sort_keys=True)}"
        return self._evaluate(f"untrained-{name}", identity, fresh, 0, start_task)

    def save_samples(self, name: str, generator: Generator) -> str:
        """Save a row of samples, with the same seeds for all generators. Returns its path within the folder."""
        return self.save_row(name, Sampler(generator, self.device).generate(range(ROW_LENGTH)))

    def save_row(self, name: str, images: Tensor) -> str:
        """Save a row of uint8 images (N, C, H, W). Returns its path within the folder."""
        path = Path("samples", f"{name}.png")
        save_png(grid(images, columns=len(images)), self._folder / path)
        return str(path)

    def close(self) -> None:
        """Free the temporary files of the real images' patches."""
        for evaluator in self._evaluators:
            evaluator.close()

    def _evaluate(
        self, name: str, identity: str, generator: Generator, seed: int, start_task: StartTask
    ) -> dict[str, Any]:
        digest = hashlib.sha256(json.dumps([identity, seed, *self._protocol]).encode()).hexdigest()[:12]
        path = self._folder / "evaluations" / f"{name}-{seed}-{digest}.json"
        if not path.is_file():
            result = self._evaluators[seed](generator, start_task)
            write_text(path, json.dumps(result, indent=2, allow_nan=False) + "\n")
        cached: dict[str, Any] = json.loads(path.read_text())
        return cached
