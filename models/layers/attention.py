"""Self-Attention Generative Adversarial Networks (Zhang et al. 2019, arXiv 1805.08318), section 3: the attention block.

It has the form of the authors' code: values of half the channels, keys and values max-pooled by 2, no division
by the square root of the keys' length. The paper itself has no pooling, and values of an eighth of the channels:
`Attention(channels, value_ratio=8, pool=1)`.

Deviations: none. The products and the softmax are written out and in float32: torch's fused attention cannot be
differentiated twice on a CPU, as a gradient penalty requires.
"""

from collections.abc import Callable, Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.layers.precision import at_least_float32

Conv1x1 = Callable[[int, int], nn.Module]  # input and output channels -> a 1x1 convolution without bias


def conv1x1(c_in: int, c_out: int) -> nn.Module:
    """A 1x1 convolution without bias."""
    return nn.Conv2d(c_in, c_out, 1, bias=False)


class Attention(nn.Module):
    """x + gamma * o, where each pixel of o is a weighted mean over all pixels. The identity at first (gamma = 0).

    (N, channels, H, W) -> the same. Patches at the border may be smaller than others.
    """

    def __init__(
        self,
        channels: int,  # channels of x
        value_ratio: int = 2,  # channels of x per channel of the values
        pool: int = 2,  # side of the patches over which keys and values are max-pooled, pixels; 1 for no pooling
        conv: Conv1x1 = conv1x1,  # makes the 1x1 convolutions
    ) -> None:
        super().__init__()
        keys, values = max(1, channels // 8), max(1, channels // value_ratio)
        self.query = conv(channels, keys)  # theta in the code, f in the paper
        self.key = conv(channels, keys)  # phi, g
        self.value = conv(channels, values)  # g, h
        self.out = conv(values, channels)  # v in the paper
        self.gamma = nn.Parameter(torch.zeros(()))
        self.pool = pool

    def forward(self, x: Tensor) -> Tensor:
        """Attend from every pixel of x to all of them."""
        query = self.query(x).flatten(2)  # (N, C/8, HW)
        key = F.max_pool2d(self.key(x), self.pool, ceil_mode=True).flatten(2)  # (N, C/8, HW/4)
        value = F.max_pool2d(self.value(x), self.pool, ceil_mode=True).flatten(2)  # (N, C/2, HW/4)
        o = attend(query, key, value).to(x.dtype).view(x.shape[0], -1, *x.shape[2:])
        return x + self.gamma * cast(Tensor, self.out(o))


def attend(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """For each query, the mean of the values weighted by softmax(query . key) over the keys; in float32 or wider.

    Args:
        query: (N, K, Q).
        key: (N, K, P).
        value: (N, V, P).

    Returns:
        (N, V, Q).
    """
    query, key, value = (at_least_float32(x) for x in (query, key, value))
    with torch.autocast(query.device.type, enabled=False):
        weights = torch.softmax(query.transpose(1, 2) @ key, dim=2)  # (N, Q, P)
        return value @ weights.transpose(1, 2)


def check_attention(attention: Sequence[int], resolutions: Sequence[int]) -> None:
    """Raise ValueError unless attention is at some of a network's resolutions."""
    if not set(attention) <= set(resolutions):
        known = ", ".join(map(str, resolutions))
        raise ValueError(f"attention must be at some of the resolutions {known}, not at {list(attention)}")


def attentions(
    resolutions: Sequence[int],
    channels: Sequence[int],
    attention: Sequence[int],
    conv: Conv1x1 = conv1x1,
) -> nn.ModuleList:
    """One module per resolution: attention where `attention` names the resolution, the identity elsewhere.

    Args:
        resolutions: shorter sides of a network's features, pixels.
        channels: channels of the features at each of them.
        attention: resolutions that have attention.
        conv: makes the 1x1 convolutions.

    Raises:
        ValueError: `attention` names a resolution that the network does not have.
    """
    check_attention(attention, resolutions)
    return nn.ModuleList(
        Attention(width, conv=conv) if side in attention else nn.Identity()
        for side, width in zip(resolutions, channels, strict=True)
    )
