"""The evaluation of a generator that is still in training: the figures of `python -m evaluation`, as curves."""

import hashlib
import json
from dataclasses import dataclass

from data_prep.store import PyramidDataset
from evaluation.evaluate import Evaluator
from evaluation.metrics.features import FeatureNetwork
from evaluation.metrics.swd import COARSEST
from evaluation.protocol import set_size
from evaluation.report import flat, ranked_by
from models.generator import Generator


@dataclass(frozen=True)
class Findings:
    """What is found of a generator."""

    figures: dict[str, float]  # by name; those of reals against other reals begin with `real/`
    rank: str  # name of the figure by which generators are compared: the lower, the better
    protocol: str  # digest of how they were measured: only figures of one protocol are comparable


class Monitor:
    """Evaluates a generator again and again. The reals are looked at once."""

    def __init__(
        self,
        dataset: PyramidDataset,
        resolution: int,  # side of the pictures once the generator has grown, pixels
        pictures: int,  # to generate; fewer are where the data set has not twice as many
        features: FeatureNetwork | None,  # for Frechet and kernel distance
    ) -> None:
        """See beforehand that every size of pictures can be evaluated.

        Raises:
            ValueError: the data set is too small, or the network does not take its pictures.

        """
        set_size(dataset, pictures)
        for level in dataset.levels:
            if features is not None and COARSEST <= level <= resolution:
                features(dataset.images([0], level))
        self._evaluator = Evaluator(dataset, pictures, features)
        self._rank = ranked_by(features)

    def __call__(self, generator: Generator) -> Findings | None:
        """Evaluate the generator, which is put into evaluation mode; None where its pictures are too small as yet.

        Raises:
            ValueError: see `evaluate`.

        """
        if generator.resolutions[-1] < COARSEST:
            return None
        result = self._evaluator(generator)
        reals = {f"real/{name}": figure for name, figure in flat(result, "real").items()}
        how = {key: value for key, value in result["protocol"].items() if key not in ("model", "versions")}
        digest = hashlib.sha256(json.dumps(how, sort_keys=True).encode()).hexdigest()[:16]
        return Findings({**flat(result), **reals}, self._rank, digest)
