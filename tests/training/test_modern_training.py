"""The modern baseline in training: its schedules, labels, growth, and a run that is killed and goes on."""

import json
from math import inf
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from models.architectures.modern import ModernDiscriminator, ModernGenerator
from models.checkpoint import load_generator
from models.sampler import Sampler
from tests.prepared import write_dataset
from tests.training.plain import MODERN
from tests.training.toy import differences, kill_when, metrics, newest_state, shapes, train
from training.export import export
from training.growth import Phase, Stage
from training.recipes.modern import ModernRecipe, modern, modern_cpu
from training.recipes.recipe import DataFormat, with_settings
from training.rng import KeyedRNG
from training.schedules import TrainState
from training.system import Batch
from training.updaters.adversarial import DiscriminatorUpdater, GeneratorUpdater

RECIPE = with_settings(
    ModernRecipe(resolution=16, kimg=0.4, batch=8, **MODERN),
    widths=(8, 6, 4),
    blocks=1,
    latent_size=8,
    r1=(2.0, 0.3),
    r2=(2.0, 0.3),
)
# The same through train.py with labels and attention: 8x8 to 48 images, 16x16 fades in to 112, and is held to 160.
TINY = (
    *("--recipe", "modern-cpu", "--resolution", "16", "--widths", "8", "6", "4", "--latent-size", "8"),
    *("--batch", "8", "--kimg", "0.16", "--grow-from", "8", "--hold", "0.048", "--fade", "0.064"),
    *("--attention", "8", "--log-every", "0.016", "--checkpoint-every", "0.016", "--snapshot-every", "100"),
    *("--keep", "100", "--tracker", "none"),
)
LAST = 160  # images of TINY


def _updaters(data: DataFormat, **changes: object) -> tuple[DiscriminatorUpdater, GeneratorUpdater]:
    torch.manual_seed(0)
    d, g = with_settings(RECIPE, **changes).build(data).updaters  # type: ignore[arg-type]
    assert isinstance(d, DiscriminatorUpdater)
    assert isinstance(g, GeneratorUpdater)
    return d, g


def _batch(stage: Stage, labels: torch.Tensor | None = None) -> Batch:
    rng = torch.Generator().manual_seed(3)
    reals = torch.rand(8, 3, stage.resolution, stage.resolution, generator=rng) * 2 - 1
    return Batch(reals, labels, KeyedRNG(0, 0, 8, slice(0, 8), torch.device("cpu")), stage)


def test_the_penalty_falls_along_a_cosine_and_with_the_cube_of_the_side() -> None:
    growing = with_settings(RECIPE, grow_from=8, hold=0.1, fade=0.1)
    for images, gamma in ((0, 2.0), (200, 1.15), (400, 0.3)):
        train_state = TrainState(images, 400, 0)
        for recipe, factor in ((RECIPE, 1), (growing, 8 if images < 100 else 1)):
            d, _ = recipe.build(DataFormat(3)).updaters
            assert isinstance(d, DiscriminatorUpdater)
            assert d.penalties.r1(train_state) == pytest.approx(gamma / factor)
            assert d.penalties.r2(train_state) == pytest.approx(gamma / factor)


def test_the_recipes_phases() -> None:
    assert modern().growth_schedule().phases == (Phase(0, inf, 256, modern().batch),)
    growing = with_settings(modern_cpu(), grow_from=16, hold=40, fade=10).growth_schedule().phases
    assert [(phase.start, phase.resolution, phase.fading) for phase in growing] == [
        *((0, 16, False), (40_000, 32, True), (50_000, 32, False)),
        *((90_000, 64, True), (100_000, 64, False)),
    ]
    assert {phase.batch for phase in growing} == {modern_cpu().batch}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"resolution": 48}, "resolution must be a power of two from 8 to 1024, not 48"),
        ({"grow_from": 32, "hold": 1.0}, "grow_from must be one of 4, 8, 16, or 0 for no growth, not 32"),
        ({"grow_from": 6, "hold": 1.0}, "grow_from must be one of 4, 8, 16, or 0 for no growth, not 6"),
        ({"hold": 1.0}, "hold and fade need grow_from"),
        ({"grow_from": 8, "fade": 1.0}, "hold must be positive where images grow, not 0.0"),
        ({"grow_from": 8, "hold": 1.0, "fade": -1.0}, "fade must not be negative, not -1.0"),
        ({"r1": (2.0, -1.0)}, r"r1 must not be negative, not \(2.0, -1.0\)"),
    ],
)
def test_a_bad_field(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        with_settings(RECIPE, **changes)  # type: ignore[arg-type]


def test_the_pair_is_relativistic_with_both_penalties() -> None:
    d, g = _updaters(DataFormat(3))
    output, answer = (
        d.compute_loss(_batch(Stage(16, 8)), TrainState(0, 400, 0)),
        g.compute_loss(_batch(Stage(16, 8)), TrainState(0, 400, 0)),
    )
    penalty = output.scalars["penalty/r1"] + output.scalars["penalty/r2"]
    torch.testing.assert_close(output.loss, output.scalars["loss/d"] + 2.0 * penalty)
    with torch.no_grad():
        fakes = d.generator(_batch(Stage(16, 8)).rng.draw("latents", d.generator.prior))
        real, fake = d.network([_batch(Stage(16, 8)).reals]).logits, d.network(fakes[-1:]).logits
    torch.testing.assert_close(output.scalars["loss/d"], torch.nn.functional.softplus(fake - real).mean())
    torch.testing.assert_close(answer.loss, torch.nn.functional.softplus(real - fake).mean())


def test_both_sides_know_the_labels_or_are_told_not_to() -> None:
    labels = torch.tensor([0, 1] * 4)
    batch, other = (_batch(Stage(16, 8), labels=given) for given in (labels, labels.flip(0)))
    for conditional in (True, False):
        d, g = _updaters(DataFormat(3, ("a", "b")), conditional=conditional)
        assert g.network.input_size == 8 + 2 * conditional
        assert g.network.class_names == (("a", "b") if conditional else ())
        assert isinstance(d.network, ModernDiscriminator)
        assert (d.network.embedding is not None) == conditional
        for updater in (d, g):
            losses = [updater.compute_loss(given, TrainState(0, 400, 1)).loss for given in (batch, other)]
            assert torch.equal(*losses) != conditional


def test_a_growing_game_begins_small() -> None:
    d, g = _updaters(DataFormat(3), grow_from=8, hold=0.1)
    assert g.network.resolutions == (4, 8)
    for updater in (d, g):
        updater.compute_loss(_batch(Stage(8, 8)), TrainState(0, 400, 0)).loss.backward()  # type: ignore[no-untyped-call]
        updater.compute_loss(_batch(Stage(16, 8, 0.5)), TrainState(200, 400, 0)).loss.backward()  # type: ignore[no-untyped-call]
        assert all(parameter.grad is not None for parameter in updater.network.parameters())
    assert d.network.resolutions == (16,)
    assert g.network.resolutions == (4, 8, 16)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("modern") / "data"
    return write_dataset(folder, shapes(20, 16), labels=[0, 1] * 10)


@pytest.fixture(scope="module")
def whole(data: Path) -> Path:
    """A run that nothing interrupts."""
    folder = data.parent / "whole"
    train((*TINY, "--data", data, "--out", folder))
    return folder


def _newest(run: Path) -> int:
    return max((int(path.name) for path in run.glob("checkpoints/[0-9]*")), default=0)


def test_a_run_killed_in_mid_fade_ends_in_the_same_bits(whole: Path, data: Path) -> None:
    run = data.parent / "killed"
    kill_when(lambda: _newest(run) >= 64, (*TINY, "--data", data, "--out", run))
    blend = load_generator(run).state_dict()["growth"][1]
    assert 0 < blend < 1
    train(("--resume", "--tracker", "none", "--out", run))
    assert _newest(run) == LAST
    assert differences(newest_state(run), newest_state(whole)) == []
    assert metrics(run) == metrics(whole)


def test_training_moved_every_weight(whole: Path) -> None:
    first, last = (
        load_file(whole / "checkpoints" / f"{images:010d}" / "state.safetensors") for images in (16, LAST)
    )
    names = [name for name in last if ".network." in name and "previews" not in name]
    assert names
    assert [name for name in names if torch.equal(first[name], last[name])] == []


def test_the_exported_model_streams_in_as_many_steps_as_levels(whole: Path, tmp_path: Path) -> None:
    export(whole, tmp_path / "model")
    generator = load_generator(tmp_path / "model")
    assert isinstance(generator, ModernGenerator)
    assert generator.class_names == ("a", "b")
    assert json.loads((tmp_path / "model" / "config.json").read_text())["architecture"] == "modern"
    sampler = Sampler(generator)
    stages = list(sampler.stream([1, 2]))
    assert [tuple(stage.shape) for stage in stages] == [(2, 3, r, r) for r in (4, 8, 16)]
    assert torch.equal(sampler.generate([1, 2]), stages[-1])
    assert not torch.equal(stages[-1][0], stages[-1][1])
