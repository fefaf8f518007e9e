"""What the rows of the experiment on mixtures of Gaussians share: sizes, optimiser, and the plain game of two."""

from abc import ABC
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import nn

from experiments.experiment import Experiment
from experiments.mixtures import MIXTURES, Mixture
from experiments.points import (
    BatchDeviation,
    BatchStatistic,
    PointDiscriminator,
    PointGenerator,
    UnitsName,
    run_by_run,
)
from training.objectives import OBJECTIVES, Objective
from training.optim.spec import OptimizerSpec
from training.optim.weight_clipping import clip_after_steps
from training.schedules import cosine
from training.system import Schedule, System
from training.updaters.adversarial import Penalties, adversarial_pair

NON_SATURATING = OBJECTIVES["non-saturating"]


@dataclass(frozen=True)
class Setting(Experiment, ABC):
    """What is learned, and the sizes of all rows."""

    mixture: Literal["ring", "grid"] = "ring"  # what is learned
    rounds: int = 1500  # of the generator
    batch: int = 64  # points per move
    runs: int = 5  # of a row
    hidden: int = 64  # units of the networks' hidden layers
    latent_size: int = 16  # length of the latent vector
    code_size: int = 4  # length of its end, of which MINE's generator is to tell
    lr: float = 0.003  # Adam's step size at first, all networks; it falls to 0 along half a cosine

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.code_size > self.latent_size:
            raise ValueError(
                f"code_size must be at most latent_size, {self.latent_size}, not {self.code_size}"
            )

    @property
    def learned(self) -> Mixture:
        """The mixture."""
        return MIXTURES[self.mixture]

    @property
    def classes(self) -> int:
        """Labels of points: its modes."""
        return len(self.learned.modes)

    @property
    def rate(self) -> Schedule:
        """The common step size."""
        return cosine(self.lr, 0.0)

    def adam(self, network: nn.Module) -> torch.optim.Adam:
        """The common optimiser."""
        return torch.optim.Adam(network.parameters(), lr=self.lr, betas=(0.5, 0.999), fused=True)

    def steps(self, network: nn.Module, moves: int = 1) -> OptimizerSpec:
        """How a network is moved, so often per round."""
        return OptimizerSpec(self.adam(network), self.rate, moves)


class Variation(NamedTuple):
    """What a row varies."""

    build: Callable[
        [Setting], System
    ]  # makes a game of so many runs side by side, its weights from torch's RNG
    cost: int = 1  # of a round, in plain ones
    together: bool = True  # whether runs go side by side; else one after another, for they would share a term


def deviation(_: Setting) -> BatchStatistic:
    """ProGAN's statistic."""
    return BatchDeviation()


def two_players(
    sizes: Setting,
    objective: Objective,
    penalties: Penalties | None = None,
    moves: int = 1,  # of the discriminator per round
    clip: float | None = None,  # of the discriminator's weights
    statistic: Callable[[Setting], BatchStatistic] | None = None,  # that the discriminator is told
    matching: float = 0.0,  # weight of feature matching
    units_g: UnitsName = "relu",  # of the generator
    units_d: UnitsName = "relu",  # of the discriminator
) -> System:
    """Discriminators against generators, as many pairs as there are runs."""
    generator = PointGenerator(sizes.runs, sizes.hidden, sizes.latent_size, units_g)
    appended = statistic(sizes) if statistic else None
    discriminator = PointDiscriminator(sizes.runs, sizes.hidden, appended, units_d)
    steps_d, steps_g = sizes.steps(discriminator, moves), sizes.steps(generator)
    if clip is not None:
        clip_after_steps(steps_d.spec.optimizer, clip)
    each = run_by_run(objective, sizes.runs)
    return adversarial_pair(
        discriminator, generator, steps_d, steps_g, each, penalties, matching=matching / sizes.runs
    )
