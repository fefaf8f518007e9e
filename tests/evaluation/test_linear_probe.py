"""`python -m evaluation.metrics.features`: a discriminator's features under a linear classifier."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from evaluation.linear_probe import Arguments, PooledFeatures, filters, main, most_exciting, probe
from models.architectures.dcgan import DCGANDiscriminator
from models.discriminator_checkpoint import load_discriminator
from models.layers.normalization import spectral_norms
from tests.prepared import write_dataset
from tests.training.toy import RECIPE, state_of, trainer_of
from training.recipes.dcgan import DCGANRecipe
from training.recipes.recipe import Recipe

TINY = DCGANRecipe(
    resolution=16,
    kimg=0.016,
    batch=8,
    widths=(8, 8),
    latent_size=8,
    norm_d="none",
    minibatch="discrimination",
    spectral=True,
    snapshot_every=100,
    checkpoint_every=100,
)


def _stripes(count: int) -> tuple[Tensor, list[int]]:
    """Stripes of any phase, upright (0) or level (1): no pixel by itself says which."""
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
        assert torch.equal(value, saved[f"d.network.judge.{name}"])


def test_features_of_every_level_are_pooled_to_the_coarsest() -> None:
    network, images = _discriminator(), torch.randn(3, 3, 16, 16)
    fine, coarse = network.levels(images)
    assert (fine.shape, coarse.shape) == ((3, 6, 8, 8), (3, 8, 4, 4))
    expected = torch.cat([F.max_pool2d(fine, 2).flatten(1), coarse.flatten(1)], dim=1)
    assert torch.equal(PooledFeatures(network)(images), expected)
    assert torch.equal(network([images]).features, coarse.flatten(1))


def test_filters_are_drawn_in_their_own_range() -> None:
    picture = filters(_discriminator())
    assert picture.shape == (3, 2 * 34, 3 * 34)
    assert {0, 255} & set(picture.flatten().tolist())


def test_the_most_exciting_pictures_come_first() -> None:
    network = _discriminator()
    pictures = torch.randint(256, (12, 3, 16, 16), dtype=torch.uint8)
    rows = most_exciting(network, pictures).view(3, 8, 16, 8, 16).permute(1, 3, 0, 2, 4)
    highest = list(network.levels(pictures / 127.5 - 1))[-1].amax((2, 3))
    found = set()
    for row in rows:
        order = [next(i for i in range(12) if torch.equal(pictures[i], picture)) for picture in row]
        (unit,) = [u for u in range(8) if highest[:, u].argsort(descending=True)[:8].tolist() == order]
        found.add(unit)
    assert found == set(range(8))


def test_features_tell_what_pixels_do_not(run_and_data: tuple[Path, Path], tmp_path: Path) -> None:
    run, data = run_and_data
    result = probe(Arguments(run, data, out=tmp_path / "out"))
    assert result == json.loads((tmp_path / "out" / "features.json").read_text())
    assert result["discriminator"]["accuracy"] > 0.9
    assert result["pixels"]["accuracy"] < 0.8
    assert result["discriminator"]["features"] == 2 * 8 * 16
    assert result["pixels"]["features"] == 3 * 16 * 16
    assert result["untrained"]["features"] == result["discriminator"]["features"]
    assert 0.3 < result["commonest_label"]["accuracy"] < 0.7
    assert result["protocol"]["training_pictures"] == 3 * result["protocol"]["held_out_pictures"] == 90
    for name in ("filters", "units"):
        assert np.asarray(Image.open(tmp_path / "out" / f"{name}.png")).std() > 1


def test_the_command(
    run_and_data: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run, data = run_and_data
    for path, code in ((run, 0), (data, 2)):
        monkeypatch.setattr("sys.argv", ["features", str(path), "--data", str(data), "--images", "40"])
        assert main() == code
    said = capsys.readouterr()
    assert said.out.startswith("discriminator")
    assert "is not a training run with a checkpoint" in said.err
    assert {path.name for path in (run / "features").iterdir()} == {
        "features.json",
        "filters.png",
        "units.png",
    }


def test_what_cannot_be_is_refused(run_and_data: tuple[Path, Path], tmp_path: Path) -> None:
    run, data = run_and_data
    with pytest.raises(ValueError, match="ten pictures and two labels"):
        probe(Arguments(run, data, images=8))
    grey = write_dataset(tmp_path / "grey", _stripes(20)[0][:, :1], _stripes(20)[1])
    with pytest.raises(ValueError, match="takes pictures of channels, height and width"):
        probe(Arguments(run, grey))
    unlabelled = write_dataset(tmp_path / "unlabelled", _stripes(20)[0])
    with pytest.raises(ValueError, match="has no labels"):
        probe(Arguments(run, unlabelled))
    (tmp_path / "msg").mkdir()
    other, _ = _run(tmp_path / "msg", replace(RECIPE, kimg=0.016))
    with pytest.raises(ValueError, match=r"has no discriminator\.json"):
        load_discriminator(other)
