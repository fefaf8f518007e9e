"""Where training is, and quantities that change over a run as pure functions of it."""

import math
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class TrainState:
    """How far training has come. Every schedule is a pure function of it."""

    images: int  # real images shown so far
    total: int  # real images that the run will show
    iteration: int  # iterations completed so far
    phase: int = 0  # of the growth schedule, in the last iteration

    @property
    def fraction(self) -> float:
        """Fraction of the run that is complete, in [0, 1]."""
        return min(1.0, self.images / self.total)


Schedule = Callable[[TrainState], float]
Count = Callable[[TrainState], int]
Ramp = tuple[float] | tuple[float, float]  # one value throughout, or the first and the last


def zero(_: TrainState) -> float:
    """Always 0."""
    return 0.0


def none(_: TrainState) -> int:
    """A count that is always 0."""
    return 0


def constant(value: float) -> Schedule:
    """The same value throughout."""
    return lambda _train_state: value


def cosine(start: float, end: float) -> Schedule:
    """From start to end along half a cosine over the run."""
    return lambda state: end + (start - end) * 0.5 * (1 + math.cos(math.pi * state.fraction))


def ramp(values: Ramp) -> Schedule:
    """From the first value to the last along half a cosine over the run."""
    return cosine(values[0], values[-1])


def scaled(schedule: Schedule, factor: float) -> Schedule:
    """A schedule's values times a factor."""
    return lambda state: factor * schedule(state)


def decaying(start: float, rate: float, every: float, end: float = 0.0) -> Schedule:
    """Divided by 1 + rate every so many images, smoothly, down to end."""
    return lambda state: max(end, start / math.pow(1 + rate, state.images / every))


def halved(start: float, end: float, every: float) -> Schedule:
    """Halved every so many images, down to end."""
    return lambda state: max(end, start * math.pow(0.5, state.images // every))


def rising(start: float, step: float, every: float, end: float) -> Schedule:
    """Raised by a step every so many images, smoothly, up to end."""
    return lambda state: min(end, start + step * state.images / every)


def starting_at(images: float, value: float) -> Schedule:
    """The value once so many images have been shown; 0 before."""
    return lambda state: value if state.images >= images else 0.0


def early_steps(extra: int, iterations: int, every: int) -> Count:
    """Extra steps in the first iterations, and again in every so many (WGAN's critic)."""
    return lambda state: extra if state.iteration < iterations or state.iteration % every == 0 else 0
