"""MINE: Mutual Information Neural Estimation (Belghazi et al. 2018, arXiv 1801.04062).

Mutual information is bounded from below by what a statistics network T tells of pairs that belong together (joint) and
of pairs that do not (marginal): I >= E_joint[T] - log E_marginal[exp T], the Donsker-Varadhan form (section 3.1).

Deviations: the moving average of E[exp T] is kept as its logarithm.
"""

import math
from collections.abc import Callable, Sequence
from typing import cast

import torch
from torch import Tensor, nn

from training.distributed.collective import mean_over_ranks
from training.system import LossTerm


def donsker_varadhan(joint: Tensor, marginal: Tensor) -> Tensor:
    """The bound in nats: of T of pairs that belong together (N,) and of pairs that do not (M,)."""
    return joint.mean() - _log_mean_exp(marginal)


def _log_mean_exp(x: Tensor) -> Tensor:
    return torch.logsumexp(x, 0) - math.log(len(x))


class UnbiasedBound(nn.Module):
    """The bound with the gradient of section 3.2: that of log E[exp T] divides by a moving average, not by the batch's.

    The average is over global batches, the present one included. It moves in `learn` alone: a pass changes nothing.
    """

    def __init__(
        self,
        rate: float = 0.01,  # weight of the newest batch in the average
    ) -> None:
        super().__init__()
        self.rate = rate
        self.log_average: Tensor  # of E[exp T]
        self.started: Tensor  # whether the average has seen a batch
        self.register_buffer("log_average", torch.zeros(()))
        self.register_buffer("started", torch.zeros((), dtype=torch.bool))

    def forward(self, joint: Tensor, marginal: Tensor) -> tuple[Tensor, Tensor]:
        """The bound, and the batch's mean of exp T over the average, for `learn`. Both are scalars."""
        ratio = torch.exp(_log_mean_exp(marginal) - self.log_average)
        corrected = joint.mean() - ratio / self._moved(mean_over_ranks(ratio.detach()))
        value = donsker_varadhan(joint, marginal)
        return corrected + (value - corrected).detach(), ratio.detach()

    @torch.no_grad()
    def learn(self, ratio: Tensor) -> None:
        """Let the average move by a batch's ratio on this rank."""
        self.log_average += torch.log(self._moved(mean_over_ranks(ratio)))
        self.started.fill_(True)

    def _moved(self, ratio: Tensor) -> Tensor:
        """The average with a batch of this ratio in it, over the average before. The first batch is all of it."""
        share = torch.where(self.started, self.rate, 1.0)
        return 1 - share + share * ratio


Pairs = Callable[[int, torch.Generator], tuple[Tensor, Tensor]]


def estimate(
    statistics: Callable[[Tensor, Tensor], Tensor],  # T: x (N, ...), y (N, ...) -> (N,)
    optimizer: torch.optim.Optimizer,  # of T's parameters
    pairs: Pairs,  # draws (x, y)
    steps: int,  # of the optimiser
    batch: int,  # pairs per step
    seed: int = 0,  # of what is drawn
    last: int = 20_000,  # pairs that the result is measured on
) -> float:
    """Estimate mutual information in nats: train T, then measure its bound on fresh pairs."""
    rng, bound = torch.Generator().manual_seed(seed), UnbiasedBound()

    def judge(count: int) -> tuple[Tensor, Tensor]:
        (x, y), (_, other) = pairs(count, rng), pairs(count, rng)
        return statistics(x, y), statistics(x, other)

    for _ in range(steps):
        value, ratio = bound(*judge(batch))
        optimizer.zero_grad()
        (-value).backward()
        optimizer.step()
        bound.learn(ratio)
    with torch.no_grad():
        return float(donsker_varadhan(*judge(last)))


def adaptively_clipped(network: nn.Module, loss: Tensor, terms: Sequence[LossTerm]) -> Tensor:
    """A loss whose gradient is g_u + min(|g_u|, |g_m|) g_m / |g_m|, of the loss's g_u and the terms' g_m.

    This is the paper's adaptive clipping: terms never pull harder than the loss. Both gradients are those of the global
    batch, averaged over ranks before they are compared; where a batch is computed in pieces, of a piece. The value is
    the loss.
    """
    parameters = list(network.parameters())
    wanted = torch.stack([term.value * term.weight for term in terms]).sum()
    g_u, g_m = (_gradient(value, parameters) for value in (loss, wanted))
    norm_u, norm_m = (torch.linalg.vector_norm(g) for g in (g_u, g_m))
    together = g_u + torch.minimum(norm_u, norm_m) * g_m / norm_m.clamp(min=1e-30)
    flat = torch.cat([parameter.flatten() for parameter in parameters])
    slope = flat @ together
    return cast(Tensor, loss.detach() + slope - slope.detach())


def _gradient(value: Tensor, parameters: Sequence[nn.Parameter]) -> Tensor:
    """Flat, averaged over ranks."""
    gradients = torch.autograd.grad(value, parameters, retain_graph=True)
    return mean_over_ranks(torch.cat([gradient.flatten() for gradient in gradients]))
