"""`python -m models.sample`."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from models.architectures.msg_gan import MSGGenerator
from models.architectures.progan import ProGANGenerator
from models.checkpoint import save_generator
from models.sample import Arguments, main, parse_seeds, sample
from models.sampler import Sampler

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("model")
    generator = MSGGenerator(16, (8, 8, 8), latent_size=16)
    for key, parameter in generator.named_parameters():
        if key.endswith("bias"):  # without biases pixel norm would undo truncation
            torch.nn.init.normal_(parameter)
    save_generator(generator, folder, {})
    return folder


@pytest.mark.parametrize(
    ("text", "seeds"),
    [
        ("7", [7]),
        ("0-3", [0, 1, 2, 3]),
        ("3-3", [3]),
        ("0-1,20, 31", [0, 1, 20, 31]),
        ("4294967295", [2**32 - 1]),
    ],
)
def test_seeds(text: str, seeds: list[int]) -> None:
    assert parse_seeds(text) == seeds


@pytest.mark.parametrize(
    "text",
    ["", "a", "1-", "-1", "1,,2", "3-1", "1.5", "4294967296", "0-4294967295", "0-5000,0-5000", "²", "1-2-3"],
)
def test_bad_seeds(text: str) -> None:
    with pytest.raises(ValueError, match="--seeds"):
        parse_seeds(text)


def test_a_seed_gives_one_picture_in_a_grid_and_in_a_folder(model: Path, tmp_path: Path) -> None:
    sample(Arguments(model, "5-8", tmp_path / "grid.png", truncation=0.5))
    sample(Arguments(model, "8,5", tmp_path / "new" / "folder", truncation=0.5))
    grid = np.asarray(Image.open(tmp_path / "grid.png"))
    tiles = grid.reshape(2, 16, 2, 16, 3).swapaxes(1, 2).reshape(4, 16, 16, 3)
    for seed in (5, 8):
        alone = np.asarray(Image.open(tmp_path / "new" / "folder" / f"{seed}.png"))
        np.testing.assert_array_equal(alone, tiles[seed - 5])
    assert len(np.unique(tiles, axis=0)) == 4
    assert len(list((tmp_path / "new" / "folder").iterdir())) == 2


def test_resolution_and_truncation(model: Path, tmp_path: Path) -> None:
    options = Arguments(model, "1", tmp_path)
    found = []
    for change in ({}, {"resolution": 8}, {"truncation": 0.5}):
        sample(replace(options, **change))
        found.append(np.asarray(Image.open(tmp_path / "1.png")))
    assert [picture.shape[0] for picture in found] == [16, 8, 16]
    assert (found[0] != found[2]).any()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"truncation": 1.5}, "--truncation must be from 0 to 1"),
        ({"truncation": float("nan")}, "--truncation must be from 0 to 1"),
        ({"resolution": 32}, "--resolution 32: the model has 4, 8, 16"),
        ({"label": "cat"}, "there is no label 'cat': the model takes none"),
        ({"resolution": 0}, "--resolution 0: the model has 4, 8, 16"),
        ({"out": Path("grid.jpg")}, "must be a folder, or a file that ends in .png"),
        ({"out": Path("no/where/grid.png")}, "there is no folder no/where"),
        ({"out": ROOT / ".gitignore"}, "is a file"),
        ({"model": ROOT / "tests"}, "is neither a model"),
    ],
)
def test_bad_arguments(model: Path, tmp_path: Path, change: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        sample(replace(Arguments(model, "1", tmp_path / "grid.png"), **change))  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []


def test_a_label_is_chosen_by_name(tmp_path: Path) -> None:
    torch.manual_seed(0)
    generator = ProGANGenerator(8, (8, 8), latent_size=8, class_names=("cat", "dog"))
    save_generator(generator, tmp_path, {})
    found = {}
    for label in ("cat", "dog", None):
        sample(Arguments(tmp_path, "0", tmp_path / "picture.png", label=label))
        found[label] = np.asarray(Image.open(tmp_path / "picture.png"))
    assert (found["cat"] != found["dog"]).any()
    np.testing.assert_array_equal(found[None], found[Sampler(generator).label(0)])
    with pytest.raises(ValueError, match="there is no label 'fox'; the model has cat, dog"):
        sample(Arguments(tmp_path, "0", tmp_path / "picture.png", label="fox"))


def test_a_grid_beyond_memory_is_refused(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("models.sample.MAX_GRID", 3 * 16**2)
    with pytest.raises(ValueError, match="a grid holds at most 3 images"):
        sample(Arguments(model, "0-3", tmp_path / "grid.png"))


def test_the_command_line(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for folder, code in ((model, 0), (tmp_path, 2)):
        arguments = [str(folder), "--seeds", "0", "--out", str(tmp_path / "grid.png")]
        monkeypatch.setattr("sys.argv", ["sample.py", *arguments])
        assert main() == code
    assert Image.open(tmp_path / "grid.png").size == (16, 16)
    printed = capsys.readouterr()
    assert printed.out == f"a grid of 1 images is in {tmp_path / 'grid.png'}\n"
    assert printed.err.startswith(f"error: {tmp_path} is neither a model")
    assert printed.err.count("\n") == 1
