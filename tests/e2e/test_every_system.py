"""Every system through the same commands, on small data: trained, resumed bit for bit, exported, sampled, served.

A new system needs a line in `tests/systems.py`.
"""

import json
import re
import shutil
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from pathlib import Path

import httpx
import pytest
from commands import grow, pixels, run_here, service
from torch import Tensor
from torch.nn import functional as F

from models.checkpoint import load_generator
from models.generator import Generator
from tests.prepared import write_dataset
from tests.systems import DATA, ITERATION, OTHER_SIZES, SYSTEMS
from tests.training.toy import differences, metrics, newest_state, shapes, state_of
from training.recipes import RECIPES

SEED = 7
Folder = Callable[[str], Path]


def _checkpoints(run: Path) -> list[Path]:
    return sorted((run / "checkpoints").glob("[0-9]*"))


def _learned(checkpoint: Path) -> dict[str, Tensor]:
    """What the players' networks and states hold."""
    kinds = ("network", "state")
    return {key: value for key, value in state_of(checkpoint).items() if key.split(".")[1] in kinds}


def _parts(names: Iterable[str]) -> set[str]:
    """Of which player, and whether it is the network's or the state's."""
    return {".".join(name.split(".")[:2]) for name in names}


def _label(generator: Generator) -> dict[str, str]:
    """What to ask for of a generator that takes labels: the last one, by name."""
    return {"label": generator.class_names[-1]} if generator.class_names else {}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Folder:
    """Data sets by name."""
    root = tmp_path_factory.mktemp("data")

    @cache
    def written(name: str) -> Path:
        channels, size, labelled = DATA[name]
        images = F.interpolate(shapes(20, 32).float(), size).round().byte()[:, :channels]
        return write_dataset(root / name, images, [0, 1] * 10 if labelled else ())

    return written


@pytest.fixture(scope="module")
def whole(data: Folder, tmp_path_factory: pytest.TempPathFactory) -> Folder:
    """Runs that nothing interrupted, by system."""
    root = tmp_path_factory.mktemp("whole")

    @cache
    def trained(name: str) -> Path:
        of, sizes = SYSTEMS[name]
        recipe = ("--recipe", name, *ITERATION.split(), *sizes.split())
        run_here("train.py", "--data", data(of), "--out", root / name, *recipe)
        return root / name

    return trained


@pytest.fixture(scope="module")
def resumed(whole: Folder, tmp_path_factory: pytest.TempPathFactory) -> Folder:
    """The same runs, resumed after two rounds."""
    root = tmp_path_factory.mktemp("resumed")

    @cache
    def trained(name: str) -> Path:
        shutil.copytree(whole(name), root / name)
        for checkpoint in _checkpoints(root / name)[2:]:
            shutil.rmtree(checkpoint)
        run_here("train.py", "--resume", "--tracker", "none", "--out", root / name)
        return root / name

    return trained


@pytest.fixture(scope="module")
def model(resumed: Folder, tmp_path_factory: pytest.TempPathFactory) -> Folder:
    """Exported models of the resumed runs, by system."""
    root = tmp_path_factory.mktemp("models")

    @cache
    def exported(name: str) -> Path:
        run_here("-m", "training.export", resumed(name), root / name)
        return root / name

    return exported


@pytest.fixture(scope="module")
def client(model: Folder, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A client of one service of all models."""
    models = ",".join(str(model(name)) for name in SYSTEMS)
    with service(models, tmp_path_factory.mktemp("service") / "bentoml") as client:
        yield client


def test_every_system_has_its_line_and_is_listed(capsys: pytest.CaptureFixture[str]) -> None:
    run_here("train.py", "--list")
    assert list(json.loads(capsys.readouterr().out)) == sorted(RECIPES)
    assert sorted(SYSTEMS) == sorted(name for name in RECIPES if not name.endswith(OTHER_SIZES))


def test_no_field_of_a_recipe_is_hidden_by_an_option_of_the_command(
    capsys: pytest.CaptureFixture[str],
) -> None:
    run_here("train.py", "--help")
    of_the_command = capsys.readouterr().out.split("usage: ")[1]
    own = set(re.findall(r"^  --(\w+)", of_the_command, re.MULTILINE))
    assert own >= {"recipe", "features"}
    hidden = {name: own & set(vars(recipe())) for name, recipe in RECIPES.items()}
    assert {name: fields for name, fields in hidden.items() if fields} == {}


@pytest.mark.parametrize("name", SYSTEMS)
def test_a_resumed_run_ends_in_the_same_bits(name: str, whole: Folder, resumed: Folder) -> None:
    checkpoints = _checkpoints(whole(name))
    assert len(checkpoints) == (5 if name == "progan" else 4)
    first, last = (_learned(checkpoint) for checkpoint in (checkpoints[0], checkpoints[-1]))
    assert _parts(differences(first, last)) == _parts(first)
    assert differences(newest_state(resumed(name)), newest_state(whole(name))) == []
    assert metrics(resumed(name)) == metrics(whole(name))


@pytest.mark.parametrize("name", SYSTEMS)
def test_the_service_paints_what_the_command_does(
    name: str, model: Folder, client: httpx.Client, tmp_path: Path
) -> None:
    generator, (channels, (height, width), _) = load_generator(model(name)), DATA[SYSTEMS[name][0]]
    label = _label(generator)
    options = [word for key, value in label.items() for word in (f"--{key}", value)]
    run_here("-m", "models.sample", model(name), "--seeds", f"{SEED}-{SEED + 1}", "--out", tmp_path, *options)
    sampled, other = (pixels((tmp_path / f"{seed}.png").read_bytes()) for seed in (SEED, SEED + 1))
    answer = client.post("/generate", json={"model": name, "seed": SEED, **label})
    assert answer.headers.get("X-Label") == label.get("label")
    assert pixels(answer.content) == sampled != other
    images = grow(client, model=name, seed=SEED, **label)
    assert tuple(images) == generator.resolutions
    for resolution, png in images.items():
        assert pixels(png)[0] == (width * resolution // 16, height * resolution // 16)
    assert pixels(images[16]) == sampled
    assert len(sampled[1]) == channels * height * width
