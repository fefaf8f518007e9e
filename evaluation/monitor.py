"""Evaluation of a generator during training: the metrics of `python -m evaluation`, over time."""

import hashlib
import json

from common.evaluation_result import EvaluationResult
from data_prep.store import PyramidDataset
from evaluation.evaluate import Evaluator
from evaluation.metrics.features import FeatureNetwork
from evaluation.metrics.swd import COARSEST
from evaluation.protocol import images_per_set
from evaluation.report import flatten, ranking_metric
from models.generator import Generator


class Monitor:
    """Evaluates a generator again and again. Statistics of the real images are computed once."""

    def __init__(
        self,
        dataset: PyramidDataset,
        resolution: int,  # shorter side of the images once the generator is fully grown, pixels
        samples: int,  # images to generate; fewer if the data set has less than twice as many
        features: FeatureNetwork | None,  # for the Frechet and kernel distances
    ) -> None:
        """Check beforehand that images of every resolution can be evaluated.

        Raises:
            ValueError: the data set is too small, or the network does not accept its images.

        """
        images_per_set(dataset, samples)
        for level in dataset.levels:
            if features is not None and COARSEST <= level <= resolution:
                features(dataset.images([0], level))
        self._evaluator = Evaluator(dataset, samples, features)
        self._ranked_by = ranking_metric(features)

    def __call__(self, generator: Generator) -> EvaluationResult | None:
        """Evaluate the generator, which is put into evaluation mode; None while its images are too small.

        Raises:
            ValueError: see `evaluate`.

        """
        if generator.resolutions[-1] < COARSEST:
            return None
        result = self._evaluator(generator)
        real = {f"real/{name}": value for name, value in flatten(result, "real").items()}
        comparable = {k: v for k, v in result["protocol"].items() if k not in ("model", "versions")}
        digest = hashlib.sha256(json.dumps(comparable, sort_keys=True).encode()).hexdigest()[:16]
        return EvaluationResult({**flatten(result), **real}, self._ranked_by, digest)
