"""MINE: Mutual Information Neural Estimation (Belghazi et al. 2018, arXiv 1801.04062): the statistics network of
section 3, for a picture and a code.

Deviations: the paper gives none for pictures; this is a DCGAN discriminator without norm, the code added as planes.
"""

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn

from models.dcgan import DCGANDiscriminator


class Statistics(nn.Module):
    """T: pictures (N, C, H, W) and codes (N, code_size) -> (N,)."""

    def __init__(
        self,
        resolution: int,  # shorter side of the picture, pixels
        widths: Sequence[int],  # channels at 4x4, ..., half the resolution
        code_size: int,  # length of a code
        image_channels: int = 3,  # 1 grey, 3 RGB, 4 RGBA
        frame: tuple[int, int] = (4, 4),  # height and width of the picture at resolution 4
    ) -> None:
        super().__init__()
        self.layers = DCGANDiscriminator(resolution, widths, image_channels + code_size, "none", frame)

    def forward(self, pictures: Tensor, codes: Tensor) -> Tensor:
        """T of each pair."""
        planes = codes[:, :, None, None].expand(-1, -1, *pictures.shape[2:])
        return cast(Tensor, self.layers([torch.cat([pictures, planes], dim=1)]).score)
