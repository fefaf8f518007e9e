"""What size is trained on when."""

from math import inf

import pytest

from training.growth import Phase, Stage, progressive, steady


def test_one_size_is_one_phase_without_end() -> None:
    growth = steady(64, 32)
    assert growth.at(0) == growth.at(10**9) == Stage(64, 32, 1.0, 0)


def test_each_size_is_held_and_the_next_faded_in() -> None:
    growth = progressive((4, 8, 16), (16, 8, 4), hold=600, fade=300)
    assert growth.phases == (
        Phase(0, 600, 4, 16),
        Phase(600, 900, 8, 8, fading=True),
        Phase(900, 1500, 8, 8),
        Phase(1500, 1800, 16, 4, fading=True),
        Phase(1800, inf, 16, 4),
    )


@pytest.mark.parametrize(
    ("images", "stage"),
    [
        (0, Stage(4, 16, 1.0, 0)),
        (599, Stage(4, 16, 1.0, 0)),
        (600, Stage(8, 8, 0.0, 1)),
        (675, Stage(8, 8, 0.25, 1)),
        (900, Stage(8, 8, 1.0, 2)),
        (1725, Stage(16, 4, 0.75, 3)),
        (1800, Stage(16, 4, 1.0, 4)),
        (10**9, Stage(16, 4, 1.0, 4)),
    ],
)
def test_the_stage_is_a_function_of_the_images_shown(images: int, stage: Stage) -> None:
    assert progressive((4, 8, 16), (16, 8, 4), hold=600, fade=300).at(images) == stage


def test_without_a_fade_sizes_switch_at_once() -> None:
    growth = progressive((4, 8), (2, 2), hold=10, fade=0)
    assert [growth.at(images).resolution for images in (9, 10)] == [4, 8]
    assert growth.at(10).blend == 1
