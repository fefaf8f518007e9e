"""Pictures as bytes for the wire."""

import io
import zipfile
from collections.abc import Mapping, Sequence
from urllib.parse import quote

import torch
from starlette.responses import Response
from torch import Tensor

from common.images import grid, to_pil
from serving.engine import Picture
from serving.schemas import Format

_OPTIONS: Mapping[Format, dict[str, object]] = {
    "png": {},
    "jpeg": {"quality": 95, "subsampling": 0},
    "webp": {"lossless": True},
}


def encode(image: Tensor, how: Format) -> bytes:
    """Encode one picture, uint8 (C, H, W) with 1, 3 or 4 channels; JPEG takes no alpha channel."""
    buffer = io.BytesIO()
    to_pil(image).save(buffer, how, **_OPTIONS[how])
    return buffer.getvalue()


def archive(files: Mapping[str, bytes]) -> bytes:
    """A zip of named files; the same files give the same bytes."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as file:  # pictures are compressed already
        for name, content in files.items():
            file.writestr(zipfile.ZipInfo(name), content)
    return buffer.getvalue()


def answer(pictures: Sequence[Picture]) -> Response:
    """The response to an order, whose pictures these are."""
    order = pictures[0].job.order
    headers = {
        "X-Model": order.model,
        "X-Seed": str(order.seeds[0]),
        "X-Count": str(len(pictures)),
        "X-Resolution": str(order.resolution),
    }
    if order.labels:
        headers["X-Label"] = ",".join(map(quote, order.labels))  # a name may hold any sign, a header may not
    if order.layout == "zip":
        files = {
            f"{picture.job.seed}.{order.format}": encode(picture.image, order.format) for picture in pictures
        }
        headers["Content-Disposition"] = f'attachment; filename="{order.model}.zip"'
        return Response(archive(files), media_type="application/zip", headers=headers)
    image = (
        grid(torch.stack([picture.image for picture in pictures])) if len(pictures) > 1 else pictures[0].image
    )
    return Response(encode(image, order.format), media_type=f"image/{order.format}", headers=headers)
