"""Feature networks: input, output, and files that are refused."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from evaluation.metrics.features import FeatureNetwork, to_rgb
from tests.evaluation.pattern_images import pattern_images
from tests.evaluation.tiny_onnx import FILTERS, onnx_network

NetworkFile = Callable[..., Path]


def test_features_are_the_networks(network_file: NetworkFile) -> None:
    """The same network, computed by torch."""
    images = pattern_images(20, 0)
    expected = F.conv2d(images.float(), torch.from_numpy(FILTERS)).relu().mean((2, 3))
    found = FeatureNetwork(network_file())(images)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected.numpy(), rtol=1e-4)


def test_identity_names_the_bytes(network_file: NetworkFile) -> None:
    a = FeatureNetwork(network_file()).identity()
    b = FeatureNetwork(network_file(gain=2.0)).identity()
    assert a["file"] == b["file"] == "tiny.onnx"
    assert a["sha256"] != b["sha256"]


def test_grayscale_is_repeated_and_alpha_composited_over_white() -> None:
    gray = torch.tensor([7], dtype=torch.uint8).view(1, 1, 1, 1)
    assert to_rgb(gray).flatten().tolist() == [7, 7, 7]
    rgba = torch.tensor([[10, 20, 30, 255], [10, 20, 30, 0], [0, 100, 255, 51]], dtype=torch.uint8)
    assert to_rgb(rgba.view(3, 4, 1, 1)).view(3, 3).tolist() == [
        [10, 20, 30],
        [255, 255, 255],
        [204, 224, 255],
    ]


def test_refused_files(tmp_path: Path, network_file: NetworkFile) -> None:
    with pytest.raises(ValueError, match="there is no feature network"):
        FeatureNetwork(tmp_path / "missing.onnx")
    (tmp_path / "text.onnx").write_text("hello")
    with pytest.raises(ValueError, match=r"text.onnx is not a network in ONNX format"):
        FeatureNetwork(tmp_path / "text.onnx")
    (tmp_path / "cut.onnx").write_bytes(onnx_network()[:-200])
    with pytest.raises(ValueError, match="is not a network in ONNX format"):
        FeatureNetwork(tmp_path / "cut.onnx")
    with pytest.raises(ValueError, match=r"it takes `x` and returns `features`"):
        FeatureNetwork(network_file(source="x"))
    with pytest.raises(ValueError, match=r"it takes `images` and returns `logits`"):
        FeatureNetwork(network_file(result="logits"))


def test_images_that_the_network_does_not_accept(network_file: NetworkFile) -> None:
    with pytest.raises(ValueError, match=r"tiny.onnx fails on images of 32x32"):
        FeatureNetwork(network_file(side=64))(pattern_images(2, 0))


def test_features_that_are_not_finite(network_file: NetworkFile) -> None:
    with pytest.raises(ValueError, match="not finite"):
        FeatureNetwork(network_file(gain=float("inf")))(pattern_images(2, 0))
