"""The result of evaluating a run's generator while it trains, by a function that the run is given."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from models.generator import Generator


@dataclass(frozen=True)
class EvaluationResult:
    """What an evaluation found."""

    figures: Mapping[str, float]  # by name
    rank: str  # name of the figure that checkpoints are compared by: lower is better
    protocol: str  # how it was evaluated: only figures of one protocol are compared

    @property
    def value(self) -> float:
        """The figure that checkpoints are compared by."""
        return self.figures[self.rank]

    def comparable(self, other: "EvaluationResult") -> bool:
        """Whether the other was evaluated in the same way."""
        return (self.rank, self.protocol) == (other.rank, other.protocol)


Evaluate = Callable[[Generator], EvaluationResult | None]  # None: the images are still too small
