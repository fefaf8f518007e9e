"""Self-Attention Generative Adversarial Networks (Zhang et al. 2019, arXiv 1805.08318), section 3: the attention block.

It has the form of the authors' code: values of half the channels, keys and values max-pooled by 2, no division
by the square root of the keys' length. The paper itself has no pooling and values of an eighth of the channels:
`Attention(channels, value_ratio=8, pool=1)`.

Deviations: none. The products and the softmax are written out and in float32: torch's fused attention cannot be
differentiated twice on a CPU, which a gradient penalty asks for.
"""

from collections.abc import Callable, Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Pointwise = Callable[
    [int, int], nn.Module
]  # input channels, output channels -> a 1x1 convolution without bias


def plain(c_in: int, c_out: int) -> nn.Module:
    """A 1x1 convolution without bias."""
    return nn.Conv2d(c_in, c_out, 1, bias=False)


class Equalized(nn.Module):
    """The same with equalised learning rate (see `layers.py`), for networks whose other layers have it."""

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(c_out, c_in, 1, 1))
        self.scale = 1 / c_in**0.5

    def forward(self, x: Tensor) -> Tensor:
        """Multiply each pixel of x."""
        return F.conv2d(x, self.weight * self.scale)


class Attention(nn.Module):
    """x + gamma * o, where each pixel of o is a mixture of all pixels. The identity at first (gamma = 0).

    (N, channels, H, W) -> the same. Patches at the edge may be smaller than others.
    """

    def __init__(
        self,
        channels: int,  # of x
        value_ratio: int = 2,  # channels of x to one of the values
        pool: int = 2,  # side of the patches of which one key and value is kept, pixels; 1 keeps all
        pointwise: Pointwise = plain,  # makes the 1x1 convolutions
    ) -> None:
        super().__init__()
        keys, values = max(1, channels // 8), max(1, channels // value_ratio)
        self.query = pointwise(channels, keys)  # theta in the code, f in the paper
        self.key = pointwise(channels, keys)  # phi, g
        self.value = pointwise(channels, values)  # g, h
        self.out = pointwise(values, channels)  # v in the paper
        self.gamma = nn.Parameter(torch.zeros(()))
        self.pool = pool

    def forward(self, x: Tensor) -> Tensor:
        """Let every pixel of x look at the others."""
        query = self.query(x).flatten(2)  # (N, C/8, HW)
        key = F.max_pool2d(self.key(x), self.pool, ceil_mode=True).flatten(2)  # (N, C/8, HW/4)
        value = F.max_pool2d(self.value(x), self.pool, ceil_mode=True).flatten(2)  # (N, C/2, HW/4)
        o = mix(query, key, value).to(x.dtype).view(x.shape[0], -1, *x.shape[2:])
        return x + self.gamma * cast(Tensor, self.out(o))


def mix(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """For each query the values' mean, weighted by the softmax over the keys of query . key; in float32 or wider.

    Args:
        query: (N, K, Q).
        key: (N, K, P).
        value: (N, V, P).

    Returns:
        (N, V, Q).
    """
    wide = torch.promote_types(query.dtype, torch.float32)
    with torch.autocast(query.device.type, enabled=False):
        shares = torch.softmax(query.to(wide).transpose(1, 2) @ key.to(wide), dim=2)  # (N, Q, P)
        return value.to(wide) @ shares.transpose(1, 2)


def check_attention(attention: Sequence[int], resolutions: Sequence[int]) -> None:
    """Raise ValueError unless the sides at which there is to be attention are among a network's."""
    if not set(attention) <= set(resolutions):
        known = ", ".join(map(str, resolutions))
        raise ValueError(f"attention must be at some of the sides {known}, not at {list(attention)}")


def attentions(
    resolutions: Sequence[int],
    channels: Sequence[int],
    wanted: Sequence[int],
    pointwise: Pointwise = plain,
) -> nn.ModuleList:
    """For the features of each resolution, which have so many channels, attention if wanted there, else the identity.

    Raises:
        ValueError: attention is wanted at a side that is none of the resolutions.
    """
    check_attention(wanted, resolutions)
    return nn.ModuleList(
        Attention(width, pointwise=pointwise) if side in wanted else nn.Identity()
        for side, width in zip(resolutions, channels, strict=True)
    )
