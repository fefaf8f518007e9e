"""The growth video: a frame for every snapshot, each its largest grid, bounded in number and size."""

from itertools import pairwise
from pathlib import Path

import pytest
import torch
from PIL import Image, ImageSequence

from common.images import grid, save_png
from training.monitoring import video
from training.monitoring.samples import SEEDS, seeds_at
from training.monitoring.video import SIDE, TILES, write_growth_video

COLOURS = [(250, 10, 10), (10, 250, 10), (10, 10, 250)]


def _snapshot(samples: Path, images: int, sides: tuple[int, ...], colour: tuple[int, ...]) -> None:
    """Grids of 36 pictures of one colour; the coarser ones, and pictures out of the video's corner, are grey."""
    folder = samples / f"{images:010d}"
    folder.mkdir(parents=True)
    for side in sides:
        pictures = torch.full((36, len(colour), side, side), 128, dtype=torch.uint8)
        if side == max(sides):
            for place in range(36):
                if place % 6 < TILES and place // 6 < TILES:
                    pictures[place] = torch.tensor(colour, dtype=torch.uint8)[:, None, None]
        save_png(grid(pictures), folder / f"{side:04d}.png")


def _read(path: Path) -> tuple[list[tuple[int, int, int]], list[int]]:
    """The one colour of each frame, and how long it is seen."""
    colours, durations = [], []
    with Image.open(path) as video:
        assert video.format == "GIF"
        assert video.size == (TILES * SIDE, TILES * SIDE)
        for aspect in ImageSequence.Iterator(video):
            found = aspect.convert("RGB").getcolors()
            assert found is not None
            assert len(found) == 1
            colours.append(found[0][1])
            durations.append(aspect.info["duration"])
    return colours, durations


def test_every_snapshot_is_a_frame_of_its_largest_grid(tmp_path: Path) -> None:
    for images, sides, colour in zip((0, 500, 12_000), ((4,), (4, 8), (4, 8, 256)), COLOURS, strict=True):
        _snapshot(tmp_path / "samples", images, sides, colour)
    assert write_growth_video(tmp_path / "samples", tmp_path / "growth.gif")
    colours, durations = _read(tmp_path / "growth.gif")
    assert colours == COLOURS
    assert durations[0] == durations[1] < durations[2]


@pytest.mark.parametrize(("colour", "seen"), [((40,), (40, 40, 40)), ((40, 50, 60, 255), (40, 50, 60))])
def test_grey_pictures_and_transparent_ones(
    tmp_path: Path, colour: tuple[int, ...], seen: tuple[int, ...]
) -> None:
    _snapshot(tmp_path / "samples", 0, (8,), tuple(255 for _ in colour))
    _snapshot(tmp_path / "samples", 1, (8,), colour)
    assert write_growth_video(tmp_path / "samples", tmp_path / "growth.gif")
    assert _read(tmp_path / "growth.gif")[0] == [(255, 255, 255), seen]


def test_pictures_that_are_not_square_keep_their_proportions(tmp_path: Path) -> None:
    for images, shade in enumerate((60, 200)):
        pictures = torch.full((36, 3, 24, 16), 128, dtype=torch.uint8)
        for place in range(36):
            if place % 6 < TILES and place // 6 < TILES:
                pictures[place] = shade
        (tmp_path / f"{images:010d}").mkdir()
        save_png(grid(pictures), tmp_path / f"{images:010d}" / "0016.png")
    assert write_growth_video(tmp_path, tmp_path / "growth.gif")
    with Image.open(tmp_path / "growth.gif") as found:
        assert found.size == (TILES * SIDE, TILES * SIDE * 3 // 2)
        colours = [aspect.convert("RGB").getcolors() for aspect in ImageSequence.Iterator(found)]
    assert [[colour for _, colour in aspect or []] for aspect in colours] == [[(60,) * 3], [(200,) * 3]]


def test_a_long_run_is_thinned_evenly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(video, "FRAMES", 8)
    count = 17
    for images in range(count):
        _snapshot(tmp_path / "samples", images, (4,), (images, images, 255 - images))
    assert write_growth_video(tmp_path / "samples", tmp_path / "growth.gif")
    seen = [colour[0] for colour in _read(tmp_path / "growth.gif")[0]]
    assert len(seen) == 8
    assert (seen[0], seen[-1]) == (0, count - 1)
    assert {later - earlier for earlier, later in pairwise(seen)} <= {2, 3}


def test_one_snapshot_makes_no_video(tmp_path: Path) -> None:
    assert not write_growth_video(tmp_path / "samples", tmp_path / "growth.gif")
    _snapshot(tmp_path / "samples", 0, (4,), COLOURS[0])
    (tmp_path / "samples" / "0000000500").mkdir()  # of a run that was killed before its first grid
    assert not write_growth_video(tmp_path / "samples", tmp_path / "growth.gif")
    assert not (tmp_path / "growth.gif").exists()


def test_it_is_bounded_in_bytes(tmp_path: Path) -> None:
    """Noise is the worst that can come."""
    rng = torch.Generator().manual_seed(0)
    for images in range(4):
        (tmp_path / f"{images:010d}").mkdir()
        noise = torch.randint(256, (3, 6 * SIDE, 6 * SIDE), generator=rng, dtype=torch.uint8)
        save_png(noise, tmp_path / f"{images:010d}" / f"{SIDE:04d}.png")
    assert write_growth_video(tmp_path, tmp_path / "growth.gif")
    assert (tmp_path / "growth.gif").stat().st_size < 4 * 1.4 * (TILES * SIDE) ** 2


def test_grids_of_large_pictures_hold_the_first_of_each_row() -> None:
    assert seeds_at(256) == list(SEEDS)
    assert seeds_at(512) == seeds_at(1024) == [0, 1, 2, 3, 6, 7, 8, 9, 12, 13, 14, 15, 18, 19, 20, 21]
