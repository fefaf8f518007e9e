import subprocess
import sys
from pathlib import Path

import pytest

from data_prep.__main__ import main


def test_by_hand_from_drawing_to_verified_data_set(tmp_path: Path) -> None:
    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([sys.executable, "-m", "data_prep", *arguments], capture_output=True, text=True)

    drawn, data = str(tmp_path / "drawn"), str(tmp_path / "data")
    result = run("synthesize", drawn, "--count", "4", "--size", "160", "--seed", "3")
    assert (result.returncode, result.stdout) == (0, f"4 portraits are in {drawn}\n")
    labels = str(tmp_path / "drawn" / "labels.csv")
    result = run(
        "prepare", drawn, data, "--size", "32", "--align", "cat", "--labels", labels, "--workers", "1"
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith("4 photos found: 4 kept, 0 filtered, 0 quarantined; ")
    assert result.stdout.splitlines()[-1] == f"the data set is in {data}"
    assert "4/4" in result.stderr
    assert main(["verify", data]) == 0
    shard = tmp_path / "data" / "data-00000.arrow"
    shard.write_bytes(shard.read_bytes()[:-1] + b"!")
    assert main(["verify", data]) == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["prepare", "none", "new", "--size", "64"], "there is no folder none"),
        (["prepare", "photos", "new", "--size", "65"], "size 65 is not a power of two"),
        (["prepare", "photos", "new", "--size", "4096"], "size 4096 is above 1024"),
        (["prepare", "photos", "new", "--size", "4096x2048"], "size 2048 is above 1024"),
        (["prepare", "photos", "new", "--size", "many"], "size 'many' is neither a side"),
        (["prepare", "photos", "new", "--size", "64x70"], "take 64 or 80"),
        (
            ["prepare", "photos", "new", "--size", "64", "--workers", "-1"],
            "--workers must be from 1 to 256, not -1",
        ),
        (["prepare", "photos", "new", "--size", "64", "--labels", "none.csv"], "cannot read the labels"),
        (["prepare", "empty", "new", "--size", "64"], "holds no file with the suffix of an image"),
        (["prepare", "photos", "photos", "--size", "64"], "photos is not empty"),
        (["synthesize", "new", "--count", "0"], "--count 0 is not between"),
        (["synthesize", "photos"], "photos exists and is not an empty folder"),
    ],
)
def test_bad_arguments_are_one_line_and_make_nothing(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    for folder in ("photos", "empty"):
        (tmp_path / folder).mkdir()
    (tmp_path / "photos" / "a.jpg").touch()
    before = sorted(tmp_path.rglob("*"))
    assert main(arguments) == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.startswith("error: ")
    assert output.err.count("\n") == 1
    assert message in output.err
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["prepare"],
        ["prepare", "a", "b"],
        ["prepare", "a", "b", "--size", "64", "--align", "dog"],
        ["prepare", "a", "b", "--size", "64", "--algin", "cat"],
        ["draw"],
    ],
)
def test_unknown_arguments_end_with_status_two(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2


def test_nothing_kept_ends_with_status_two(
    tmp_path: Path, portraits: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = tmp_path / "data"
    assert main(["prepare", str(portraits), str(data), "--size", "1024"]) == 2
    output = capsys.readouterr()
    assert "12 photos found: 0 kept, 12 filtered, 0 quarantined" in output.out
    assert f"error: no photo was kept, so {data} is not a data set" in output.err
    assert main(["verify", str(data)]) == 1
    assert main(["prepare", str(portraits), str(data), "--size", "32"]) == 2
    assert main(["prepare", str(portraits), str(data), "--size", "32", "--replace"]) == 0


def test_verify_of_nothing_is_a_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", str(tmp_path / "none")]) == 1
    assert "there is no data set at" in capsys.readouterr().err
