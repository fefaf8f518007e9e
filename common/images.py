"""From network output to image files."""

import io
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from common.atomic import write_bytes


def to_uint8(images: Tensor) -> Tensor:
    """Round images in [-1, 1] to uint8 0..255, clipping what lies outside. Shape and device are kept."""
    return (images.float() * 127.5 + 127.5).round().clamp(0, 255).to(torch.uint8)


def from_uint8(images: Tensor) -> Tensor:
    """Convert uint8 images 0..255 to the range of networks: float32 in [-1, 1]. Shape and device are kept."""
    return images.float() / 127.5 - 1


def grid(images: Tensor, columns: int | None = None) -> Tensor:
    """Lay out uint8 images (N, C, H, W) in a grid: uint8 (C, H', W').

    There are about as many rows as columns unless `columns` is given.
    """
    from torchvision.utils import make_grid  # takes seconds to import, and only grids need it

    columns = columns or round(len(images) ** 0.5 + 0.49)
    together: Tensor = make_grid(images, nrow=columns, padding=0)
    return together[: images.shape[1]]


def to_pil(image: Tensor) -> Image.Image:
    """A uint8 image (C, H, W) with 1, 3 or 4 channels as a PIL image."""
    array: NDArray[np.uint8] = image.cpu().permute(1, 2, 0).numpy()
    return Image.fromarray(array.squeeze(2) if array.shape[2] == 1 else array)


def encode_png(image: Tensor) -> bytes:
    """PNG of a uint8 image (C, H, W) with 1, 3 or 4 channels."""
    buffer = io.BytesIO()
    to_pil(image).save(buffer, "PNG")  # "optimize" takes four times as long for a twentieth less
    return buffer.getvalue()


def save_png(image: Tensor, path: Path) -> None:
    """Write a uint8 image (C, H, W) as PNG; the file appears whole or not at all."""
    write_bytes(path, encode_png(image))
