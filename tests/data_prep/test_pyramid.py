from itertools import pairwise

import pytest
import torch

from common.aspect import size_at, size_text
from data_prep import pyramid


def test_sizes() -> None:
    assert pyramid.level_sizes(64) == (4, 8, 16, 32, 64)
    assert pyramid.level_sizes(1024) == (4, 8, 16, 32, 64, 128, 256, 512, 1024)


@pytest.mark.parametrize("size", [0, -8, 4, 63, 96])
def test_size_that_is_no_power_of_two_is_refused(size: int) -> None:
    with pytest.raises(ValueError, match=f"size {size} "):
        pyramid.level_sizes(size)


@pytest.mark.parametrize(
    ("text", "size", "aspect"),
    [
        ("64", 64, (4, 4)),
        ("64x64", 64, (4, 4)),
        ("64x96", 64, (4, 6)),
        ("96X64", 64, (6, 4)),
        ("1024x4096", 1024, (4, 16)),
        ("40x32", 32, (5, 4)),
    ],
)
def test_a_size_is_its_shorter_side_and_its_proportions(text: str, size: int, aspect: pyramid.Aspect) -> None:
    assert pyramid.parse_size(text) == (size, aspect)
    sizes = [size_at(level, aspect) for level in pyramid.level_sizes(size)]
    assert sizes[0] == aspect
    assert all((2 * a, 2 * b) == finer for (a, b), finer in pairwise(sizes))
    assert size_text(2 * size, (4, 5)) == f"{2 * size}x{5 * size // 2}"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "neither a side"),
        ("64x", "neither a side"),
        ("64x64x64", "neither a side"),
        ("-64x96", "neither a side"),
        ("63x96", "size 63 is not a power of two"),
        ("64x100", "a multiple of 16, at most 256: take 96 or 112"),
        ("512x64", "a multiple of 16, at most 256: take 256$"),
    ],
)
def test_a_size_that_does_not_halve_is_refused(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        pyramid.parse_size(text)


@pytest.mark.parametrize("size", [8, 16, 64])
def test_constants_stay(size: int) -> None:
    grey = torch.full((1, 2, size, size), 93.0)
    torch.testing.assert_close(pyramid.down(grey), torch.full((1, 2, size // 2, size // 2), 93.0))
    torch.testing.assert_close(pyramid.up(grey), torch.full((1, 2, size * 2, size * 2), 93.0))


def test_down_weighs_by_the_binomial_filter_and_the_pair_mean() -> None:
    # [1 4 6 4 1] / 16 followed by the mean of two neighbours.
    weights = torch.tensor([1, 5, 10, 10, 5, 1]) / 32
    for column in range(6, 12):
        line = torch.zeros(1, 1, 16, 16)
        line[..., column] = 1
        offset = column - 6  # pixel 4 of the half-size row covers columns 8 and 9, and sees 6 to 11
        torch.testing.assert_close(pyramid.down(line)[0, 0, 4, 4], weights[offset])


def test_no_level_is_shifted() -> None:
    images = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    for change in (pyramid.down, pyramid.up):
        torch.testing.assert_close(change(images.flip(2, 3)), change(images).flip(2, 3))
    ramp = torch.arange(64.0).expand(1, 1, 64, 64)  # pixel i is at i + 0.5
    torch.testing.assert_close(pyramid.down(ramp)[0, 0, 9, 4:28], 2 * torch.arange(4.0, 28) + 0.5)
    torch.testing.assert_close(pyramid.up(ramp)[0, 0, 9, 8:120], torch.arange(8.0, 120) / 2 - 0.25)


def test_laplacian_gives_the_image_back() -> None:
    images = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    base, bands = pyramid.laplacian(images, 5)
    assert base.shape == (2, 3, 4, 4)
    assert [band.shape[-1] for band in bands] == [64, 32, 16, 8]
    torch.testing.assert_close(pyramid.reconstruct(base, bands), images)


def test_bands_of_a_smooth_image_are_small_and_of_noise_are_not() -> None:
    smooth = torch.linspace(0, 1, 64).expand(1, 1, 64, 64)
    noise = torch.rand(1, 1, 64, 64, generator=torch.Generator().manual_seed(2))
    smooth_band, noise_band = (
        pyramid.laplacian(image, 2)[1][0][..., 8:-8, 8:-8] for image in (smooth, noise)
    )
    assert smooth_band.abs().max() < 1e-5
    assert noise_band.std() > 0.2
