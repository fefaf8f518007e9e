"""A resumed optimiser must move weights as the uninterrupted one, whatever their memory layout."""

from dataclasses import replace
from pathlib import Path

import torch

from training import state
from training.draws import Draws
from training.ema import MovingAverage
from training.game import Batch, Clock, Game
from training.growth import Stage
from training.recipes import RECIPES
from training.recipes.recipe import DataFormat

TINY = replace(
    RECIPES["msg-gan-cpu"](), resolution=8, widths=(8, 8), latent_size=8, batch=4, precision="fp32"
)


def _game() -> Game:
    torch.manual_seed(0)
    game = TINY.build(DataFormat(3))
    for player in game.players:
        player.network.to(memory_format=torch.channels_last)
    return game


def _play(game: Game, rounds: range) -> None:
    for number in rounds:
        clock = Clock(number * 4, 1000, number)
        reals = torch.rand(4, 3, 8, 8, generator=torch.Generator().manual_seed(number))
        batch = Batch(reals, None, Draws(0, clock.images, 4, slice(0, 4), torch.device("cpu")), Stage(8, 4))
        for player in game.players:
            player.optimizer.zero_grad()
            player.play(batch, clock).loss.backward()
            player.optimizer.step()


def test_moments_go_on_in_channels_last(tmp_path: Path) -> None:
    through, first, second = _game(), _game(), _game()
    _play(through, range(4))
    _play(first, range(2))
    average = MovingAverage(first.generator, 100)
    folder = state.save(tmp_path, first, average, Clock(8, 1000, 2), {}, keep=1)
    state.load(folder, second, MovingAverage(second.generator, 100), 1000)
    _play(second, range(2, 4))
    for expected, resumed in zip(through.players, second.players, strict=True):
        for name, value in expected.network.state_dict().items():
            assert torch.equal(value, resumed.network.state_dict()[name]), name
