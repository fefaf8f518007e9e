"""Quantities that change over a run, as pure functions of the clock."""

import math

from training.game import Clock


def cosine(clock: Clock, start: float, end: float) -> float:
    """From start to end along half a cosine over the run."""
    return end + (start - end) * 0.5 * (1 + math.cos(math.pi * clock.fraction))
