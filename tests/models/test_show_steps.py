"""`python -m models.show_steps`: the last column is what `models.sample` draws, the others lead to it."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from models import show_steps
from models.architectures.draw import DRAWGenerator
from models.architectures.gran import GRANGenerator
from models.architectures.lapgan import LAPGANGenerator
from models.checkpoint import save_generator
from models.generator import Generator
from models.sampler import Sampler
from models.show_steps import Arguments, main, sheet, write_sheet


def _draw() -> Generator:
    generator = DRAWGenerator(8, steps=3, latent_size=4, hidden=6, write=3)
    torch.nn.init.normal_(generator.write.weight, std=9)
    return generator


def _gran() -> Generator:
    generator = GRANGenerator(8, (6,), steps=4, latent_size=3, image_channels=3)
    generator.refresh_statistics()
    return generator


MADE = {
    "draw": (_draw, 3),
    "gran": (_gran, 4),
    "lapgan": (lambda: LAPGANGenerator(16, base=4, widths=(8, 8, 8)), 3),
}


@pytest.mark.parametrize("name", MADE)
def test_a_line_ends_with_the_picture_that_is_drawn(name: str) -> None:
    torch.manual_seed(0)
    make, columns = MADE[name]
    sampler = Sampler(make())
    found = sheet(sampler, [5, 2])
    side = sampler.generator.resolutions[-1]
    assert found.shape == (sampler.generator.image_channels, 2 * side, columns * side)
    tiles = found.unfold(1, side, side).unfold(2, side, side)  # (C, 2, columns, side, side)
    for line, seed in enumerate((5, 2)):
        assert torch.equal(tiles[:, line, -1], sampler.generate([seed])[0])
        assert not torch.equal(tiles[:, line, -2], tiles[:, line, -1])


def test_coarse_pictures_are_enlarged_pixel_by_pixel() -> None:
    torch.manual_seed(0)
    sampler = Sampler(LAPGANGenerator(16, base=4, widths=(8, 8, 8)))
    first = sheet(sampler, [3])[:, :, :16]
    coarse = sampler.generate([3], 4)[0]
    assert torch.equal(first, coarse.repeat_interleave(4, 1).repeat_interleave(4, 2))


def test_the_command_writes_a_sheet(tmp_path: Path) -> None:
    torch.manual_seed(0)
    (tmp_path / "model").mkdir()
    save_generator(_draw(), tmp_path / "model", {})
    write_sheet(Arguments(tmp_path / "model", "0-3", tmp_path / "steps.png"))
    assert np.asarray(Image.open(tmp_path / "steps.png")).shape == (32, 24)


def test_bad_arguments_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    (tmp_path / "model").mkdir()
    save_generator(_draw(), tmp_path / "model", {})
    for out in ("steps.jpg", "nowhere/steps.png"):
        with pytest.raises(ValueError, match=r"must be a file that ends in \.png, in a folder that exists"):
            write_sheet(Arguments(tmp_path / "model", "0", tmp_path / out))
    monkeypatch.setattr(show_steps, "MAX_GRID", 500)
    arguments = [str(tmp_path / "model"), "--seeds", "0-8", "--out", str(tmp_path / "steps.png")]
    monkeypatch.setattr("sys.argv", ["steps", *arguments])
    assert main() == 2
    assert "a sheet holds at most 2 seeds of this model, not 9" in capsys.readouterr().err
    assert not (tmp_path / "steps.png").exists()
