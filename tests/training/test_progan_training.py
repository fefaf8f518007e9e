"""ProGAN in training: the schedule, optimisers and averages that follow it, labels, runs through all sizes."""

import json
import shutil
from dataclasses import replace
from math import inf
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from models.architectures.progan import ProGANGenerator
from models.checkpoint import load_generator
from models.sampler import Sampler
from tests.prepared import write_dataset
from tests.training.plain import PROGAN
from tests.training.toy import differences, kill_when, metrics, newest_state, shapes, train
from training.export import export
from training.growth import Phase, Stage
from training.optim.ema import MovingAverage
from training.recipes.options import OptimizerOptions, PenaltyOptions
from training.recipes.pair import PairOptions
from training.recipes.progan import ProGANRecipe, progan, progan_cpu
from training.recipes.recipe import DataFormat, with_settings
from training.rng import KeyedRNG
from training.schedules import TrainState
from training.system import Batch, System
from training.updaters.adversarial import DiscriminatorUpdater, GeneratorUpdater
from training.updaters.images import faded, latents

RECIPE = with_settings(
    ProGANRecipe(resolution=16, kimg=0.4, batch=8, **PROGAN),
    batches=(16,),
    hold=0.064,
    fade=0.064,
    widths=(8, 6, 4),
    latent_size=8,
    objective="wgan",
    gradient_penalty=10.0,
    drift=0.001,
    lr=(0.001,),
)
# The same through train.py: 4x4 to 64 images, 8x8 fades in to 128, is held to 192, 16x16 fades in to 256.
TINY = (
    *("--recipe", "progan-cpu", "--resolution", "16", "--widths", "8", "6", "4", "--latent-size", "8"),
    *("--batch", "8", "--batches", "16", "--hold", "0.064", "--fade", "0.064", "--kimg", "0.32"),
    *("--log-every", "0.016", "--checkpoint-every", "0.016", "--snapshot-every", "0.128", "--keep", "100"),
    *("--tracker", "none"),
)
LAST = 320  # images of TINY
START = TrainState(0, 1000, 0)


def _build(data: DataFormat, **changes: object) -> tuple[System, DiscriminatorUpdater, GeneratorUpdater]:
    torch.manual_seed(0)
    system = with_settings(RECIPE, **changes).build(data)  # type: ignore[arg-type]
    d, g = system.updaters
    assert isinstance(d, DiscriminatorUpdater)
    assert isinstance(g, GeneratorUpdater)
    return system, d, g


def _batch(stage: Stage, channels: int = 3, classes: int = 0) -> Batch:
    rng = torch.Generator().manual_seed(3)
    reals = torch.rand(8, channels, stage.resolution, stage.resolution, generator=rng) * 2 - 1
    labels = torch.randint(classes, (8,), generator=rng) if classes else None
    return Batch(reals, labels, KeyedRNG(0, 0, 8, slice(0, 8), torch.device("cpu")), stage)


def test_the_papers_schedule() -> None:
    recipe = progan()
    phases = recipe.growth_schedule().phases
    assert [phase.resolution for phase in phases] == [4] + [8 << level // 2 for level in range(16)]
    assert {phase.end - phase.start for phase in phases[:-1]} == {800_000}
    assert phases[-1] == Phase(13_600_000 - 800_000, inf, 1024, 3)
    batches = {phase.resolution: phase.batch for phase in phases}
    assert batches == {4: 16, 8: 16, 16: 16, 32: 16, 64: 16, 128: 16, 256: 14, 512: 6, 1024: 3}
    assert recipe.kimg * 1000 > phases[-1].start
    assert recipe.pair == PairOptions(objective="wgan", classify=1.0)
    assert recipe.penalties == PenaltyOptions(gradient_penalty=10, drift=0.001)
    assert recipe.optimizer == OptimizerOptions(lr=(0.001,), betas=(0.0, 0.99))


def test_any_resolution_takes_its_part_of_the_batches() -> None:
    small = replace(progan(), resolution=8).growth_schedule()
    assert [phase.batch for phase in small.phases] == [16, 16, 16]
    assert [phase.batch for phase in RECIPE.growth_schedule().phases] == [16, 8, 8, 8, 8]


def test_without_growth_it_is_of_full_size_from_the_start() -> None:
    assert with_settings(RECIPE, grow_from=0, hold=0, fade=0).growth_schedule().phases == (
        Phase(0, inf, 16, 16),
    )


def test_gamma_is_that_of_all_sizes_unless_told_otherwise() -> None:
    states = [TrainState(images, 400, 0) for images in (0, 100, 390)]
    assert [_build(DataFormat(3), r1=(8.0,))[1].penalties.r1(state) for state in states] == [8.0] * 3
    penalties = _build(DataFormat(3), r1=(8.0,), r2=(4.0,), r1_power=1.0)[1].penalties
    assert [penalties.r1(state) for state in states] == [2.0, 4.0, 8.0]
    assert [penalties.r2(state) for state in states] == [1.0, 2.0, 4.0]


def test_the_cpu_recipe_ends_with_more_of_64_than_of_all_before() -> None:
    recipe = progan_cpu()
    last = recipe.growth_schedule().phases[-1]
    assert last.resolution == 64
    assert last.start < recipe.kimg * 1000 / 2


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"resolution": 48}, "resolution must be a power of two from 8 to 1024, not 48"),
        ({"resolution": 4}, "resolution must be a power of two from 8 to 1024, not 4"),
        ({"batches": (16, 0)}, "batches must be positive"),
        ({"hold": 0}, "hold must be positive where images grow, not 0"),
        ({"fade": -1}, "fade must not be negative, not -1"),
        ({"classify": -1}, "classify must not be negative"),
        ({"group": 0}, "group must be positive, not 0"),
    ],
)
def test_a_bad_field(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        with_settings(RECIPE, **changes)  # type: ignore[arg-type]


def test_optimisers_are_the_papers() -> None:
    _, d, g = _build(DataFormat(3))
    for updater in (d, g):
        (group,) = updater.spec.optimizer.param_groups
        assert group["betas"] == (0.0, 0.99)
        assert group["eps"] == 1e-8
        assert updater.spec.lr(START) == updater.spec.lr(TrainState(999, 1000, 9)) == 0.001


def test_the_average_follows_the_growth_and_averages_weights_alone() -> None:
    system, _, _ = _build(DataFormat(3))
    generator = system.generator
    average = MovingAverage(generator, 100, ramp=1e9)
    assert average.generator.resolutions == (4,)
    generator.grow(16, 0.3)
    with torch.no_grad():
        for parameter in generator.parameters():
            parameter.add_(1.0)
    before = [parameter.clone() for parameter in average.generator.parameters()]
    average.update(generator, 100, 100)
    assert average.generator.resolutions == (4, 8, 16)
    assert average.generator.growth.tolist() == pytest.approx([16, 0.3])  # type: ignore[operator]
    for was, now in zip(before, average.generator.parameters(), strict=True):
        torch.testing.assert_close(now, was + 0.5)


@pytest.mark.parametrize("stage", [Stage(4, 8), Stage(8, 8, 0.25, 1), Stage(16, 8, 1.0, 4)])
def test_both_sides_see_the_current_size_faded_alike(stage: Stage) -> None:
    system, d, g = _build(DataFormat(3))
    batch = _batch(stage)
    move = d.compute_loss(batch, START)
    assert system.generator.resolutions[-1] == d.network.resolutions[0] == stage.resolution
    with torch.no_grad():
        fakes = system.generator(latents(system.generator, batch))[-1:]
    real, fake = d.network([faded(batch.reals, stage.blend)]).logits, d.network(fakes).logits
    torch.testing.assert_close(move.scalars["loss/d"], fake.mean() - real.mean())
    extra = 10 * move.scalars["penalty/gradient"] + 0.001 * real.square().mean()
    torch.testing.assert_close(move.loss, move.scalars["loss/d"] + extra)
    torch.testing.assert_close(g.compute_loss(batch, START).loss, -fake.mean())


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("classes", [0, 3])
def test_both_sides_move_at_every_stage(channels: int, classes: int) -> None:
    names = tuple("abc"[:classes])
    system, *updaters = _build(DataFormat(channels, names))
    assert system.generator.class_names == names
    assert system.generator.input_size == 8 + classes
    for stage in (Stage(4, 8), Stage(8, 8, 0.25, 1), Stage(8, 8, 1.0, 2), Stage(16, 8, 0.5, 3)):
        batch = _batch(stage, channels, classes)
        for updater in updaters:
            updater.spec.optimizer.zero_grad()
            move = updater.compute_loss(batch, START)
            assert ("loss/class_g" in move.scalars or "loss/class_fake" in move.scalars) == bool(classes)
            move.loss.backward()
            before = updater.network.state_dict()
            before = {name: value.clone() for name, value in before.items()}
            updater.spec.optimizer.step()
            assert differences(before, updater.network.state_dict())
            assert all(value.isfinite().all() for value in updater.network.state_dict().values())


def test_the_class_loss_teaches_the_generator_its_labels() -> None:
    """A few steps on the class loss alone: fakes come to be told apart, by labels that are theirs."""
    _, d, g = _build(DataFormat(3, ("a", "b")), lr=(0.01,))
    losses = []
    for _ in range(30):
        for updater in (d, g):
            updater.spec.optimizer.zero_grad()
            move = updater.compute_loss(_batch(Stage(4, 8), classes=2), START)
            move.scalars["loss/class_g" if updater is g else "loss/class_fake"].backward()
            updater.spec.optimizer.step()
        losses.append(move.scalars["loss/class_g"].item())
    assert losses[-1] < 0.2 < losses[0]


def test_augmentation_reaches_both_sides_at_every_size() -> None:
    stage = Stage(8, 8, 0.25, 1)
    losses = {}
    for augment in ((), ("color", "translation")):
        _, d, g = _build(DataFormat(3), augment=augment)
        losses[augment] = [updater.compute_loss(_batch(stage), START).loss for updater in (d, g)]
    for plain, augmented in zip(*losses.values(), strict=True):
        assert augmented.isfinite()
        assert not torch.allclose(plain, augmented)


def test_labels_may_be_ignored() -> None:
    system, d, g = _build(DataFormat(3, ("a", "b")), classify=0.0)
    assert system.generator.class_names == ()
    assert d.network([torch.zeros(4, 3, 16, 16)]).classes is None
    assert "loss/class_g" not in g.compute_loss(_batch(Stage(4, 8), classes=2), START).scalars


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("progan") / "data", shapes(20, 16))


@pytest.fixture(scope="module")
def whole(data: Path) -> Path:
    """A run through all sizes that nothing interrupts."""
    folder = data.parent / "whole"
    train((*TINY, "--data", data, "--out", folder))
    return folder


def _checkpoint(run: Path, images: int) -> Path:
    return run / "checkpoints" / f"{images:010d}"


@pytest.mark.parametrize(
    ("images", "growth"),
    [(64, [4, 1]), (80, [8, 0.125]), (128, [8, 0.875]), (144, [8, 1]), (256, [16, 0.875]), (320, [16, 1])],
)
def test_the_saved_model_is_as_far_as_the_last_step(whole: Path, images: int, growth: list[float]) -> None:
    generator = load_generator(_checkpoint(whole, images) / "model")
    assert isinstance(generator, ProGANGenerator)
    assert generator.growth.tolist() == growth


def test_each_phase_begins_with_fresh_moments(whole: Path) -> None:
    """Adam counts its steps from the phase's start: 4x4 in steps of 16 images, the others of 8."""
    steps = {}
    for images in (48, 64, 80, 128, 144, 208):
        state = load_file(_checkpoint(whole, images) / "state.safetensors")
        for side in ("d", "g"):
            counts = {
                v.item() for k, v in state.items() if k.startswith(f"{side}.opt") and k.endswith(".step")
            }
            steps[images, side] = counts
    expected = {48: 3, 64: 4, 80: 2, 128: 8, 144: 2, 208: 2}
    assert steps == {(images, side): {count} for images, count in expected.items() for side in ("d", "g")}


def test_what_has_not_grown_has_not_moved(whole: Path) -> None:
    early, late = (load_file(_checkpoint(whole, images) / "state.safetensors") for images in (192, 320))
    still = load_file(_checkpoint(whole, 16) / "state.safetensors")
    new = [name for name in still if ".network." in name and ("blocks.1" in name or "rgb.2" in name)]
    assert len(new) == 2 * (4 + 2)
    for name in new:
        assert torch.equal(still[name], early[name]), name
        assert not torch.equal(still[name], late[name]), name


def test_samples_are_of_every_size_so_far(whole: Path) -> None:
    sides = {int(f.name): sorted(int(p.stem) for p in f.iterdir()) for f in (whole / "samples").iterdir()}
    assert sides == {0: [4], 128: [4, 8], 256: [4, 8, 16], 320: [4, 8, 16]}


def test_the_exported_model_streams_in_as_many_steps_as_levels(whole: Path, tmp_path: Path) -> None:
    export(whole, tmp_path / "model")
    sampler = Sampler(load_generator(tmp_path / "model"))
    stages = list(sampler.stream([1, 2]))
    assert [tuple(stage.shape) for stage in stages] == [(2, 3, r, r) for r in (4, 8, 16)]
    assert torch.equal(sampler.generate([1, 2]), stages[-1])


def test_the_card_of_what_has_not_grown_yet_says_so(whole: Path, tmp_path: Path) -> None:
    young = tmp_path / "young"
    shutil.copytree(_checkpoint(whole, 128), young / "checkpoints" / "0000000128")
    export(young, tmp_path / "model")
    said = (tmp_path / "model" / "README.md").read_text()
    assert "A progan generator of 8x8 images with 3 channels" in said
    assert "It has not grown to its 16x16 yet." in said
    export(whole, tmp_path / "grown")
    assert "generator of 16x16 images" in (tmp_path / "grown" / "README.md").read_text()
    assert "has not grown" not in (tmp_path / "grown" / "README.md").read_text()


def _newest(run: Path) -> int:
    return max((int(path.name) for path in run.glob("checkpoints/[0-9]*")), default=0)


def test_a_run_killed_in_mid_fade_ends_in_the_same_bits(whole: Path, data: Path) -> None:
    run = data.parent / "killed"
    kill_when(lambda: _newest(run) >= 208, (*TINY, "--data", data, "--out", run))
    saved = json.loads((_checkpoint(run, _newest(run)) / "state.json").read_text())
    assert saved["phase"] == 3
    resolution, blend = load_generator(run).state_dict()["growth"].tolist()
    assert resolution == 16
    assert 0 < blend < 1
    train(("--resume", "--tracker", "none", "--out", run))
    assert _newest(run) == LAST
    assert differences(newest_state(run), newest_state(whole)) == []
    assert metrics(run) == metrics(whole)
