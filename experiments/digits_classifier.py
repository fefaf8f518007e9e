"""The network that says which digit a picture shows: what experiments with digits are judged by."""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from common.images import from_uint8

_BATCH = 128  # digits per step
_STEP = 0.003  # Adam's step size at first; it falls to 0 along half a cosine
_AT_ONCE = 1000  # pictures that are judged in a pass


class Answers(NamedTuple):
    """What the classifier says of pictures."""

    digits: Tensor  # the likeliest digit, int64 (N,)
    confidence: Tensor  # its probability, (N,)


class DigitClassifier(nn.Module):
    """A digit in [-1, 1] -> logits of the ten: three convolutions of stride 2, with batch norm."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential()
        for a, b in ((1, 32), (32, 64), (64, 128)):
            convolution = nn.Conv2d(a, b, 3, stride=2, padding=1, bias=False)
            self.layers.extend([convolution, nn.BatchNorm2d(b), nn.ReLU()])
        self.layers.extend([nn.Flatten(), nn.Linear(128 * 4 * 4, 10)])

    def forward(self, images: Tensor) -> Tensor:
        """Logits (N, 10) of digits (N, 1, 32, 32)."""
        logits: Tensor = self.layers(images)
        return logits

    @torch.no_grad()
    def judge(self, images: Tensor) -> Answers:
        """Answers on digits (N, 1, 32, 32) in [-1, 1]."""
        parts = [self(part).softmax(1).max(1) for part in torch.split(images, _AT_ONCE)]
        return Answers(
            torch.cat([part.indices for part in parts]), torch.cat([part.values for part in parts])
        )


def fit(images: Tensor, labels: Tensor, epochs: int) -> DigitClassifier:
    """A classifier that has learned digits, uint8 (N, 1, 32, 32), and their labels, int64 (N,); always the same."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network, rng = DigitClassifier(), torch.Generator().manual_seed(0)
    optimizer = torch.optim.Adam(network.parameters(), lr=_STEP, fused=True)
    batches = [
        part
        for _ in range(epochs)
        for part in torch.split(torch.randperm(len(images), generator=rng), _BATCH)
    ]
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, len(batches))
    for chosen in batches:
        optimizer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16):
            loss = F.cross_entropy(network(from_uint8(images[chosen])), labels[chosen])
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
    return network.eval().requires_grad_(False)
