"""How good a run's generator is found to be while it trains, by a measure that the run is given."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from models.generator import Generator


@dataclass(frozen=True)
class EvaluationResult:
    """What a measure found."""

    figures: Mapping[str, float]  # by name
    rank: str  # name of the figure that checkpoints are compared by: the less, the better
    protocol: str  # how it was measured: only figures of one protocol are compared

    @property
    def value(self) -> float:
        """The figure that checkpoints are compared by."""
        return self.figures[self.rank]

    def comparable(self, other: "EvaluationResult") -> bool:
        """Whether the other was measured in the same way."""
        return (self.rank, self.protocol) == (other.rank, other.protocol)


Measure = Callable[[Generator], EvaluationResult | None]  # None: the pictures are too small yet
