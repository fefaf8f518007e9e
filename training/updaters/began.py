"""What BEGAN adds to the game of two (Berthelot et al. 2017, arXiv 1703.10717, sections 3.3 and 3.4).

The weight k of the fakes in the discriminator's loss is steered so that the error L of the fakes stays at gamma times
that of the reals. Scores are minus errors.

Deviations: both players see the fakes of one draw, and k learns from the errors that the discriminator's move found, as
in code that others wrote (carpedm20).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from training.distributed.collective import mean_over_ranks
from training.growth import Stage
from training.objectives import Objective
from training.objectives.wasserstein import wgan_g
from training.system import Batch, LossOutput, TrainState
from training.updaters.adversarial import Discriminate


class Equilibrium(nn.Module):
    """The balance of the two errors, kept by k."""

    def __init__(
        self,
        gamma: float,  # error of the fakes in that of the reals; lower is sharper and less diverse
        rate: float,  # lambda_k, by which k learns
    ) -> None:
        super().__init__()
        self.gamma, self.rate = gamma, rate
        self.k: Tensor  # in [0, 1]
        self.register_buffer("k", torch.zeros(()))

    def objective(self) -> Objective:
        """The losses of equation 5: L(x) - k L(G(z)), L(G(z))."""
        return Objective(self._d, wgan_g)

    def _d(self, real: Tensor, fake: Tensor) -> Tensor:
        return self.k * fake.mean() - real.mean()

    def learn(self, real: Tensor, fake: Tensor) -> None:
        """Move k by the errors of the reals and of the fakes, means over the batch."""
        self.k.add_(self.rate * (self.gamma * real - fake)).clamp_(0, 1)

    def convergence(self, real: Tensor, fake: Tensor) -> Tensor:
        """The measure M, which falls while training goes well: L(x) + |gamma L(x) - L(G(z))|."""
        return real + (self.gamma * real - fake).abs()


@dataclass
class DiscriminateInEquilibrium(Discriminate):
    """The auto-encoder's side: paint reals well, and fakes as badly as k asks for."""

    equilibrium: Equilibrium = field(kw_only=True)

    @property
    def state(self) -> nn.Module:
        """k, and what the augmentation has learned."""
        return nn.ModuleDict({"equilibrium": self.equilibrium, "augment": self.augment})

    def compute_loss(self, batch: Batch, train_state: TrainState) -> LossOutput:
        """The objective's d; k and the measure of convergence are logged too."""
        move = super().compute_loss(batch, train_state)
        move.scalars["k"] = self.equilibrium.k
        move.scalars["convergence"] = self.equilibrium.convergence(*errors(move.scalars))
        return move

    def after_step(self, scalars: Mapping[str, Tensor], stage: Stage) -> None:
        """Let k learn from the move, and the augmentation."""
        super().after_step(scalars, stage)
        self.equilibrium.learn(*errors(scalars))


def errors(scalars: Mapping[str, Tensor]) -> Tensor:
    """The errors of reals and fakes in a move, means over the batches of all ranks: (2,)."""
    return mean_over_ranks(-torch.stack([scalars["logits/real"], scalars["logits/fake"]]).detach())
