"""Which modes of a mixture of Gaussians a GAN covers, by objective, penalty and trick.

Everything but what a row varies is the same: networks, Adam, one move of each side per round. The subjects are those of
many papers on modes: a ring of 8 and a grid of 25 (Metz et al. 2017, "Unrolled GANs", arXiv 1611.02163; Lin et al.
2018, "PacGAN", arXiv 1712.04086; MINE, arXiv 1801.04062, section 5.1).

Deviations: wider Gaussians and far fewer steps than in the papers; minibatch discrimination with 16 distances over 5
numbers each, not 100. DRAGAN's deviation of the reals is of all runs' reals together. The points judged are of the
weights as they are at the end, not of a moving average.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Literal, NamedTuple

import matplotlib
import torch
from torch import Tensor, nn

from evaluation.experiments.experiment import Experiment, Result, Row, markdown, spread
from evaluation.experiments.play import play
from evaluation.experiments.points import (
    BatchDeviation,
    BatchDiscrimination,
    BatchStatistic,
    PairStatistics,
    PointDiscriminator,
    PointGenerator,
    grid,
    ring,
    run_by_run,
)
from evaluation.experiments.unrolled import GenerateUnrolled
from training.adversarial import Discriminate, Generate, Penalties, duel
from training.game import Clock, Game
from training.mine import CodeBound, Measure, MoreInformation
from training.objectives import OBJECTIVES, Objective
from training.objectives.logistic import non_saturating_d
from training.schedules import cosine
from training.steps import Steps
from training.terms.clipping import clip_after_steps
from training.terms.mine import UnbiasedBound, adaptively_clipped

matplotlib.use("agg")
from matplotlib import pyplot as plt

MIXTURES = {"ring": ring(8, 0.07), "grid": grid(5, 0.04)}
JUDGED = 5000  # points of a run that are counted
DRAWN = 400  # points in a panel of the figure
COLUMNS = 7  # panels of the figure in a line
NON_SATURATING = OBJECTIVES["non-saturating"]
SMOOTHED = replace(NON_SATURATING, d=partial(non_saturating_d, target=0.9))


@dataclass(frozen=True)
class Gaussians(Experiment):
    """Modes covered and share of good points, of a ring of 8 Gaussians or a grid of 25."""

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

    def rows(self) -> Mapping[str, Row]:
        """Every variation, and the mixture itself, which is the best that there is."""
        together = {
            name: Row(self.rounds * each.cost, partial(self.measure, partial(self.trained, each.build)))
            for name, each in VARIATIONS.items()
        }
        mine = Row(self.rounds * self.runs * 2, partial(self.measure, self.trained_with_information))
        return {**together, "mine": mine, "real": Row(1, partial(self.measure, self.real))}

    def measure(self, points: Callable[[], Tensor]) -> Result:
        """What is found of points (runs, JUDGED, 2), run by run, and points of the first to be drawn."""
        found = points()
        modes, good = zip(*(MIXTURES[self.mixture].judge(run) for run in found), strict=True)
        drawn = found[0, :DRAWN].nan_to_num().clamp(-9, 9)
        return {
            "modes": modes,
            "good": good,
            "points": [[round(x, 3) for x in point] for point in drawn.tolist()],
        }

    def real(self) -> Tensor:
        """Points of the mixture itself."""
        points = MIXTURES[self.mixture].sample(self.runs * JUDGED, torch.Generator().manual_seed(0))
        return points.view(self.runs, JUDGED, 2)

    def trained(self, build: "Callable[[Gaussians], Game]") -> Tensor:
        """Points of generators that are trained side by side."""
        torch.manual_seed(0)
        return self._play(build(self), self.runs, 0)

    def trained_with_information(self) -> Tensor:
        """Points of generators that are trained one after another: MINE's terms are of a whole batch and network."""
        found = []
        for seed in range(self.runs):
            torch.manual_seed(seed)
            found.append(self._play(with_information(self), 1, seed))
        return torch.cat(found)

    def _play(self, game: Game, runs: int, seed: int) -> Tensor:
        play(game, MIXTURES[self.mixture].sample, 1, self.rounds, runs * self.batch, seed)
        with torch.no_grad():
            z = game.generator.prior(runs * JUDGED, torch.Generator().manual_seed(seed))
            points: Tensor = game.generator(z)[-1]
        return points.view(runs, JUDGED, 2)

    def table(self, results: Mapping[str, Result]) -> str:
        """A line for each row."""
        header = ("objective or trick", f"modes of {len(MIXTURES[self.mixture].modes)}", "good points")
        return markdown(
            header,
            [(name, spread(found["modes"], 1), spread(found["good"], 2)) for name, found in results.items()],
        )

    def figure(self, results: Mapping[str, Result], path: Path) -> None:
        """The points of the first run, a panel for each row."""
        lines = -(-len(results) // COLUMNS)
        sheet, panels = plt.subplots(
            lines, COLUMNS, figsize=(COLUMNS * 1.4, lines * 1.55), squeeze=False, layout="constrained"
        )
        for panel in panels.flat:
            panel.set(xlim=(-1.5, 1.5), ylim=(-1.5, 1.5), aspect="equal")
            panel.set_axis_off()
        for panel, (name, found) in zip(panels.flat, results.items(), strict=False):
            panel.set_title(name, fontsize=8, pad=2)
            panel.scatter(*zip(*found["points"], strict=True), s=1, linewidths=0)
        sheet.savefig(path, dpi=90, metadata={"Software": None})
        plt.close(sheet)


class Variation(NamedTuple):
    """What a row varies."""

    build: Callable[[Gaussians], Game]  # makes a game of some sizes, its weights from torch's RNG
    cost: int = 1  # of a round, in plain ones


def _adam(network: nn.Module, sizes: Gaussians) -> torch.optim.Adam:
    return torch.optim.Adam(network.parameters(), lr=sizes.lr, betas=(0.5, 0.999), fused=True)


def two_players(
    sizes: Gaussians,
    objective: Objective,
    penalties: Penalties | None = None,
    moves: int = 1,  # of the discriminator per round
    clip: float | None = None,  # of the discriminator's weights
    statistic: "Callable[[Gaussians], BatchStatistic] | None" = None,  # that the discriminator is told
    matching: float = 0.0,  # weight of feature matching
) -> Game:
    """Discriminators against generators, as many pairs as there are runs."""
    generator = PointGenerator(sizes.runs, sizes.hidden, sizes.latent_size)
    discriminator = PointDiscriminator(sizes.runs, sizes.hidden, statistic(sizes) if statistic else None)
    of_d, of_g = _adam(discriminator, sizes), _adam(generator, sizes)
    if clip is not None:
        clip_after_steps(of_d, clip)
    rate, each = cosine(sizes.lr, 0.0), run_by_run(objective, sizes.runs)
    steps_d, steps_g = Steps(of_d, rate, moves), Steps(of_g, rate)
    return duel(discriminator, generator, steps_d, steps_g, each, penalties, matching=matching / sizes.runs)


def with_foresight(sizes: Gaussians, objective: Objective, steps: int) -> Game:
    """As many pairs as there are runs, whose generators see so many of the discriminators' next moves."""
    g = PointGenerator(sizes.runs, sizes.hidden, sizes.latent_size)
    d = PointDiscriminator(sizes.runs, sizes.hidden)
    of_d, rate = _adam(d, sizes), cosine(sizes.lr, 0.0)
    each = run_by_run(objective, sizes.runs)
    players = (
        Discriminate("d", d, of_d, rate, g, each, Penalties()),
        GenerateUnrolled("g", g, _adam(g, sizes), rate, d, each, adam=of_d, steps=steps),
    )
    return Game(players, g)


def with_information(sizes: Gaussians) -> Game:
    """One pair, and MINE's statistics network, by which the generator tells as much as it can of a code."""
    g, d = PointGenerator(1, sizes.hidden, sizes.latent_size), PointDiscriminator(1, sizes.hidden)
    t = PairStatistics(2 + sizes.code_size, sizes.hidden)
    information = CodeBound(g, t, sizes.code_size, UnbiasedBound())
    rate, aims = cosine(sizes.lr, 0.0), MoreInformation(information, 1.0)
    players = (
        Discriminate("d", d, _adam(d, sizes), rate, g, NON_SATURATING, Penalties()),
        Measure("t", t, _adam(t, sizes), rate, information),
        Generate("g", g, _adam(g, sizes), rate, d, NON_SATURATING, aims=aims, combine=adaptively_clipped),
    )
    return Game(players, g)


def _weight(_: Clock) -> float:
    """Gamma of R1 and R2."""
    return 0.1


def _deviation(_: Gaussians) -> BatchStatistic:
    return BatchDeviation()


def _discrimination(sizes: Gaussians) -> BatchStatistic:
    return BatchDiscrimination(sizes.runs, sizes.hidden, kernels=16, dimensions=5)


def _no_loss(real: Tensor, fake: Tensor) -> Tensor:  # noqa: ARG001 - every objective takes both logits
    """The generator's, where feature matching is all."""
    return fake.mean() * 0


def _value(real: Tensor, fake: Tensor) -> Tensor:
    """The generator's in the minimax game: all of the discriminator's loss, whose sign it turns."""
    return -non_saturating_d(real, fake)


VARIATIONS: dict[str, Variation] = {
    name: Variation(partial(two_players, objective=objective))
    for name, objective in OBJECTIVES.items()
    if name != "wgan"
}
VARIATIONS |= {
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
    "batch-deviation": Variation(partial(two_players, objective=NON_SATURATING, statistic=_deviation), 2),
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
VARIATIONS |= {
    f"unrolled-{steps}": Variation(
        partial(with_foresight, objective=replace(NON_SATURATING, g=_value), steps=steps), 1 + 2 * steps
    )
    for steps in (1, 5, 10)
}
VARIATIONS["unrolled-5-ns"] = Variation(partial(with_foresight, objective=NON_SATURATING, steps=5), 11)
