"""What BEGAN adds to the adversarial pair (Berthelot et al. 2017, arXiv 1703.10717, sections 3.3 and 3.4).

The weight k of the fakes in the discriminator's loss is controlled so that the error L of the fakes stays at gamma
times that of the reals. Logits are negative errors.

Deviations: discriminator and generator see the same fakes, and k learns from the errors of the discriminator's step, as
in a reimplementation (carpedm20).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from training.distributed.collective import mean_over_ranks
from training.growth import Stage
from training.objectives import Objective
from training.objectives.wasserstein import wgan_g
from training.schedules import TrainState
from training.system import Batch, LossOutput
from training.updaters.adversarial import DiscriminatorUpdater


class Equilibrium(nn.Module):
    """The balance of the two errors, kept by k."""

    def __init__(
        self,
        gamma: float,  # error of the fakes over that of the reals; lower is sharper and less diverse
        k_rate: float,  # lambda_k, the learning rate of k
    ) -> None:
        super().__init__()
        self.gamma, self.k_rate = gamma, k_rate
        self.k: Tensor  # in [0, 1]
        self.register_buffer("k", torch.zeros(()))

    def objective(self) -> Objective:
        """The losses of equation 5: L(x) - k L(G(z)), L(G(z))."""
        return Objective(self._d, wgan_g)

    def _d(self, real: Tensor, fake: Tensor) -> Tensor:
        return self.k * fake.mean() - real.mean()

    def learn(self, real: Tensor, fake: Tensor) -> None:
        """Update k from the errors of the reals and of the fakes, means over the batch."""
        self.k.add_(self.k_rate * (self.gamma * real - fake)).clamp_(0, 1)

    def convergence(self, real: Tensor, fake: Tensor) -> Tensor:
        """The convergence measure M, lower is better: L(x) + |gamma L(x) - L(G(z))|."""
        return real + (self.gamma * real - fake).abs()


@dataclass
class EquilibriumDiscriminatorUpdater(DiscriminatorUpdater):
    """Trains the auto-encoder to reconstruct reals well, and fakes as badly as k demands."""

    equilibrium: Equilibrium = field(kw_only=True)

    @property
    def extra_state(self) -> nn.Module:
        """The equilibrium's k, and what the augmentation has learned."""
        return nn.ModuleDict({"equilibrium": self.equilibrium, "augment": self.augment})

    def compute_loss(self, batch: Batch, train_state: TrainState) -> LossOutput:
        """The objective's d; k and the convergence measure are logged too."""
        output = super().compute_loss(batch, train_state)
        output.scalars["k"] = self.equilibrium.k
        output.scalars["convergence"] = self.equilibrium.convergence(*errors(output.scalars))
        return output

    def after_step(self, scalars: Mapping[str, Tensor], stage: Stage) -> None:
        """Update k and the augmentation."""
        super().after_step(scalars, stage)
        self.equilibrium.learn(*errors(scalars))


def errors(scalars: Mapping[str, Tensor]) -> Tensor:
    """The errors of reals and fakes in an update step, means over the batches of all ranks: (2,)."""
    return mean_over_ranks(-torch.stack([scalars["logits/real"], scalars["logits/fake"]]).detach())
