"""The experiments with digits, on drawn stand-ins: what they count in closed form, and that every row is measured."""

import json
import math
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from experiments.__main__ import parse
from experiments.digits import SYSTEMS, DigitShares
from experiments.digits_classifier import fit
from experiments.digits_codes import (
    CODES,
    DigitCodes,
    correlations,
    information,
    ink,
    joint_counts,
    slant,
    swept,
)
from experiments.digits_setting import NAMES, Digits, divergence, sheet, unpacked
from experiments.digits_stacked import StackedDigits
from experiments.experiment import Experiment, run
from experiments.training_loop import train
from models.architectures.infogan import InfoGANGenerator
from training.iteration import set_up_system
from training.optim.ema import MovingAverage
from training.recipes.cgan import cgan
from training.recipes.recipe import DataFormat, with_settings
from training.schedules import TrainState
from training.system import Batch, LossOutput


def _rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def drawn(count: int, seed: int) -> tuple[Tensor, Tensor]:
    """Bars in place of digits, a place for each, of changing brightness: (count, 28, 28), and what they are."""
    labels = torch.randint(10, (count,), generator=_rng(seed))
    images = torch.zeros(count, 28, 28, dtype=torch.uint8)
    brightness = torch.randint(150, 256, (count,), generator=_rng(seed + 1), dtype=torch.uint8)
    for image, label, value in zip(images, labels.tolist(), brightness, strict=True):
        image[4 + 2 * label : 6 + 2 * label, 3:25] = value
    return images, labels


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Stand-ins as MNIST's files."""
    path = tmp_path_factory.mktemp("mnist")
    for seed, (split, count) in enumerate({"train": 1000, "test": 200}.items()):
        images, labels = drawn(count, seed * 10)
        np.savez(path / f"{split}.npz", images=images.numpy(), labels=labels.numpy().astype(np.uint8))
    return path


def _tiny(make: Callable[..., Experiment], folder: Path) -> Experiment:
    return make(data=folder, length=1e-6, epochs=5, judged=100)


def test_the_classifier_tells_what_it_has_learned(folder: Path) -> None:
    found = DigitShares(data=folder, epochs=5).real()
    assert found["as asked"] > 0.97
    assert found["sure"] > 0.5
    assert sum(found["counts"]) == 200


def test_the_classifier_is_always_the_same_and_leaves_torch_alone() -> None:
    images, labels = drawn(256, 0)
    padded = torch.nn.functional.pad(images[:, None], (2, 2, 2, 2))
    state = torch.random.get_rng_state()
    one, other = (fit(padded, labels, 1).state_dict() for _ in range(2))
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert torch.equal(state, torch.random.get_rng_state())


def test_labels_are_those_of_the_digits_that_are_drawn() -> None:
    labels = torch.arange(10)
    images = labels.to(torch.uint8).view(-1, 1, 1, 1).expand(-1, 1, 32, 32)
    data = Digits(images, labels)
    pictures, options = data.sample(50, _rng()), data.sample_labels(50, _rng())
    assert torch.allclose(pictures[:, 0, 0, 0], options / 127.5 - 1)
    assert pictures.shape == (50, 1, 32, 32)
    stacks = data.sample_stacks(300, _rng())
    assert stacks.shape == (300, 3, 32, 32)
    red, green, _ = ((stacks[:, channel, 0, 0] + 1) * 127.5 for channel in range(3))
    assert abs(float(torch.corrcoef(torch.stack([red, green]))[0, 1])) < 0.2


def test_the_updaters_see_the_labels_and_the_average_follows() -> None:
    seen: list[Tensor] = []
    recipe = with_settings(cgan(), resolution=32, units_g=(4, 4, 4), units_d=(4, 4, 4), batch=6)
    system = set_up_system(recipe, DataFormat(1, NAMES), torch.device("cpu"))

    class Watching(type(system.updaters[0])):  # type: ignore[misc] # a class of the instance's
        def compute_loss(self, batch: Batch, train_state: TrainState) -> LossOutput:
            assert batch.labels is not None
            assert torch.allclose(batch.reals[:, 0, 0, 0], batch.labels / 127.5 - 1)
            assert torch.is_autocast_enabled("cpu")
            seen.append(batch.labels)
            output: LossOutput = super().compute_loss(batch, train_state)
            return output

    system.updaters[0].__class__ = Watching
    images = torch.arange(10, dtype=torch.uint8).view(-1, 1, 1, 1).expand(-1, 1, 32, 32)
    data, average = Digits(images, torch.arange(10)), MovingAverage(system.generator, 1e9, ramp=1.0)
    first = average.generator.state_dict()["joint.0.weight"].clone()
    train(system, data.sample, 32, 3, 6, 0, data.sample_labels, average, "bf16")
    assert len(seen) == 3
    assert not torch.equal(seen[0], seen[1])
    last, now = (g.state_dict()["joint.0.weight"] for g in (system.generator, average.generator))
    assert not torch.equal(now, first)
    assert not torch.equal(now, last)


def test_divergence_in_closed_form() -> None:
    even = torch.full((10,), 0.1)
    assert divergence(torch.full((10,), 7), even) == pytest.approx(0, abs=1e-7)
    assert divergence(torch.tensor([5] + [0] * 9), even) == pytest.approx(math.log(10))
    assert divergence(torch.tensor([3, 1]), torch.tensor([0.5, 0.5])) == pytest.approx(
        math.log(2) - 0.5623, abs=1e-4
    )


def test_information_in_closed_form() -> None:
    codes = torch.arange(10).repeat(4)
    assert information(joint_counts(codes, (codes * 3) % 10)) == pytest.approx(math.log(10))
    assert information(joint_counts(codes, torch.full_like(codes, 4))) == pytest.approx(0)
    assert information(joint_counts(codes, codes // 2)) == pytest.approx(math.log(5))
    assert joint_counts(torch.tensor([2, 2, 3]), torch.tensor([7, 7, 1]))[2, 7] == 2


def test_correlations_in_closed_form() -> None:
    x = torch.linspace(-1, 1, 50)
    ys = torch.stack([-3 * x, x.abs(), torch.ones(50)], dim=1)
    assert correlations(x[:, None], ys)[0].tolist() == pytest.approx([-1, 0, 0], abs=1e-6)


def _line(lean: float) -> Tensor:
    """A stroke that goes so many pixels to the right for each one up: (1, 1, 32, 32)."""
    picture = torch.full((1, 1, 32, 32), -1.0)
    for row in range(6, 27):
        picture[0, 0, row, round(16 + lean * (16 - row))] = 1
    return picture


@pytest.mark.parametrize("lean", [-0.5, 0.0, 0.5])
def test_slant_is_that_of_a_stroke(lean: float) -> None:
    assert float(slant(_line(lean))) == pytest.approx(lean, abs=0.03)
    assert float(ink(_line(lean))) == pytest.approx(21 / 32**2)
    assert float(slant(torch.full((1, 1, 32, 32), -1.0))) == pytest.approx(0, abs=1e-4)


def test_sheets_sweep_one_code_each() -> None:
    generator = InfoGANGenerator(32, CODES.network.widths, 8, image_channels=1)
    first, left, right = swept(generator, [1, 0, *range(2, 10)])
    noise = first[:, : generator.latent_size + 2]
    assert torch.equal(noise[:10], noise[10:20])
    assert first[0, -10:].argmax() == 1  # the code that tells a 0
    assert first[10, -10:].argmax() == 0
    for number, sheet_of in enumerate((left, right)):
        codes = sheet_of[:, generator.latent_size : generator.latent_size + 2]
        assert codes[:10, number].tolist() == pytest.approx(torch.linspace(-2, 2, 10).tolist())
        assert (codes[:, 1 - number] == 0).all()
        others = torch.cat([sheet_of[:10, : generator.latent_size], sheet_of[:10, -10:]], dim=1)
        assert torch.equal(others, others[:1].expand(10, -1))


def test_a_stack_shows_the_mode_of_its_three_digits(folder: Path) -> None:
    experiment = StackedDigits(data=folder, epochs=5, judged=500)
    one = torch.nn.functional.pad(drawn(100, 3)[0][:, None], (2, 2, 2, 2)).float() / 127.5 - 1
    labels = drawn(100, 3)[1]
    same = one.expand(-1, 3, -1, -1)
    assert experiment.found(same)["modes"] == 10
    mixed = torch.cat([one, one.roll(1, 0), one.roll(2, 0)], dim=1)
    expected = {(a, b, c) for a, b, c in zip(labels, labels.roll(1), labels.roll(2), strict=True)}
    assert experiment.found(mixed)["modes"] == len({tuple(map(int, mode)) for mode in expected})
    assert experiment.real()["divergence"] < experiment.found(same)["divergence"]


@pytest.mark.parametrize("make", [DigitShares, partial(DigitCodes, runs=1), StackedDigits])
def test_every_row_is_measured_and_drawn(
    make: Callable[..., Experiment], folder: Path, tmp_path: Path
) -> None:
    experiment = _tiny(make, folder)
    table = run(experiment, tmp_path, lambda _: None)
    assert table.count("\n") == 2 + len(experiment.rows())
    assert (tmp_path / "figure.png").read_bytes().startswith(b"\x89PNG")
    result = json.loads((tmp_path / f"{next(iter(experiment.rows()))}.json").read_text())
    assert result["sizes"]["data"] == str(folder)


def test_labels_are_asked_of_systems_that_take_them(folder: Path) -> None:
    experiment = DigitShares(data=folder, length=1e-6, epochs=5, judged=100)
    options = {name: experiment.rows()[name].measure()["as asked"] for name in ("cgan", "dcgan")}
    assert options["dcgan"] is None
    assert 0 <= options["cgan"] <= 0.5  # untrained


def test_cgan_is_trained_by_either_optimizer() -> None:
    kinds = {}
    for name in ("cgan", "cgan-adam"):
        updaters = SYSTEMS[name].recipe.build(DataFormat(1, NAMES)).updaters
        kinds[name] = {type(updater.spec.optimizer) for updater in updaters}
    assert kinds == {"cgan": {torch.optim.SGD}, "cgan-adam": {torch.optim.Adam}}


def test_pictures_in_results_are_those_that_were_painted() -> None:
    images = torch.tensor([-1.0, 0.0, 1.0, 1.0]).view(4, 1, 1, 1).expand(-1, 1, 4, 4)
    picture = unpacked(sheet(images, 2))
    assert picture.size == (8, 8)
    assert [picture.getpixel(place) for place in ((0, 0), (4, 0), (0, 4))] == [0, 128, 255]


def test_the_command_says_what_is_missing(tmp_path: Path) -> None:
    experiment, out = parse(["stacked-digits", "--data", str(tmp_path), "--judged", "5"])
    assert out == Path("runs/experiments/stacked-digits")
    with pytest.raises(ValueError, match=r"t10k-images.*fetch"):
        experiment.rows()["real"].measure()
    assert isinstance(parse(["digit-codes"])[0], DigitCodes)
    with pytest.raises(ValueError, match="length must be positive"):
        DigitShares(length=0)
