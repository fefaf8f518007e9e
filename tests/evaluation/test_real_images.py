"""Known distances between real cat faces, in the features of a network trained on photographs.

They were measured with 4000 against 4000 of the same photographs, reduced to 64x64. The kernel distance is unbiased,
so it must be about the same with few images.
"""

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from evaluation.metrics.features import FeatureNetwork
from evaluation.metrics.frechet import frechet_distance, moments
from evaluation.metrics.kernel import squared_mmd
from tests.evaluation.pattern_images import blurred

COUNT = 150


def noisy(images: Tensor, sd: float) -> Tensor:
    return images + sd * torch.randn(images.shape, generator=torch.Generator().manual_seed(0))


def test_known_distances(shared: Path) -> None:
    network = FeatureNetwork(shared / "weights" / "mobilenet_v2_features.onnx")
    paths = sorted((shared / "data" / "cat_faces").rglob("*.jpg"))
    order = np.random.default_rng(0).permutation(len(paths))[: 2 * COUNT]
    faces = [
        np.asarray(Image.open(paths[i]).convert("RGB").resize((64, 64), Image.Resampling.LANCZOS))
        for i in order
    ]
    images = torch.from_numpy(np.stack(faces)).permute(0, 3, 1, 2).float()
    half, other = images[:COUNT], images[COUNT:]

    def features(values: Tensor) -> NDArray[np.float32]:
        return network(values.round().clamp(0, 255).byte())

    reference = features(half)
    untouched, blur, noise = features(other), features(blurred(other, 1.0)), features(noisy(other, 20))
    assert untouched.shape == (COUNT, 1280)
    assert 1000 * squared_mmd(reference, untouched) == pytest.approx(0, abs=10)
    assert 1000 * squared_mmd(reference, blur) == pytest.approx(439, rel=0.15)
    assert 1000 * squared_mmd(reference, noise) == pytest.approx(689, rel=0.15)
    floor, far = (frechet_distance(moments(reference), moments(f)) for f in (untouched, blur))
    assert far > floor + 150, "217 against 14 with 4000 images; the floor is higher with few"
