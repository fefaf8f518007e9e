"""Unrolled Generative Adversarial Networks (Metz et al. 2017, arXiv 1611.02163, section 2.2).

The generator's loss is that against the discriminator as it will be after K of its steps on the batch; its gradient
passes through these steps. The discriminator itself takes one step in a round, as ever.

Deviations: the players move one after the other, not at once, so the discriminator that is unrolled has just moved. As
in the authors' code the K steps are Adam's, go on from its moments, and see one batch.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.func import functional_call

from models.discriminator import DiscriminatorOutput
from training.optim.spec import OptimizerSpec
from training.schedules import TrainState
from training.system import Batch, LossOutput
from training.updaters.adversarial import GeneratorUpdater
from training.updaters.images import fakes_for, latents, reals_for

_TINY = 1e-30  # keeps the root's slope finite where a weight never had a gradient

Weights = Mapping[str, Tensor]  # of a network, by name


@dataclass
class UnrolledGeneratorUpdater(GeneratorUpdater):
    """Trains the generator against the discriminator some steps ahead."""

    ahead: OptimizerSpec = field(kw_only=True)  # the discriminator's
    unrolled_steps: int = field(kw_only=True)  # K

    def compute_loss(self, batch: Batch, train_state: TrainState) -> LossOutput:  # noqa: ARG002
        """The objective's g, of the discriminator to come."""
        reals = reals_for(self.discriminator, batch)
        fakes = fakes_for(self.discriminator, self.network(latents(self.network, batch)))
        weights = self.unrolled(reals, fakes)
        loss = self.objective.g(self._logits(weights, reals), self._logits(weights, fakes))
        return LossOutput(loss, {"loss/g": loss})

    def unrolled(self, reals: list[Tensor], fakes: list[Tensor]) -> Weights:
        """The discriminator's weights after its steps, as a function of the fakes."""
        parameters = dict(self.discriminator.named_parameters())
        weights = {name: parameter.detach().requires_grad_() for name, parameter in parameters.items()}
        ahead = {name: Adam(self.ahead.optimizer, parameter) for name, parameter in parameters.items()}
        for _ in range(self.unrolled_steps):
            loss = self.objective.d(self._logits(weights, reals), self._logits(weights, fakes))
            gradients = torch.autograd.grad(loss, list(weights.values()), create_graph=True)
            weights = {
                name: ahead[name].step(weight, gradient)
                for (name, weight), gradient in zip(weights.items(), gradients, strict=True)
            }
        return weights

    def _logits(self, weights: Weights, images: list[Tensor]) -> Tensor:
        output: DiscriminatorOutput = functional_call(self.discriminator, dict(weights), (images,))
        return output.logits


class Adam:
    """Adam's steps of one weight, as functions that can be differentiated. They go on from an optimiser's moments."""

    def __init__(
        self,
        optimizer: torch.optim.Optimizer,  # an Adam, which is left unchanged
        parameter: Tensor,  # one that it moves
    ) -> None:
        group = optimizer.param_groups[0]
        self.lr, self.betas, self.epsilon = group["lr"], group["betas"], group["eps"]
        state = optimizer.state[parameter]
        zero = torch.zeros_like(parameter)
        self.taken = int(state.get("step", 0))
        self.first, self.second = state.get("exp_avg", zero), state.get("exp_avg_sq", zero)

    def step(self, weight: Tensor, gradient: Tensor) -> Tensor:
        """The weight after one step."""
        self.taken += 1
        self.first = torch.lerp(gradient, self.first, self.betas[0])
        self.second = torch.lerp(gradient.square(), self.second, self.betas[1])
        mean, square = (
            moment / (1 - beta**self.taken)
            for moment, beta in zip((self.first, self.second), self.betas, strict=True)
        )
        step: Tensor = self.lr * mean / ((square + _TINY).sqrt() + self.epsilon)
        return weight - step
