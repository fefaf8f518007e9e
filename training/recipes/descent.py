"""What recipes share that are trained as before Adam: by gradient descent with momentum."""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn

from training.optim.spec import OptimizerSpec, adam
from training.recipes.recipe import Recipe
from training.schedules import decaying, rising

EPOCH = 50_000  # images, of MNIST or CIFAR-10 without what is for validation


@dataclass(frozen=True)
class DescentRecipe(Recipe):
    """A recipe of networks that are all moved alike, by steps that become smaller."""

    optimizer: Literal["sgd", "adam"] = "sgd"  # of all networks
    lr: float = 0.02  # step size at first, all networks
    lr_decay: float = 0.0004  # of the step size, which 1 + this divides again and again, to 0.000001
    decay_every: int = EPOCH  # images after which it does
    momentum: float = 0.5  # of SGD at first, or the decay of Adam's first moment
    momentum_rise: float = 0.0008  # of SGD's momentum in 50,000 images
    momentum_end: float = 0.8  # the largest SGD's momentum becomes

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_positive("decay_every")
        self.check_not_negative("lr_decay", "momentum", "momentum_rise")

    def steps(self, network: nn.Module) -> OptimizerSpec:
        """How a network is moved."""
        rate = decaying(self.lr, self.lr_decay, self.decay_every, end=1e-6)
        if self.optimizer == "adam":
            return adam(rate, betas=(self.momentum, 0.999))(network)
        sgd = torch.optim.SGD(network.parameters(), lr=self.lr, momentum=self.momentum, fused=True)
        rise = rising(self.momentum, self.momentum_rise, EPOCH, self.momentum_end)
        return OptimizerSpec(sgd, rate, momentum=rise)
