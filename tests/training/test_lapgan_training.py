"""LAPGAN in training: what each level's pair is shown, that levels are independent, and runs that are joined."""

import json
from collections.abc import Sequence
from dataclasses import replace
from math import log
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from data_prep import pyramid as prepared
from models.architectures.lapgan import LAPGANGenerator
from models.checkpoint import load_generator
from models.discriminator import Discriminator, DiscriminatorOutput
from models.layers.normalization import RunningBatchNorm
from models.layers.pyramid import PYRAMIDS, PyramidName
from models.sampler import Sampler
from tests.prepared import write_dataset
from tests.training.ranks import on_ranks
from tests.training.toy import differences, kill_when, newest_state, shapes, state_of, trainer_of
from tests.training.updates import gradients, step
from train import main
from training import join_lapgan
from training.distributed.collective import average_gradients, use_global_batch
from training.export import export
from training.growth import Stage
from training.iteration import apply_gradients, set_up_system
from training.recipes.lapgan import LAPGANRecipe, lapgan, lapgan_cpu
from training.recipes.options import SGDOptions
from training.recipes.recipe import DataFormat, with_settings
from training.rng import KeyedRNG
from training.schedules import TrainState
from training.system import Batch, System
from training.updaters.lapgan import (
    BalanceRule,
    LevelDiscriminatorUpdater,
    LevelGeneratorUpdater,
    LevelUpdater,
    MarginRule,
)

RECIPE = with_settings(
    LAPGANRecipe(resolution=32, kimg=0.064, batch=8), base=8, widths=(8, 4, 4), latent_size=4
)
# The same through train.py, at 16x16: iterations of 8 images, a checkpoint every 2.
TINY = (
    *("--recipe", "lapgan", "--resolution", "16", "--base", "4", "--widths", "8", "8", "4"),
    *("--batch", "8", "--kimg", "0.064", "--conditional", "--tracker", "none", "--ema-half-life", "0.05"),
    *("--log-every", "0.016", "--checkpoint-every", "0.016", "--snapshot-every", "100", "--keep", "100"),
)
START = TrainState(0, 1000, 0)


def _build(classes: Sequence[str] = (), **changes: object) -> System:
    torch.manual_seed(0)
    recipe = with_settings(RECIPE, conditional=bool(classes), **changes)  # type: ignore[arg-type]
    return recipe.build(DataFormat(3, tuple(classes)))


def _updater(system: System, name: str) -> LevelUpdater:
    updater = next(updater for updater in system.updaters if updater.name == name)
    assert isinstance(updater, LevelUpdater)
    return updater


def _batch(part: slice = slice(0, 8), labels: Tensor | None = None, seed: int = 0) -> Batch:
    reals = torch.rand(8, 3, 32, 32, generator=torch.Generator().manual_seed(3)) * 2 - 1
    rng = KeyedRNG(seed, 16, 8, part, torch.device("cpu"))
    return Batch(reals[part], None if labels is None else labels[part], rng, Stage(32, 8))


class Recorder(Discriminator):
    """Gives every picture the same logits, and keeps what it was shown."""

    def __init__(self, side: int, logits: float) -> None:
        super().__init__()
        self.resolutions = (side,)
        self.logits = nn.Parameter(torch.tensor(logits))
        self.shown: list[Tensor] = []

    def forward(self, images: Sequence[Tensor], labels: Tensor | None = None) -> DiscriminatorOutput:
        self.shown.append(images[0])
        return DiscriminatorOutput(self.logits + 0 * images[0].mean((1, 2, 3)))


def _pair(
    system: System, side: int, logits: float
) -> tuple[LevelDiscriminatorUpdater, LevelGeneratorUpdater, Recorder]:
    d, g, recorder = _updater(system, f"d{side}"), _updater(system, f"g{side}"), Recorder(side, logits)
    assert isinstance(d, LevelDiscriminatorUpdater)
    assert isinstance(g, LevelGeneratorUpdater)
    d.network = g.discriminator = recorder
    return d, g, recorder


def test_a_pair_per_level_in_order() -> None:
    system = _build()
    assert [updater.name for updater in system.updaters] == ["d8", "g8", "d16", "g16", "d32", "g32"]
    assert isinstance(system.generator, LAPGANGenerator)
    assert [updater.network for updater in system.updaters[1::2]] == list(system.generator.levels)


@pytest.mark.parametrize("name", PYRAMIDS)
@pytest.mark.parametrize("side", [8, 16, 32])
def test_the_discriminator_is_shown_half_reals_and_half_fakes_over_real_coarse_images(
    side: int, name: PyramidName
) -> None:
    system = _build(pyramid=name)
    d, _, recorder = _pair(system, side, 0.0)
    with torch.no_grad():
        for parameter in d.level.parameters():  # bands of zero: a fake is its coarse image enlarged
            parameter.zero_()
    batch = _batch()
    d.compute_loss(batch, START)
    images = batch.reals
    while images.shape[-1] > side:
        images = PYRAMIDS[name].down(images)
    shown = recorder.shown[0]
    torch.testing.assert_close(shown[0::2], images[0::2])
    low = torch.zeros(8, 3, 8, 8) if side == 8 else PYRAMIDS[name].up(PYRAMIDS[name].down(images))
    torch.testing.assert_close(shown[1::2], low[1::2])


def test_the_levels_of_training_are_those_of_the_prepared_data() -> None:
    d, g, recorder = _pair(_build(), 16, 0.0)
    batch = _batch()
    levels = prepared.gaussian(batch.reals, 3)  # 32, 16, 8
    with torch.no_grad():
        for parameter in g.network.parameters():
            parameter.zero_()
    d.compute_loss(batch, START)
    g.compute_loss(batch, START)
    torch.testing.assert_close(recorder.shown[0][0::2], levels[1][0::2])
    torch.testing.assert_close(recorder.shown[1], prepared.up(levels[2]))  # over all coarse images


def test_losses_at_constant_logits() -> None:
    for logits in (0.0, 1.5, -1.5):
        d, g, _ = _pair(_build(), 16, logits)
        on_real, on_fake = (float(nn.functional.softplus(torch.tensor(s))) for s in (-logits, logits))
        assert d.compute_loss(_batch(), START).loss.item() == pytest.approx((on_real + on_fake) / 2)
        assert g.compute_loss(_batch(), START).loss.item() == pytest.approx(on_real)
        if logits == 0:
            assert d.compute_loss(_batch(), START).loss.item() == pytest.approx(log(2))


def test_the_gradient_raises_logits_of_reals_and_lowers_those_of_fakes() -> None:
    system = _build()
    d = _updater(system, "d16")
    seen: list[Tensor] = []
    d.network.register_forward_hook(lambda _, __, output: seen.append(output.logits))
    output = d.compute_loss(_batch(), START)
    seen[0].retain_grad()
    output.loss.backward()  # type: ignore[no-untyped-call]
    gradient = seen[0].grad
    assert gradient is not None
    assert (gradient[0::2] < 0).all()
    assert (gradient[1::2] > 0).all()
    means = [seen[0][which::2].mean().item() for which in (0, 1)]
    assert [output.scalars[f"logits/{which}16"].item() for which in ("real", "fake")] == pytest.approx(means)


def test_the_two_steps_draw_noise_of_their_own() -> None:
    d, g, recorder = _pair(_build(), 16, 0.0)
    d.compute_loss(_batch(), START)
    g.compute_loss(_batch(), START)
    g.compute_loss(_batch(seed=1), START)
    assert not torch.equal(recorder.shown[0][1::2], recorder.shown[1][1::2])
    assert not torch.equal(recorder.shown[1], recorder.shown[2])


@pytest.mark.parametrize("name", ["d8", "g8", "d32", "g32"])
def test_a_batch_in_two_parts_is_the_batch(name: str) -> None:
    """Whichever rank or piece a sample falls to: its noise, its dropout, and whether it is shown as a real."""
    system = _build(("a", "b"))
    labels = torch.tensor([0, 1, 1, 0, 0, 0, 1, 1])
    updater = _updater(system, name)

    def summed(*parts: slice) -> list[Tensor]:
        updater.network.zero_grad()
        for part in parts:
            loss = updater.compute_loss(_batch(part, labels), START).loss
            (loss * (part.stop - part.start) / 8).backward()  # type: ignore[no-untyped-call]
        return [p.grad.clone() for p in updater.network.parameters() if p.grad is not None]

    whole = summed(slice(0, 8))
    assert len(whole) == len(list(updater.network.parameters()))
    for one, other in zip(whole, summed(slice(0, 3), slice(3, 8)), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)


def test_a_level_does_not_depend_on_another() -> None:
    system = _build()
    alone = {updater.name: updater.compute_loss(_batch(), START).loss for updater in system.updaters}
    with torch.no_grad():
        for name in ("d16", "g16"):
            for parameter in _updater(system, name).network.parameters():
                parameter += 0.1
    for updater in system.updaters:
        same = torch.equal(updater.compute_loss(_batch(), START).loss, alone[updater.name])
        assert same == (updater.name not in {"d16", "g16"})


@pytest.mark.parametrize("name", ["d8", "g8", "d16", "g16"])
def test_a_label_reaches_every_updater(name: str) -> None:
    updater = _updater(_build(("a", "b")), name)
    losses = [updater.compute_loss(_batch(labels=torch.full((8,), label)), START).loss for label in (0, 1)]
    assert not torch.equal(*losses)


def test_momentum_and_learning_rate_follow_the_epochs() -> None:
    system = _build()
    updater = _updater(system, "d16")
    for epochs, momentum in ((0, 0.5), (100, 0.58), (1000, 0.8)):
        train_state = TrainState(epochs * 50_000, 10**9, 0)
        updater.spec.apply_schedules(train_state, lr_scale=0.5)
        (group,) = updater.spec.optimizer.param_groups
        assert group["momentum"] == pytest.approx(momentum)
        assert group["lr"] == pytest.approx(0.01 / 1.0004**epochs)


def test_adam_keeps_its_decays() -> None:
    updater = _updater(_build(optimizer="adam"), "d16")
    updater.spec.apply_schedules(START)
    assert updater.spec.optimizer.param_groups[0]["betas"] == (0.5, 0.999)
    assert updater.spec.momentum is None


def test_the_lsun_networks_train() -> None:
    system = _build(style="lsun", resolution=16, widths=(8, 32))
    for updater in system.updaters:
        assert updater.compute_loss(_batch(), START).loss.isfinite()
    norms = [layer for layer in system.generator.modules() if isinstance(layer, RunningBatchNorm)]
    assert len(norms) == 4
    assert all(norm.mean.ne(0).any() for norm in norms)


def _gradients(part: slice) -> dict[str, Tensor]:
    """Each updater's gradients, averaged over the ranks, and the running statistics after that.

    Also which network the margin rule updates, where errors differ over the batch.
    """
    system = _build(style="lsun", resolution=16, widths=(8, 32))
    found: dict[str, Tensor] = {}
    for updater in system.updaters:
        use_global_batch(updater.network)
    for updater in system.updaters:
        updater.compute_loss(_batch(part), START).loss.backward()  # type: ignore[no-untyped-call]
        average_gradients(updater.network.parameters())
        grads = {name: p.grad for name, p in updater.network.named_parameters() if p.grad is not None}
        found |= {f"{updater.name}.{name}": gradient.clone() for name, gradient in grads.items()}
    rule = MarginRule(0.3)
    rule.observe(
        torch.zeros(()), torch.linspace(0, 0.8, 8)[part].mean()
    )  # 0.17 and 0.63 on two ranks, together 0.4
    found["rule"] = torch.tensor([rule.update_discriminator, rule.update_generator])
    return found | dict(system.generator.named_buffers())


def test_two_ranks_give_the_gradients_of_one(tmp_path: Path) -> None:
    """Of the networks with batch norm and dropout of maps; the running statistics and the margin rule too."""
    one = _gradients(slice(0, 8))
    # weights and offsets of four networks, statistics of four norms
    assert len(one) == 6 + 6 + 8 + 10 + 2 * 4 + 1
    assert one["rule"].tolist() == [True, False]
    for found in on_ranks(_gradients, tmp_path):
        for name, value in one.items():
            torch.testing.assert_close(
                found[name], value, rtol=1e-4, atol=1e-6, msg=lambda m, n=name: f"{n}: {m}"
            )


@pytest.mark.parametrize(
    ("real", "fake", "d", "g"),
    [
        (0.5, 0.81, True, False),  # the generator is ahead by more than the margin
        (0.5, 0.79, False, True),
        (0.5, 0.1, False, True),
        (0.71, 0.1, True, True),  # reals are mistaken more than by guessing
        (0.69, 0.1, False, True),
        (0.71, 1.1, True, False),
    ],
)
def test_the_margin_rule(real: float, fake: float, d: bool, g: bool) -> None:
    rule = MarginRule(0.3)
    assert (rule.update_discriminator, rule.update_generator) == (True, True)
    rule.observe(torch.tensor(real), torch.tensor(fake))
    assert (rule.update_discriminator, rule.update_generator) == (d, g)


@pytest.mark.parametrize(
    ("logits", "margin", "moving"),
    [
        (1.5, 0.0, {"d16", "g16"}),
        (1.5, 0.3, {"d16"}),  # errors of 0.2 on reals and of 1.7 on fakes
        (1.5, 2.0, {"g16"}),
        (0.1, 0.3, {"g16"}),  # 0.64 and 0.74
        (0.1, 0.05, {"d16"}),
        (-1.5, 0.3, {"d16", "g16"}),  # 1.7 and 0.2
    ],
)
def test_a_network_that_waits_takes_no_step(logits: float, margin: float, moving: set[str]) -> None:
    system = _build(levels=(16,), margin=margin)
    d, g, recorder = _pair(system, 16, logits)
    d.spec = replace(d.spec, optimizer=torch.optim.SGD(recorder.parameters(), lr=0.1, momentum=0.5))
    g.spec.optimizer.param_groups[0]["momentum"] = 0.5
    for updater in (d, g):
        scalars = gradients(system, updater, _batch(), START)
        assert apply_gradients(updater, START, scalars).isfinite()
    assert {updater.name for updater in (d, g) if updater.spec.optimizer.state} == moving
    assert (recorder.logits.item() != pytest.approx(logits)) == ("d16" in moving)


def test_the_rule_observes_the_whole_batch_in_every_iteration() -> None:
    """However it is cut into micro-batches, and with the current weights."""
    observed: list[list[float]] = []

    class Observer(BalanceRule):
        def observe(self, real: Tensor, fake: Tensor) -> None:
            observed.append([real.item(), fake.item()])

    system = _build(levels=(8,))
    d = _updater(system, "d8")
    d.rule = Observer()
    for largest in (8, 3):
        scalars = gradients(system, d, _batch(), START, largest)
        apply_gradients(d, START, scalars, lr_scale=0.0)
    assert observed[0] == pytest.approx(observed[1])
    assert scalars["loss/d8"].item() == pytest.approx(sum(observed[1]) / 2)
    for _ in range(2):
        step(system, d, _batch(), START, lr_scale=25.0)
    assert observed[3] != pytest.approx(observed[2])
    assert observed[2] == pytest.approx(observed[0])


def test_a_run_with_a_margin_resumes_in_the_same_bits(data: Path, tmp_path: Path) -> None:
    recipe = with_settings(
        RECIPE, resolution=16, base=4, widths=(8, 8, 4), optimizer="adam", lr=(0.01,), margin=0.02, kimg=0.08
    )
    assert trainer_of(tmp_path / "whole", data, recipe, "lapgan").run()
    first = trainer_of(tmp_path / "run", data, recipe, "lapgan")
    for _ in range(4):
        first.train()
    first.save()
    assert trainer_of(tmp_path / "run", data, recipe, "lapgan").run()
    whole = newest_state(tmp_path / "whole")
    assert differences(newest_state(tmp_path / "run"), whole) == []
    steps = {name: int(value) for name, value in whole.items() if name.endswith("optimizer.0.step")}
    assert any(0 < count < 10 for count in steps.values()), steps  # some have waited


def test_the_recipes() -> None:
    assert (lapgan().network.pyramid, lapgan_cpu().network.pyramid) == ("bilinear", "binomial5")
    assert (lapgan().margin, lapgan_cpu().margin) == (0.0, 0.0)
    assert lapgan().optimizer == SGDOptions("sgd", (0.02,), 0.0004, 50_000, 1.0, 0.5, 0.0008, 0.8)
    assert (lapgan().batch, lapgan().network.widths) == (128, ())
    with torch.device("meta"):
        for recipe in (
            lapgan(),
            with_settings(lapgan(), resolution=1024, style="lsun", base=4),
            lapgan_cpu(),
        ):
            names = [updater.name for updater in recipe.build(DataFormat(3)).updaters]
            assert names[-1] == f"g{recipe.resolution}"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"levels": (4,)}, "levels must be different ones of 8, 16, 32, not"),
        ({"levels": (8, 8)}, "levels must be different ones of 8, 16, 32, not"),
        ({"margin": -0.1}, "margin must not be negative, not -0.1"),
        ({"batch": 7}, "batch must be even, half reals and half fakes, not 7"),
        ({"base": 12}, "base must be a power of two from 4"),
    ],
)
def test_a_recipe_that_cannot_be(changes: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        with_settings(RECIPE, **changes)  # type: ignore[arg-type]


def test_labels_must_be_there_to_train_by_them() -> None:
    with pytest.raises(ValueError, match="conditional needs data with labels"):
        with_settings(RECIPE, conditional=True).build(DataFormat(3))


@pytest.mark.parametrize("name", PYRAMIDS)
def test_pictures_that_are_not_square_are_trained_on(name: PyramidName) -> None:
    torch.manual_seed(0)
    system = with_settings(RECIPE, pyramid=name).build(DataFormat(3, aspect=(4, 6)))
    batch = replace(_batch(), reals=torch.rand(8, 3, 32, 48) * 2 - 1)
    for updater in system.updaters:
        updater.compute_loss(batch, START).loss.backward()  # type: ignore[no-untyped-call]
    assert all(p.grad is not None and p.grad.ne(0).any() for p in system.generator.parameters())


def test_levels_trained_apart_begin_as_those_trained_together() -> None:
    together, apart = _build(), _build(levels=(16,))
    assert [updater.name for updater in apart.updaters] == ["d16", "g16"]
    for updater in apart.updaters:
        begun = updater.network.state_dict()
        for name, value in _updater(together, updater.name).network.state_dict().items():
            assert torch.equal(value, begun[name])
    for one, other in zip(together.generator.parameters(), apart.generator.parameters(), strict=True):
        assert torch.equal(one, other)


def test_levels_that_are_not_trained_move_to_the_device_too() -> None:
    system = set_up_system(replace(RECIPE, levels=(16,)), DataFormat(3), torch.device("meta"))
    assert {parameter.device.type for parameter in system.generator.parameters()} == {"meta"}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    labels = [number % 2 for number in range(20)]
    return write_dataset(tmp_path_factory.mktemp("lapgan") / "data", shapes(20, 16), labels)


def _train(data: Path, name: str, *more: str) -> Path:
    folder = data.parent / name
    assert main([*TINY, "--data", str(data), "--out", str(folder), *more]) == 0
    return folder


@pytest.fixture(scope="module")
def whole(data: Path) -> Path:
    """All levels, uninterrupted."""
    return _train(data, "whole")


@pytest.fixture(scope="module")
def parts(data: Path) -> tuple[Path, Path]:
    """The same levels by two runs."""
    return _train(data, "middle", "--levels", "8"), _train(data, "others", "--levels", "16", "4")


def test_training_moves_every_weight(whole: Path) -> None:
    first, last = (state_of(path) for path in sorted((whole / "checkpoints").iterdir())[:: 4 - 1])
    weights = [name for name in last if ".network." in name]
    assert len(weights) == 2 * (
        6 + 6 + 8
    )  # two MLPs of three layers, and convolutions with a plane for the label
    assert [name for name in weights if torch.equal(first[name], last[name])] == []


def test_a_killed_run_ends_in_the_same_bits(data: Path, whole: Path) -> None:
    folder = data.parent / "killed"
    kill_when(lambda: list(folder.glob("checkpoints/[0-9]*")), (*TINY, "--data", data, "--out", folder))
    assert not (folder / "checkpoints" / "0000000064").exists()
    assert main(["--resume", "--tracker", "none", "--out", str(folder)]) == 0
    assert differences(newest_state(folder), newest_state(whole)) == []


def _join(*folders: Path) -> int:
    return join_lapgan.main([str(folder) for folder in folders])


def test_levels_trained_apart_are_those_trained_together(
    whole: Path, parts: tuple[Path, Path], tmp_path: Path
) -> None:
    assert _join(*parts, tmp_path / "joined") == 0
    together = load_file(max(whole.glob("checkpoints/[0-9]*/model/model.safetensors")))
    assert differences(load_file(tmp_path / "joined" / "model.safetensors"), together) == []
    states = [newest_state(part) for part in parts]
    assert {name.split(".")[0] for name in states[0]} == {"d8", "g8", "average"}
    apart = {name: value for state in states for name, value in state.items() if ".network." in name}
    assert differences(apart, {n: v for n, v in newest_state(whole).items() if ".network." in n}) == []


def test_a_joined_model_is_exported_and_grows_level_by_level(
    parts: tuple[Path, Path], tmp_path: Path
) -> None:
    assert _join(*parts, tmp_path / "joined") == 0
    export(tmp_path / "joined", tmp_path / "model")
    about = json.loads((tmp_path / "model" / "config.json").read_text())["about"]
    assert about["settings"]["levels"] == []
    assert {side: level["settings"]["levels"] for side, level in about["levels"].items()} == {
        "4": [16, 4],
        "8": [8],
        "16": [16, 4],
    }
    generator = load_generator(tmp_path / "model")
    assert generator.class_names == ("a", "b")
    pictures = list(Sampler(generator).stream([0, 1]))
    assert [tuple(picture.shape) for picture in pictures] == [(2, 3, r, r) for r in (4, 8, 16)]


def test_runs_that_cannot_be_joined(
    data: Path, whole: Path, parts: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wider = _train(data, "wider", "--levels", "16", "4", "--kimg", "0.008", "--widths", "8", "8", "6")
    more = write_dataset(tmp_path / "more", shapes(10, 16, seed=1), [0, 1] * 5)
    elsewhere = tmp_path / "elsewhere"
    assert (
        main([*TINY, "--data", str(more), "--out", str(elsewhere), "--levels", "16", "4", "--kimg", "0.008"])
        == 0
    )
    out = tmp_path / "joined"
    for runs, words in (
        ((), "name one run or more"),
        ((parts[0],), "no run trains level 4"),
        ((*parts, whole), "level 4 is trained by"),
        ((parts[0], wider), "differ in widths"),
        ((parts[0], elsewhere), "were trained on different data"),
        ((tmp_path / "nothing",), "neither a model"),
    ):
        capsys.readouterr()
        assert _join(*runs, out) == 2
        assert words in capsys.readouterr().err
        assert not out.exists()
    assert _join(whole, parts[0]) == 2
    assert "exists and is not empty" in capsys.readouterr().err
