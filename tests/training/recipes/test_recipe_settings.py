import json
import shlex
from dataclasses import fields, replace
from pathlib import Path

import pytest

import train
from tests.prepared import write_dataset
from tests.training.toy import newest_state, shapes
from training import run
from training.recipes import RECIPES
from training.recipes.recipe import Recipe, flat_settings
from training.recipes.settings import from_json, read_config, to_json

USER = """
from dataclasses import dataclass, replace

from training.recipes.msg_gan import MSGNetworks, MSGRecipe, msg_gan_cpu


@dataclass(frozen=True)
class Mine(MSGRecipe):
    shown: int = 3  # a setting of my own


def tiny() -> Mine:
    base = msg_gan_cpu()
    same = {name: getattr(base, name) for name in ("kimg", "optimizer", "pair", "penalties")}
    return Mine(resolution=8, batch=4, network=MSGNetworks(widths=(4, 4), latent_size=4), **same)


def number() -> int:
    return 3
"""
SHORT = shlex.split(
    "--kimg 0.016 --log-every 0.004 --checkpoint-every 0.008 --snapshot-every 100 --tracker none"
)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("data") / "shapes", shapes(8, 8))


@pytest.mark.parametrize("name", sorted(RECIPES))
def test_settings_survive_json(name: str) -> None:
    recipe = RECIPES[name]()
    assert from_json(recipe, json.loads(json.dumps(to_json(recipe)))) == recipe


@pytest.mark.parametrize("name", sorted(RECIPES))
def test_a_recipe_is_a_flat_composition(name: str) -> None:
    recipe = RECIPES[name]()
    assert type(recipe).__bases__ == (Recipe,)
    assert len(fields(recipe)) <= 15
    leaves = sum(
        len(fields(value)) if hasattr(value, "__dataclass_fields__") else 1 for value in vars(recipe).values()
    )
    assert len(flat_settings(recipe)) == leaves  # no two options share a name


def test_settings_that_are_left_out_are_the_defaults() -> None:
    recipe = RECIPES["msg-gan-cpu"]()
    changed = from_json(recipe, {"kimg": 7, "penalties": {"r1": [0.5]}})
    assert changed == replace(recipe, kimg=7, penalties=replace(recipe.penalties, r1=(0.5,)))


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"kimgs": 1}, "unknown setting kimgs; known: resolution, kimg"),
        ({"penalties": {"gamma": 1}}, "unknown setting penalties.gamma; known: r1, r2"),
        ({"penalties": 1}, "setting penalties must be an object, not 1"),
        ({"batch": "many"}, "setting batch: "),
        ({"pair": {"objective": "best"}}, "setting pair.objective: "),
        ({"kimg": -1}, "kimg must be positive, not -1"),
    ],
)
def test_bad_settings_are_named(settings: dict[str, object], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        from_json(RECIPES["msg-gan-cpu"](), settings)


def test_show_config_prints_what_config_reads(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as done:
        train.main(
            ["--recipe", "modern-cpu", "--show-config", "--lr", "0.1", "0.01", "--r2", "3", "--kimg", "5"]
        )
    assert done.value.code == 0
    printed = capsys.readouterr().out
    shown = json.loads(printed)
    assert shown["recipe"] == "modern-cpu"
    assert shown["settings"]["optimizer"]["lr"] == [0.1, 0.01]
    assert shown["settings"]["penalties"] | {"r1": [2.0, 0.3], "r2": [3.0]} == shown["settings"]["penalties"]
    file = tmp_path / "config.json"
    file.write_text(printed)
    with pytest.raises(SystemExit):
        train.main(["--config", str(file), "--show-config", "--kimg", "6"])
    again = json.loads(capsys.readouterr().out)
    assert again == {**shown, "settings": {**shown["settings"], "kimg": 6.0}}


def test_a_run_holds_the_settings_that_are_shown(
    tmp_path: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [
        "--recipe",
        "msg-gan-cpu",
        "--resolution",
        "8",
        "--widths",
        "4",
        "4",
        "--latent-size",
        "4",
        *SHORT,
    ]
    arguments += ["--batch", "4", "--precision", "fp32"]
    with pytest.raises(SystemExit):
        train.main([*arguments, "--show-config"])
    shown = json.loads(capsys.readouterr().out)
    assert train.main([*arguments, "--data", str(data), "--out", str(tmp_path / "run")]) == 0
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    assert {key: record[key] for key in shown} == shown
    assert read_config(tmp_path / "run" / "run.json") == (shown["recipe"], shown["settings"])
    newest = max((tmp_path / "run" / "checkpoints").glob("[0-9]*"))
    about = json.loads((newest / "model" / "config.json").read_text())["about"]
    assert {key: about[key] for key in shown} == shown


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (None, "cannot be read"),
        ("{", "must be JSON"),
        ('{"recipe": "gan"}', "must be JSON"),
        ("[]", "must be JSON"),
    ],
)
def test_bad_config_files_are_named(tmp_path: Path, content: str | None, complaint: str) -> None:
    file = tmp_path / "config.json"
    if content is not None:
        file.write_text(content)
    with pytest.raises(ValueError, match=f"--config {file} {complaint}"):
        read_config(file)


def test_a_users_own_recipe_needs_no_original(tmp_path: Path, data: Path) -> None:
    file, whole, resumed = tmp_path / "my.py", tmp_path / "whole", tmp_path / "resumed"
    file.write_text(USER)
    arguments = ["--recipe", f"{file}:tiny", "--data", str(data), "--shown", "5", *SHORT]
    assert train.main([*arguments, "--out", str(whole)]) == 0
    assert train.main([*arguments, "--out", str(resumed), "--kimg", "0.008"]) == 0
    file.unlink()
    assert train.main(["--resume", "--out", str(resumed), "--kimg", "0.016", "--tracker", "none"]) == 0
    record = run.read(resumed)
    assert (record.recipe_name, flat_settings(record.recipe)["shown"]) == ("my.py:tiny", 5)
    assert (resumed / "recipe.py").read_text() == USER
    one, other = newest_state(whole), newest_state(resumed)
    assert one.keys() == other.keys()


def test_a_changed_copy_is_refused(tmp_path: Path, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file, folder = tmp_path / "my.py", tmp_path / "run"
    file.write_text(USER)
    assert train.main(["--recipe", f"{file}:tiny", "--data", str(data), "--out", str(folder), *SHORT]) == 0
    (folder / "recipe.py").write_text(USER + "\n# changed\n")
    assert train.main(["--resume", "--out", str(folder)]) == 2
    assert "recipe.py has changed since the run began" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("best", "there is no recipe best; choose from ac-gan, "),
        ("{folder}/none.py:tiny", "none.py cannot be read"),
        ("{folder}/my.py:other", "my.py has no function other"),
        ("{folder}/my.py:number", "my.py:number must return a Recipe, not int"),
        ("{folder}/broken.py:tiny", "broken.py fails: NameError"),
    ],
)
def test_recipes_that_cannot_be_made_are_named(
    tmp_path: Path, data: Path, name: str, complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "my.py").write_text(USER)
    (tmp_path / "broken.py").write_text("undefined")
    name = name.format(folder=tmp_path)
    assert train.main(["--recipe", name, "--data", str(data), "--out", str(tmp_path / "run")]) == 2
    assert complaint in capsys.readouterr().err


def test_runs_of_an_older_format_are_refused_in_a_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "run.json").write_text('{"recipe_name": "gan", "recipe": {"kimg": 3}}')
    assert train.main(["--resume", "--out", str(tmp_path)]) == 2
    complaint = capsys.readouterr().err
    assert "it is of format 1, and this version resumes format 2 only" in complaint
    assert complaint.count("\n") == 1
