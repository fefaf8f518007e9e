import math

import numpy as np
import pytest
import torch

from data_prep import crop
from data_prep.crop import Square, center_square, crop_and_resize

RANDOM = np.random.default_rng(0)


def test_a_square_of_its_own_size_is_copied() -> None:
    photo = RANDOM.integers(0, 256, (50, 70, 3), np.uint8)
    image = crop_and_resize(photo, Square(40, 25, 32), 32)
    assert torch.equal(image, torch.from_numpy(photo[9:41, 24:56]).permute(2, 0, 1))


@pytest.mark.parametrize(
    ("aspect", "rows", "columns"), [((4, 6), (9, 41), (16, 64)), ((8, 4), (4, 68), (24, 56))]
)
def test_a_rectangle_goes_as_far_beyond_its_square_on_either_side(
    aspect: tuple[int, int], rows: tuple[int, int], columns: tuple[int, int]
) -> None:
    photo = RANDOM.integers(0, 256, (80, 70, 3), np.uint8)
    middle = Square(40, 25 if aspect[0] == 4 else 36, 32)
    image = crop_and_resize(photo, middle, 32, aspect)
    assert torch.equal(image, torch.from_numpy(photo[slice(*rows), slice(*columns)]).permute(2, 0, 1))


def test_a_turned_rectangle_is_the_rectangle_of_the_turned_photo() -> None:
    photo = RANDOM.integers(0, 256, (48, 32, 1), np.uint8)
    image = crop_and_resize(photo, Square(16, 24, 32, math.pi / 2), 32, (4, 6))
    assert np.array_equal(image[0], np.rot90(photo[:, :, 0]))


@pytest.mark.parametrize(
    ("aspect", "side"), [((4, 4), 40), ((4, 6), 40), ((4, 8), 32), ((6, 4), 40 / 1.5), ((4, 16), 16)]
)
def test_the_middle_is_as_large_as_the_photo_allows(aspect: tuple[int, int], side: float) -> None:
    square = center_square(64, 40, aspect)
    assert (square.x, square.y) == (32, 20)
    assert square.side == pytest.approx(side)


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_quarter_turns_are_exact(turns: int) -> None:
    photo = RANDOM.integers(0, 256, (32, 32, 1), np.uint8)
    image = crop_and_resize(photo, Square(16, 16, 32, turns * math.pi / 2), 32)
    assert np.array_equal(image[0], np.rot90(photo[:, :, 0], turns))  # the photo turns against the square


def test_whole_factors_are_means_over_blocks() -> None:
    photo = RANDOM.integers(0, 256, (64, 64, 3), np.uint8)
    expected = photo.reshape(16, 4, 16, 4, 3).astype(float).mean(axis=(1, 3))
    image = crop_and_resize(photo, center_square(64, 64), 16)
    assert np.abs(image.permute(1, 2, 0).numpy() - expected).max() <= 0.51


@pytest.mark.parametrize("angle", [0.0, 0.3, -1.1, 2.6])
@pytest.mark.parametrize("side", [32.0, 75.4, 131.0])
def test_a_ramp_stays_the_ramp_at_the_right_place(angle: float, side: float) -> None:
    row, column = np.mgrid[:240, :240]
    photo = (column * 0.6 + row * 0.4).round().astype(np.uint8)[:, :, None]
    square = Square(118.3, 121.8, side, angle)
    offset = ((np.arange(32) + 0.5) / 32 - 0.5) * side
    x = square.x + math.cos(angle) * offset[None] - math.sin(angle) * offset[:, None]
    y = square.y + math.sin(angle) * offset[None] + math.cos(angle) * offset[:, None]
    expected = (x - 0.5) * 0.6 + (y - 0.5) * 0.4  # the middle of pixel i is at i + 0.5
    assert np.abs(crop_and_resize(photo, square, 32)[0].numpy() - expected).max() < 1.01


@pytest.mark.parametrize(("angle", "side"), [(0.0, 64.0), (0.0, 128.0), (0.5, 128.0), (0.8, 190.0)])
def test_the_finest_checkerboard_becomes_grey(angle: float, side: float) -> None:
    photo = ((np.indices((300, 300)).sum(0) % 2) * 255).astype(np.uint8)[:, :, None]
    image = crop_and_resize(photo, Square(150, 150, side, angle), 32).float()
    assert (image - 127.5).abs().max() < 16
    assert image.mean() == pytest.approx(127.5, abs=1)


def test_fine_detail_is_damped_as_a_mean_over_the_pixel_damps_it() -> None:
    frequency, scale = 0.37, 6  # 2.2 cycles per output pixel: taking single pixels would alias all of it
    wave = 127.5 + 127 * np.cos(2 * np.pi * frequency * np.arange(320))
    photo = np.broadcast_to(wave.round().astype(np.uint8)[None, :, None], (320, 320, 1)).copy()
    damping = abs(math.sin(math.pi * frequency * scale) / (scale * math.sin(math.pi * frequency)))
    image = crop_and_resize(photo, Square(160, 160, 32 * scale), 32).numpy()
    assert image.std() / photo[::scale, ::scale].std() == pytest.approx(damping, abs=0.01)
    assert damping < 0.12


def test_beyond_the_border_the_photo_is_mirrored() -> None:
    photo = RANDOM.integers(0, 256, (40, 40, 3), np.uint8)
    image = crop_and_resize(photo, Square(0, 40, 32), 32)
    assert torch.equal(image, image.flip(2))
    assert torch.equal(image, image.flip(1))
    assert torch.equal(image[:, :16, 16:], torch.from_numpy(photo[24:, :16]).permute(2, 0, 1))


def test_a_square_far_larger_than_the_photo_still_works() -> None:
    photo = np.full((8, 8, 3), 77, np.uint8)
    image = crop_and_resize(photo, Square(4, 4, 100, 0.7), 16)
    assert torch.equal(image, torch.full_like(image, 77))


def test_strips_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    photo = RANDOM.integers(0, 256, (200, 180, 3), np.uint8)
    square = Square(90.2, 95.7, 140, 0.4)
    whole = crop_and_resize(photo, square, 32)
    monkeypatch.setattr(crop, "STRIP_SAMPLES", 1000)
    assert (crop_and_resize(photo, square, 32).int() - whole.int()).abs().max() <= 1  # float rounding alone


def test_transparent_pixels_lend_no_colour() -> None:
    photo = np.zeros((32, 32, 4), np.uint8)
    photo[:, ::2] = (255, 0, 0, 0)
    photo[:, 1::2] = (0, 0, 200, 255)
    image = crop_and_resize(photo, center_square(32, 32), 16)
    assert (torch.tensor([0, 0, 200]) == image[:3].reshape(3, -1).T).all()
    assert ((image[3].float() - 127.5).abs() <= 0.5).all()
