"""What the recipes that train DCGAN's networks share: all but the objective.

Deviations from all of their papers: pictures are of a moving average of the weights, which none of them has.
"""

from abc import abstractmethod
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import torch
from torch import nn

from models.architectures.dcgan import DCGANDiscriminator, DCGANGenerator, Norm, draw_weights, paper_widths
from training.objectives import Objective
from training.optim.spec import OptimizerSpec
from training.optim.weight_clipping import clip_after_steps
from training.recipes.adversarial_pair import DuelRecipe
from training.recipes.recipe import CPU, DataFormat
from training.schedules import constant
from training.system import System, TrainState
from training.updaters.adversarial import Penalties


@dataclass(frozen=True)
class ConvolutionalRecipe(DuelRecipe):
    """DCGAN's networks under an objective, with the constraints of the Wasserstein GANs."""

    widths: tuple[int, ...] = ()  # channels at 4x4, 8x8, ..., half the resolution; empty for 1024, halved
    latent_size: int = 100  # length of the latent vector
    norm_g: Norm = "batch"  # of the generator's features
    norm_d: Norm = "batch"  # of the discriminator's features
    init: Literal["normal", "lecun"] = "normal"  # first weights: N(0, 0.02^2) or by the layer's size
    optimizer: Literal["adam", "rmsprop"] = "adam"  # of both networks
    betas: tuple[float, float] = (0.5, 0.999)  # Adam's
    lr_g: float = 0.0002  # step size, generator
    lr_d: float = 0.0002  # step size, discriminator
    moves_d: int = 1  # the discriminator's moves per round
    moves_d_early: int = 1  # the same in the first 25 rounds and in every 500th
    clip: float = 0.0  # largest absolute value of the discriminator's weights; 0 for any
    gradient_penalty: float = 0.0  # lambda of WGAN-GP; 0 for none
    r1: float = 0.0  # gamma of R1, on reals; 0 for none
    r2: float = 0.0  # gamma of R2, on fakes; 0 for none

    def __post_init__(self) -> None:
        super().__post_init__()
        penalties = ("gradient_penalty", "r1", "r2", "dragan")
        self.check_not_negative("clip", *penalties)
        self.check_positive("moves_d")
        if self.moves_d_early < self.moves_d:
            raise ValueError(
                f"moves_d_early must be at least moves_d, {self.moves_d}, not {self.moves_d_early}"
            )
        for name in penalties:
            if getattr(self, name) > 0 and self.norm_d == "batch":
                raise ValueError(
                    f"{name} is of each sample's own gradient, which batch norm mixes with the others': "
                    "set norm_d to layer, selu or none"
                )

    @abstractmethod
    def losses(self) -> tuple[str, Objective]:
        """The objective, and its name among `OBJECTIVES`."""

    def build(self, data: DataFormat) -> System:
        """Build the game."""
        widths = self.widths or paper_widths(self.resolution)
        generator = DCGANGenerator(
            self.resolution, widths, self.latent_size, data.channels, self.norm_g, data.aspect
        )
        discriminator = DCGANDiscriminator(self.resolution, widths, data.channels, self.norm_d, data.aspect)
        if self.init == "lecun":
            for network in (generator, discriminator):
                draw_weights(network, deviation=None)
        name, objective = self.losses()
        penalties = Penalties(constant(self.r1), constant(self.r2), gradient=self.gradient_penalty)
        move_d, move_g = self._move_discriminator, self._move_generator
        return self.adversarial_pair(
            discriminator, generator, move_d, move_g, name, penalties, objective=objective
        )

    def _move_discriminator(self, network: nn.Module) -> OptimizerSpec:
        extra = partial(early, more=self.moves_d_early - self.moves_d)
        steps = OptimizerSpec(self._optimizer(network), constant(self.lr_d), self.moves_d, extra)
        if self.clip > 0:
            clip_after_steps(steps.optimizer, self.clip)
        return steps

    def _move_generator(self, network: nn.Module) -> OptimizerSpec:
        return OptimizerSpec(self._optimizer(network), constant(self.lr_g))

    def _optimizer(self, network: nn.Module) -> torch.optim.Optimizer:
        if self.optimizer == "rmsprop":
            return torch.optim.RMSprop(network.parameters())
        return torch.optim.Adam(network.parameters(), betas=self.betas, fused=True)


def early(train_state: TrainState, more: int) -> int:
    """The critic's moves beyond the ordinary ones: in the first 25 rounds and in every 500th (WGAN's code)."""
    return more if train_state.round < 25 or train_state.round % 500 == 0 else 0


# Of a recipe for two CPU cores.
NARROW: dict[str, Any] = {**CPU, "kimg": 300, "batch": 32, "ema_half_life": 6, "widths": (256, 128, 64, 32)}
