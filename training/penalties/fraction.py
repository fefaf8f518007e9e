"""Gradient penalties on a part of the batch: what is differentiated twice is judged in a pass of its own."""

from collections.abc import Sequence

import torch
from torch import Tensor

from models.discriminator import Discriminator, DiscriminatorOutput


def logits_apart(
    network: Discriminator, images: Sequence[Tensor], labels: Tensor | None, stride: int
) -> tuple[DiscriminatorOutput, Tensor]:
    """The verdict on a batch, and the scores of every `stride`-th sample, judged in a pass of their own.

    What is differentiated twice is then that pass alone. A mean over it estimates the mean over all without bias: the
    data come in random order, and the noise of every fake is drawn alike. Statistics over a batch are those of a pass,
    of fewer samples than in the generator's move.
    """
    if stride == 1:
        output: DiscriminatorOutput = network(images, labels)
        return output, output.logits
    batches = zip(*(_dealt(image, stride) for image in images), strict=True)
    parts = (None, None) if labels is None else _dealt(labels, stride)
    chosen, others = (network(batch, part) for batch, part in zip(batches, parts, strict=True))
    heads = zip(chosen[1:], others[1:], strict=True)
    whole = DiscriminatorOutput(
        _gathered(chosen.logits, others.logits), *(a if a is None else _gathered(a, b) for a, b in heads)
    )
    return whole, chosen.logits


def _dealt(x: Tensor, stride: int) -> tuple[Tensor, Tensor]:
    """Every `stride`-th sample and the others: (N, ...) -> (N / stride, ...), (N - N / stride, ...)."""
    groups = x.view(-1, stride, *x.shape[1:])
    return groups[:, 0], groups[:, 1:].flatten(0, 1)


def _gathered(chosen: Tensor, others: Tensor) -> Tensor:
    """The batch that was dealt."""
    return torch.cat([chosen.unsqueeze(1), others.view(len(chosen), -1, *others.shape[1:])], dim=1).flatten(
        0, 1
    )
