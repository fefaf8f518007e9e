"""Decode an image file to 8-bit sRGB pixels as an image viewer would show them."""

import io
import warnings
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageCms, ImageOps, TiffImagePlugin, UnidentifiedImageError

Channels = Literal[1, 3, 4]
Pixels = NDArray[np.uint8]  # (H, W, C)

MAX_PIXELS = 2**27  # 134 million, more than any camera; decoding takes up to 8 bytes a pixel
MAX_FILE_BYTES = 2**29
FORMATS = ("JPEG", "PNG", "WEBP", "AVIF", "GIF", "BMP", "DIB", "TIFF", "JPEG2000", "PPM")

Image.init()  # registers all of them with `Image.open`


class UnreadableImageError(ValueError):
    """The bytes cannot be decoded to an image; the message says why."""


def decode(data: bytes, channels: Channels) -> Pixels:
    """Decode the first frame, upright (EXIF), in sRGB (ICC), 8 bits a sample.

    The format is detected by the content, not by the name. Transparent parts are composited over white for 1 and 3
    channels; with 4 channels, straight alpha is kept. Grey is Rec. 601 luma.

    Returns:
        uint8 (H, W, `channels`).

    Raises:
        UnreadableImageError: empty, truncated, damaged, too large, or of no supported kind.

    """
    if not data:
        raise UnreadableImageError("the file is empty")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about odd metadata, and about size, which is checked here
        try:
            loaded = _load(data)
            image = _to_srgb(_to_8_bits(loaded))
        except UnreadableImageError:
            raise
        except Exception as error:  # decoders raise nearly anything for damaged bytes
            reason = str(error) or type(error).__name__
            raise UnreadableImageError(f"damaged or unsupported image: {reason}") from error
        image = _upright(image, loaded)
    if channels == 4:
        return np.array(image.convert("RGBA"))
    if image.mode == "RGBA":
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    if channels == 3:
        return np.array(image.convert("RGB"))
    return np.array(image.convert("L"))[:, :, None]


def _load(data: bytes) -> Image.Image:
    try:
        image = Image.open(io.BytesIO(data), formats=FORMATS)
    except UnidentifiedImageError:
        raise UnreadableImageError("not an image of a supported format, or its header is damaged") from None
    except Image.DecompressionBombError:
        raise UnreadableImageError(f"more than {MAX_PIXELS} pixels") from None
    if image.width * image.height > MAX_PIXELS:
        raise UnreadableImageError(f"{image.width} x {image.height} is more than {MAX_PIXELS} pixels")
    if image.format == "PNG":  # loading alone would skip the checksums of the pixel data
        Image.open(io.BytesIO(data), formats=("PNG",)).verify()
    image.load()
    return image


def _to_8_bits(image: Image.Image) -> Image.Image:
    """The image in mode L, RGB, RGBA or CMYK."""
    if image.mode.startswith("I"):  # grey of more than 8 bits, which Pillow does not scale
        bits, white_is_zero = 16, False
        if isinstance(image, TiffImagePlugin.TiffImageFile):
            bits = image.tag_v2[TiffImagePlugin.BITSPERSAMPLE][0]
            white_is_zero = image.tag_v2[TiffImagePlugin.PHOTOMETRIC_INTERPRETATION] == 0
        if bits != 16:
            raise UnreadableImageError(f"{bits}-bit grey samples are not supported; convert to 8 or 16 bits")
        samples = np.asarray(image).astype(np.float64) / 257
        grey = np.clip(np.rint(255 - samples if white_is_zero else samples), 0, 255)
        narrow = Image.fromarray(grey.astype(np.uint8))
        narrow.info["icc_profile"] = image.info.get("icc_profile")
        return narrow
    if image.mode == "F":
        raise UnreadableImageError("floating-point samples have no defined white; convert to 8 or 16 bits")
    if image.has_transparency_data:
        return image.convert("RGBA")
    if image.mode in ("L", "RGB", "CMYK"):
        return image
    return image.convert("L" if image.mode == "1" else "RGB")


def _to_srgb(image: Image.Image) -> Image.Image:
    """The image in mode L, RGB or RGBA, converted by its ICC profile if that is usable."""
    profile = image.info.get("icc_profile")
    if profile:
        alpha = image.getchannel("A") if image.mode == "RGBA" else None
        color = image.convert("RGB") if alpha else image
        transform = _profile_transform(profile, color.mode)
        if transform is not None:
            converted = ImageCms.applyTransform(color, transform)
            assert converted is not None
            if alpha:
                converted.putalpha(alpha)
            return converted
    return image.convert("RGB") if image.mode == "CMYK" else image


@lru_cache(maxsize=16)
def _profile_transform(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """Transform from an embedded profile to sRGB; None if it is sRGB already, damaged or of another mode."""
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if "sRGB" in (source.profile.profile_description or ""):
            return None
        return ImageCms.buildTransform(source, ImageCms.createProfile("sRGB"), mode, "RGB")
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return None


def _upright(image: Image.Image, loaded: Image.Image) -> Image.Image:
    """The image rotated by the loaded file's EXIF orientation; unrotated if that is damaged."""
    try:
        image.getexif()[ExifTags.Base.Orientation] = loaded.getexif().get(ExifTags.Base.Orientation, 1)
        return ImageOps.exif_transpose(image)
    except Exception:  # damaged metadata makes Pillow raise nearly anything
        return image
