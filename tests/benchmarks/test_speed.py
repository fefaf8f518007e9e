"""The contestants of `benchmarks/training.py` compute the same."""

from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

from benchmarks import training as speed
from benchmarks.iterations import Cost, Operations, compare, table
from tests.prepared import write_dataset
from tests.training.plain import MSG_GAN
from tests.training.toy import shapes
from training import run
from training.recipes.msg_gan import MSGRecipe
from training.recipes.progan import progan
from training.recipes.recipe import with_settings

RECIPE = with_settings(
    MSGRecipe(resolution=16, kimg=1000, batch=4, **MSG_GAN),
    widths=(8, 8, 6),
    latent_size=8,
    r1=(2.0,),
    r2=(2.0,),
    lr=(0.002,),
)


def test_the_plain_step_is_the_recipes() -> None:
    speed.check_losses(RECIPE)


def test_a_step_that_is_another_is_told_apart() -> None:
    with pytest.raises(AssertionError):
        speed.check_losses(with_settings(RECIPE, drift=100.0))  # which the plain step has not


def test_the_hand_written_loop_gives_the_trainers_weights(tmp_path: Path) -> None:
    data = write_dataset(tmp_path / "data", shapes(10, 16))
    recipe = with_settings(RECIPE, snapshot_every=1e6, checkpoint_every=1e6)
    trainer = run.set_up(tmp_path / "run", run.begin(tmp_path / "run", "msg-gan-cpu", recipe, data), data)
    loop = speed.FedByHand(recipe, data)
    for _ in range(3):
        trainer.advance()
        loop.iteration()
    for ours, theirs in zip(loop.system.updaters, trainer.system.updaters, strict=True):
        for a, b in zip(ours.network.parameters(), theirs.network.parameters(), strict=True):
            assert torch.equal(a, b)
    for a, b in zip(loop.average.generator.parameters(), trainer.average.generator.parameters(), strict=True):
        assert torch.equal(a, b)
    for loader in (loop.loader, trainer.loader):
        loader.close()


def test_operations_are_counted_in_backward_passes_too() -> None:
    x, kernel = torch.randn(2, 3, 8, 8), torch.randn(5, 3, 3, 3, requires_grad=True)
    with Operations() as forward:
        result = F.conv2d(x, kernel, padding=1)
    with Operations() as backward:
        result.sum().backward()
    assert forward.total == 2 * (2 * 8 * 8 * 5) * (3 * 3 * 3)
    assert backward.total == forward.total  # of the kernel's gradient; the picture has none


def test_ratios_are_to_the_first_pair_by_pair() -> None:
    costs = {"one": [Cost(1, 2), Cost(10, 20)], "other": [Cost(2, 2), Cost(20, 30)]}
    assert table(costs).splitlines()[-1] == "| other | 11.00 | 16.00 | 2.000 | 1.250 |"


def test_contestants_take_turns() -> None:
    called: list[str] = []
    contestants = {name: (lambda name=name: called.append(name), 1) for name in "ab"}
    costs = compare(contestants, 2, torch.device("cpu"))
    assert called == list("ababab")
    assert [len(own) for own in costs.values()] == [2, 2]


def test_growing_recipes_are_measured_by_phase_and_others_by_resolution() -> None:
    phases = list(speed.moments(progan()))
    assert [name for name, _, _ in phases[:3]] == ["4", "8 fading in", "8"]
    stages = [progan().growth_schedule().at(images) for _, _, images in phases]
    assert [stage.resolution for stage in stages] == [4] + [4 << level for level in range(1, 9) for _ in "fh"]
    assert [stage.blend for stage in stages] == [1.0] + [0.5, 1.0] * 8
    sides = list(speed.moments(RECIPE))
    assert [(name, recipe.network.widths) for name, recipe, _ in sides] == [("8", (8, 8)), ("16", (8, 8, 6))]  # type: ignore[attr-defined]


def test_fields_of_the_recipe_may_be_set() -> None:
    own, recipe = speed.parse(["growth", "--recipe", "msg-gan-cpu", "--batch", "4", "--iterations", "2"])
    assert (own.measure, own.iterations, recipe.batch) == ("growth", 2, 4)


def test_eager_refuses_what_it_does_not_know() -> None:
    own, recipe = speed.parse(["eager", "--recipe", "progan-cpu"])
    with pytest.raises(ValueError, match="msg-gan-cpu"):
        speed.eager(recipe, own)
