"""The result of one evaluation of a generator: what `evaluation` returns to the training run that asked for it."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class EvaluationResult:
    """Metrics of a generator, and how they were computed."""

    metrics: Mapping[str, float]  # by name; those of real images against other real ones begin with `real/`
    ranked_by: str  # name of the metric that generators are compared by: lower is better
    protocol: str  # digest of how they were computed: only results of one protocol are comparable

    @property
    def value(self) -> float:
        """The metric that generators are compared by."""
        return self.metrics[self.ranked_by]

    def comparable(self, other: "EvaluationResult") -> bool:
        """Whether the other result was computed in the same way."""
        return (self.ranked_by, self.protocol) == (other.ranked_by, other.protocol)
