"""Progressive growing: the resolution of training images in phases, as a function of the images shown.

A run at a fixed resolution has one phase. With progressive growing (Karras et al. 2018, arXiv 1710.10196, section 2 and
appendix A), every resolution but the first has a phase that fades it in and a phase that holds it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import inf


@dataclass(frozen=True)
class Stage:
    """What training uses at one moment: resolution, batch size and blending."""

    resolution: int  # shorter side of the largest image, pixels
    batch: int  # real images per step, over all ranks
    blend: float = 1.0  # weight of this resolution; the rest is the previous one, upsampled (ProGAN's alpha)
    phase: int = 0  # index of the phase; each resets the optimizers' moments


@dataclass(frozen=True)
class Phase:
    """A part of a run at one resolution."""

    start: float  # images shown before it begins
    end: float  # images shown when it ends; infinite for the last phase
    resolution: int  # shorter side of the largest image, pixels
    batch: int  # real images per step, over all ranks
    fading: bool = False  # whether the resolution is being faded in


@dataclass(frozen=True)
class Growth:
    """Consecutive phases without gaps, beginning at 0 images shown."""

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
    """One resolution from beginning to end."""
    return Growth((Phase(0, inf, resolution, batch),))


def progressive(resolutions: Sequence[int], batches: Sequence[int], hold: float, fade: float) -> Growth:
    """Each resolution is held for `hold` images, then the next fades in over `fade` images; the last stays to the end.

    Args:
        resolutions: shorter sides of the largest image, pixels, ascending.
        batches: real images per step at each, over all ranks.
        hold: images shown.
        fade: images shown; 0 to switch at once.
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
