"""The moving average, in closed form."""

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from models.generator import Generator
from training.optim.ema import MovingAverage


class Number(Generator):
    """A generator of one weight, with a buffer."""

    def __init__(self, weight: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(weight, dtype=torch.float64))
        self.register_buffer("seen", torch.tensor(weight))

    def prior(self, count: int, rng: torch.Generator) -> Tensor:
        return torch.zeros(count, 1)

    def stream(self, z: Tensor, truncation: float = 1.0) -> Iterator[Tensor]:
        yield self.weight.expand(len(z), 1, 4, 4)

    def settings(self) -> dict[str, Any]:
        return {}


def _average(half_life: float, ramp: float = 1e9) -> tuple[MovingAverage, Number]:
    generator = Number(0.0)
    average = MovingAverage(generator, half_life, ramp)
    with torch.no_grad():
        generator.weight.fill_(1.0)
    return average, generator


def _weight(average: MovingAverage) -> float:
    return next(average.generator.parameters()).item()


@pytest.mark.parametrize("batch", [1, 10, 50])
def test_an_old_weights_share_halves_every_half_life(batch: int) -> None:
    average, generator = _average(half_life=100)
    shares = []
    for images in range(batch, 301, batch):
        average.update(generator, images, batch)
        if images % 100 == 0:
            shares.append(1 - _weight(average))
    assert shares == pytest.approx([0.5, 0.25, 0.125])


def test_the_half_life_grows_with_the_images_shown() -> None:
    average, generator = _average(half_life=100, ramp=0.05)
    expected = 0.0
    for images in range(10, 4001, 10):
        average.update(generator, images, 10)
        share = 1 - 0.5 ** (10 / min(100, 0.05 * images))
        expected += share * (1 - expected)
        assert _weight(average) == pytest.approx(expected)
        with torch.no_grad():
            generator.weight.fill_(1.0)


def test_the_first_steps_are_hardly_averaged() -> None:
    average, generator = _average(half_life=100_000, ramp=0.05)
    average.update(generator, 10, 10)
    assert _weight(average) == pytest.approx(1 - 0.5**20)


def test_buffers_are_copied() -> None:
    average, generator = _average(half_life=1e6)
    generator.seen.fill_(7.0)  # type: ignore[operator]
    average.update(generator, 10, 10)
    assert average.generator.seen == 7


def test_the_average_is_apart_from_the_generator() -> None:
    average, generator = _average(half_life=100)
    assert _weight(average) == 0
    assert not average.generator.training
    assert not any(parameter.requires_grad for parameter in average.generator.parameters())
    assert generator.weight.requires_grad


def test_an_average_settles_once_until_it_moves() -> None:
    average, generator = _average(half_life=100)
    refreshed = []
    average.generator.refresh_statistics = lambda: refreshed.append(len(refreshed))  # type: ignore[method-assign]
    for images in (10, 20):
        assert average.refreshed() is average.refreshed() is average.generator
        assert len(refreshed) == images // 10
        average.update(generator, images, 10)
    average.load(generator)
    average.refreshed()
    assert len(refreshed) == 2, "what was saved is settled"
