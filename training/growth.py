"""What size of picture is trained on when: phases, as a function of the images shown.

A run of one size has one phase. Progressive growing (Karras et al. 2018, arXiv 1710.10196, section 2 and appendix A)
has, for every size but the first, a phase that fades it in and a phase that holds it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import inf


@dataclass(frozen=True)
class Stage:
    """What is trained on at one moment."""

    resolution: int  # shorter side of the largest image, pixels
    batch: int  # real images per step, over all ranks
    blend: float = 1.0  # weight of that size against the one before, upsampled (ProGAN's alpha)
    phase: int = 0  # index of the phase; the optimisers' moments start anew with each


@dataclass(frozen=True)
class Phase:
    """A stretch of a run at one size."""

    start: float  # images shown before
    end: float  # images shown after; the last phase's is infinite
    resolution: int  # shorter side of the largest image, pixels
    batch: int  # real images per step, over all ranks
    fading: bool = False  # whether the size is being faded in


@dataclass(frozen=True)
class Growth:
    """Phases without gaps, from no images shown on."""

    phases: tuple[Phase, ...]

    def __post_init__(self) -> None:
        assert self.phases[0].start == 0
        assert self.phases[-1].end == inf
        assert all(a.end == b.start for a, b in pairwise(self.phases))

    def at(self, images: int) -> Stage:
        """The stage after `images` real images."""
        index, phase = next((i, phase) for i, phase in enumerate(self.phases) if images < phase.end)
        blend = (images - phase.start) / (phase.end - phase.start) if phase.fading else 1.0
        return Stage(phase.resolution, phase.batch, blend, index)


def steady(resolution: int, batch: int) -> Growth:
    """One size from beginning to end."""
    return Growth((Phase(0, inf, resolution, batch),))


def progressive(resolutions: Sequence[int], batches: Sequence[int], hold: float, fade: float) -> Growth:
    """Each size held for `hold` images, the next faded in over `fade` images; the last held to the end.

    Args:
        resolutions: shorter sides of the largest image, ascending.
        batches: real images per step at each.
        hold: images.
        fade: images; 0 to switch at once.
    """
    phases: list[Phase] = []
    start = 0.0
    for level, (resolution, batch) in enumerate(zip(resolutions, batches, strict=True)):
        if level > 0 and fade > 0:
            phases.append(Phase(start, start + fade, resolution, batch, fading=True))
            start += fade
        end = inf if level == len(resolutions) - 1 else start + hold
        phases.append(Phase(start, end, resolution, batch))
        start = end
    return Growth(tuple(phases))
