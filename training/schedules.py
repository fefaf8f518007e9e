"""Quantities that change over a run, as pure functions of the clock."""

import math

from training.system import Schedule

Ramp = tuple[float] | tuple[float, float]  # one value throughout, or the first and the last


def constant(value: float) -> Schedule:
    """The same throughout."""
    return lambda _clock: value


def cosine(start: float, end: float) -> Schedule:
    """From start to end along half a cosine over the run."""
    return lambda train_state: end + (start - end) * 0.5 * (1 + math.cos(math.pi * train_state.fraction))


def ramp(values: Ramp) -> Schedule:
    """From the first value to the last along half a cosine over the run."""
    return cosine(values[0], values[-1])


def scaled(schedule: Schedule, factor: float) -> Schedule:
    """A schedule's values times a factor."""
    return lambda train_state: factor * schedule(train_state)


def decaying(start: float, rate: float, every: float, end: float = 0.0) -> Schedule:
    """Divided by 1 + rate for each so many images, smoothly, down to end."""
    return lambda train_state: max(end, start / math.pow(1 + rate, train_state.images / every))


def halved(start: float, end: float, every: float) -> Schedule:
    """Halved after each so many images, down to end."""
    return lambda train_state: max(end, start * math.pow(0.5, train_state.images // every))


def rising(start: float, step: float, every: float, end: float) -> Schedule:
    """Raised by a step for each so many images, smoothly, up to end."""
    return lambda train_state: min(end, start + step * train_state.images / every)


def beginning(images: float, value: float) -> Schedule:
    """The value once so many images have been shown; nothing before."""
    return lambda train_state: value if train_state.images >= images else 0.0
