"""Baselines: fitted by the formulas, and evaluated as expected."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from common.images import to_uint8
from data_prep.store import PyramidDataset
from evaluation import baselines
from evaluation.baselines import PixelGaussian, fit
from evaluation.evaluate import evaluate
from evaluation.metrics.features import FeatureNetwork
from models.sampler import Sampler
from tests.evaluation.pattern_images import pattern_images
from tests.prepared import write_dataset

COUNT = 50


@pytest.fixture(scope="module")
def reals(tmp_path_factory: pytest.TempPathFactory) -> PyramidDataset:
    return PyramidDataset(
        write_dataset(tmp_path_factory.mktemp("data") / "patterns", pattern_images(COUNT, 0))
    )


@pytest.fixture(params=[2**20, 32 * 32 * 7])
def pixels_per_batch(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """All images in one batch, and in batches of which the last is smaller."""
    monkeypatch.setattr(baselines, "_PIXELS_PER_BATCH", request.param)


@pytest.mark.usefixtures("pixels_per_batch")
def test_moments_are_those_of_each_pixel(reals: PyramidDataset) -> None:
    values = reals.images(range(COUNT), 32).double() / 127.5 - 1
    fitted = fit("gaussian-pixel", reals)
    torch.testing.assert_close(fitted.mean.double(), values.mean(0), rtol=0, atol=1e-6)
    torch.testing.assert_close(fitted.deviation.double(), values.std(0, correction=0), rtol=0, atol=1e-6)


def test_the_mean_image_is_generated_for_every_seed(reals: PyramidDataset) -> None:
    images = Sampler(fit("mean-image", reals)).generate([0, 1, 2])
    mean = reals.images(range(COUNT), 32).double().mean(0)
    assert images.shape == (3, 3, 32, 32)
    assert (images.double() - mean).abs().max() <= 0.5 + 1e-4


def test_a_gaussian_for_every_value() -> None:
    mean = torch.tensor([0.0, 0.5, -0.25]).view(3, 1, 1).expand(3, 16, 16).clone()
    deviation = torch.tensor([0.05, 0.0, 0.1]).view(3, 1, 1).expand(3, 16, 16).clone()
    deviation[:, 0, 0] = 0
    generator = PixelGaussian(mean, deviation)
    z = generator.prior(2000, torch.Generator().manual_seed(0))
    images = generator(z)[-1]
    assert images[:, 1].unique().tolist() == [0.5]
    torch.testing.assert_close(images.mean(0), mean, rtol=0, atol=0.025)
    torch.testing.assert_close(images.std(0), deviation, rtol=0.15, atol=0)
    values = images[:, [0, 2]].flatten(1)[:, [1, 2, 257, 300]]  # two values of one channel, two of another
    assert (torch.corrcoef(values.T) - torch.eye(4)).abs().max() < 0.1
    torch.testing.assert_close(
        list(generator.stream(z, truncation=0.5))[-1] - mean, (images - mean) / 2, rtol=0, atol=1e-6
    )


def test_values_out_of_range_are_clipped() -> None:
    generator = PixelGaussian(torch.full((1, 16, 16), 0.9), torch.ones(1, 16, 16))
    images = generator(generator.prior(10, torch.Generator().manual_seed(0)))[-1]
    assert images.max() == 1
    assert images.min() >= -1
    assert to_uint8(images).max() == 255


def test_both_are_far_from_the_floor(reals: PyramidDataset, network_file: Callable[..., Path]) -> None:
    network = FeatureNetwork(network_file())
    mean = evaluate(fit("mean-image", reals), reals, 24, network)
    noise = evaluate(fit("gaussian-pixel", reals), reals, 24, network)
    assert mean["ms_ssim"]["generated"]["mean"] == pytest.approx(1, abs=1e-5)
    assert noise["ms_ssim"]["generated"]["mean"] < 0.5
    for result in (mean, noise):
        assert result["frechet_distance"]["generated"] > 3 * result["frechet_distance"]["real"]
        assert result["frechet_distance"]["real"] == mean["frechet_distance"]["real"]
