"""The function that a run is given to evaluate its generator with while it trains."""

from collections.abc import Callable

from common.evaluation_result import EvaluationResult
from models.generator import Generator

Evaluate = Callable[[Generator], EvaluationResult | None]  # None: the images are still too small
