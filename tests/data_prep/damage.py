"""Image files of all the kinds that turn up: odd ones that a viewer shows, and broken ones."""

import io
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, TiffImagePlugin

Outcome = Literal["kept", "quarantined", "either"]


@dataclass(frozen=True)
class Case:
    """A file, and what must become of it."""

    name: str
    data: bytes
    outcome: Outcome
    grey: bool = False  # kept, but without colour
    tolerance: float = 2.0  # mean difference from the picture it was made of


def save(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)  # type: ignore[arg-type]
    return buffer.getvalue()


def png(samples: NDArray[np.uint8] | NDArray[np.uint16], size: tuple[int, int] | None = None) -> bytes:
    """A PNG of (H, W) grey or (H, W, 3) colour samples of 8 or 16 bits, written by hand.

    `size` lies about width and height.
    """
    height, width = samples.shape[:2]
    rows = samples.astype(samples.dtype.newbyteorder(">")).reshape(height, -1)
    packed = zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows))
    header = struct.pack(
        ">IIBBBBB",
        *(size or (width, height)),
        samples.dtype.itemsize * 8,
        2 if samples.ndim == 3 else 0,
        0,
        0,
        0,
    )
    chunks = [(b"IHDR", header), (b"IDAT", packed), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )


def turned(image: Image.Image, orientation: int) -> Image.Image:
    """The image as a camera stores it that notes this EXIF orientation."""
    back = Image.Transpose
    moves = {
        2: back.FLIP_LEFT_RIGHT,
        3: back.ROTATE_180,
        4: back.FLIP_TOP_BOTTOM,
        5: back.TRANSPOSE,
        6: back.ROTATE_90,
        7: back.TRANSVERSE,
        8: back.ROTATE_270,
    }
    return image.transpose(moves[orientation]) if orientation in moves else image


def exif(orientation: int) -> bytes:
    tags = Image.Exif()
    tags[0x112] = orientation
    return tags.tobytes()


def linear_profile() -> bytes:
    """An ICC display profile with sRGB's primaries and a linear response (ICC.1:2001-04)."""

    def fixed(*values: float) -> bytes:
        return b"".join(struct.pack(">i", round(value * 65536)) for value in values)

    def xyz(*values: float) -> bytes:
        return b"XYZ \0\0\0\0" + fixed(*values)

    name = b"linear test profile\0"
    tags = {
        b"desc": b"desc\0\0\0\0" + struct.pack(">I", len(name)) + name + b"\0" * 79,
        b"wtpt": xyz(0.9642, 1.0, 0.8249),
        b"rXYZ": xyz(0.4361, 0.2225, 0.0139),
        b"gXYZ": xyz(0.3851, 0.7169, 0.0971),
        b"bXYZ": xyz(0.1431, 0.0606, 0.7141),
        b"rTRC": b"curv\0\0\0\0\0\0\0\0",
        b"gTRC": b"curv\0\0\0\0\0\0\0\0",
        b"bTRC": b"curv\0\0\0\0\0\0\0\0",
        b"cprt": b"text\0\0\0\0none\0",
    }
    table, body, start = b"", b"", 128 + 4 + 12 * len(tags)
    for tag, data in tags.items():
        table += tag + struct.pack(">II", start + len(body), len(data))
        body += data + b"\0" * (-len(data) % 4)
    header = struct.pack(">I4sI4s4s4s", start + len(body), b"none", 0x02100000, b"mntr", b"RGB ", b"XYZ ")
    header += struct.pack(">6H4s", 2020, 1, 1, 0, 0, 0, b"acsp") + b"\0" * 28 + fixed(0.9642, 1.0, 0.8249)
    return header.ljust(128, b"\0") + struct.pack(">I", len(tags)) + table + body


def grey16(image: Image.Image) -> NDArray[np.uint16]:
    return np.asarray(image.convert("L")).astype(np.uint16) * 257


def tiff16(image: Image.Image, order: str, white_is_zero: bool = False) -> bytes:
    samples = grey16(image)
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    data = save(Image.fromarray(65535 - samples if white_is_zero else samples), "TIFF", tiffinfo=tags)
    if order == ">":
        big = Image.frombytes("I;16B", image.size, samples.astype(">u2").tobytes())
        data = save(big, "TIFF")
    if white_is_zero:  # set the tag PhotometricInterpretation (262), a short, to 0
        entry = struct.pack("<HHI", 262, 3, 1)
        assert data.count(entry) == 1
        at = data.index(entry) + len(entry)
        data = data[:at] + b"\0\0" + data[at + 2 :]
    return data


def shown(picture: Image.Image) -> list[Case]:
    """Files that a viewer shows like `picture` (RGB)."""
    jpeg = save(picture, "JPEG", quality=95, subsampling=0)
    plain = save(picture, "PNG")
    opaque = picture.convert("RGBA")
    palette = picture.quantize(256)
    clear_corner = np.asarray(opaque).copy()
    clear_corner[np.asarray(picture).sum(2) > 740] = 0  # where nearly white, transparent black
    cases = [
        Case("plain.jpg", jpeg, "kept"),
        Case("upper.JPEG", jpeg, "kept"),
        Case("plain.png", plain, "kept"),
        Case("png_named.jpg", plain, "kept"),
        Case("jpeg_named.png", jpeg, "kept"),
        Case("webp_named.jpg", save(picture, "WEBP", lossless=True), "kept"),
        Case("bmp_named.tiff", save(picture, "BMP"), "kept"),
        Case("gif_named.jpeg", save(palette, "GIF"), "kept", tolerance=5),
        Case("tiff_named.webp", save(picture, "TIFF"), "kept"),
        Case("avif.avif", save(picture, "AVIF", quality=95), "kept", tolerance=3),
        Case("jpeg2000.jp2", save(picture, "JPEG2000"), "kept"),
        Case("portable.ppm", save(picture, "PPM"), "kept"),
        Case("progressive.jpg", save(picture, "JPEG", quality=95, progressive=True), "kept"),
        Case("cmyk.jpg", save(picture.convert("CMYK"), "JPEG", quality=95), "kept"),
        Case("cmyk.tif", save(picture.convert("CMYK"), "TIFF"), "kept"),
        Case("ycbcr.tif", save(picture.convert("YCbCr"), "TIFF", compression="tiff_adobe_deflate"), "kept"),
        Case("grey.jpg", save(picture.convert("L"), "JPEG", quality=95), "kept", grey=True),
        Case("grey16.png", png(grey16(picture)), "kept", grey=True),
        Case("grey16.tif", tiff16(picture, "<"), "kept", grey=True),
        Case("grey16_big_endian.tif", tiff16(picture, ">"), "kept", grey=True),
        Case("grey16_white_is_zero.tif", tiff16(picture, "<", white_is_zero=True), "kept", grey=True),
        Case(
            "grey16.pgm",
            b"P5 %d %d 65535\n" % picture.size + grey16(picture).astype(">u2").tobytes(),
            "kept",
            grey=True,
        ),
        Case("colour16.png", png(np.asarray(picture).astype(np.uint16) * 257), "kept"),
        Case("palette.png", save(palette, "PNG"), "kept", tolerance=5),
        Case("alpha.png", save(opaque, "PNG"), "kept"),
        Case("clear_parts.png", save(Image.fromarray(clear_corner), "PNG"), "kept"),
        Case("grey_alpha.png", save(picture.convert("LA"), "PNG"), "kept", grey=True),
        Case("alpha.webp", save(opaque, "WEBP", lossless=True), "kept"),
        Case(
            "animated.gif",
            save(palette, "GIF", save_all=True, append_images=[palette.rotate(90)]),
            "kept",
            tolerance=5,
        ),
        Case(
            "animated.webp",
            save(picture, "WEBP", save_all=True, append_images=[picture.rotate(90)], lossless=True),
            "kept",
        ),
        Case(
            "broken_exif.jpg",
            save(picture, "JPEG", quality=95, exif=b"Exif\0\0MM\0*\0\0\xff\xff\xff\xff"),
            "kept",
        ),
        Case("broken_profile.png", save(picture, "PNG", icc_profile=b"no profile"), "kept"),
        Case("sub/dir/same_name.jpg", jpeg, "kept"),
        Case("sub/other/same_name.jpg", jpeg, "kept"),
        Case("junk_after_end.jpg", jpeg + b"junk" * 100, "kept"),
    ]
    for orientation in range(1, 9):
        lying = turned(picture, orientation)
        note = exif(orientation)
        cases += [
            Case(f"orientation_{orientation}.jpg", save(lying, "JPEG", quality=95, exif=note), "kept"),
            Case(f"orientation_{orientation}.png", save(lying, "PNG", exif=note), "kept"),
        ]
    cases += [
        Case("orientation_6.tif", save(turned(picture, 6), "TIFF", exif=exif(6)), "kept"),
        Case("orientation_8.webp", save(turned(picture, 8), "WEBP", lossless=True, exif=exif(8)), "kept"),
        Case("orientation_6_alpha.png", save(turned(opaque, 6), "PNG", exif=exif(6)), "kept"),
        Case(
            "orientation_6_cmyk.jpg",
            save(turned(picture.convert("CMYK"), 6), "JPEG", quality=95, exif=exif(6)),
            "kept",
        ),
    ]
    return cases


def broken(picture: Image.Image, random: np.random.Generator) -> list[Case]:
    """Files that no viewer shows, or shows in part."""
    jpeg, plain = save(picture, "JPEG", quality=90), save(picture, "PNG")
    makers: dict[str, Callable[[], bytes]] = {
        "jpg": lambda: jpeg,
        "png": lambda: plain,
        "webp": lambda: save(picture, "WEBP", quality=90),
        "gif": lambda: save(picture.quantize(64), "GIF"),
        "bmp": lambda: save(picture, "BMP"),
        "tif": lambda: save(picture, "TIFF", compression="tiff_lzw"),
    }
    cases = [
        Case("empty.jpg", b"", "quarantined"),
        Case("empty.png", b"", "quarantined"),
        Case("text.jpg", b"this is no image\n" * 50, "quarantined"),
        Case("page.png", b"<html><body>404</body></html>", "quarantined"),
        Case("zeros.jpg", bytes(5000), "quarantined"),
        Case("noise.webp", random.bytes(5000), "quarantined"),
        Case("phone.heic", b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + random.bytes(2000), "quarantined"),
        Case("float.tif", save(Image.fromarray(np.ones((64, 64), np.float32)), "TIFF"), "quarantined"),
        Case("int32.tif", save(Image.fromarray(np.ones((64, 64), np.int32)), "TIFF"), "quarantined"),
        Case("bomb.png", save(Image.new("1", (20000, 20000)), "PNG"), "quarantined"),
        Case("bomb_by_header.png", png(np.zeros((4, 4), np.uint8), size=(2**30, 2**30)), "quarantined"),
        Case(
            "bomb.gif",
            b"GIF89a\xff\xff\xff\xff\0\0\0,\0\0\0\0\xff\xff\xff\xff\0\x02\x02L\x01\0;",
            "quarantined",
        ),
        Case("wider_by_header.png", png(np.zeros((64, 64), np.uint8), size=(64, 6400)), "either"),
    ]
    for kind, make in makers.items():
        data = make()
        for percent in (1, 10, 50, 90):
            outcome: Outcome = "either" if kind in ("gif", "webp", "tif") and percent == 90 else "quarantined"
            cases.append(Case(f"truncated_{percent}.{kind}", data[: len(data) * percent // 100], outcome))
    for number in range(12):
        flipped = bytearray(jpeg)
        for at in random.integers(20, len(jpeg), 1 + number):
            flipped[at] ^= 1 << random.integers(8)
        cases.append(Case(f"flipped_{number}.jpg", bytes(flipped), "either"))
    for number in range(8):
        flipped = bytearray(plain)
        flipped[random.integers(len(plain) - 12)] ^= 1 << random.integers(8)
        cases.append(Case(f"flipped_{number}.png", bytes(flipped), "quarantined"))
    return cases
