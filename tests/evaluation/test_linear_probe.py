"""`python -m evaluation.linear_probe`: a discriminator's features under a linear classifier."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from evaluation.linear_probe import (
    PooledFeatures,
    ProbeOptions,
    filter_grid,
    main,
    probe,
    top_activating_images,
)
from models.architectures.dcgan import DCGANDiscriminator
from models.discriminator_checkpoint import load_discriminator
from models.layers.normalization import spectral_norms
from tests.prepared import write_dataset
from tests.training.toy import RECIPE, state_of, trainer_of
from training.monitoring.options import MonitoringOptions
from training.recipes.dcgan import DCGANNetworks, DCGANRecipe
from training.recipes.pair import DiscriminatorOptions, PairOptions
from training.recipes.recipe import Recipe

TINY = DCGANRecipe(
    resolution=16,
    kimg=0.016,
    batch=8,
    monitoring=MonitoringOptions(snapshot_every=100, checkpoint_every=100),
    network=DCGANNetworks(widths=(8, 8), latent_size=8, norm_d="none"),
    pair=PairOptions(minibatch="discrimination"),
    discriminator=DiscriminatorOptions(spectral_norm=True),
)


def _stripes(count: int) -> tuple[Tensor, list[int]]:
    """Stripes of random phase, vertical (0) or horizontal (1): no single pixel tells which."""
    rng = torch.Generator().manual_seed(0)
    phases, labels = torch.rand(count, 1, 1, generator=rng), torch.randint(2, (count,), generator=rng)
    along = torch.arange(16).view(1, 1, 16).expand(count, 16, 16)
    waves = torch.sin((along / 4 + phases) * 2 * torch.pi)
    waves = torch.where(labels.view(-1, 1, 1) == 0, waves, waves.mT)
    return ((waves + 1) * 127).to(torch.uint8).unsqueeze(1).repeat(1, 3, 1, 1), labels.tolist()


def _run(folder: Path, recipe: Recipe) -> tuple[Path, Path]:
    data = write_dataset(folder / "data", *_stripes(120))
    trainer_of(folder / "run", data, recipe, "dcgan").run()
    return folder / "run", data


@pytest.fixture(scope="module")
def run_and_data(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return _run(tmp_path_factory.mktemp("probe"), TINY)


def _discriminator() -> DCGANDiscriminator:
    torch.manual_seed(0)
    return DCGANDiscriminator(16, (8, 6), norm="none")


def test_a_checkpoint_gives_back_its_discriminator(run_and_data: tuple[Path, Path]) -> None:
    network, checkpoint = load_discriminator(run_and_data[0])
    saved = state_of(checkpoint)
    assert network.settings() == DCGANDiscriminator(16, (8, 8), norm="none").settings()
    assert spectral_norms(network)
    for name, value in network.state_dict().items():
        assert torch.equal(value, saved[f"d.network.discriminator.{name}"])


def test_features_of_every_level_are_pooled_to_the_coarsest() -> None:
    network, images = _discriminator(), torch.randn(3, 3, 16, 16)
    fine, coarse = network.levels(images)
    assert (fine.shape, coarse.shape) == ((3, 6, 8, 8), (3, 8, 4, 4))
    expected = torch.cat([F.max_pool2d(fine, 2).flatten(1), coarse.flatten(1)], dim=1)
    assert torch.equal(PooledFeatures(network)(images), expected)
    assert torch.equal(network([images]).features, coarse.flatten(1))


def test_filters_are_scaled_by_their_largest_weight() -> None:
    image = filter_grid(_discriminator())
    assert image.shape == (3, 2 * 34, 3 * 34)
    assert {0, 255} & set(image.flatten().tolist())


def test_the_images_that_activate_a_unit_most_come_first() -> None:
    network = _discriminator()
    images = torch.randint(256, (12, 3, 16, 16), dtype=torch.uint8)
    rows = top_activating_images(network, images).view(3, 8, 16, 8, 16).permute(1, 3, 0, 2, 4)
    highest = list(network.levels(images / 127.5 - 1))[-1].amax((2, 3))
    found = set()
    for row in rows:
        order = [next(i for i in range(12) if torch.equal(images[i], image)) for image in row]
        (unit,) = [u for u in range(8) if highest[:, u].argsort(descending=True)[:8].tolist() == order]
        found.add(unit)
    assert found == set(range(8))


def test_features_separate_what_pixels_do_not(run_and_data: tuple[Path, Path], tmp_path: Path) -> None:
    run, data = run_and_data
    result = probe(ProbeOptions(run, data, out=tmp_path / "out"))
    assert result == json.loads((tmp_path / "out" / "linear_probe.json").read_text())
    assert result["discriminator"]["accuracy"] > 0.9
    assert result["pixels"]["accuracy"] < 0.8
    assert result["discriminator"]["features"] == 2 * 8 * 16
    assert result["pixels"]["features"] == 3 * 16 * 16
    assert result["untrained"]["features"] == result["discriminator"]["features"]
    assert 0.3 < result["most_common_label"]["accuracy"] < 0.7
    assert result["protocol"]["training_images"] == 3 * result["protocol"]["held_out_images"] == 90
    for name in ("filters", "units"):
        assert np.asarray(Image.open(tmp_path / "out" / f"{name}.png")).std() > 1


def test_the_command(
    run_and_data: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run, data = run_and_data
    for path, code in ((run, 0), (data, 2)):
        monkeypatch.setattr("sys.argv", ["linear_probe", str(path), "--data", str(data), "--images", "40"])
        assert main() == code
    captured = capsys.readouterr()
    assert captured.out.startswith("discriminator")
    assert captured.out.splitlines()[-1].startswith(f"written to {run / 'linear_probe'}")
    assert "is not a training run with a checkpoint" in captured.err
    assert {path.name for path in (run / "linear_probe").iterdir()} == {
        "linear_probe.json",
        "filters.png",
        "units.png",
    }


def test_runs_and_data_that_do_not_fit_are_refused(run_and_data: tuple[Path, Path], tmp_path: Path) -> None:
    run, data = run_and_data
    with pytest.raises(ValueError, match="ten images and two labels"):
        probe(ProbeOptions(run, data, images=8))
    gray = write_dataset(tmp_path / "gray", _stripes(20)[0][:, :1], _stripes(20)[1])
    with pytest.raises(ValueError, match="takes images of channels, height and width"):
        probe(ProbeOptions(run, gray))
    unlabelled = write_dataset(tmp_path / "unlabelled", _stripes(20)[0])
    with pytest.raises(ValueError, match="has no labels"):
        probe(ProbeOptions(run, unlabelled))
    (tmp_path / "msg").mkdir()
    other, _ = _run(tmp_path / "msg", replace(RECIPE, kimg=0.016))
    with pytest.raises(ValueError, match=r"has no discriminator\.json"):
        load_discriminator(other)
