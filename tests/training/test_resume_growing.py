"""Going on in the middle of a fade, with batches computed in pieces, gives the bits of the uninterrupted run."""

from pathlib import Path

import pytest

from tests.prepared import write_dataset
from tests.training.plain import PROGAN
from tests.training.toy import differences, metrics, newest_state, shapes, trainer_of
from training.recipes.progan import ProGANRecipe
from training.recipes.recipe import with_settings

# 4x4 to 24 images, 8x8 fades in to 56, and is held; batches of 8 in pieces of 4, where 5 are allowed.
RECIPE = with_settings(
    ProGANRecipe(resolution=8, kimg=0.08, batch=8, **PROGAN),
    hold=0.024,
    fade=0.032,
    widths=(4, 4),
    latent_size=4,
    objective="wgan",
    gradient_penalty=10.0,
    drift=0.001,
    micro_batch=5,
    ema_half_life=0.05,
    log_every=0.008,
    snapshot_every=100,
    checkpoint_every=100,
)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("resume") / "data", shapes(10, 8))


@pytest.fixture(scope="module")
def whole(data: Path) -> Path:
    folder = data.parent / "whole"
    assert trainer_of(folder, data, RECIPE, "progan").run()
    return folder


@pytest.mark.parametrize(("rounds", "phase", "ahead"), [(3, 0, [1, 2]), (5, 1, [1, 2]), (8, 2, [2])])
def test_going_on_anywhere_in_the_growth(
    whole: Path, data: Path, tmp_path: Path, rounds: int, phase: int, ahead: list[int]
) -> None:
    folder = tmp_path / "run"
    first = trainer_of(folder, data, RECIPE, "progan")
    for _ in range(rounds):
        first.train()
    assert first.train_state.phase == phase
    first.save()
    second = trainer_of(folder, data, RECIPE, "progan")
    assert second.micro_batches == dict.fromkeys(ahead, 5)
    assert second.run()
    assert differences(newest_state(folder), newest_state(whole)) == []
    assert metrics(folder)[-1] == metrics(whole)[-1]


def test_pieces_matter(whole: Path, data: Path, tmp_path: Path) -> None:
    """Had the pieces not been kept, the tests above would have seen it."""
    assert trainer_of(tmp_path / "run", data, with_settings(RECIPE, micro_batch=0), "progan").run()
    assert differences(newest_state(tmp_path / "run"), newest_state(whole))
