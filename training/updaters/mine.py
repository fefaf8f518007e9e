"""MINE as a third updater (Belghazi et al. 2018, arXiv 1801.04062, section 5.1): the generator also maximizes the
mutual information between its images and a code, the end of its latent vector, which a statistics network estimates.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from models.generator import Generator
from training.growth import Stage
from training.objectives.mutual_information import UnbiasedBound
from training.rng import KeyedRNG
from training.schedules import TrainState
from training.system import Batch, LossOutput, LossTerm, Updater
from training.updaters.adversarial import Fakes
from training.updaters.images import grow, latents


@dataclass(frozen=True)
class CodeBound:
    """The lower bound on the mutual information between images and their codes."""

    generator: Generator
    statistics: Callable[[Tensor, Tensor], Tensor]  # T: images, codes (N, code_size) -> (N,)
    code_size: int
    bound: UnbiasedBound

    def __call__(self, images: Tensor, z: Tensor, rng: KeyedRNG) -> tuple[Tensor, Tensor]:
        """The bound for images (N, C, H, W) of latent vectors z, and its batch's ratio.

        Codes of the marginal distribution are sampled anew.
        """
        others = rng.draw("marginal", self.generator.prior)
        joint, marginal = (
            self.statistics(images, codes[:, -self.code_size :]).float() for codes in (z, others)
        )
        value, ratio = self.bound(joint, marginal)
        return value, ratio


@dataclass
class StatisticsUpdater(Updater):
    """Trains the statistics network to make the bound tight."""

    information: CodeBound  # computed with the updater's network

    @property
    def extra_state(self) -> nn.Module:
        """The moving average."""
        return self.information.bound

    def compute_loss(self, batch: Batch, train_state: TrainState) -> LossOutput:  # noqa: ARG002
        """Minus the bound, on the fakes of the discriminator's step."""
        generator = self.information.generator
        grow(batch, generator)
        z = latents(generator, batch)
        with torch.no_grad():
            images = generator(z)[-1]
        value, ratio = self.information(images, z, batch.rng)
        return LossOutput(-value, {"information/code": value, "information/ratio": ratio})

    def after_step(self, scalars: Mapping[str, Tensor], stage: Stage) -> None:  # noqa: ARG002
        """Update the moving average."""
        self.information.bound.learn(scalars["information/ratio"])


@dataclass(frozen=True)
class InformationLoss:
    """The generator's auxiliary loss: the bound, to be maximized."""

    information: CodeBound
    weight: float  # beta

    def __call__(self, fakes: Fakes) -> list[LossTerm]:
        """The weighted bound."""
        value, _ = self.information(fakes.images[-1], fakes.latents, fakes.batch.rng)
        return [LossTerm("information/code_g", value, -self.weight)]
