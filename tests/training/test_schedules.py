"""Schedules, and the checks of the options that they come from."""

import math

import pytest

from tests.training.plain import MSG_GAN
from training.recipes.msg_gan import MSGRecipe
from training.recipes.recipe import with_settings
from training.schedules import Schedule, TrainState, constant, cosine, decaying, halved, rising, starting_at

RECIPE = MSGRecipe(resolution=8, kimg=1, batch=2, **MSG_GAN)


@pytest.mark.parametrize(
    ("images", "value"),
    [
        (0, 3.0),
        (250, 1 + 2 * (1 + math.sqrt(0.5)) / 2),
        (500, 2.0),
        (750, 1 + 2 * (1 - math.sqrt(0.5)) / 2),
        (1000, 1.0),
    ],
)
def test_cosine(images: int, value: float) -> None:
    assert cosine(3.0, 1.0)(TrainState(images, 1000, iteration=0)) == pytest.approx(value)


def test_cosine_stays_at_its_end() -> None:
    assert cosine(3.0, 1.0)(TrainState(5000, 1000, iteration=0)) == pytest.approx(1.0)
    assert constant(0.003)(TrainState(123, 1000, iteration=9)) == pytest.approx(0.003, abs=0)


def test_fraction() -> None:
    assert [TrainState(images, 200, 0).fraction for images in (0, 50, 200, 300)] == [0, 0.25, 1, 1]


@pytest.mark.parametrize(
    "field", ["kimg", "batch", "ema_half_life", "log_every", "snapshot_every", "checkpoint_every", "keep"]
)
@pytest.mark.parametrize("value", [0, -1, float("nan")])
def test_a_recipe_refuses_what_makes_no_sense(field: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"{field} must be positive, not {value}"):
        with_settings(RECIPE, **{field: value})


def test_a_recipe_refuses_a_negative_seed() -> None:
    with pytest.raises(ValueError, match="seed must not be negative, not -1"):
        with_settings(RECIPE, seed=-1)


@pytest.mark.parametrize(
    ("field", "value", "complaint"),
    [
        ("r1", (-1.0,), r"r1 must not be negative, not \(-1.0,\)"),
        ("r1", (1.0, float("nan")), r"r1 must not be negative, not \(1.0, nan\)"),
        ("penalty_every", 0, "penalty_every must be positive, not 0"),
        ("penalty_fraction", 0, "penalty_fraction must be positive, not 0"),
        ("penalty_fraction", 0.4, "penalty_fraction must be 1, 1/2, 1/3, ..., not 0.4"),
        ("r2", (-1.0,), r"r2 must not be negative, not \(-1.0,\)"),
    ],
)
def test_a_recipe_of_scheduled_penalties_refuses_what_makes_no_sense(
    field: str, value: object, complaint: str
) -> None:
    with pytest.raises(ValueError, match=complaint):
        with_settings(RECIPE, **{field: value})


@pytest.mark.parametrize(
    ("schedule", "values"),  # after 0, 500, 1000 and 5000 images
    [
        (constant(0.3), [0.3, 0.3, 0.3, 0.3]),
        (decaying(8.0, 1.0, 500.0, end=1.0), [8.0, 4.0, 2.0, 1.0]),
        (halved(8.0, 1.0, 1000.0), [8.0, 8.0, 4.0, 1.0]),
        (rising(0.5, 0.1, 500.0, 0.8), [0.5, 0.6, 0.7, 0.8]),
        (starting_at(1000, 0.2), [0.0, 0.0, 0.2, 0.2]),
    ],
)
def test_schedules_by_hand(schedule: Schedule, values: list[float]) -> None:
    states = [TrainState(images, 10_000, 0) for images in (0, 500, 1000, 5000)]
    assert [schedule(train_state) for train_state in states] == pytest.approx(values)
