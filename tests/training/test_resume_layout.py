"""A resumed optimiser must move weights as the uninterrupted one, whatever their memory layout."""

from pathlib import Path

import torch

from training import checkpoint
from training.growth import Stage
from training.optim.ema import MovingAverage
from training.recipes import RECIPES
from training.recipes.recipe import DataFormat, with_settings
from training.rng import KeyedRNG
from training.schedules import TrainState
from training.system import Batch, System

TINY = with_settings(
    RECIPES["msg-gan-cpu"](), resolution=8, widths=(8, 8), latent_size=8, batch=4, precision="fp32"
)


def _system() -> System:
    torch.manual_seed(0)
    system = TINY.build(DataFormat(3))
    for updater in system.updaters:
        updater.network.to(memory_format=torch.channels_last)
    return system


def _play(system: System, rounds: range) -> None:
    for number in rounds:
        train_state = TrainState(number * 4, 1000, number)
        reals = torch.rand(4, 3, 8, 8, generator=torch.Generator().manual_seed(number))
        batch = Batch(
            reals, None, KeyedRNG(0, train_state.images, 4, slice(0, 4), torch.device("cpu")), Stage(8, 4)
        )
        for updater in system.updaters:
            updater.spec.optimizer.zero_grad()
            updater.compute_loss(batch, train_state).loss.backward()
            updater.spec.optimizer.step()


def test_moments_go_on_in_channels_last(tmp_path: Path) -> None:
    through, first, second = _system(), _system(), _system()
    _play(through, range(4))
    _play(first, range(2))
    average = MovingAverage(first.generator, 100)
    folder = checkpoint.save(tmp_path, first, average, TrainState(8, 1000, 2), {}, keep=1)
    checkpoint.load(folder, second, MovingAverage(second.generator, 100), 1000)
    _play(second, range(2, 4))
    for expected, resumed in zip(through.updaters, second.updaters, strict=True):
        for name, value in expected.network.state_dict().items():
            assert torch.equal(value, resumed.network.state_dict()[name]), name
