"""The sweep in the documentation: what W&B's agent would run, up to the server."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import wandb
import yaml
from wandb.sdk.launch.sweeps import utils

from tests.prepared import write_dataset
from tests.training.toy import ROOT, TINY, shapes, train
from train import parse
from training.recipes.msg_gan import MSGRecipe
from training.recipes.recipe import flat_settings


@pytest.fixture
def sweep() -> dict[str, Any]:
    text = (ROOT / "docs" / "monitoring.md").read_text()
    found = re.search(r"```yaml\n(.*?)```", text, re.DOTALL)
    assert found
    settings = yaml.safe_load(found[1])
    assert isinstance(settings, dict)
    return settings


@pytest.mark.parametrize("last", [False, True])
def test_the_agents_command_is_one_that_train_takes(
    sweep: dict[str, Any], tmp_path: Path, last: bool
) -> None:
    chosen = {
        name: choice["values"][-last] if "values" in choice else choice["max" if last else "min"]
        for name, choice in sweep["parameters"].items()
    }
    flags = utils.create_sweep_command_args(
        {"args": {key: {"value": value} for key, value in chosen.items()}}
    )
    command = utils.create_sweep_command(list(sweep["command"]))
    place = command.index("${args}")
    command[place : place + 1] = flags["args"]
    program = tmp_path / "accelerate"  # in its place one that says what it is given
    program.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    program.chmod(0o755)
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin", "WANDB_SWEEP_ID": "s1", "WANDB_RUN_ID": "r1"}
    said = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
    launch, script, *arguments = said.splitlines()
    assert (launch, script) == ("launch", sweep["program"])
    own, recipe = parse(arguments)
    assert own.out == Path("runs/s1/r1")
    assert isinstance(recipe, MSGRecipe)
    taken = {name: value for name, value in flat_settings(recipe).items() if name in chosen}
    assert {name: value[0] if isinstance(value, tuple) else value for name, value in taken.items()} == chosen
    assert recipe.kimg == 20


def test_a_run_takes_the_agents_id(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = write_dataset(tmp_path / "data", shapes(10, 16))
    folder = tmp_path / "runs" / "s1" / "r1"
    given = {"WANDB_SWEEP_ID": "s1", "WANDB_RUN_ID": "r1", "WANDB_SWEEP_PARAM_PATH": str(tmp_path / "c.yaml")}
    (tmp_path / "c.yaml").write_text("wandb_version: 1\nlr:\n  value: 0.002\n")
    for name, value in {**given, "WANDB_MODE": "offline"}.items():
        monkeypatch.setenv(name, value)
    train((*TINY, "--kimg", "0.016", "--lr=0.002", "--data", data, "--out", folder))
    wandb.teardown()  # ends W&B's own process, and with it what it has still to write
    assert json.loads((folder / "run.json").read_text())["wandb_id"] == "r1"
    (file,) = folder.glob("wandb/offline-run-*-r1/run-r1.wandb")
    assert b"s1" in file.read_bytes()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--tracker", "none", "wandb"), "--tracker none cannot be combined with another"),
        (("--tracker", "tensorboard", "--artifacts"), "--artifacts needs --tracker wandb"),
        (("--tracker",), "expected at least one argument"),
    ],
)
def test_trackers_that_do_not_go_together(
    capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], words: str
) -> None:
    with pytest.raises(SystemExit) as end:
        parse((*TINY, "--data", "data", "--out", "run", *arguments))
    assert end.value.code == 2
    assert words in capsys.readouterr().err


def test_several_trackers_may_be_named() -> None:
    own, _ = parse(
        (*TINY, "--data", "data", "--out", "run", "--tracker", "wandb", "tensorboard", "--artifacts")
    )
    assert (own.tracker, own.artifacts) == (["wandb", "tensorboard"], True)
