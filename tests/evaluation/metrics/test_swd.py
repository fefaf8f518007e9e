"""Sliced Wasserstein distance: closed forms, and how degraded images change it at each level."""

import numpy as np
import pytest
import torch
from torch import Tensor

from evaluation.metrics import swd
from evaluation.metrics.swd import Patches, level_sizes, sliced_wasserstein
from tests.evaluation.pattern_images import blurred, pattern_images


def gather(images: Tensor, seed: int) -> Patches:
    patches = Patches(min(images.shape[2:]), images.shape[1], np.random.default_rng(seed))
    for part in images.split(50):
        patches.add(part)
    return patches


def distance(a: Tensor, b: Tensor, seed_b: int = 1) -> dict[int, float]:
    return sliced_wasserstein(gather(a, 0), gather(b, seed_b), np.random.default_rng(2))


def noisy(images: Tensor, sd: float) -> Tensor:
    noise = torch.randn(images.shape, generator=torch.Generator().manual_seed(0)) * sd
    return (images + noise).round().clamp(0, 255).byte()


def soft(images: Tensor, sigma: float) -> Tensor:
    return blurred(images.float(), sigma).round().byte()


def test_levels_go_down_to_16() -> None:
    assert level_sizes(16) == (16,)
    assert level_sizes(128) == (128, 64, 32, 16)


def test_same_images_and_patches_have_distance_zero() -> None:
    images = pattern_images(40, 0)
    assert distance(images, images, seed_b=0) == {32: 0.0, 16: 0.0}


def test_patches_cover_images_that_are_not_square() -> None:
    """The mean over all patches is that of a gradient along the whole longer side."""
    ramp = torch.arange(64).view(1, 1, 1, 64).expand(30, 1, 16, 64).byte() * 3
    for images in (ramp, ramp.mT):
        patches = gather(images, 0)
        (sums,) = patches._sums / (patches.images * swd.PATCHES * swd.SIDE**2)
        assert sums[0].item() == pytest.approx(94.5, abs=2)
        assert list(distance(images, images.flip(2, 3))) == [16]


def test_contrast_and_brightness_are_normalized_away() -> None:
    images = pattern_images(40, 0) // 4 * 2
    assert distance(images, images // 2, seed_b=0)[16] == pytest.approx(0, abs=1e-3)
    rounding = 2  # of half precision, which is coarser for brighter images; the floor here is 60
    assert distance(images, images + 100, seed_b=0)[16] == pytest.approx(0, abs=rounding)


def test_distance_of_white_noise_from_constant_images_is_that_of_two_gaussians() -> None:
    """A projection of normalized white noise is N(0, 1), of constant images of random gray N(0, (sum of d)^2).

    Their Wasserstein distance is |1 - |sum of d|| sqrt(2 / pi).
    """
    rng = np.random.default_rng(3)
    noise = torch.from_numpy(rng.normal(128, 30, (800, 1, 16, 16))).round().clamp(0, 255).byte()
    flat = torch.from_numpy(rng.normal(128, 30, (800, 1, 1, 1))).round().clamp(0, 255).byte()
    directions = rng.standard_normal((100_000, 49))
    sums = (directions / np.linalg.norm(directions, axis=1, keepdims=True)).sum(1)
    expected = 1000 * np.sqrt(2 / np.pi) * np.abs(1 - np.abs(sums)).mean()
    assert distance(noise, flat.expand(-1, 1, 16, 16))[16] == pytest.approx(expected, rel=0.12)


def test_projections_are_those_of_normalized_patches() -> None:
    """Compare with the definition; at 16x16 the only level is the image itself."""
    patches = Patches(16, 3, np.random.default_rng(0))
    images = pattern_images(30, 0, 16)
    patches.add(images)
    places = np.random.default_rng(0).integers(10, size=(2, 30, swd.PATCHES))
    cut = np.stack(
        [
            images[n, :, y : y + 7, x : x + 7].numpy().astype(float)
            for n in range(30)
            for y, x in zip(places[0, n], places[1, n], strict=True)
        ]
    )
    cut = (cut - cut.mean((0, 2, 3), keepdims=True)) / cut.std((0, 2, 3), keepdims=True)
    directions = np.random.default_rng(1).standard_normal((5, 147))
    expected = np.sort(directions @ cut.reshape(len(cut), 147).T, axis=1)
    np.testing.assert_allclose(patches.projections(0, directions), expected, atol=2e-3)


def test_distance_grows_with_blur_and_noise() -> None:
    real, other = pattern_images(80, 0), pattern_images(80, 1)
    floor = distance(real, other)
    blurs = [distance(real, soft(other, sigma)) for sigma in (0.5, 1.0, 2.0)]
    noises = [distance(real, noisy(other, sd)) for sd in (10, 20, 40)]
    for degraded in (blurs, noises):
        distances = [floor[32], *(levels[32] for levels in degraded)]
        assert distances == sorted(distances)
        assert distances[-1] > 3 * distances[0]
    fine, coarse = (noises[1][size] - floor[size] for size in (32, 16))
    assert fine > 2 * coarse, "uncorrelated noise is mostly in the finest level"


def test_lost_modes_are_detected() -> None:
    real, other = pattern_images(80, 0), pattern_images(80, 1)
    few = other[:4].repeat(20, 1, 1, 1)
    assert distance(real, few)[16] > 2 * distance(real, other)[16]


def test_memory_bound_does_not_change_the_distance(monkeypatch: pytest.MonkeyPatch) -> None:
    a, b = gather(pattern_images(20, 0), 0), gather(pattern_images(20, 1), 1)
    whole = sliced_wasserstein(a, b, np.random.default_rng(2))
    monkeypatch.setattr(swd, "_PROJECTIONS_PER_CHUNK", 100_000)
    monkeypatch.setattr(swd, "_PATCHES_PER_CHUNK", 700)
    assert sliced_wasserstein(a, b, np.random.default_rng(2)) == pytest.approx(whole, rel=1e-5)


def test_images_beyond_the_limit_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(swd, "MAX_IMAGES", 60)
    assert gather(pattern_images(130, 0), 0).images == 60


@pytest.mark.parametrize("channels", [1, 4])
def test_gray_and_alpha(channels: int) -> None:
    """A constant channel (full alpha) neither divides by zero nor adds to the distance."""
    a, b = (pattern_images(40, seed)[:, :1].repeat(1, channels, 1, 1) for seed in (0, 1))
    if channels == 4:
        a[:, 3], b[:, 3] = 255, 255
    levels = distance(a, b)
    assert all(0 < level < 200 for level in levels.values())
