import os
from pathlib import Path

import pytest

from data_prep import sources
from data_prep.sources import Photo


def touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def test_photos_are_found_by_suffix_and_sorted(tmp_path: Path) -> None:
    touch(
        tmp_path,
        "b/x.JPG",
        "a/x.jpg",
        "a/x.jpg.cat",
        "z.webp",
        "B.tiff",
        "notes.txt",
        "a/y.jpg.cat",
        "movie.mp4",
    )
    touch(tmp_path, ".hidden/x.jpg", "a/._x.jpg", "c/phone.HEIC")
    (tmp_path / "folder.jpg").mkdir()
    (tmp_path / "gone.png").symlink_to(tmp_path / "nowhere.png")
    os.mkfifo(tmp_path / "pipe.jpg")
    found = sources.find(tmp_path)
    assert [photo.name for photo in found.photos] == [
        "B.tiff",
        "a/x.jpg",
        "b/x.JPG",
        "c/phone.HEIC",
        "gone.png",
        "z.webp",
    ]
    assert found.orphans == ["a/y.jpg.cat"]
    assert found.ignored == 4  # notes, movie, ._x, pipe


def test_a_name_that_is_no_text_is_shown_escaped(tmp_path: Path) -> None:
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.jpg")).touch()
    (photo,) = sources.find(tmp_path).photos
    assert photo.name == "caf\\xe9.jpg"
    assert photo.path.exists()


def test_labels_by_folder() -> None:
    photos = [Photo(Path(name), name) for name in ("cat/a.jpg", "dog/deep/b.jpg", "c.jpg")]
    assert [photo.label for photo in sources.label_by_folder(photos)] == ["cat", "dog", None]


def test_labels_by_file(tmp_path: Path) -> None:
    file = tmp_path / "labels.csv"
    file.write_text('path,coat,more\na.jpg,tabby,1\n"sub/b, c.jpg",solid\n')
    photos = [Photo(Path(name), name) for name in ("a.jpg", "sub/b, c.jpg", "d.jpg")]
    assert [photo.label for photo in sources.label_by_file(photos, file)] == ["tabby", "solid", None]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("path,label\na.jpg\n", r"line 2 of .* is not PATH,LABEL"),
        ("path,label\na.jpg,  \n", r"line 2 of .* is not PATH,LABEL"),
        ("path,label\na.jpg,x\na.jpg,y\n", "two labels, x and y"),
        ("path,label\nother.jpg,x\n", "names no photo: .* like a.jpg"),
        ("", "names no photo"),
        ("path,label\na.jpg,\xff\n", "cannot read the labels"),
    ],
)
def test_bad_labels_are_refused(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "labels.csv"
    file.write_bytes(text.encode("latin-1"))
    with pytest.raises(ValueError, match=message):
        sources.label_by_file([Photo(Path("a.jpg"), "a.jpg")], file)
    with pytest.raises(ValueError, match="cannot read the labels"):
        sources.label_by_file([Photo(Path("a.jpg"), "a.jpg")], tmp_path / "none.csv")
