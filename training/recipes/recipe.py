"""What every recipe says."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from common.aspect import SQUARE, Aspect
from training.growth import Growth, steady
from training.monitoring.guard import GuardSettings
from training.system import System

FAST: dict[str, Any] = {"precision": "bf16", "channels_last": True}
CPU: dict[str, Any] = {**FAST, "resolution": 64}  # for two CPU cores


@dataclass(frozen=True)
class DataFormat:
    """What a data set's pictures are like, as far as networks depend on it."""

    channels: int  # 1 grey, 3 RGB, 4 RGBA
    class_names: tuple[str, ...] = ()  # name of each label; empty for data without labels
    aspect: Aspect = SQUARE  # height and width of the picture at resolution 4


@dataclass(frozen=True)
class Recipe(ABC):
    """All that determines a run besides its data. Checked when made; ValueError names the field."""

    needs_labels: ClassVar[bool] = False  # whether it is for data with labels only

    resolution: int  # shorter side of the largest image, pixels
    kimg: float  # length of the run, thousands of real images shown
    batch: int  # real images per step, over all ranks
    micro_batch: int = 0  # images that a process computes at once, at most; 0 for as many as fit into memory
    seed: int = 0  # of weights, order, noise
    flip: bool = True  # mirror real images left to right with probability 1/2
    precision: Literal["fp32", "bf16"] = "fp32"  # of matrix products and convolutions; weights stay fp32
    channels_last: bool = False  # memory layout of networks and images; faster on most CPUs and GPUs
    ema_half_life: float = 10.0  # of the generator's moving average, thousands of images
    log_every: float = 1.0  # metrics, thousands of images
    snapshot_every: float = 10.0  # sample grids, thousands of images
    checkpoint_every: float = 10.0  # checkpoints, thousands of images
    keep: int = 3  # newest checkpoints to keep
    evaluate_every: float = 0.0  # evaluations, each with a checkpoint, thousands of images; 0 for none
    evaluate_pictures: int = 1000  # generated pictures that an evaluation compares with as many real ones
    keep_best: int = 1  # best checkpoints to keep beside the newest, by what their evaluations found
    guard: GuardSettings = field(default_factory=GuardSettings)

    def __post_init__(self) -> None:
        self.check_positive(
            "kimg", "batch", "ema_half_life", "log_every", "snapshot_every", "checkpoint_every", "keep"
        )
        self.check_not_negative("seed", "micro_batch", "evaluate_every", "keep_best")
        if not 16 <= self.evaluate_pictures <= 50_000:
            raise ValueError(f"evaluate_pictures must be from 16 to 50000, not {self.evaluate_pictures}")

    def check_positive(self, *names: str) -> None:
        """Raise ValueError unless these fields are positive, all values of those that have several."""
        for name in names:
            if not all(value > 0 for value in self._values(name)):
                raise ValueError(f"{name} must be positive, not {getattr(self, name)}")

    def check_not_negative(self, *names: str) -> None:
        """Raise ValueError unless these fields are 0 or positive, all values of those that have several."""
        for name in names:
            if not all(value >= 0 for value in self._values(name)):
                raise ValueError(f"{name} must not be negative, not {getattr(self, name)}")

    def _values(self, name: str) -> tuple[float, ...]:
        """Of a field of numbers."""
        value = getattr(self, name)
        return value if isinstance(value, tuple) else (value,)

    @abstractmethod
    def build(self, data: DataFormat) -> System:
        """Build the game's networks and optimisers for such data, weights from torch's RNG."""

    def growth(self) -> Growth:
        """What size is trained on when."""
        return steady(self.resolution, self.batch)


# What may differ when a run is resumed: how long it goes on, how much it computes at once, what it writes and minds.
MAY_CHANGE = frozenset(
    {
        *("kimg", "micro_batch", "guard", "log_every", "snapshot_every", "checkpoint_every", "keep"),
        *("evaluate_every", "evaluate_pictures", "keep_best"),
    }
)
