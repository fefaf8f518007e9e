"""Rows of the experiment on mixtures of Gaussians that vary the objective, or add a penalty or a trick to it.

Deviations: minibatch discrimination has 16 distances over 5 numbers each, not 100. DRAGAN's deviation of the reals is
of all runs' reals together.
"""

from dataclasses import replace
from functools import partial

from torch import Tensor

from experiments.gaussians_setting import (
    NON_SATURATING,
    Setting,
    Variation,
    deviation,
    two_players,
)
from experiments.points import (
    BatchDiscrimination,
    BatchStatistic,
    PairStatistics,
    PointDiscriminator,
    PointGenerator,
    run_by_run,
)
from experiments.unrolled import UnrolledGeneratorUpdater
from training.objectives import OBJECTIVES, Objective
from training.objectives.logistic import non_saturating_d
from training.objectives.mutual_information import UnbiasedBound, adaptively_clipped
from training.system import System, TrainState
from training.updaters.adversarial import DiscriminatorUpdater, GeneratorUpdater, Penalties
from training.updaters.mine import CodeBound, Measure, MoreInformation

SMOOTHED = replace(NON_SATURATING, d=partial(non_saturating_d, target=0.9))


def with_foresight(sizes: Setting, objective: Objective, steps: int) -> System:
    """As many pairs as there are runs, whose generators see so many of the discriminators' next moves."""
    g = PointGenerator(sizes.runs, sizes.hidden, sizes.latent_size)
    d = PointDiscriminator(sizes.runs, sizes.hidden)
    of_d, rate = sizes.adam(d), sizes.rate
    each = run_by_run(objective, sizes.runs)
    updaters = (
        DiscriminatorUpdater("d", d, of_d, rate, g, each, Penalties()),
        UnrolledGeneratorUpdater("g", g, sizes.adam(g), rate, d, each, adam=of_d, steps=steps),
    )
    return System(updaters, g)


def with_information(sizes: Setting) -> System:
    """One pair, and MINE's statistics network, by which the generator tells as much as it can of a code."""
    g, d = PointGenerator(1, sizes.hidden, sizes.latent_size), PointDiscriminator(1, sizes.hidden)
    t = PairStatistics(2 + sizes.code_size, sizes.hidden)
    information = CodeBound(g, t, sizes.code_size, UnbiasedBound())
    rate, auxiliary_losses = sizes.rate, MoreInformation(information, 1.0)
    updaters = (
        DiscriminatorUpdater("d", d, sizes.adam(d), rate, g, NON_SATURATING, Penalties()),
        Measure("t", t, sizes.adam(t), rate, information),
        GeneratorUpdater(
            "g",
            g,
            sizes.adam(g),
            rate,
            d,
            NON_SATURATING,
            auxiliary_losses=auxiliary_losses,
            combine=adaptively_clipped,
        ),
    )
    return System(updaters, g)


def _weight(_: TrainState) -> float:
    """Gamma of R1 and R2."""
    return 0.1


def _discrimination(sizes: Setting) -> BatchStatistic:
    return BatchDiscrimination(sizes.runs, sizes.hidden, kernels=16, dimensions=5)


def _no_loss(real: Tensor, fake: Tensor) -> Tensor:  # noqa: ARG001 - every objective takes both logits
    """The generator's, where feature matching is all."""
    return fake.mean() * 0


def _value(real: Tensor, fake: Tensor) -> Tensor:
    """The generator's in the minimax game: all of the discriminator's loss, whose sign it turns."""
    return -non_saturating_d(real, fake)


TRICKS: dict[str, Variation] = {
    name: Variation(partial(two_players, objective=objective))
    for name, objective in OBJECTIVES.items()
    if name != "wgan"
}
TRICKS |= {
    "wgan-clipped": Variation(partial(two_players, objective=OBJECTIVES["wgan"], moves=5, clip=0.1), 4),
    "wgan-penalty": Variation(
        partial(two_players, objective=OBJECTIVES["wgan"], moves=5, penalties=Penalties(gradient=0.1)), 6
    ),
    "five-moves": Variation(partial(two_players, objective=NON_SATURATING, moves=5), 4),
    "smoothed": Variation(partial(two_players, objective=SMOOTHED)),
    "r1": Variation(partial(two_players, objective=NON_SATURATING, penalties=Penalties(r1=_weight)), 2),
    "rp-gan-r1-r2": Variation(
        partial(two_players, objective=OBJECTIVES["rp-gan"], penalties=Penalties(r1=_weight, r2=_weight)), 2
    ),
    "batch-deviation": Variation(partial(two_players, objective=NON_SATURATING, statistic=deviation), 2),
    "batch-discrimination": Variation(
        partial(two_players, objective=NON_SATURATING, statistic=_discrimination), 10
    ),
    "feature-matching": Variation(partial(two_players, objective=NON_SATURATING, matching=1.0)),
    "matching-alone": Variation(
        partial(two_players, objective=replace(NON_SATURATING, g=_no_loss), matching=1.0)
    ),
    "dragan": Variation(
        partial(two_players, objective=NON_SATURATING, penalties=Penalties(perturbed=0.1)), 2
    ),
}
TRICKS |= {
    f"unrolled-{steps}": Variation(
        partial(with_foresight, objective=replace(NON_SATURATING, g=_value), steps=steps), 1 + 2 * steps
    )
    for steps in (1, 5, 10)
}
TRICKS["unrolled-5-ns"] = Variation(partial(with_foresight, objective=NON_SATURATING, steps=5), 11)
TRICKS["mine"] = Variation(with_information, 2, together=False)
