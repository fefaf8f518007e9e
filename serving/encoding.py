"""Images as response bodies."""

import io
import zipfile
from collections.abc import Mapping, Sequence
from urllib.parse import quote

import torch
from starlette.responses import Response
from torch import Tensor

from common.images import grid, to_pil
from serving.engine import GeneratedImage
from serving.schemas import Format

_OPTIONS: Mapping[Format, dict[str, object]] = {
    "png": {},
    "jpeg": {"quality": 95, "subsampling": 0},
    "webp": {"lossless": True},
}


def encode(image: Tensor, kind: Format) -> bytes:
    """Encode one image, uint8 (C, H, W) with 1, 3 or 4 channels; JPEG has no alpha channel."""
    buffer = io.BytesIO()
    to_pil(image).save(buffer, kind, **_OPTIONS[kind])
    return buffer.getvalue()


def archive(files: Mapping[str, bytes]) -> bytes:
    """A zip of named files. The same files give the same bytes."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as file:  # images are compressed already
        for name, content in files.items():
            file.writestr(zipfile.ZipInfo(name), content)
    return buffer.getvalue()


def response(images: Sequence[GeneratedImage]) -> Response:
    """The response to a request, given all of its images."""
    request = images[0].job.request
    headers = {
        "X-Model": request.model,
        "X-Seed": str(request.seeds[0]),
        "X-Count": str(len(images)),
        "X-Resolution": str(request.resolution),
    }
    if request.labels:  # quoted: a name may contain characters that a header may not
        headers["X-Label"] = ",".join(map(quote, request.labels))
    if request.layout == "zip":
        files = {f"{each.job.seed}.{request.format}": encode(each.pixels, request.format) for each in images}
        headers["Content-Disposition"] = f'attachment; filename="{request.model}.zip"'
        return Response(archive(files), media_type="application/zip", headers=headers)
    pixels = grid(torch.stack([each.pixels for each in images])) if len(images) > 1 else images[0].pixels
    media_type = f"image/{request.format}"
    return Response(encode(pixels, request.format), media_type=media_type, headers=headers)
