"""Upsampling and downsampling; the fused convolutions are tested with the layers that use them."""

import torch

from models.layers.resampling import upsample


def test_upsampling_repeats_each_pixel() -> None:
    x = torch.tensor([[1.0, 2.0], [3.0, 4.0]]).view(1, 1, 2, 2)
    assert upsample(x).tolist() == [[[[1, 1, 2, 2], [1, 1, 2, 2], [3, 3, 4, 4], [3, 3, 4, 4]]]]
