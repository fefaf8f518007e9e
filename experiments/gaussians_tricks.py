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
    plain_pair,
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
from training.schedules import constant
from training.system import System
from training.updaters.adversarial import DiscriminatorUpdater, Penalties, adversarial_pair
from training.updaters.mine import CodeBound, InformationLoss, StatisticsUpdater

SMOOTHED = replace(NON_SATURATING, d=partial(non_saturating_d, target=0.9))


def with_foresight(sizes: Setting, objective: Objective, steps: int) -> System:
    """As many pairs as there are runs, whose generators see so many of the discriminators' next steps."""
    g = PointGenerator(sizes.runs, sizes.hidden, sizes.latent_size)
    d = PointDiscriminator(sizes.runs, sizes.hidden)
    spec_d, each = sizes.spec(d), run_by_run(objective, sizes.runs)
    updaters = (
        DiscriminatorUpdater("d", d, spec_d, g, each),
        UnrolledGeneratorUpdater("g", g, sizes.spec(g), d, each, ahead=spec_d, unrolled_steps=steps),
    )
    return System(updaters, g)


def with_information(sizes: Setting) -> System:
    """One pair, and MINE's statistics network, by which the generator tells as much as it can of a code."""
    g, d = PointGenerator(1, sizes.hidden, sizes.latent_size), PointDiscriminator(1, sizes.hidden)
    t = PairStatistics(2 + sizes.code_size, sizes.hidden)
    information = CodeBound(g, t, sizes.code_size, UnbiasedBound())
    statistics = StatisticsUpdater("t", t, sizes.spec(t), information)
    pair_d, pair_g = adversarial_pair(
        d,
        g,
        sizes.spec(d),
        sizes.spec(g),
        NON_SATURATING,
        auxiliary_losses_g=InformationLoss(information, 1.0),
        combine_g=adaptively_clipped,
    )
    return System((pair_d, statistics, pair_g), g)


def _discrimination(sizes: Setting) -> BatchStatistic:
    return BatchDiscrimination(sizes.runs, sizes.hidden, kernels=16, dimensions=5)


def _no_loss(real: Tensor, fake: Tensor) -> Tensor:  # noqa: ARG001 - every objective takes both logits
    """The generator's, where feature matching is all."""
    return fake.mean() * 0


def _value(real: Tensor, fake: Tensor) -> Tensor:
    """The generator's in the minimax game: all of the discriminator's loss, whose sign it turns."""
    return -non_saturating_d(real, fake)


TRICKS: dict[str, Variation] = {
    name: Variation(partial(plain_pair, objective=objective))
    for name, objective in OBJECTIVES.items()
    if name != "wgan"
}
TRICKS |= {
    "wgan-clipped": Variation(partial(plain_pair, objective=OBJECTIVES["wgan"], n_critic=5, clip=0.1), 4),
    "wgan-penalty": Variation(
        partial(
            plain_pair, objective=OBJECTIVES["wgan"], n_critic=5, penalties=Penalties(gradient_penalty=0.1)
        ),
        6,
    ),
    "five-critic-steps": Variation(partial(plain_pair, objective=NON_SATURATING, n_critic=5), 4),
    "smoothed": Variation(partial(plain_pair, objective=SMOOTHED)),
    "r1": Variation(partial(plain_pair, objective=NON_SATURATING, penalties=Penalties(r1=constant(0.1))), 2),
    "rp-gan-r1-r2": Variation(
        partial(
            plain_pair,
            objective=OBJECTIVES["rp-gan"],
            penalties=Penalties(r1=constant(0.1), r2=constant(0.1)),
        ),
        2,
    ),
    "batch-deviation": Variation(partial(plain_pair, objective=NON_SATURATING, statistic=deviation), 2),
    "batch-discrimination": Variation(
        partial(plain_pair, objective=NON_SATURATING, statistic=_discrimination), 10
    ),
    "feature-matching": Variation(partial(plain_pair, objective=NON_SATURATING, matching=1.0)),
    "matching-alone": Variation(
        partial(plain_pair, objective=replace(NON_SATURATING, g=_no_loss), matching=1.0)
    ),
    "dragan": Variation(partial(plain_pair, objective=NON_SATURATING, penalties=Penalties(dragan=0.1)), 2),
}
TRICKS |= {
    f"unrolled-{steps}": Variation(
        partial(with_foresight, objective=replace(NON_SATURATING, g=_value), steps=steps), 1 + 2 * steps
    )
    for steps in (1, 5, 10)
}
TRICKS["unrolled-5-ns"] = Variation(partial(with_foresight, objective=NON_SATURATING, steps=5), 11)
TRICKS["mine"] = Variation(with_information, 2, together=False)
