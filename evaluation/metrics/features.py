"""The feature network: images to vectors of features, by a network in an ONNX file."""

import hashlib
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

MAX_BYTES = 2**31  # of the file, ONNX's own limit
_BATCH = 16  # images
_LOG_ERRORS_ONLY = 3  # onnxruntime's log level


class FeatureNetwork:
    """A network from `images`, float32 (N, 3, H, W) RGB in [0, 255], to `features`, float32 (N, D).

    Any resizing and scaling is part of the network, so that it is the same for everyone.

    Attributes:
        file: the file's name.
        sha256: the file's digest.

    """

    def __init__(self, path: Path) -> None:
        """Open a network.

        Raises:
            ValueError: not an ONNX file, or one with other inputs and outputs.

        """
        import onnxruntime

        if not path.is_file():
            raise ValueError(f"there is no feature network {path}")
        if path.stat().st_size > MAX_BYTES:
            raise ValueError(f"{path} is larger than an ONNX file can be")
        content = path.read_bytes()
        self.file, self.sha256 = path.name, hashlib.sha256(content).hexdigest()
        options = onnxruntime.SessionOptions()
        options.log_severity_level = _LOG_ERRORS_ONLY
        options.intra_op_num_threads = torch.get_num_threads()
        usable = set(onnxruntime.get_available_providers())
        providers = [name for name in ("CUDAExecutionProvider", "CPUExecutionProvider") if name in usable]
        try:
            self._session = onnxruntime.InferenceSession(content, options, providers)
        except Exception as error:  # onnxruntime raises its own classes, which derive directly from Exception
            raise ValueError(f"{path} is not a network in ONNX format: {_first_line(error)}") from None
        inputs = [(node.name, node.type, len(node.shape)) for node in self._session.get_inputs()]
        outputs = {node.name: (node.type, len(node.shape)) for node in self._session.get_outputs()}
        if inputs != [("images", "tensor(float)", 4)] or outputs.get("features") != ("tensor(float)", 2):
            raise ValueError(
                f"{path} must take `images`, float32 (N, 3, H, W), and return `features`, float32 (N, D); "
                f"it takes {_names(name for name, *_ in inputs)} and returns {_names(outputs)}"
            )

    def identity(self) -> dict[str, str]:
        """The file's name and digest, as JSON values."""
        return {"file": self.file, "sha256": self.sha256}

    def __call__(self, images: Tensor) -> NDArray[np.float32]:
        """Features (N, D) of uint8 images (N, C, H, W) with 1, 3 or 4 channels.

        Raises:
            ValueError: the network does not accept images of this size, or returns NaN or infinity.

        """
        inputs = to_rgb(images).cpu().numpy()
        outputs = []
        for start in range(0, len(inputs), _BATCH):
            batch = inputs[start : start + _BATCH]
            try:
                outputs.append(self._session.run(["features"], {"images": batch})[0])
            except Exception as error:  # as above
                size = f"{batch.shape[2]}x{batch.shape[3]}"
                raise ValueError(f"{self.file} fails on images of {size}: {_first_line(error)}") from None
        features: NDArray[np.float32] = np.concatenate(outputs)
        if not np.isfinite(features).all():
            raise ValueError(f"{self.file} returns features that are not finite")
        return features


def to_rgb(images: Tensor) -> Tensor:
    """Images as a network's input: float32 (N, 3, H, W) in [0, 255].

    Grayscale is repeated, and RGBA (straight alpha) is composited over white, as in data_prep.
    """
    values = images.float()
    if images.shape[1] == 1:
        return values.expand(-1, 3, -1, -1)
    if images.shape[1] == 4:
        alpha = values[:, 3:] / 255
        return values[:, :3] * alpha + 255 * (1 - alpha)
    return values


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def _names(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names) or "nothing"
