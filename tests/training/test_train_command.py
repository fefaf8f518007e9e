"""What `train.py` answers to arguments that cannot be: a sentence, exit code 2, and nothing created."""

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from accelerate.utils import DistributedType

from tests.prepared import write_dataset
from tests.training.toy import RECIPE, TINY, shapes, start
from train import main
from training import run
from training.distributed import launch
from training.recipes import RECIPES

Answer = tuple[int, str]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("command") / "data", shapes(10, 16))


@pytest.fixture
def ask(capfd: pytest.CaptureFixture[str]) -> Callable[[Sequence[str | Path]], Answer]:
    """Gives train.py arguments: its exit code, and what it complained of."""

    def answer(arguments: Sequence[str | Path]) -> Answer:
        capfd.readouterr()
        try:
            code = main([str(argument) for argument in arguments])
        except SystemExit as end:  # of the argument parsers
            code = int(end.code or 0)
        said = capfd.readouterr()
        return code, said.out + said.err

    return answer


def _everything(folder: Path) -> dict[Path, float]:
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*")}


def _new(data: Path, out: Path, *more: str) -> tuple[str | Path, ...]:
    return (*TINY, "--precision", "fp32", "--tracker", "none", "--data", data, "--out", out, *more)


FIELDS = {
    "too low a size": (
        ("--resolution", "32", "--widths", "8", "8", "8", "8"),
        "goes up to 16x16, the recipe to 32x32: prepare it with --size 32x32, or train with --resolution 16",
    ),
    "odd widths": (("--widths", "8", "7", "8"), "widths must be 3 even numbers from 2 to 4096"),
    "too few widths": (("--widths", "8", "8"), "widths must be 3 even numbers from 2 to 4096"),
    "odd resolution": (("--resolution", "12"), "resolution must be a power of two from 8 to 1024, not 12"),
}


@pytest.mark.parametrize("case", FIELDS)
def test_a_field_that_cannot_be(
    ask: Callable[[Sequence[str | Path]], Answer], data: Path, tmp_path: Path, case: str
) -> None:
    fields, expected = FIELDS[case]
    code, said = ask(_new(data, tmp_path / "run", *fields))
    assert code == 2
    assert said.startswith("train.py: ")
    assert said.count("\n") == 1
    assert expected in said
    assert _everything(tmp_path) == {}


REFUSED_BY_THE_PARSER = {
    "negative seed": (("--seed", "-1"), "seed must not be negative, not -1"),
    "negative length": (("--kimg", "-1"), "kimg must be positive, not -1"),
    "no batch": (("--batch", "0"), "batch must be positive, not 0"),
    "an unknown field": (("--learning-speed", "3"), "--learning-speed"),
    "a field that is no number": (("--kimg", "many"), "many"),
    "an unknown choice": (("--objective", "gan"), "rp-gan"),
    "an unknown recipe": (("--recipe", "msg"), "msg-gan-cpu"),
    "an unknown tracker": (("--tracker", "paper"), "wandb"),
}


@pytest.mark.parametrize("case", REFUSED_BY_THE_PARSER)
def test_what_the_parser_refuses_is_named(
    ask: Callable[[Sequence[str | Path]], Answer], data: Path, tmp_path: Path, case: str
) -> None:
    more, named = REFUSED_BY_THE_PARSER[case]
    code, said = ask(_new(data, tmp_path / "run", *more))
    assert code == 2
    assert named in said
    assert "Traceback" not in said
    assert _everything(tmp_path) == {}


@pytest.mark.parametrize("missing", ["--recipe", "--data", "--out"])
def test_a_missing_argument(
    ask: Callable[[Sequence[str | Path]], Answer], data: Path, tmp_path: Path, missing: str
) -> None:
    arguments = list(_new(data, tmp_path / "run"))
    place = arguments.index(missing)
    code, said = ask(arguments[:place] + arguments[place + 2 :])
    assert code == 2
    assert f"{missing} " in said
    assert "needed" in said
    assert _everything(tmp_path) == {}


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        ("nowhere", "there is no data set at"),
        ("without a manifest", "is not a prepared data set"),
        ("cut", "instead of"),
    ],
)
def test_data_that_cannot_be_used(
    ask: Callable[[Sequence[str | Path]], Answer], tmp_path: Path, state: str, expected: str
) -> None:
    folder = tmp_path / "data"
    if state != "nowhere":
        write_dataset(folder, shapes(4, 16))
    if state == "without a manifest":
        (folder / "manifest.json").unlink()
    if state == "cut":
        shard = folder / "data-00000.arrow"
        shard.write_bytes(shard.read_bytes()[:-20])
    before = _everything(tmp_path)
    code, said = ask(_new(folder, tmp_path / "run"))
    assert (code, said.count("\n")) == (2, 1)
    assert expected in said
    assert _everything(tmp_path) == before


@pytest.mark.parametrize("kind", ["folder", "file", "below a file"])
def test_out_in_use(
    ask: Callable[[Sequence[str | Path]], Answer], data: Path, tmp_path: Path, kind: str
) -> None:
    out = tmp_path / "run"
    if kind == "folder":
        out.mkdir()
        (out / "thesis.txt").write_text("mine")
    else:
        out.write_text("mine")
    before = _everything(tmp_path)
    code, said = ask(_new(data, out / "run" if kind == "below a file" else out))
    assert (code, said.count("\n")) == (2, 1)
    assert str(out) in said
    assert _everything(tmp_path) == before


def test_a_batch_that_does_not_divide(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ask: Callable[[Sequence[str | Path]], Answer]
) -> None:
    class OfThree:
        """An accelerator as the second of three processes has it."""

        num_processes, process_index, is_main_process = 3, 1, False
        distributed_type, device = DistributedType.MULTI_CPU, torch.device("cpu")

        def __init__(self, mixed_precision: str) -> None:
            assert mixed_precision == "no"

    monkeypatch.setattr(launch, "Accelerator", OfThree)
    code, said = ask(_new(data, tmp_path / "run"))
    assert (code, said.count("\n")) == (2, 1)
    assert "batch 8 (at 16x16) does not divide among 3 processes" in said
    assert _everything(tmp_path) == {}


@dataclass
class Begun:
    """A run that was begun, and the data it is of."""

    folder: Path
    data: Path


@pytest.fixture
def begun(data: Path, tmp_path: Path) -> Begun:
    folder = tmp_path / "run"
    run.write(folder, run.begin(folder, "msg-gan", RECIPE, data))
    return Begun(folder, data)


def test_nothing_to_resume(ask: Callable[[Sequence[str | Path]], Answer], tmp_path: Path) -> None:
    code, said = ask(("--resume", "--out", tmp_path / "run"))
    assert (code, said.count("\n")) == (2, 1)
    assert "there is no run to resume in" in said
    assert "start one without --resume" in said
    assert _everything(tmp_path) == {}


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"recipe_name": "msg-gan"}', '{"recipe_name": "unheard of"}']
)
def test_a_damaged_record(
    ask: Callable[[Sequence[str | Path]], Answer], begun: Begun, tmp_path: Path, text: str
) -> None:
    (begun.folder / "run.json").write_text(text)
    code, said = ask(("--resume", "--out", begun.folder))
    assert (code, said.count("\n")) == (2, 1)
    assert "run.json cannot be resumed" in said


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (("--batch", "16"), "batch"),
        (("--lr", "0.1", "--seed", "3"), "seed, lr"),
        (("--combine", "simple"), "combine"),
    ],
)
def test_resume_changes_no_field_that_matters(
    ask: Callable[[Sequence[str | Path]], Answer],
    begun: Begun,
    tmp_path: Path,
    change: tuple[str, ...],
    named: str,
) -> None:
    before = _everything(tmp_path)
    code, said = ask(("--resume", "--out", begun.folder, *change))
    assert (code, said.count("\n")) == (2, 1)
    assert f"--resume cannot change {named};" in said
    assert _everything(tmp_path) == before


def test_resume_of_another_recipe(ask: Callable[[Sequence[str | Path]], Answer], begun: Begun) -> None:
    code, said = ask(("--resume", "--out", begun.folder, "--recipe", "msg-gan-cpu"))
    assert (code, said.count("\n")) == (2, 1)
    assert "is of recipe msg-gan, not msg-gan-cpu" in said


def test_resume_on_other_data(
    ask: Callable[[Sequence[str | Path]], Answer], begun: Begun, tmp_path: Path
) -> None:
    other = write_dataset(tmp_path / "other", shapes(10, 16, seed=1))
    before = _everything(tmp_path)
    code, said = ask(("--resume", "--out", begun.folder, "--data", other))
    assert (code, said.count("\n")) == (2, 1)
    assert "is not the data set that the run began with" in said
    assert _everything(tmp_path) == before


def test_resume_where_the_data_have_moved(
    ask: Callable[[Sequence[str | Path]], Answer], tmp_path: Path
) -> None:
    old = write_dataset(tmp_path / "old", shapes(10, 16))
    folder = tmp_path / "run"
    run.write(folder, run.begin(folder, "msg-gan", RECIPE, old))
    moved = old.rename(tmp_path / "new")
    assert "there is no data set at" in ask(("--resume", "--out", folder))[1]
    code, said = ask(("--resume", "--tracker", "none", "--out", folder, "--data", moved))
    assert code == 0, said
    assert json.loads((folder / "checkpoints" / "0000000064" / "state.json").read_text())["images"] == 64


def test_a_damaged_checkpoint_is_one_sentence(
    ask: Callable[[Sequence[str | Path]], Answer], begun: Begun
) -> None:
    (begun.folder / "checkpoints" / "0000000016").mkdir(parents=True)
    code, said = ask(("--resume", "--tracker", "none", "--out", begun.folder))
    assert (code, said.count("\n")) == (2, 1)
    assert "0000000016 is damaged" in said


def test_help_lists_recipes_and_fields(ask: Callable[[Sequence[str | Path]], Answer]) -> None:
    code, said = ask(["--help"])
    assert code == 0
    for word in (
        "--recipe",
        "msg-gan-cpu",
        "--data",
        "--out",
        "--resume",
        "--kimg",
        "--widths",
        "--objective",
    ):
        assert word in said


@pytest.mark.parametrize("name", sorted(RECIPES))
def test_every_option_says_what_it_is_for(ask: Callable[[Sequence[str | Path]], Answer], name: str) -> None:
    _, said = ask(["--recipe", name, "--help"])
    fields = re.sub(r"[│\s]+", " ", said[said.index("usage: train.py --recipe") :])
    without_choices = re.sub(r"\{[a-z0-9_,. -]*\}", "", fields)
    assert "--ema-half-life FLOAT of the" in without_choices
    assert re.findall(r"--[a-z0-9.-]+ [A-Z {}|\[\].]*\(default", without_choices) == []


def test_the_exit_code_is_the_processs(tmp_path: Path) -> None:
    process = start((*TINY, "--data", tmp_path / "nowhere", "--out", tmp_path / "run"))
    said, complained = process.communicate(timeout=100)
    assert process.returncode == 2
    assert said == ""
    assert (
        complained
        == f"train.py: there is no data set at {tmp_path}/nowhere: make one with python -m data_prep "
        + (f"prepare SRC {tmp_path}/nowhere\n")
    )
    assert _everything(tmp_path) == {}
