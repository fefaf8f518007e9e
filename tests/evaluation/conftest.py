"""A feature network for the evaluation's tests, and real images if they are available."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.evaluation.tiny_onnx import onnx_network

SHARED = Path(__file__).resolve().parents[3] / "shared"


@pytest.fixture
def network_file(tmp_path: Path) -> Callable[..., Path]:
    """A function that writes `onnx_network` with the given arguments."""

    def write(**changes: Any) -> Path:
        path = tmp_path / "tiny.onnx"
        path.write_bytes(onnx_network(**changes))
        return path

    return write


@pytest.fixture
def shared() -> Path:
    """The folder with real images and a feature network that was trained on photographs."""
    if not SHARED.is_dir():
        pytest.skip(f"the real images and the feature network are not here ({SHARED})")
    return SHARED
