"""Several processes give every system the gradients of one, dropout and all, on pictures that are not square."""

from functools import cache

import pytest
import torch
from accelerate import Accelerator
from torch import Tensor
from torch.nn import functional as F

from tests.systems import DATA, ITERATION, SYSTEMS
from tests.training.ranks import on_ranks
from tests.training.toy import shapes
from train import parse
from training.iteration import Table, set_up_system
from training.recipes.recipe import DataFormat
from training.rng import KeyedRNG
from training.system import Batch, TrainState

CLOCK = TrainState(12, 100, 3)  # ProGAN's second size fades in, Stacked GAN's levels are joined


def _gradients(part: slice) -> dict[str, Tensor]:
    """Of every player of every system, by this rank's part of a batch of eight."""
    found: dict[str, Tensor] = {}
    cpu = torch.device("cpu")
    for name, (of, sizes) in SYSTEMS.items():
        _, recipe = parse(["--recipe", name, "--data", "-", "--out", "-", *ITERATION.split(), *sizes.split()])
        channels, (height, width), labelled = DATA[of]
        names, aspect = ("a", "b") if labelled else (), (height // 4, width // 4)
        table = Table(set_up_system(recipe, DataFormat(channels, names, aspect), cpu), Accelerator(cpu=True))
        stage = recipe.growth().at(CLOCK.images)
        size = (height * stage.resolution // 16, width * stage.resolution // 16)
        reals = F.interpolate(shapes(8, 32)[:, :channels].float() / 127.5 - 1, size)[part]
        labels = (torch.arange(8) % 2)[part] if labelled else None
        batch = Batch(reals, labels, KeyedRNG(0, CLOCK.images, 8, part, cpu), stage)
        for updater in table.system.updaters:
            table.step(updater, CLOCK, table.gradients(updater, batch, CLOCK, largest=8), share=0.0)
            for parameter, value in updater.network.named_parameters():
                if value.grad is not None:
                    found[f"{name} {updater.name} {parameter}"] = value.grad.clone(
                        memory_format=torch.contiguous_format
                    )
    return found


@cache
def _of_one() -> dict[str, Tensor]:
    return _gradients(slice(0, 8))


@pytest.fixture(scope="module", params=[2, pytest.param(4, marks=pytest.mark.long)])
def ranks(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> list[dict[str, Tensor]]:
    return on_ranks(_gradients, tmp_path_factory.mktemp("ranks"), request.param)


@pytest.mark.parametrize("system", SYSTEMS)
def test_several_ranks_give_the_gradients_of_one(system: str, ranks: list[dict[str, Tensor]]) -> None:
    one = {name: value for name, value in _of_one().items() if name.split()[0] == system}
    assert len(one) > 4
    for found in ranks:
        for name, value in one.items():
            close = 1e-5 * float(value.abs().max()) + 1e-6  # of what is zero but for rounding
            torch.testing.assert_close(
                found[name], value, rtol=1e-3, atol=close, msg=lambda m, n=name: f"{n}: {m}"
            )
