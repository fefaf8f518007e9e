import csv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from data_prep import cat_align, portrait, sources
from data_prep.synthesize import Sample, draw_one, synthesize


def run(folder: Path, count: int, seed: int, workers: int = 2) -> None:
    synthesize(Sample(folder, count, 96, seed), workers)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def test_a_seed_is_a_sample_whatever_the_workers_and_the_count(tmp_path: Path) -> None:
    run(tmp_path / "one", 6, seed=1, workers=1)
    run(tmp_path / "three", 6, seed=1, workers=3)
    run(tmp_path / "more", 8, seed=1)
    run(tmp_path / "other", 6, seed=2)
    one, three, more, other = (contents(tmp_path / name) for name in ("one", "three", "more", "other"))
    assert one == three
    pictures = {name for name in one if name.startswith("CAT_00/")}
    assert all(more[name] == one[name] for name in pictures)
    assert len(more) == len(one) + 4
    assert all(other[name] != one[name] for name in pictures if name.endswith(".jpg"))


def test_it_is_the_cat_layout_with_labels_and_says_what_it_is(portraits: Path) -> None:
    found = sources.find(portraits)
    assert [photo.name for photo in found.photos] == [f"CAT_00/{index:08d}_000.jpg" for index in range(12)]
    assert not found.orphans
    for photo in found.photos:
        cat_align.parse(sources.annotation_path(photo.path).read_bytes())
        assert Image.open(photo.path).size == (160, 160)
    rows = list(csv.DictReader((portraits / "labels.csv").open()))
    assert [row["path"] for row in rows] == [photo.name for photo in found.photos]
    assert {row["coat"] for row in rows} <= set(portrait.COATS)
    assert "drawings" in (portraits / "README.txt").read_text()


def test_all_coats_are_drawn_about_equally_often() -> None:
    coats = [draw_one(index, 64, 0).coat for index in range(200)]
    assert all(20 <= coats.count(coat) <= 65 for coat in portrait.COATS)


@pytest.mark.parametrize("index", range(8))
def test_annotations_are_true(index: int) -> None:
    """Where the annotation has the eyes there are pupils: a dark spot beside a much lighter iris."""
    drawn = portrait.draw(np.random.default_rng([4, index]), 400)
    grey = drawn.pixels.astype(float).mean(axis=2)
    (left_x, left_y), (right_x, right_y) = drawn.points[:2]
    assert left_x < right_x
    for x, y in ((left_x, left_y), (right_x, right_y)):
        around = grey[y - 10 : y + 11, x - 14 : x + 15]
        assert grey[y - 1 : y + 2, x - 3 : x + 4].min() < 40
        assert around.max() > 80
    annotation = cat_align.parse(
        b"9 " + " ".join(str(part) for point in drawn.points for part in point).encode()
    )
    square = cat_align.face_square(annotation, 400, 400)
    assert 0.36 * 400 < square.side < 0.56 * 400
    assert abs(np.degrees(square.angle)) < 50
    # The tips of the ears lie above the eyes, the mouth below, in the frame of the face.
    cos, sin = np.cos(square.angle), np.sin(square.angle)
    heights = [
        (cos * (y + 0.5 - square.y) - sin * (x + 0.5 - square.x)) / square.side for x, y in drawn.points
    ]
    assert heights[0] == pytest.approx(-0.1, abs=0.02)
    assert heights[2] == pytest.approx(0.245, abs=0.08)
    assert max(heights[4], heights[7]) < -0.6


def test_edges_are_antialiased_the_same_at_every_size() -> None:
    """A portrait drawn small is the large one reduced, but for its grain of noise."""
    small = portrait.draw(np.random.default_rng([0, 6]), 128).pixels.astype(float)
    large = portrait.draw(np.random.default_rng([0, 6]), 512).pixels.astype(float)
    reduced = large.reshape(128, 4, 128, 4, 3).mean((1, 3))
    assert np.abs(small - reduced).mean() < 4


@pytest.mark.parametrize(
    ("count", "size", "seed", "message"),
    [
        (0, 512, 0, "--count 0"),
        (10**6, 512, 0, "--count"),
        (5, 8, 0, "--size 8"),
        (5, 9999, 0, "--size"),
        (5, 64, -1, "--seed"),
    ],
)
def test_impossible_samples_are_refused(
    tmp_path: Path, count: int, size: int, seed: int, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        Sample(tmp_path / "new", count, size, seed)


def test_stopped_it_leaves_nothing(tmp_path: Path) -> None:
    class StopError(Exception):
        pass

    def stop(name: str, total: int) -> object:
        raise StopError

    with pytest.raises(StopError):
        synthesize(Sample(tmp_path / "new", 3, 64, 0), 1, stop)  # type: ignore[arg-type]
    assert not list(tmp_path.iterdir())


def test_a_folder_with_something_in_it_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(ValueError, match="not an empty folder"):
        Sample(tmp_path, 3, 64, 0)
