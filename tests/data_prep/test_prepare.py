import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from damage import broken, save, shown
from PIL import Image

from data_prep import cat_align, decode, pyramid, sources
from data_prep import prepare as module
from data_prep.crop import center_square, crop_and_resize
from data_prep.prepare import Recipe, claim, prepare
from data_prep.report import Report
from data_prep.store import PyramidDataset


def run(source: sources.Source | Path, destination: Path, recipe: Recipe, workers: int = 2) -> Report:
    found = sources.find(source) if isinstance(source, Path) else source
    claim(destination, replace=False)
    return prepare(found, destination, recipe, workers)


def outcomes(folder: Path) -> dict[str, dict[str, str]]:
    return {item["path"]: item for item in json.loads((folder / "report.json").read_text())["items"]}


def test_what_is_stored_is_the_crop_and_its_pyramid(tmp_path: Path, portraits: Path) -> None:
    report = run(portraits, tmp_path / "set", Recipe(32, "cat"))
    assert report.counts == {"found": 12, "kept": 12, "filtered": 0, "quarantined": 0}
    dataset = PyramidDataset(tmp_path / "set")
    dataset.verify()
    for index in (0, 11):
        photo = portraits / dataset.source_paths([index])[0]
        annotation = cat_align.parse(sources.annotation_path(photo).read_bytes())
        image = crop_and_resize(
            decode.decode(photo.read_bytes(), 3), cat_align.face_square(annotation, 160, 160), 32
        )
        assert torch.equal(dataset.images([index], 32)[0], image)
        for level in pyramid.gaussian(image[None].float(), 4):
            assert torch.equal(dataset.images([index], level.shape[-1]), level.round().byte())


@pytest.mark.parametrize(("size", "aspect", "channels"), [((16, 24), (4, 6), 4), ((24, 16), (6, 4), 1)])
def test_other_proportions(
    tmp_path: Path, size: tuple[int, int], aspect: tuple[int, int], channels: decode.Channels
) -> None:
    photo = np.random.default_rng(2).integers(0, 256, (96, 120, 3), np.uint8)
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "noise.png").write_bytes(save(Image.fromarray(photo), "PNG"))
    run(tmp_path / "photos", tmp_path / "set", Recipe(16, channels=channels, aspect=aspect))
    dataset = PyramidDataset(tmp_path / "set")
    assert (dataset.size, dataset.aspect, dataset.levels) == (16, aspect, (4, 8, 16))
    assert dataset.images([0], 4).shape == (1, channels, *aspect)
    image = dataset.images([0], 16)
    pixels = decode.decode((tmp_path / "photos" / "noise.png").read_bytes(), channels)
    assert image.shape == (1, channels, *size)
    assert torch.equal(image[0], crop_and_resize(pixels, center_square(120, 96, aspect), 16, aspect))
    assert torch.equal(dataset.images([0], 8), pyramid.gaussian(image.float(), 2)[1].round().byte())
    assert pyramid.reconstruct(*dataset.bands(0)).round().byte().equal(image)
    page = (tmp_path / "set" / "report.html").read_text()
    assert f"1 pictures of {size[0]} &times; {size[1]}" in page
    assert f"aspect-ratio: {size[1]} / {size[0]};" in page


def test_a_wide_crop_keeps_the_face_where_it_was_and_shows_more_beside_it(
    tmp_path: Path, portraits: Path
) -> None:
    run(portraits, tmp_path / "wide", Recipe(16, "cat", aspect=(4, 6)))
    run(portraits, tmp_path / "square", Recipe(16, "cat"))
    wide, square = (PyramidDataset(tmp_path / name) for name in ("wide", "square"))
    assert len(wide) == len(square) == 12
    gap = wide.images(range(12), 16)[..., 4:20].int() - square.images(range(12), 16).int()
    assert gap.abs().max() <= 1


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_a_plain_folder_keeps_the_middle(tmp_path: Path, channels: decode.Channels) -> None:
    photo = np.random.default_rng(2).integers(0, 256, (40, 64, 3), np.uint8)
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "noise.png").write_bytes(save(Image.fromarray(photo), "PNG"))
    run(tmp_path / "photos", tmp_path / "set", Recipe(16, channels=channels))
    expected = crop_and_resize(
        decode.decode((tmp_path / "photos" / "noise.png").read_bytes(), channels), center_square(64, 40), 16
    )
    dataset = PyramidDataset(tmp_path / "set")
    assert dataset.channels == channels
    assert torch.equal(dataset.images([0], 16)[0], expected)
    if channels == 3:
        middle = photo[:, 12:52].astype(float).mean((0, 1))
        assert np.abs(expected.float().mean((1, 2)).numpy() - middle).max() < 1


def test_the_result_does_not_depend_on_the_workers(tmp_path: Path, portraits: Path) -> None:
    for workers in (1, 3):
        run(portraits, tmp_path / str(workers), Recipe(32, "cat"), workers)
    names = sorted(file.name for file in (tmp_path / "1").iterdir())
    assert names == ["README.md", "data-00000.arrow", "manifest.json", "report.html", "report.json"]
    for name in names:
        assert (tmp_path / "1" / name).read_bytes() == (tmp_path / "3" / name).read_bytes()


def test_labels_follow_their_photos(tmp_path: Path, portraits: Path) -> None:
    found = sources.find(portraits)
    found.photos = sources.label_by_file(found.photos, portraits / "labels.csv")
    run(found, tmp_path / "set", Recipe(32, "cat", labeled=True))
    dataset = PyramidDataset(tmp_path / "set")
    names = [dataset.label_names[label] for label in dataset.labels(range(len(dataset))).tolist()]
    paths = dataset.source_paths(range(len(dataset)))
    lines = [f"{path},{name}" for path, name in zip(paths, names, strict=True)]
    assert lines == (portraits / "labels.csv").read_text().splitlines()[1:]
    assert list(dataset.label_names) == sorted(set(names))


def test_a_photo_without_label_is_set_aside(tmp_path: Path, portraits: Path) -> None:
    folder = tmp_path / "photos"
    shutil.copytree(portraits / "CAT_00", folder / "tabby")
    shutil.copy(next((portraits / "CAT_00").glob("*.jpg")), folder / "loose.jpg")
    found = sources.find(folder)
    found.photos = sources.label_by_folder(found.photos)
    run(found, tmp_path / "set", Recipe(32, labeled=True))
    assert outcomes(tmp_path / "set")["loose.jpg"]["reason"] == "it has no label"
    assert PyramidDataset(tmp_path / "set").label_names == ("tabby",)


def test_a_hundred_damaged_files_are_all_accounted_for(tmp_path: Path, portraits: Path) -> None:
    picture = Image.open(portraits / "CAT_00" / "00000000_000.jpg").convert("RGB").crop((10, 0, 154, 120))
    cases = [*shown(picture), *broken(picture, np.random.default_rng(11))]
    assert len(cases) >= 100
    folder = tmp_path / "photos"
    for case in cases:
        (folder / case.name).parent.mkdir(parents=True, exist_ok=True)
        (folder / case.name).write_bytes(case.data)
    report = run(folder, tmp_path / "set", Recipe(64))

    found = outcomes(tmp_path / "set")
    assert set(found) == {case.name for case in cases}
    for case in cases:
        outcome, reason = found[case.name]["outcome"], found[case.name]["reason"]
        assert outcome == case.outcome or (case.outcome == "either" and outcome in ("kept", "quarantined")), (
            case.name
        )
        assert bool(reason) == (outcome != "kept")
    counts = report.counts
    assert counts["found"] == len(cases) == counts["kept"] + counts["filtered"] + counts["quarantined"]

    dataset = PyramidDataset(tmp_path / "set")
    images = dict(
        zip(dataset.source_paths(range(len(dataset))), dataset.images(range(len(dataset)), 64), strict=True)
    )
    colour = images["plain.png"].float()
    grey = (
        (colour * torch.tensor([0.299, 0.587, 0.114])[:, None, None]).sum(0, keepdim=True).expand(3, -1, -1)
    )
    for case in shown(picture):
        error = (images[case.name].float() - (grey if case.grey else colour)).abs().mean()
        assert error < case.tolerance, case.name


def test_each_refusal_has_its_reason(tmp_path: Path, portraits: Path) -> None:
    folder = tmp_path / "photos"
    shutil.copytree(portraits / "CAT_00", folder)
    photos = sorted(folder.glob("*.jpg"))
    sources.annotation_path(photos[0]).unlink()
    sources.annotation_path(photos[1]).write_text("278 256 66 61")
    photos[2].write_bytes(photos[2].read_bytes()[:3000])
    Image.open(photos[3]).resize((40, 40)).save(photos[3])
    eyes = 20, 20, 26, 20, 23, 24, 15, 15, 14, 8, 18, 12, 28, 12, 32, 8, 31, 15
    sources.annotation_path(photos[3]).write_text("9 " + " ".join(map(str, eyes)))
    photos[4].unlink()
    (folder / "<script>.jpg").touch()
    report = run(folder, tmp_path / "set", Recipe(32, "cat"))
    assert report.counts == {"found": 12, "kept": 7, "filtered": 1, "quarantined": 4}
    found = outcomes(tmp_path / "set")
    assert "there is no annotation 00000000_000.jpg.cat" in found[photos[0].name]["reason"]
    assert "holds 4 numbers" in found[photos[1].name]["reason"]
    assert "truncated" in found[photos[2].name]["reason"]
    assert found[photos[3].name] == {
        "path": photos[3].name,
        "outcome": "filtered",
        "reason": "too small: its crop has 16.0 pixels per side, the data set has 32",
    }
    assert json.loads((tmp_path / "set" / "report.json").read_text())["annotations_without_photo"] == [
        "00000004_000.jpg.cat"
    ]
    page = (tmp_path / "set" / "report.html").read_text()
    assert "&lt;script&gt;.jpg" in page
    assert "<script>" not in page
    assert page.count("data:image/png;base64,") == 7
    assert all(item["reason"].split(":")[0] in page for item in found.values())


def test_nothing_kept_is_a_report_but_no_data_set(tmp_path: Path, portraits: Path) -> None:
    report = run(portraits, tmp_path / "set", Recipe(256, "cat"))
    assert report.counts == {"found": 12, "kept": 0, "filtered": 12, "quarantined": 0}
    assert (tmp_path / "set" / "report.html").exists()
    with pytest.raises(ValueError, match="did not finish"):
        PyramidDataset(tmp_path / "set")


def test_stopped_at_any_step_nothing_is_taken_for_whole(
    tmp_path: Path, portraits: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = 0

    def stop_at(last: int, move: Callable[[Path, Path], Path]) -> Callable[[Path, Path], Path]:
        def step(self: Path, target: Path) -> Path:
            nonlocal steps
            steps += 1
            if steps == last:
                raise KeyboardInterrupt
            return move(self, target)

        return step

    found = sources.find(portraits)
    for last in range(2, 20):  # the first step marks the folder as unfinished
        steps, destination = 0, tmp_path / str(last)
        monkeypatch.setattr(Path, "rename", stop_at(last, Path.rename))  # shards
        monkeypatch.setattr(Path, "replace", stop_at(last, Path.replace))  # all other files
        try:
            run(found, destination, Recipe(32, "cat"))
        except KeyboardInterrupt:
            monkeypatch.undo()
            with pytest.raises(ValueError, match="did not finish: run it again with --replace"):
                PyramidDataset(destination)
            claim(destination, replace=True)
            assert [file.name for file in destination.iterdir()] == ["UNFINISHED"]
        else:
            monkeypatch.undo()
            break
    assert last > 5  # two reports, a shard, the card and the manifest
    PyramidDataset(destination).verify()


def test_killed_in_the_middle_it_is_unfinished_and_can_be_replaced(tmp_path: Path) -> None:
    photos, destination = tmp_path / "photos", tmp_path / "set"
    photos.mkdir()
    noise = save(Image.fromarray(np.random.default_rng(0).integers(0, 256, (600, 600, 3), np.uint8)), "PNG")
    for number in range(300):
        (photos / f"{number:03d}.png").write_bytes(noise)
    command = [sys.executable, "-m", "data_prep", "prepare", str(photos), str(destination), "--size", "256"]
    child = subprocess.Popen(
        [*command, "--workers", "2"],
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 60
    while not any(file.stat().st_size > 1_000_000 for file in destination.glob("*.part")):
        assert child.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    with pytest.raises(ValueError, match="did not finish: run it again with --replace"):
        PyramidDataset(destination)
    deadline = time.monotonic() + 20
    while _is_group(child.pid):  # its workers end with it
        assert time.monotonic() < deadline
        time.sleep(0.05)
    with pytest.raises(ValueError, match="unfinished preparation: add --replace"):
        claim(destination, replace=False)
    claim(destination, replace=True)
    found = sources.Source(sources.find(photos).photos[:3])
    prepare(found, destination, Recipe(256), 2)
    assert len(PyramidDataset(destination)) == 3


def _is_group(number: int) -> bool:
    try:
        os.killpg(number, 0)
    except ProcessLookupError:
        return False
    return True


def test_only_an_unfinished_preparation_is_replaced(tmp_path: Path, portraits: Path) -> None:
    run(portraits, tmp_path / "set", Recipe(32, "cat"))
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.tex").touch()
    for folder in ("set", "other"):
        before = sorted((tmp_path / folder).iterdir())
        for replace in (False, True):
            with pytest.raises(ValueError, match="is not empty: choose another folder, or remove it"):
                claim(tmp_path / folder, replace)
        assert sorted((tmp_path / folder).iterdir()) == before
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match="is a file"):
        claim(tmp_path / "file", replace=False)


def deadly(photo: sources.Photo, recipe: Recipe) -> module.Kept | module.Refused:
    if photo.name.endswith("00000003_000.jpg"):
        os.kill(os.getpid(), signal.SIGKILL)
    return module.prepare_photo(photo, recipe)


def test_a_photo_that_kills_its_worker_is_quarantined(
    tmp_path: Path, portraits: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "prepare_in_worker", deadly)
    report = run(portraits, tmp_path / "set", Recipe(32, "cat"))
    assert report.counts == {"found": 12, "kept": 11, "filtered": 0, "quarantined": 1}
    assert "crashed the worker process" in outcomes(tmp_path / "set")["CAT_00/00000003_000.jpg"]["reason"]


@pytest.mark.parametrize("size", [7, 48, 2048])
def test_sizes_that_are_no_levels_are_refused(size: int) -> None:
    with pytest.raises(ValueError, match=f"size {size} is"):
        Recipe(size)


def test_photos_of_cats(tmp_path: Path, shared: Path) -> None:
    """The counts of the original experiment on these photos are the same: 190 and 139."""
    for size, kept in ((64, 190), (128, 139)):
        report = run(shared / "cat_photos", tmp_path / str(size), Recipe(size, "cat"))
        assert report.counts == {"found": 200, "kept": kept, "filtered": 200 - kept, "quarantined": 0}


def test_damaged_photos_found_in_the_wild(tmp_path: Path, shared: Path) -> None:
    report = run(shared / "damaged", tmp_path / "set", Recipe(64, "cat"))
    assert report.counts == {"found": 2, "kept": 0, "filtered": 0, "quarantined": 2}
    found = outcomes(tmp_path / "set")
    assert "truncated" in found["truncated.jpg"]["reason"]
    assert "holds 4 numbers" in found["wrong_format.jpg"]["reason"]
