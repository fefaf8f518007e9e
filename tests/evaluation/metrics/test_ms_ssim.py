"""MS-SSIM: closed forms, the scales by size, and diversity."""

import pytest
import torch
from torchmetrics.functional.image import multiscale_structural_similarity_index_measure

from evaluation.metrics.ms_ssim import exponents, pair_similarities
from tests.evaluation.pattern_images import pattern_images


def test_scales_fit_the_size() -> None:
    assert [len(exponents(side)) for side in (16, 32, 64, 128, 256, 1024)] == [1, 2, 3, 4, 5, 5]
    for side in (16, 64, 256):
        assert sum(exponents(side)) == pytest.approx(1)


@pytest.mark.parametrize("side", [16, 32, 64, 128, 256])
def test_constant_images_differ_only_in_luminance(side: int) -> None:
    """No contrast, so all terms but the coarsest scale's luminance are one: (2ab + c) / (a^2 + b^2 + c)."""
    a, b, c = 60.0, 180.0, (0.01 * 255) ** 2
    images = torch.tensor([a, b]).byte().view(2, 1, 1, 1).repeat(1, 3, side, side)
    luminance = (2 * a * b + c) / (a * a + b * b + c)
    assert pair_similarities(images).tolist() == pytest.approx([luminance ** exponents(side)[-1]], abs=1e-3)


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_an_image_is_similar_to_itself(channels: int) -> None:
    images = pattern_images(6, 0)[:, :1].repeat(1, channels, 1, 1).repeat_interleave(2, 0)
    assert pair_similarities(images).tolist() == pytest.approx([1.0] * 6, abs=1e-5)


def test_scales_are_those_of_the_shorter_side() -> None:
    images = pattern_images(4, 0, 64)
    for wide in (images[:, :, :32], images[..., :32]):
        similar = multiscale_structural_similarity_index_measure(
            wide[0::2].float(), wide[1::2].float(), data_range=255.0, betas=exponents(32), reduction="none"
        )
        assert pair_similarities(wide).tolist() == pytest.approx(similar.tolist(), abs=1e-5)


def test_five_scales_are_the_published_measure() -> None:
    images = pattern_images(4, 0, 256)
    published = multiscale_structural_similarity_index_measure(
        images[0::2].float(), images[1::2].float(), data_range=255.0, reduction="none"
    )
    assert pair_similarities(images).tolist() == pytest.approx(published.tolist(), abs=1e-3)


def test_pairs_are_neighbours() -> None:
    a, b, c = pattern_images(3, 0)
    first, second = pair_similarities(torch.stack([a, a, b, c])).tolist()
    assert first == pytest.approx(1, abs=1e-5)
    assert second < 0.9


def test_diversity_lowers_it() -> None:
    varied = pattern_images(200, 0)
    collapsed = varied[torch.randint(4, (200,), generator=torch.Generator().manual_seed(0))]
    assert pair_similarities(collapsed).mean() > pair_similarities(varied).mean() + 0.1
