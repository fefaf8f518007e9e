"""Pictures that are not square, from their data set through training to what is shown of them."""

from pathlib import Path

import pytest
import torch
from PIL import Image
from torch.nn import functional as F

from common.images import grid, save_png
from models.checkpoint import load_generator
from models.sampler import Sampler
from tests.prepared import write_dataset
from tests.training.toy import metrics, shapes, trainer_of
from training.export import export
from training.monitoring.tracking import _grid_name
from training.recipes.msg_gan import MSGRecipe
from training.recipes.recipe import with_settings


def _data(folder: Path, size: tuple[int, int], channels: int = 3) -> Path:
    images = F.interpolate(shapes(40, 32).float(), size).round().byte()[:, [0, 1, 2, 0][:channels]]
    return write_dataset(folder, images)


@pytest.mark.parametrize(("channels", "size"), [(1, (16, 20)), (4, (24, 16))])
def test_what_is_shown_of_a_run(tmp_path: Path, channels: int, size: tuple[int, int]) -> None:
    height, width = size
    data = _data(tmp_path / "data", size, channels)
    recipe = with_settings(
        MSGRecipe(resolution=16, kimg=0.008, batch=4),
        widths=(4, 4, 4),
        latent_size=4,
        augment=("translation", "cutout"),
    )
    assert trainer_of(tmp_path / "run", data, recipe).run()
    assert metrics(tmp_path / "run")[-1]["diversity"] > 0
    grids = sorted((tmp_path / "run" / "samples").glob("*/*.png"))
    assert len(grids) == 6
    for path, scale in zip(grids, (4, 2, 1) * 2, strict=True):
        with Image.open(path) as grid:
            assert grid.size == (6 * width // scale, 6 * height // scale)
            assert len(grid.getbands()) == channels
    with Image.open(tmp_path / "run" / "growth.gif") as write_video:
        assert write_video.width * height == write_video.height * width
    export(tmp_path / "run", tmp_path / "model")
    assert (
        f"of {height}x{width} images with {channels} channels"
        in (tmp_path / "model" / "README.md").read_text()
    )
    assert Sampler(load_generator(tmp_path / "model")).generate([0]).shape == (1, channels, *size)


def test_grids_are_logged_by_the_size_of_their_pictures(tmp_path: Path) -> None:
    save_png(grid(torch.zeros(36, 3, 16, 20, dtype=torch.uint8)), tmp_path / "0016.png")
    assert _grid_name(tmp_path / "0016.png", 16) == "samples/16x20"


def test_too_small_a_data_set_is_told_in_its_proportions(tmp_path: Path) -> None:
    data = _data(tmp_path / "data", (16, 24))
    with pytest.raises(
        ValueError, match="goes up to 16x24, the recipe to 32x48: prepare it with --size 32x48"
    ):
        trainer_of(tmp_path / "run", data, MSGRecipe(32, kimg=1, batch=4))
