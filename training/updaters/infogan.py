"""InfoGAN's auxiliary losses (Chen et al. 2016, arXiv 1606.03657, section 5)."""

from dataclasses import dataclass

import torch

from models.architectures.infogan import Codes
from training.objectives.information import continuous_information, discrete_information
from training.system import LossTerm
from training.updaters.adversarial import Fakes


@dataclass(frozen=True)
class CodeLoss:
    """Discriminator and generator both want Q to predict the codes, the end of the latent vector.

    Q's prediction is the `latents` of the discriminator's output. In the loss a continuous code has a normal
    distribution of standard deviation 1, as in the authors' code. The logged bound, in nats, uses the standard
    deviation that fits best: with 1 it is below 0 whatever Q predicts of a code on (-1, 1).
    """

    codes: Codes
    discrete: float  # lambda of the categorical codes
    continuous: float  # lambda of the continuous codes

    def __call__(self, fakes: Fakes) -> list[LossTerm]:
        """The losses, and the bounds that are only logged (weight 0)."""
        assert fakes.output.latents is not None
        numbers, choices = self.codes.split(fakes.latents[:, -self.codes.size :])
        means, logits = self.codes.split(fakes.output.latents.float())
        terms = []
        if choices:
            pairs = zip(logits, choices, strict=True)
            bound = torch.stack([discrete_information(guess, choice) for guess, choice in pairs]).sum()
            terms.append(LossTerm("information/categorical", bound, -self.discrete))
        if self.codes.continuous:
            squares = (numbers - means).square()  # (N, continuous)
            terms.append(LossTerm("loss/codes", squares.sum(1).mean() / 2, self.continuous))
            terms.append(LossTerm("information/continuous", continuous_information(squares), 0.0))
        return terms
