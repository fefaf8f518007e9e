"""MINE as a third player (Belghazi et al. 2018, arXiv 1801.04062, section 5.1): a GAN whose generator is also to tell
as much as it can of a code, the end of its latent vector, by a statistics network that measures it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from models.generator import Generator
from training.growth import Stage
from training.objectives.mutual_information import UnbiasedBound
from training.rng import KeyedRNG
from training.system import Batch, LossOutput, TrainState, Updater
from training.updaters.adversarial import Fakes, LossTerm
from training.updaters.images import grow, latents


@dataclass(frozen=True)
class CodeBound:
    """The bound on the information between pictures and their codes."""

    generator: Generator
    statistics: Callable[[Tensor, Tensor], Tensor]  # T: pictures, codes (N, code_size) -> (N,)
    code_size: int
    bound: UnbiasedBound

    def __call__(self, pictures: Tensor, z: Tensor, rng: KeyedRNG) -> tuple[Tensor, Tensor]:
        """The bound of pictures (N, C, H, W) of latent vectors z, and its batch's ratio.

        Codes that do not belong to the pictures are drawn afresh.
        """
        others = rng.draw("marginal", self.generator.prior)
        joint, marginal = (
            self.statistics(pictures, codes[:, -self.code_size :]).float() for codes in (z, others)
        )
        value, ratio = self.bound(joint, marginal)
        return value, ratio


@dataclass
class Measure(Updater):
    """The statistics network's side: make the bound tight."""

    information: CodeBound  # by the player's network

    @property
    def state(self) -> nn.Module:
        """The moving average."""
        return self.information.bound

    def compute_loss(self, batch: Batch, train_state: TrainState) -> LossOutput:  # noqa: ARG002
        """Minus the bound, of the fakes of the discriminator's move."""
        generator = self.information.generator
        grow(batch, generator)
        z = latents(generator, batch)
        with torch.no_grad():
            pictures = generator(z)[-1]
        value, ratio = self.information(pictures, z, batch.rng)
        return LossOutput(-value, {"information/code": value, "information/ratio": ratio})

    def after_step(self, scalars: Mapping[str, Tensor], stage: Stage) -> None:  # noqa: ARG002
        """Let the average move."""
        self.information.bound.learn(scalars["information/ratio"])


@dataclass(frozen=True)
class MoreInformation:
    """What the generator wants beside the objective."""

    information: CodeBound
    weight: float  # beta

    def __call__(self, fakes: Fakes) -> list[LossTerm]:
        """The bound, to be raised."""
        value, _ = self.information(fakes.pictures[-1], fakes.latents, fakes.batch.rng)
        return [LossTerm("information/code_g", value, -self.weight)]
