"""What is tried before a run leaves no trace in it, fits into memory, and is gone on with when memory runs out."""

import json
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from math import inf
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate import Accelerator
from rich.console import Console
from torch import Tensor, nn

from models.architectures.msg_gan import MSGGenerator
from tests.prepared import write_dataset
from tests.training.toy import RECIPE, differences, metrics, newest_state, shapes, trainer_of
from tests.training.updates import gradients
from training import preflight, run
from training.data.loader import BatchLoader, SampleRange
from training.growth import Growth, Phase, Stage
from training.monitoring import memory
from training.optim.spec import OptimizerSpec
from training.preflight import halvings, largest_that_fits
from training.recipes.msg_gan import MSGRecipe
from training.recipes.recipe import DataFormat, with_settings
from training.rng import KeyedRNG
from training.schedules import TrainState
from training.system import Batch, LossOutput, System, Updater
from training.trainer import Trainer, TrainingError
from training.updaters.adversarial import DiscriminatorUpdater

CPU = torch.device("cpu")
THREE_PHASES = Growth((Phase(0, 16, 8, 4), Phase(16, 32, 8, 8, fading=True), Phase(32, inf, 8, 8)))


@dataclass(frozen=True)
class Phased(MSGRecipe):
    """One size in three phases."""

    def growth_schedule(self) -> Growth:
        return THREE_PHASES


PHASED = Phased(**{field.name: getattr(RECIPE, field.name) for field in fields(RECIPE)})


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("preflight") / "data", shapes(10, 8))


def _state(folder: Path) -> Any:
    return json.loads((max((folder / "checkpoints").glob("[0-9]*")) / "state.json").read_text())


def test_halvings() -> None:
    assert [halvings(n) for n in (20, 8, 3, 2, 1)] == [[20, 10, 5, 3, 2], [8, 4, 2], [3, 2], [2], [1]]


@pytest.mark.parametrize(
    ("limit", "takes", "expected"),
    [
        (100, lambda n: 10 + n, (16, 26)),
        (20, lambda n: 10 + n, (8, 18)),
        (12, lambda n: 10 + n, (2, 12)),
        (11, lambda n: 10 + n, None),
        (100, lambda n: inf if n > 5 else 10 + n, (4, 14)),  # a device that refuses
        (100, lambda n: n * n, (8, 64)),  # more than the line foresees
        (1e9, lambda _: inf, None),
    ],
)
def test_the_largest_that_fits(
    limit: float, takes: Callable[[int], float], expected: tuple[int, float] | None
) -> None:
    assert largest_that_fits(halvings(16), takes, limit) == expected


def test_what_cannot_fit_is_never_tried() -> None:
    tried: list[int] = []

    def trial(size: int) -> float:
        tried.append(size)
        return 10.0 * size

    assert largest_that_fits(halvings(64), trial, 100) == (8, 80)
    assert max(tried) == 8


GROUPS = {
    "version 2, a group's": ("0::/job/step", {"job/memory.max": "3000", "job/step/memory.max": "max"}, 2600),
    "version 2, the nearer": (
        "0::/job/step",
        {"job/memory.max": "3000", "job/step/memory.max": "2000"},
        1600,
    ),
    "version 1": ("4:memory:/job", {"memory/job/memory.limit_in_bytes": "5000"}, 4600),
    "another controller": ("4:cpu:/job", {"memory/job/memory.limit_in_bytes": "5000"}, None),
}


@pytest.mark.parametrize("case", GROUPS)
def test_memory_of_control_groups(tmp_path: Path, case: str) -> None:
    """Used 1000 bytes, 600 of them files that can be dropped."""
    line, limits, expected = GROUPS[case]
    own = tmp_path / "own"
    own.write_text(f"9:cpuset:/\n{line}\n")
    for name, limit in limits.items():
        path = tmp_path / "groups" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{limit}\n")
        path.with_name("memory.current").write_text("1000\n")
        path.with_name("memory.usage_in_bytes").write_text("1000\n")
        path.with_name("memory.stat").write_text("anon 400\ninactive_file 600\ntotal_inactive_file 600\n")
    found = memory.available(tmp_path / "groups", own)
    assert found == expected if expected else found > 100_000


def test_the_peak_of_this_process() -> None:
    host = memory.HostMemory()
    host.forget_peak()
    before = host.peak()
    torch.ones(50_000_000)  # 200 MB, let go
    assert 180e6 < host.peak() - before < 300e6


class PerSample(Updater):
    """A loss that is a mean over samples, of noise, labels and forecasts."""

    def compute_loss(self, batch: Batch, train_state: TrainState) -> LossOutput:
        noise = batch.rng.draw("noise", lambda count, rng: torch.randn(count, 4, generator=rng))
        assert batch.labels is not None
        inputs = torch.cat([noise, batch.reals.mean((2, 3)), batch.labels[:, None].float()], 1)
        loss = self.network(inputs.double()).square().mean()
        return LossOutput(loss, {"loss": loss})


@pytest.mark.parametrize("micro_batch", [1, 2, 3, 5, 100])
def test_micro_batches_give_the_gradients_of_the_whole(micro_batch: int) -> None:
    torch.manual_seed(0)
    network = nn.Linear(8, 3).double()
    updater = PerSample("p", network, OptimizerSpec(torch.optim.SGD(network.parameters()), lambda _: 0.1))
    batch = Batch(
        torch.rand(5, 3, 4, 4), torch.arange(5), KeyedRNG(0, 8, 20, slice(10, 15), CPU), Stage(4, 20)
    )
    system = System((updater,), MSGGenerator(8, (2, 2), 4, 3))
    whole = gradients(system, updater, batch, TrainState(0, 1, 0), 5)
    expected = [parameter.grad.clone() for parameter in network.parameters() if parameter.grad is not None]
    scalars = gradients(system, updater, batch, TrainState(0, 1, 0), micro_batch)
    for parameter, gradient in zip(network.parameters(), expected, strict=True):
        torch.testing.assert_close(parameter.grad, gradient, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(scalars["loss"], whole["loss"])
    sizes = [len(part.reals) for part in batch.micro_batches(micro_batch)]
    assert sum(sizes) == 5
    assert max(sizes) <= micro_batch
    assert max(sizes) - min(sizes) <= 1


def test_a_preflight_leaves_no_trace(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = with_settings(PHASED, r1=(1.0,), gradient_penalty=1.0)
    assert trainer_of(tmp_path / "with", data, recipe).run()
    with monkeypatch.context() as patch:
        patch.setattr(run, "run_preflight", lambda *_: {})
        assert trainer_of(tmp_path / "without", data, recipe).run()
    assert differences(newest_state(tmp_path / "with"), newest_state(tmp_path / "without")) == []
    assert metrics(tmp_path / "with") == metrics(tmp_path / "without")
    before = torch.random.get_rng_state()
    preflight.estimate(recipe, DataFormat(3), Accelerator(), 0, {})
    assert torch.equal(torch.random.get_rng_state(), before)


def _estimate(recipe: MSGRecipe, images: int = 0, known: dict[int, int] | None = None) -> preflight.Preflight:
    return preflight.estimate(recipe, DataFormat(3), Accelerator(), images, known or {})


def test_every_phase_that_is_ahead_is_tried() -> None:
    whole = _estimate(PHASED)
    forecasts = [(f.phase, f.images, f.batch, f.micro_batch) for f in whole.forecasts]
    assert forecasts == [(0, "8x8", 4, 4), (1, "8x8 fading in", 8, 8), (2, "8x8", 8, 8)]
    for forecast, images in zip(whole.forecasts, (16, 16, 32), strict=True):
        assert forecast.seconds * forecast.rate == pytest.approx(images)
        assert 50e6 < forecast.memory < whole.limit
    resumed = _estimate(PHASED, images=24).forecasts
    assert [f.phase for f in resumed] == [1, 2]
    assert resumed[0].seconds * resumed[0].rate == pytest.approx(8)
    assert [f.phase for f in _estimate(replace(PHASED, kimg=0.02)).forecasts] == [0, 1]


def test_micro_batches_are_bounded_by_the_recipe_and_by_an_earlier_choice() -> None:
    assert [f.micro_batch for f in _estimate(with_settings(PHASED, micro_batch=3)).forecasts] == [3, 3, 3]
    assert [f.micro_batch for f in _estimate(PHASED, known={1: 5}).forecasts] == [4, 5, 8]


@dataclass
class Hungry(DiscriminatorUpdater):
    """A discriminator's side that computes no more than three images at once."""

    def compute_loss(self, batch: Batch, train_state: TrainState) -> LossOutput:
        if len(batch.reals) > 3:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return super().compute_loss(batch, train_state)


@dataclass(frozen=True)
class HungryRecipe(Phased):
    def build(self, data: DataFormat) -> System:
        system = super().build(data)
        d, g = system.updaters
        assert isinstance(d, DiscriminatorUpdater)
        hungry = Hungry(d.name, d.network, d.spec, d.generator, d.objective, d.penalties)
        return System((hungry, g), system.generator)


def test_micro_batches_are_such_as_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    hungry = HungryRecipe(**{field.name: getattr(PHASED, field.name) for field in fields(PHASED)})
    assert [f.micro_batch for f in _estimate(hungry).forecasts] == [2, 2, 2]
    monkeypatch.setattr(memory.HostMemory, "limit", lambda _: 1e6)
    with pytest.raises(
        ValueError, match=r"8x8 does not fit into memory \(0.00 GB\), even 2 images at a time"
    ):
        _estimate(PHASED)


def test_the_table(tmp_path: Path) -> None:
    console = Console(record=True, width=100)
    preflight.show(_estimate(PHASED), tmp_path / "not" / "yet", 3, console)
    said = console.export_text()
    for word in ("8x8 fading in", "GB", "time left", "total", "a checkpoint takes", "3 kept"):
        assert word in said


def test_a_checkpoint_is_as_large_as_announced(data: Path, tmp_path: Path) -> None:
    announced = _estimate(RECIPE).checkpoint
    assert trainer_of(tmp_path / "run", data).run()
    newest = max((tmp_path / "run" / "checkpoints").iterdir())
    size = sum(path.stat().st_size for path in newest.rglob("*") if path.is_file())
    assert announced < size < announced * 1.2 + 30_000  # names and settings come on top


class Weak(DiscriminatorUpdater):
    """A discriminator's side that once, after 24 images, finds no memory."""

    failed = False

    def compute_loss(self, batch: Batch, train_state: TrainState) -> LossOutput:
        output = super().compute_loss(batch, train_state)
        if train_state.images == 24 and not self.failed:
            self.failed = True
            raise torch.OutOfMemoryError("CUDA out of memory")
        return output


def _weak(trainer: Trainer) -> Trainer:
    d, g = trainer.system.updaters
    assert isinstance(d, DiscriminatorUpdater)
    weak = Weak(d.name, d.network, d.spec, d.generator, d.objective, d.penalties)
    trainer.system = System((weak, g), trainer.system.generator)
    return trainer


def _spy(monkeypatch: pytest.MonkeyPatch) -> list[SampleRange]:
    taken: list[SampleRange] = []
    take = BatchLoader.take

    def noting(
        self: BatchLoader, wanted: SampleRange, following: SampleRange
    ) -> tuple[Tensor, Tensor | None]:
        taken.append(wanted)
        return take(self, wanted, following)

    monkeypatch.setattr(BatchLoader, "take", noting)
    return taken


def test_a_run_goes_on_when_memory_runs_out(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    taken = _spy(monkeypatch)
    assert trainer_of(tmp_path / "whole", data).run()
    expected, taken[:] = taken[:], []
    assert _weak(trainer_of(tmp_path / "weak", data)).run()
    assert taken == expected
    assert "out of memory: micro-batches of 8 were too large; continuing with 4" in capsys.readouterr().out
    alerts = [line for line in metrics(tmp_path / "weak") if "alert" in line]
    assert [(line["images"], line["alert"]) for line in alerts] == [(24, "out of memory")]
    assert _state(tmp_path / "whole")["micro_batches"] == {"0": 8}
    assert _state(tmp_path / "weak")["micro_batches"] == {"0": 4}
    assert differences(newest_state(tmp_path / "weak"), newest_state(tmp_path / "whole"))


def test_a_resumed_run_keeps_to_the_micro_batches(data: Path, tmp_path: Path) -> None:
    assert _weak(trainer_of(tmp_path / "run", data, with_settings(RECIPE, lr=RECIPE.optimizer.lr[:1]))).run()
    longer = with_settings(RECIPE, lr=RECIPE.optimizer.lr[:1], kimg=0.08)
    assert trainer_of(tmp_path / "run", data, longer).micro_batches == {0: 4}
    assert trainer_of(tmp_path / "run", data, with_settings(longer, micro_batch=3)).micro_batches == {0: 3}


def test_nothing_can_be_cut_finer_than_one(data: Path, tmp_path: Path) -> None:
    trainer = _weak(trainer_of(tmp_path / "run", data, with_settings(RECIPE, micro_batch=1)))
    with pytest.raises(TrainingError, match=r"memory ran out at 24 images with micro-batches of 1"):
        trainer.run()
