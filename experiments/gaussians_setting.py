"""What the rows of the experiment on mixtures of Gaussians share: sizes, optimizer, and the plain adversarial pair."""

from abc import ABC
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple

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
from models.discriminator import Discriminator
from models.generator import Generator
from training.objectives import OBJECTIVES, Objective
from training.optim.spec import OptimizerSpec, adam
from training.optim.weight_clipping import clip_after_steps
from training.schedules import cosine
from training.system import System
from training.updaters.adversarial import Penalties, adversarial_pair

NON_SATURATING = OBJECTIVES["non-saturating"]


@dataclass(frozen=True)
class Setting(Experiment, ABC):
    """What is learned, and the sizes of all rows."""

    mixture: Literal["ring", "grid"] = "ring"  # what is learned
    iterations: int = 1500  # steps of the generator
    batch: int = 64  # points per step
    runs: int = 5  # of a row
    hidden: int = 64  # units of the networks' hidden layers
    latent_size: int = 16  # length of the latent vector
    code_size: int = 4  # length of its end, of which MINE's generator is to tell
    lr: float = 0.003  # Adam's learning rate at first, all networks; it falls to 0 along half a cosine

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

    def spec(self, network: nn.Module) -> OptimizerSpec:
        """How all networks are optimized."""
        return adam(network, cosine(self.lr, 0.0))

    def pair(self, discriminator: Discriminator, generator: Generator, objective: Objective) -> System:
        """A plain adversarial pair."""
        specs = self.spec(discriminator), self.spec(generator)
        return System(adversarial_pair(discriminator, generator, *specs, objective), generator)


class Variation(NamedTuple):
    """What a row varies."""

    build: Callable[
        [Setting], System
    ]  # builds a system of so many runs side by side, its weights from torch's RNG
    cost: int = 1  # of an iteration, in plain ones
    together: bool = True  # whether runs go side by side; else one after another, for they would share a term


def deviation(_: Setting) -> BatchStatistic:
    """ProGAN's statistic."""
    return BatchDeviation()


def plain_pair(
    sizes: Setting,
    objective: Objective,
    penalties: Penalties | None = None,
    n_critic: int = 1,  # the discriminator's steps per iteration
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
    spec_d, spec_g = sizes.spec(discriminator), sizes.spec(generator)
    if clip is not None:
        clip_after_steps(spec_d.optimizer, clip)
    pair = adversarial_pair(
        discriminator,
        generator,
        spec_d,
        spec_g,
        run_by_run(objective, sizes.runs),
        penalties=penalties,
        feature_matching=matching / sizes.runs,
        n_critic=n_critic,
    )
    return System(pair, generator)
