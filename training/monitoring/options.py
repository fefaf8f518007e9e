"""What a run logs, saves and evaluates, and when it counts as being in trouble."""

from dataclasses import dataclass
from typing import Literal

Policy = Literal["warn", "stop", "rollback"]


@dataclass(frozen=True)
class MonitoringOptions:
    """What is logged, saved and evaluated, how often, and what counts as trouble."""

    log_every: float = 1.0  # metrics, thousands of images
    snapshot_every: float = 10.0  # sample grids, thousands of images
    checkpoint_every: float = 10.0  # checkpoints, thousands of images
    keep: int = 3  # newest checkpoints to keep
    evaluate_every: float = 0.0  # evaluations, each with a checkpoint, thousands of images; 0 for none
    evaluate_samples: int = 1000  # generated images that an evaluation compares with as many real ones
    keep_best: int = 1  # best checkpoints to keep besides the newest, by their evaluations
    guard_policy: Policy = "warn"  # on exploding gradients or a winning discriminator; NaN always stops
    guard_collapse: Policy = "warn"  # on samples that are too similar
    guard_gradient: float = 1000.0  # an explosion: an updater's gradient norm over its median so far
    guard_won: float = 0.01  # the discriminator has won: its loss, never negative, is lower
    guard_diversity: float = 0.1  # a collapse: distance between samples, over that of reals, is lower
    guard_patience: int = 5  # reports in a row before a win counts, or snapshots before a collapse does
    guard_rollbacks: int = 3  # at most; then the run stops
    guard_lr_factor: float = 0.5  # applied to all learning rates at each rollback

    def __post_init__(self) -> None:
        for name in ("log_every", "snapshot_every", "checkpoint_every", "keep"):
            self._check(name, getattr(self, name) > 0, "positive")
        for name in ("guard_gradient", "guard_patience", "guard_lr_factor"):
            self._check(name, getattr(self, name) > 0, "positive")
        for name in ("evaluate_every", "keep_best", "guard_won", "guard_diversity", "guard_rollbacks"):
            self._check(name, getattr(self, name) >= 0, "0 or more")
        self._check("evaluate_samples", 16 <= self.evaluate_samples <= 50_000, "from 16 to 50000")

    def _check(self, name: str, holds: bool, what: str) -> None:
        if not holds:
            raise ValueError(f"{name} must be {what}, not {getattr(self, name)}")
