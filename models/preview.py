"""Coarse pictures of a generator that is trained on its finest alone: looked at, never judged."""

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Preview(nn.Module):
    """What features would look like in the finished picture: their best linear map to it, pixel by pixel.

    (N, c_in, H, W) -> (N, image_channels, H, W). Its weights are fitted, not trained, hence buffers.
    """

    def __init__(self, c_in: int, image_channels: int) -> None:
        super().__init__()
        self.weight: Tensor
        self.bias: Tensor
        self.register_buffer("weight", torch.zeros(image_channels, c_in, 1, 1))
        self.register_buffer("bias", torch.zeros(image_channels))

    def forward(self, x: Tensor) -> Tensor:
        """The picture that the features promise."""
        return F.conv2d(x, self.weight, self.bias)

    def moments(self, x: Tensor, picture: Tensor) -> Tensor:
        """Products of the features and 1 with themselves and the picture: (c_in + 1, c_in + 1 + image_channels).

        `picture`: (N, image_channels, k H, k W) for features (N, c_in, H, W).
        """
        target = F.avg_pool2d(picture, picture.shape[-1] // x.shape[-1])
        columns = torch.cat([x, torch.ones_like(x[:, :1]), target], dim=1).double().transpose(0, 1).flatten(1)
        return columns[: x.shape[1] + 1] @ columns.T / columns.shape[1]

    def fit(self, moments: Tensor) -> None:
        """Solve the normal equations, with a little ridge for features that say the same."""
        size = len(moments)
        ridge = 1e-5 * moments.diagonal().mean() * torch.eye(size, device=moments.device, dtype=moments.dtype)
        weight = torch.linalg.solve(
            moments[:, :size] + ridge, moments[:, size:]
        ).T  # (image_channels, c_in + 1)
        self.weight.copy_(weight[:, :-1, None, None])
        self.bias.copy_(weight[:, -1])


@torch.no_grad()
def fit_previews(
    previews: Sequence[Preview],  # one per resolution
    passes: Iterable[
        tuple[Sequence[Tensor], Tensor]
    ],  # per batch: the features that each takes, the finished picture
) -> None:
    """Fit each to the finished pictures, averaged down to its size."""
    found = [
        [preview.moments(x, picture) for preview, x in zip(previews, features, strict=True)]
        for features, picture in passes
    ]
    for preview, moments in zip(previews, zip(*found, strict=True), strict=False):
        preview.fit(torch.stack(moments).mean(0))
