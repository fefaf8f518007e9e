"""What recipes share whose step size and gradient penalties change along the run."""

from dataclasses import dataclass

import torch
from torch import nn

from training.adversarial import Penalties, Steps
from training.game import Clock
from training.recipes.duel import DuelRecipe
from training.schedules import cosine


@dataclass(frozen=True)
class ScheduledRecipe(DuelRecipe):
    """A recipe of two networks under Adam with betas 0 and 0.99, one step size for both, and R1 with R2."""

    lr: float = 0.003  # Adam's step size, both networks
    lr_end: float = 0.003  # its value at the end, reached along a cosine
    r1: float = 0.0  # gamma of R1 + R2, at the full size; 0 for none
    r1_end: float = 0.0  # its value at the end, reached along a cosine
    penalty_every: int = 1  # rounds between two computations of R1 + R2
    penalty_stride: int = 1  # of so many samples R1 + R2 look at one; 2 for half of each batch

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_not_negative("r1", "r1_end")
        self.check_positive("penalty_every", "penalty_stride")

    def gamma(self, clock: Clock) -> float:
        """Weight of R1 + R2."""
        return cosine(self.r1, self.r1_end)(clock)

    def penalties(self, gradient: float = 0.0, drift: float = 0.0) -> Penalties:
        """R1 and R2, and as much of WGAN-GP's penalty and of drift."""
        return Penalties(self.gamma, self.gamma, self.penalty_every, gradient, drift, self.penalty_stride)

    def steps(self, network: nn.Module) -> Steps:
        """How a network is moved."""
        adam = torch.optim.Adam(network.parameters(), lr=self.lr, betas=(0.0, 0.99), fused=True)
        return Steps(adam, cosine(self.lr, self.lr_end))
