import contextlib
import warnings
from pathlib import Path

import numpy as np
import pytest
from damage import Case, broken, exif, linear_profile, png, save, shown, turned
from numpy.typing import NDArray
from PIL import Image

from data_prep import decode
from data_prep.decode import UnreadableImageError

RANDOM = np.random.default_rng(5)


def picture() -> Image.Image:
    """Smooth colours, dark to white, without any symmetry."""
    row, column = np.mgrid[:88, :72] / 88
    parts = (column, row * 0.9 + 0.1, 0.5 + 0.5 * np.sin(5 * row * column))
    image = np.stack([np.clip(part * 255, 0, 255) for part in parts], axis=-1).astype(np.uint8)
    image[:20, :15] = 255
    return Image.fromarray(image)


def grey_of(pixels: NDArray[np.uint8]) -> NDArray[np.float64]:
    return np.repeat((pixels @ np.array([0.299, 0.587, 0.114]))[:, :, None], 3, axis=2)


@pytest.mark.parametrize("case", shown(picture()), ids=lambda case: case.name)
def test_what_a_viewer_shows_is_decoded_as_shown(case: Case) -> None:
    expected = np.asarray(picture()).astype(float)
    pixels = decode.decode(case.data, 3)
    assert pixels.dtype == np.uint8
    assert pixels.shape == expected.shape
    if case.grey:
        expected = grey_of(np.asarray(picture()))
    assert np.abs(pixels - expected).mean() < case.tolerance


@pytest.mark.parametrize("case", broken(picture(), np.random.default_rng(1)), ids=lambda case: case.name)
def test_what_is_broken_has_a_reason(case: Case) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        if case.outcome == "quarantined":
            with pytest.raises(UnreadableImageError, match=r"\w+ \w+"):
                decode.decode(case.data, 3)
        else:
            with contextlib.suppress(UnreadableImageError):
                assert decode.decode(case.data, 3).shape[2] == 3


def test_reasons_name_the_fault() -> None:
    reasons = {}
    for case in broken(picture(), np.random.default_rng(1)):
        if case.outcome == "quarantined":
            with pytest.raises(UnreadableImageError) as caught:
                decode.decode(case.data, 3)
            reasons[case.name] = str(caught.value)
    assert reasons["empty.jpg"] == "the file is empty"
    assert "not an image" in reasons["text.jpg"]
    assert "truncated" in reasons["truncated_50.jpg"]
    assert "20000 x 20000 is more than" in reasons["bomb.png"] or "more than" in reasons["bomb.png"]
    assert "floating-point" in reasons["float.tif"]
    assert "32-bit" in reasons["int32.tif"]


def test_every_flipped_bit_of_a_png_is_noticed() -> None:
    data = save(picture(), "PNG")
    for at in RANDOM.integers(len(data) - 12, size=60):
        flipped = bytearray(data)
        flipped[at] ^= 1 << int(RANDOM.integers(8))
        with pytest.raises(UnreadableImageError):
            decode.decode(bytes(flipped), 3)


def test_sixteen_bits_are_scaled_not_clipped() -> None:
    samples = np.array([[0, 128, 257, 25700, 40000, 65535]], np.uint16)
    assert decode.decode(png(samples), 1)[0, :, 0].tolist() == [0, 0, 1, 100, 156, 255]


def test_transparency_is_laid_over_white_or_kept() -> None:
    image = Image.new("RGBA", (4, 4), (200, 0, 0, 102))
    data = save(image, "PNG")
    assert decode.decode(data, 3)[0, 0].tolist() == [233, 153, 153]
    assert decode.decode(data, 4)[0, 0].tolist() == [200, 0, 0, 102]
    assert decode.decode(data, 1)[0, 0].tolist() == [round(0.299 * 233 + 0.587 * 153 + 0.114 * 153)]
    assert decode.decode(save(Image.new("RGB", (4, 4), (9, 8, 7)), "PNG"), 4)[0, 0].tolist() == [9, 8, 7, 255]


@pytest.mark.parametrize("mode", ["L", "RGB", "P"])
def test_a_transparent_key_colour_is_transparent(mode: str) -> None:
    image = Image.new("RGB", (4, 4), (0, 0, 0))
    image.paste((255, 255, 255), (0, 0, 2, 4))
    image = image.convert(mode)
    key = image.getpixel((3, 3))
    pixels = decode.decode(save(image, "PNG", transparency=key), 4)
    assert pixels[0, 0].tolist() == [255, 255, 255, 255]
    assert pixels[3, 3, 3] == 0


def test_an_embedded_profile_is_applied() -> None:
    linear = np.array([[0, 10, 55, 128, 200, 255]], np.uint8)
    image = Image.fromarray(np.repeat(linear[:, :, None], 3, axis=2))
    light = linear[0] / 255
    srgb = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055) * 255
    for kind, options in (("PNG", {}), ("TIFF", {})):
        pixels = decode.decode(save(image, kind, icc_profile=linear_profile(), **options), 3)
        assert np.abs(pixels[0, :, 1] - srgb).max() <= 1
    with_alpha = image.convert("RGBA")
    with_alpha.putalpha(77)
    pixels = decode.decode(save(with_alpha, "PNG", icc_profile=linear_profile()), 4)
    assert np.abs(pixels[0, :, 2] - srgb).max() <= 1
    assert (pixels[:, :, 3] == 77).all()


def test_sixteen_bits_keep_their_orientation() -> None:
    upright = np.arange(6, dtype=np.uint16).reshape(2, 3) * 10000
    stored = Image.fromarray(np.rot90(upright).copy())  # as a camera notes orientation 6
    assert turned(Image.fromarray(upright.astype(np.uint8)), 6).size == stored.size
    for kind in ("PNG", "TIFF"):
        pixels = decode.decode(save(stored, kind, exif=exif(6)), 1)
        assert np.array_equal(pixels[:, :, 0], np.rint(upright / 257).astype(np.uint8))


def test_found_in_the_wild(shared: Path) -> None:
    with pytest.raises(UnreadableImageError, match="truncated"):
        decode.decode((shared / "damaged" / "truncated.jpg").read_bytes(), 3)
