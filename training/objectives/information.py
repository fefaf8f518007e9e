"""Mutual information between a generator's codes and its pictures, by what Q reads off them: for x = G(z, c),
I >= H(c) + E[log Q(c | x)] (Chen et al. 2016, "InfoGAN", arXiv 1606.03657, section 5).
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from models.architectures.infogan import Codes
from training.distributed.collective import global_batch_mean
from training.updaters.adversarial import Fakes, LossTerm


@dataclass(frozen=True)
class CodeInformation:
    """What both sides of the game want: that Q, in the verdict's `latents`, tells the codes, the end of the latents.

    Continuous codes have a normal distribution of deviation 1 in the loss, as in the authors' code. What is logged, in
    nats, is the bound of the deviation that fits best: that of 1 is below 0 whatever Q reads off a code on (-1, 1).
    """

    codes: Codes
    discrete: float  # lambda of the categorical codes
    continuous: float  # lambda of the continuous codes

    def __call__(self, fakes: Fakes) -> list[LossTerm]:
        """The terms: the losses, and the bounds that are only logged."""
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


def discrete_information(logits: Tensor, code: Tensor) -> Tensor:
    """The bound in nats of a categorical code, one hot (N, K), drawn evenly: log K less the cross-entropy."""
    return math.log(code.shape[1]) - F.cross_entropy(logits, code)


@torch.no_grad()
def continuous_information(squares: Tensor) -> Tensor:
    """The bound in nats of codes uniform on (-1, 1), for the squared errors (N, continuous) of their means.

    Each code's normal distribution has the variance of its errors over the global batch.
    """
    variance = global_batch_mean(squares).clamp(min=1e-12)
    return (math.log(2) - 0.5 * torch.log(2 * math.pi * math.e * variance)).sum()
