"""Detectors on made-up reports, and runs that are made to fail."""

import json
from dataclasses import dataclass, fields, replace
from math import inf, nan
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.prepared import write_dataset
from tests.training.toy import RECIPE, differences, metrics, newest_state, shapes, trainer_of
from training.monitoring.diversity import diversity
from training.monitoring.guard import (
    Collapsed,
    Exploding,
    Finding,
    Guard,
    Line,
    MonitoringOptions,
    NotFinite,
    Won,
)
from training.recipes.msg_gan import MSGRecipe
from training.recipes.recipe import DataFormat, with_settings
from training.rng import derive_seed
from training.schedules import TrainState
from training.system import Batch, LossOutput, System
from training.trainer import Trainer, TrainingError
from training.updaters.adversarial import DiscriminatorUpdater


def _lines(name: str, *values: float, **more: float) -> list[Line]:
    return [{"images": 10 * i, name: value, **more} for i, value in enumerate(values, 1)]


def _since(finding: Finding | None) -> int | None:
    return None if finding is None else finding.since


@pytest.mark.parametrize(
    ("values", "since"), [((1.0, 2.0), None), ((1.0, inf), 10), ((nan,), 0), ((nan, 1.0), None)]
)
def test_not_finite(values: tuple[float, ...], since: int | None) -> None:
    assert _since(NotFinite().find(_lines("penalty/r1", *values))) == since


def test_exploding() -> None:
    find = Exploding(times=100).find
    steady = [1.0, 2.0, 3.0] * 4
    assert _since(find(_lines("gradient/g", *steady, 201.0))) == 120
    assert find(_lines("gradient/g", *steady, 199.0)) is None
    assert find(_lines("gradient/g", *steady[:9], 1e9)) is None  # too early to tell
    assert find(_lines("loss/g", *steady, 1e9)) is None
    grown = [
        *_lines("gradient/g", *steady, resolution=8),
        {"images": 999, "gradient/g": 1e9, "resolution": 16},
    ]
    assert find(grown) is None


def test_won() -> None:
    find = Won(below=0.1, patience=3).find
    assert _since(find(_lines("loss/d", 1.0, 0.05, 0.05, 0.05))) == 10
    assert find(_lines("loss/d", 0.05, 0.2, 0.05, 0.05)) is None
    assert find(_lines("loss/d", -1.0, -2.0, -3.0)) is None  # a critic's loss has no floor
    assert find(_lines("loss/g", 0.05, 0.05, 0.05)) is None
    assert find(_lines("loss/d", 0.05, 0.05)) is None


def test_collapsed() -> None:
    find = Collapsed(below=0.1, patience=3).find
    assert _since(find(_lines("diversity", 0.5, 0.05))) == 10  # at once
    assert find(_lines("diversity", 0.05, 0.05)) is None  # a flat beginning
    assert _since(find(_lines("diversity", 0.05, 0.05, 0.05))) == 0  # too long a one
    assert find(_lines("diversity", 0.05, 0.05, 0.12)) is None
    assert find(_lines("loss/d", 0.01)) is None


def test_a_guard_reports_what_begins() -> None:
    """A line of another kind between, and a trouble that lasts, are not news; after better times it is."""
    guard = Guard(MonitoringOptions(guard_collapse="stop"), _lines("diversity", 0.5))
    seen = [
        guard.check({"images": 20 + i, name: value})
        for i, (name, value) in enumerate(
            [
                ("diversity", 0.05),
                ("loss/d", 1.0),
                ("diversity", 0.04),
                ("diversity", 0.4),
                ("diversity", 0.03),
            ]
        )
    ]
    assert [[(finding.title, policy) for finding, policy in found] for found in seen] == [
        [("collapse", "stop")], [], [], [], [("collapse", "stop")]
    ]  # fmt: skip


def test_a_loss_that_is_not_finite_is_never_only_warned_of() -> None:
    (found,) = Guard(MonitoringOptions(guard_policy="warn"), []).check({"images": 8, "loss/d": nan})
    assert found[1] == "stop"


@pytest.mark.parametrize(
    "change", [{"guard_patience": 0}, {"guard_lr_factor": -1.0}, {"guard_rollbacks": -1}]
)
def test_settings_that_cannot_be(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=f"{next(iter(change))} must"):
        MonitoringOptions(**change)


def test_diversity() -> None:
    black, white = (
        torch.zeros(1, 3, 32, 32, dtype=torch.uint8),
        torch.full((1, 3, 32, 32), 255, dtype=torch.uint8),
    )
    assert diversity(torch.cat([black, white])) == pytest.approx(2)  # the range of [-1, 1]
    assert diversity(torch.cat([black, white, black, white])) == 0  # two modes, however far apart
    pictures = shapes(36, 32)
    assert diversity(pictures) > 0.2
    assert diversity(pictures // 10) == pytest.approx(diversity(pictures) / 10, rel=0.2)


# Runs that are made to fail.


@dataclass
class Fragile(DiscriminatorUpdater):
    """A discriminator updater whose loss breaks after 32 images, on the run's first noise and on its second."""

    def compute_loss(self, batch: Batch, train_state: TrainState) -> LossOutput:
        output = super().compute_loss(batch, train_state)
        if train_state.images >= 32 and batch.rng.seed in (0, derive_seed(0, "rollback", 1)):
            output.scalars["loss/d"] = output.scalars["loss/d"] * nan
        return output


@dataclass(frozen=True)
class FragileRecipe(MSGRecipe):
    def build(self, data: DataFormat) -> System:
        system = super().build(data)
        d, g = system.updaters
        assert isinstance(d, DiscriminatorUpdater)
        fragile = Fragile(d.name, d.network, d.spec, d.generator, d.objective, d.penalties)
        return System((fragile, g), system.generator)


SETTINGS = {field.name: getattr(RECIPE, field.name) for field in fields(RECIPE)}
FRAGILE = with_settings(FragileRecipe(**SETTINGS), lr=(0.0016,), guard_policy="rollback")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("guard") / "data", shapes(40, 8))


def _stopped_after(trainer: Trainer, iterations: int) -> Trainer:
    """A trainer that is asked to stop after so many iterations."""
    train, trained = trainer.train, 0

    def counted() -> None:
        nonlocal trained
        train()
        trained += 1
        if trained == iterations:
            trainer.stop()

    trainer.train = counted  # type: ignore[method-assign]
    return trainer


def _events(folder: Path) -> list[tuple[int, str]]:
    lines = (folder / "events.jsonl").read_text().splitlines()
    return [(line["images"], line["title"]) for line in map(json.loads, lines)]


def test_a_run_is_rolled_back_until_it_holds(data: Path, tmp_path: Path) -> None:
    """Twice it fails, the third time it holds; the same whether or not it is interrupted on the way."""
    whole = trainer_of(tmp_path / "whole", data, FRAGILE)
    assert whole.run()
    back = [(48, "not finite"), (32, "rolled back")]
    assert _events(tmp_path / "whole") == [*back, *back]
    assert json.loads((tmp_path / "whole" / "rollbacks.json").read_text()) == [{"from": 48, "to": 32}] * 2
    lines = [line for line in metrics(tmp_path / "whole") if "alert" not in line]
    assert [line["images"] for line in lines] == [16, 32, 48, 64]
    assert [line["lr/g"] for line in lines] == pytest.approx([0.0016, 0.0016, 0.0004, 0.0004])

    for rounds in (5, 3):  # the first stops at the first rollback, the second after the second
        _stopped_after(trainer_of(tmp_path / "interrupted", data, FRAGILE), rounds).run()
    assert len(_events(tmp_path / "interrupted")) == 4
    trainer_of(tmp_path / "interrupted", data, FRAGILE).run()
    assert differences(newest_state(tmp_path / "interrupted"), newest_state(tmp_path / "whole")) == []


def test_rollbacks_come_to_an_end(data: Path, tmp_path: Path) -> None:
    once = with_settings(FRAGILE, guard_rollbacks=1)
    with pytest.raises(TrainingError, match=r"not finite after 48 images.*has used up its rollbacks"):
        trainer_of(tmp_path / "once", data, once).run()
    early = with_settings(FRAGILE, checkpoint_every=100)
    with pytest.raises(TrainingError, match=r"has no checkpoint from before that to return to"):
        trainer_of(tmp_path / "early", data, early).run()


def test_a_discriminator_that_wins(data: Path, tmp_path: Path) -> None:
    """One that learns fast, against a generator that cannot."""
    recipe = with_settings(RECIPE, kimg=0.8, lr=(0.01,), objective="rp-gan", checkpoint_every=100)
    trainer = trainer_of(
        tmp_path / "run",
        data,
        with_settings(recipe, guard_policy="stop", guard_won=0.05),
    )
    _, generate = trainer.system.updaters
    generate.spec = replace(generate.spec, lr=lambda _: 0.0)
    with pytest.raises(TrainingError, match="the discriminator has won"):
        trainer.run()
    assert [title for _, title in _events(tmp_path / "run")] == ["discriminator has won"]


def test_samples_that_collapse(data: Path, tmp_path: Path) -> None:
    """In mid-run the generator forgets to look at its latent vectors; by default it is warned of, and goes on."""
    trainer = trainer_of(
        tmp_path / "run", data, with_settings(RECIPE, snapshot_every=0.016, ema_half_life=0.001)
    )
    trainer.guard = Guard(trainer.recipe.monitoring, _lines("diversity", 0.8))
    for parameter in [*trainer.system.generator.parameters(), *trainer.average.generator.parameters()]:
        if parameter.dim() > 1:
            parameter.data.zero_()
    trainer.train_state = replace(trainer.train_state, images=8)
    assert trainer.run()
    assert _events(tmp_path / "run")[0] == (16, "collapse")
