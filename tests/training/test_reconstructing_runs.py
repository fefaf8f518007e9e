"""Real runs of the systems that reconstruct: they learn, they are resumed in the same bits, and a model comes out."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from toy import differences, metrics, newest_state, shapes, trainer_of

from models.checkpoint import load_generator
from models.sampler import Sampler
from tests.prepared import write_dataset
from training.recipes import RECIPES
from training.recipes.recipe import Recipe

# At 16x16, in rounds of 8 images.
SIZES: dict[str, dict[str, Any]] = {
    "vae-cpu": {"widths": (8, 6), "latent_size": 5},
    "draw-cpu": {"steps": 3, "step_size": 4, "hidden": 8},
    "began-cpu": {"width": 4, "latent_size": 5},
    "gran-cpu": {"widths": (8, 6), "noise_size": 5},
}


def _small(name: str, **more: Any) -> Recipe:
    shared = {"resolution": 16, "batch": 8, "precision": "fp32", "snapshot_every": 100}
    return replace(RECIPES[name](), **shared, **SIZES[name], **more)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("reconstructing") / "data", shapes(20, 16))


@pytest.mark.parametrize("name", SIZES)
def test_a_resumed_run_ends_in_the_same_bits_and_a_model(name: str, data: Path) -> None:
    recipe = _small(name, kimg=0.064, log_every=0.016, checkpoint_every=0.032)
    whole, run = data.parent / name, data.parent / f"{name}-resumed"
    assert trainer_of(whole, data, recipe, name).run()
    assert trainer_of(run, data, replace(recipe, kimg=0.032), name).run()
    assert trainer_of(run, data, recipe, name).run()
    assert differences(newest_state(run), newest_state(whole)) == []
    if name == "began-cpu":
        assert newest_state(run)["d.state.equilibrium.k"] > 0
        assert metrics(run)[-1]["convergence"] > 0
    generator = load_generator(whole)
    pictures = list(Sampler(generator).stream([0, 1]))
    assert [picture.shape[-1] for picture in pictures] == list(generator.resolutions)
    assert not torch.equal(pictures[-1][0], pictures[-1][1])


def test_a_vae_learns(data: Path) -> None:
    recipe = _small("vae-cpu", kimg=0.8, log_every=0.1, checkpoint_every=100)
    run = data.parent / "learns"
    assert trainer_of(run, data, recipe, "vae-cpu").run()
    bounds = [line["loss/bound"] for line in metrics(run)]
    assert bounds[-1] < bounds[0] - 200
