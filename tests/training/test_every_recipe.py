"""What every recipe keeps to, in the sizes of `tests/systems.py`; a new one needs its line there.

That it trains alike on any number of ranks: `test_every_system_on_ranks.py`. That it resumes bit for bit, is exported
and served: `tests/e2e/test_every_system.py`.
"""

import json
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from tests.systems import DATA, ITERATION, SYSTEMS
from tests.training.toy import differences, shapes
from tests.training.updates import gradients, step
from train import parse
from training.iteration import set_up_system
from training.recipes.recipe import DataFormat, Recipe
from training.recipes.settings import from_json, to_json
from training.rng import KeyedRNG
from training.schedules import TrainState
from training.system import Batch, System, Updater

EVERY_SYSTEM = pytest.mark.parametrize("name", SYSTEMS)
CPU = torch.device("cpu")
BATCH = 8
CANCELLED = {("msg-gan", "d"): {"logits.bias"}}  # in rp-gan's differences of logits


def _recipe(name: str) -> Recipe:
    options = [*ITERATION.split(), *SYSTEMS[name][1].split()]
    return parse(["--recipe", name, "--data", "-", "--out", "-", *options])[1]


def _system(name: str) -> System:
    channels, (height, width), labelled = DATA[SYSTEMS[name][0]]
    data = DataFormat(channels, ("a", "b") if labelled else (), (height // 4, width // 4))
    return set_up_system(_recipe(name), data, CPU)


def _states(recipe: Recipe) -> Iterator[TrainState]:
    """Every iteration of the run, its phases with them."""
    total = round(recipe.kimg * 1000)
    for images in range(0, total, recipe.batch):
        yield TrainState(images, total, images // recipe.batch)


def _batch(name: str, images: int, part: slice = slice(0, BATCH)) -> Batch:
    stage = _recipe(name).growth_schedule().at(images)
    channels, (height, width), labelled = DATA[SYSTEMS[name][0]]
    size = (height * stage.resolution // 16, width * stage.resolution // 16)
    reals = F.interpolate(shapes(BATCH, 32)[:, :channels].float() / 127.5 - 1, size)[part]
    labels = (torch.arange(BATCH) % 2)[part] if labelled else None
    return Batch(reals, labels, KeyedRNG(0, images, BATCH, part, CPU), stage)


def _weights(updater: Updater) -> dict[str, Tensor]:
    return {key: value.detach().clone() for key, value in updater.network.named_parameters()}


@EVERY_SYSTEM
def test_settings_are_read_back_as_they_were_written(name: str) -> None:
    recipe = _recipe(name)
    assert from_json(_recipe(name), json.loads(json.dumps(to_json(recipe)))) == recipe


@EVERY_SYSTEM
def test_a_seed_gives_the_weights(name: str) -> None:
    for one, other in zip(_system(name).updaters, _system(name).updaters, strict=True):
        assert differences(one.network.state_dict(), other.network.state_dict()) == []


@EVERY_SYSTEM
def test_updaters_have_names_and_networks_of_their_own(name: str) -> None:
    system = _system(name)
    assert len({updater.name for updater in system.updaters}) == len(system.updaters)
    weights = [id(p) for updater in system.updaters for p in updater.network.parameters()]
    assert len(set(weights)) == len(weights), "a weight has two optimizers"
    held = [
        {id(p) for group in updater.spec.optimizer.param_groups for p in group["params"]}
        for updater in system.updaters
    ]
    for updater, own in zip(system.updaters, held, strict=True):
        assert own == {id(p) for p in updater.network.parameters()}, updater.name


@EVERY_SYSTEM
def test_every_weight_of_every_network_is_trained(name: str) -> None:
    """By its own updater's loss, in one phase of the run or another; nothing but it gets a gradient meanwhile."""
    system, recipe = _system(name), _recipe(name)
    trained: dict[str, set[str]] = {updater.name: set() for updater in system.updaters}
    for state in _states(recipe):
        for updater in system.updaters:
            others = {each.name: _weights(each) for each in system.updaters if each is not updater}
            scalars = step(system, updater, _batch(name, state.images), state)
            assert all(value.isfinite().all() for value in scalars.values()), updater.name
            trained[updater.name] |= {
                key for key, p in updater.network.named_parameters() if p.grad is not None and p.grad.any()
            }
            for each in system.updaters:
                if each is not updater:
                    assert differences(_weights(each), others[each.name]) == [], each.name
    for updater in system.updaters:
        missing = {key for key, _ in updater.network.named_parameters()} - trained[updater.name]
        assert missing == CANCELLED.get((name, updater.name), set()), updater.name


@EVERY_SYSTEM
def test_a_loss_is_of_its_random_numbers_alone(name: str) -> None:
    """Computed twice it is the same; torch's own random numbers have no part in it."""
    found = []
    for seed in (1, 2):
        system = _system(name)
        torch.manual_seed(seed)
        state = TrainState(0, 100, 0)
        for updater in system.updaters:
            gradients(system, updater, _batch(name, 0), state)
        found.append(
            {
                f"{updater.name} {key}": p.grad.clone()
                for updater in system.updaters
                for key, p in updater.network.named_parameters()
                if p.grad is not None
            }
        )
    assert differences(*found) == []
