"""Gradient penalties on a fraction of the batch, which gets a forward pass of its own."""

from collections.abc import Sequence

import torch
from torch import Tensor

from models.discriminator import Discriminator, DiscriminatorOutput


def logits_with_fraction(
    network: Discriminator, images: Sequence[Tensor], labels: Tensor | None, one_in: int
) -> tuple[DiscriminatorOutput, Tensor]:
    """The output for a batch, and the logits of every `one_in`-th sample from a forward pass of their own.

    Only that pass is differentiated twice. A mean over it is an unbiased estimate of the mean over all samples: the
    data come in random order, and the noise of all fakes has one distribution. Batch statistics are those of a pass, of
    fewer samples than in the generator's step.
    """
    if one_in == 1:
        output: DiscriminatorOutput = network(images, labels)
        return output, output.logits
    batches = zip(*(_split(image, one_in) for image in images), strict=True)
    parts = (None, None) if labels is None else _split(labels, one_in)
    chosen, others = (network(batch, part) for batch, part in zip(batches, parts, strict=True))
    heads = zip(chosen[1:], others[1:], strict=True)
    whole = DiscriminatorOutput(
        _merged(chosen.logits, others.logits), *(a if a is None else _merged(a, b) for a, b in heads)
    )
    return whole, chosen.logits


def _split(x: Tensor, one_in: int) -> tuple[Tensor, Tensor]:
    """One in `fraction` samples, and the others: (N, ...) -> (N / one_in, ...), (N - N / one_in, ...)."""
    groups = x.view(-1, one_in, *x.shape[1:])
    return groups[:, 0], groups[:, 1:].flatten(0, 1)


def _merged(chosen: Tensor, others: Tensor) -> Tensor:
    """The batch that was split, in its order."""
    groups = [chosen.unsqueeze(1), others.view(len(chosen), -1, *others.shape[1:])]
    return torch.cat(groups, dim=1).flatten(0, 1)
