"""Augmentation: what each operation does, at every size alike; when it is applied; ADA; two derivatives of all."""

from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from models.architectures.msg_gan import MSGDiscriminator
from tests.prepared import write_dataset
from tests.training.toy import RECIPE, metrics, shapes
from training import checkpoint, run
from training.data.augment import (
    OPERATIONS,
    Adaptive,
    Augmentation,
    Scheduled,
    color,
    cutout,
    flip,
    translation,
    unchanged,
)
from training.growth import Stage
from training.optim.ema import MovingAverage
from training.penalties.gradient import leaves, zero_centered
from training.recipes.recipe import DataFormat, with_settings
from training.rng import KeyedRNG
from training.schedules import TrainState
from training.system import Batch, System

NAMES = tuple(OPERATIONS)
START = TrainState(0, 1000, 0)
CPU = torch.device("cpu")


def _always(train_state: TrainState) -> float:
    return 1.0


def _pictures(count: int, *sides: int, channels: int = 3, dtype: torch.dtype = torch.float32) -> list[Tensor]:
    rng = torch.Generator().manual_seed(0)
    return [torch.randn(count, channels, side, side, generator=rng, dtype=dtype) for side in sides]


def _uniforms(count: int, name: str) -> Tensor:
    return torch.rand(count, OPERATIONS[name].numbers, generator=torch.Generator().manual_seed(1))


def _draws(count: int, part: slice | None = None) -> KeyedRNG:
    return KeyedRNG(0, 0, count, part or slice(0, count), CPU)


def test_flip_mirrors_below_a_half() -> None:
    (x,) = _pictures(2, 8)
    flipped = flip(x, torch.tensor([[0.49], [0.5]]), 8)
    assert torch.equal(flipped[0], x[0, :, :, torch.arange(7, -1, -1)])
    assert torch.equal(flipped[1], x[1])


@pytest.mark.parametrize("channels", [1, 3])
def test_color_by_hand(channels: int) -> None:
    (x,) = _pictures(2, 4, channels=channels, dtype=torch.float64)
    uniforms = torch.tensor([[0.7, 0.5, 0.5], [0.5, 0.25, 1.0]], dtype=torch.float64)
    brighter, other = color(x, uniforms, 4)
    torch.testing.assert_close(brighter, x[0] + 0.2)
    grey = x[1].mean(0)
    paler = grey + 0.5 * (x[1] - grey)
    torch.testing.assert_close(other, paler.mean() + 1.5 * (paler - paler.mean()))
    if channels == 1:
        torch.testing.assert_close(paler, x[1])


def test_color_keeps_alpha() -> None:
    (x,) = _pictures(3, 8, channels=4)
    changed = color(x, _uniforms(3, "color"), 8)
    assert torch.equal(changed[:, 3], x[:, 3])
    torch.testing.assert_close(changed[:, :3], color(x[:, :3], _uniforms(3, "color"), 8))
    assert not torch.allclose(changed[:, :3], x[:, :3])


@pytest.mark.parametrize(
    ("numbers", "down", "right"), [((0.0, 0.5), -2, 0), ((0.99, 0.0), 2, -2), ((0.7, 0.3), 1, -1)]
)
def test_translation_moves_by_whole_pixels(numbers: tuple[float, float], down: int, right: int) -> None:
    (x,) = _pictures(1, 16)
    moved = translation(x, torch.tensor([numbers]), 16)
    padded = F.pad(x, (2, 2, 2, 2))
    assert torch.equal(moved, padded[..., 2 - down : 18 - down, 2 - right : 18 - right])


def test_translations_are_even_up_to_an_eighth_of_the_side() -> None:
    draws = _draws(5000)
    spot = torch.zeros(5000, 1, 16, 16)
    spot[:, :, 8, 8] = 1
    moved = translation(spot, draws.uniform("test", 2), 16).sum((0, 1))
    counts = moved[6:11, 6:11]
    assert counts.sum() == 5000
    assert (counts - 200).abs().max() < 70  # five deviations


@pytest.mark.parametrize(
    ("numbers", "rows", "columns"),
    [((0.5, 0.5), (2, 6), (2, 6)), ((0.0, 0.99), (0, 2), (6, 8)), ((0.12, 0.4), (0, 3), (1, 5))],
)
def test_cutout_is_a_square_of_half_the_side(
    numbers: tuple[float, float], rows: tuple[int, int], columns: tuple[int, int]
) -> None:
    kept = cutout(torch.ones(1, 2, 8, 8), torch.tensor([numbers]), 8)
    expected = torch.ones(1, 2, 8, 8)
    expected[:, :, slice(*rows), slice(*columns)] = 0
    assert torch.equal(kept, expected)


def test_reach_and_cutout_follow_height_and_width() -> None:
    x = torch.randn(1, 3, 16, 32, generator=torch.Generator().manual_seed(0))
    moved = translation(x, torch.tensor([[0.99, 0.99]]), 16)
    assert torch.equal(moved[..., 2:, 4:], x[..., :-2, :-4])
    assert moved[..., :2, :].count_nonzero() == moved[..., :4].count_nonzero() == 0
    kept = cutout(torch.ones(1, 1, 16, 32), torch.tensor([[0.5, 0.5]]), 16)
    expected = torch.ones(1, 1, 16, 32)
    expected[..., 4:12, 8:24] = 0
    assert torch.equal(kept, expected)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("scale", [2, 4, 8])
@pytest.mark.parametrize("stretched", [False, True])
def test_a_coarse_picture_is_changed_as_the_fine_one(name: str, scale: int, stretched: bool) -> None:
    """Changing a picture without fine detail and averaging it is changing its average."""
    (coarse,) = _pictures(50, 32 // scale, dtype=torch.float64)
    if stretched:
        coarse = torch.cat([coarse, coarse[..., : 16 // scale].flip(0)], dim=3)
    fine = F.interpolate(coarse, scale_factor=scale)
    uniforms, apply = _uniforms(50, name).double(), OPERATIONS[name].apply
    expected = F.avg_pool2d(apply(fine, uniforms, 32), scale)
    torch.testing.assert_close(apply(coarse, uniforms, 32), expected)
    assert not torch.allclose(expected, coarse)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_each_operation_is_twice_differentiable(name: str, channels: int) -> None:
    coarse, fine = _pictures(2, 4, 8, channels=channels, dtype=torch.float64)
    uniforms = _uniforms(2, name).double()
    for x in (coarse.requires_grad_(), fine.requires_grad_()):

        def squared(x: Tensor) -> Tensor:
            return OPERATIONS[name].apply(x, uniforms, 8).square()  # a second derivative that is not zero

        assert torch.autograd.gradcheck(squared, x, fast_mode=True)
        assert torch.autograd.gradgradcheck(squared, x, fast_mode=True)


def test_the_augmented_discriminator_is_twice_differentiable() -> None:
    torch.manual_seed(0)
    discriminator = MSGDiscriminator(8, (2, 2), image_channels=3).double()
    augment = Augmentation(NAMES, Scheduled(_always))
    images = [image.requires_grad_() for image in _pictures(2, 4, 8, dtype=torch.float64)]

    def judge(coarse: Tensor, fine: Tensor) -> Tensor:
        seen = augment([coarse, fine], _draws(2), "real", START)
        return discriminator(seen).logits  # type: ignore[no-any-return]

    assert torch.autograd.gradcheck(judge, images, fast_mode=True)
    assert torch.autograd.gradgradcheck(judge, images, fast_mode=True)


def _applied(names: Sequence[str], p: float, of: str = "real", count: int = 400) -> Tensor:
    """Which samples are changed: bool (count,)."""
    augment = Augmentation(names, Scheduled(lambda _: p))
    (x,) = _pictures(count, 8)
    (changed,) = augment([x], _draws(count), of, START)
    return (changed != x).flatten(1).any(1)


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_probability_zero_changes_no_bit(channels: int) -> None:
    augment = Augmentation(NAMES, Scheduled(lambda _: 0.0))
    images = _pictures(20, 4, 8, channels=channels)
    for image, same in zip(images, augment(images, _draws(20), "real", START), strict=True):
        assert torch.equal(image, same)


def test_without_operations_nothing_is_touched() -> None:
    images = [image.bfloat16() for image in _pictures(2, 4, 8)]
    for image, same in zip(images, unchanged()(images, _draws(2), "real", START), strict=True):
        assert same is image
    assert unchanged().report(torch.ones(2), START) == {}


@pytest.mark.parametrize("name", ["color", "cutout"])
def test_probability_is_the_share_of_samples(name: str) -> None:
    assert _applied([name], 1.0).all()
    assert _applied([name], 0.3).float().mean().item() == pytest.approx(0.3, abs=0.1)


def test_at_probability_one_half_of_the_pictures_are_mirrored() -> None:
    assert _applied(["flip"], 1.0).float().mean().item() == pytest.approx(0.5, abs=0.1)


def test_operations_samples_and_sides_draw_apart() -> None:
    colored, cut, fakes = (
        _applied(["color"], 0.5),
        _applied(["cutout"], 0.5),
        _applied(["color"], 0.5, "fake"),
    )
    for one, other in ((colored, cut), (colored, fakes), (colored[:200], colored[200:])):
        assert (one == other).float().mean().item() == pytest.approx(0.5, abs=0.15)


def test_who_draws_what_does_not_depend_on_the_ranks() -> None:
    augment = Augmentation(NAMES, Scheduled(_always))
    images = _pictures(6, 4, 8)
    whole = augment(images, _draws(6), "real", START)
    for part in (slice(0, 2), slice(2, 6)):
        micro_batches = augment([image[part] for image in images], _draws(6, part), "real", START)
        for micro_batch, expected in zip(micro_batches, whole, strict=True):
            assert torch.equal(micro_batch, expected[part])


def test_the_order_in_which_operations_are_named_does_not_matter() -> None:
    images = _pictures(6, 4, 8)
    one, other = (Augmentation(names, Scheduled(_always)) for names in (NAMES, NAMES[::-1]))
    pairs = zip(one(images, _draws(6), "real", START), other(images, _draws(6), "real", START), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)


def test_the_schedule_is_followed() -> None:
    augment = with_settings(RECIPE, augment=("cutout",), augment_p=(0.0, 1.0)).augmentation.build("rp-gan")
    assert [augment.probability(TrainState(at, 1000, 0)) for at in (0, 500, 1000)] == pytest.approx(
        [0, 0.5, 1]
    )
    (x,) = _pictures(400, 8)
    for at, share in ((0, 0), (500, 0.5), (1000, 1)):
        (seen,) = augment([x], _draws(400), "real", TrainState(at, 1000, 0))
        assert (seen != x).flatten(1).any(1).float().mean().item() == pytest.approx(share, abs=0.1)
        logged = augment.report(torch.ones(4), TrainState(at, 1000, 0))
        assert {name: value.item() for name, value in logged.items()} == pytest.approx({"augment/p": share})


def test_r1_is_by_the_image_before_it_is_cut() -> None:
    """D(x) = w . cut(x): the gradient by x is w where nothing is cut, and 0 elsewhere."""
    augment = Augmentation(["cutout"], Scheduled(_always))
    weight = _pictures(1, 8)[0]
    images = leaves(_pictures(5, 8)[-1:])
    (seen,) = augment(images, _draws(5), "real", START)
    penalty = zero_centered((seen * weight).sum((1, 2, 3)), images)
    (kept,) = augment([torch.ones(5, 3, 8, 8)], _draws(5), "real", START)
    expected = (weight * kept).square().sum((1, 2, 3)).mean() / 2
    torch.testing.assert_close(penalty, expected)
    assert expected < weight.square().sum() / 2 * 0.95


def _reported(ada: Adaptive, *signs: float) -> list[float]:
    """p after each step in which the reals had that mean sign, in batches of 10."""
    after = []
    for sign in signs:
        ada.learn({"augment/sign": torch.tensor(sign)}, 10)
        after.append(ada(START).item())
    return after


def test_ada_corrects_p_with_every_fourth_step() -> None:
    ada = Adaptive(target=0.6, images=400)
    assert ada(START) == 0
    assert _reported(ada, 1, 1, 1, 1) == pytest.approx([0, 0, 0, 0.1])
    assert _reported(ada, 0.2, 0.9, 0.9, 0.5) == pytest.approx([0.1, 0.1, 0.1, 0.2])  # 0.625 on average
    assert _reported(ada, 1, 1, 1, -1) == pytest.approx([0.2, 0.2, 0.2, 0.1])
    assert _reported(ada, *[-1] * 12)[3::4] == pytest.approx([0, 0, 0])  # and not below
    assert _reported(ada, *[1] * 48)[-1] == 1  # nor above


def test_ada_reads_the_sign_of_the_reals() -> None:
    ada = Adaptive(target=0.6, images=400)
    assert ada.report(torch.tensor([3.0, 0.1, -5.0, 7.0]))["augment/sign"] == 0.5


@pytest.mark.parametrize("objective", ["ra-hinge", "rp-gan", "wgan"])
def test_ada_is_refused_where_signs_mean_nothing(objective: str) -> None:
    recipe = with_settings(RECIPE, objective=objective, augment=("flip",), ada_target=0.6)  # type: ignore[arg-type]
    with pytest.raises(
        ValueError, match=rf"objective {objective}: .* set a ramp, by two values of augment_p.*non-saturating"
    ):
        recipe.build(DataFormat(3))


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("augment_p", (-0.1,), r"augment_p must be from 0 to 1, not \(-0.1,\)"),
        ("augment_p", (0.0, 1.1), r"augment_p must be from 0 to 1, not \(0.0, 1.1\)"),
        ("ada_target", 1.0, "ada_target must be at least 0 and less than 1, not 1.0"),
        ("ada_kimg", 0.0, "ada_kimg must be positive, not 0.0"),
        ("ada_target", 0.6, "ada_target needs operations to apply"),
    ],
)
def test_a_bad_setting_is_named(field: str, value: float, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        with_settings(RECIPE, **{field: value})  # type: ignore[arg-type]


WITH_ADA = with_settings(
    RECIPE, objective="non-saturating", augment=NAMES, ada_target=0.6, ada_kimg=0.16, r1=(0.1,)
)


def _system() -> tuple[System, Adaptive]:
    torch.manual_seed(0)
    system = WITH_ADA.build(DataFormat(3))
    ada = next(module for module in system.updaters[0].extra_state.modules() if isinstance(module, Adaptive))
    ada.p.fill_(0.5)
    for name, parameter in system.updaters[0].network.named_parameters():
        if name == "logits.bias":
            parameter.data.fill_(0.1)  # D thinks well of most pictures
    return system, ada


def _play(system: System, rounds: range) -> None:
    reals = shapes(8, 8).float() / 127.5 - 1
    for number in rounds:
        stage = Stage(8, 8)
        batch = Batch(reals, None, KeyedRNG(0, number * 8, 8, slice(0, 8), CPU), stage)
        for updater in system.updaters:
            updater.spec.optimizer.zero_grad()
            move = updater.compute_loss(batch, TrainState(number * 8, 1000, number))
            move.loss.backward()  # type: ignore[no-untyped-call]
            updater.spec.optimizer.step()
            updater.after_step(move.scalars, stage)


def test_ada_goes_on_where_it_was(tmp_path: Path) -> None:
    """A checkpoint between two corrections: the same bits, and p among them."""
    (through, _), (first, ada), (second, _) = _system(), _system(), _system()
    _play(through, range(10))
    _play(first, range(6))
    assert ada.p != 0.5
    assert ada.steps == 2
    assert ada.sign != 0
    folder = checkpoint.save(
        tmp_path, first, MovingAverage(first.generator, 100), TrainState(48, 1000, 6), {}, keep=1
    )
    checkpoint.load(folder, second, MovingAverage(second.generator, 100), 1000)
    _play(second, range(6, 10))
    for expected, resumed in zip(through.updaters, second.updaters, strict=True):
        for module, other in (
            (expected.network, resumed.network),
            (expected.extra_state, resumed.extra_state),
        ):
            for name, value in module.state_dict().items():
                assert torch.equal(value, other.state_dict()[name]), name


def test_a_run_with_ada(tmp_path: Path) -> None:
    """The loop lets p be learned, and logs it."""
    data = write_dataset(tmp_path / "data", shapes(20, 8))
    recipe = with_settings(WITH_ADA, ada_target=0.01, lr=(0.01,), r1=(0.0,), kimg=0.24)
    record = run.begin(tmp_path / "run", "msg-gan", recipe, data)
    assert run.set_up(tmp_path / "run", record, data).run()
    lines = metrics(tmp_path / "run")
    assert lines[0]["augment/p"] == 0
    assert lines[-1]["augment/p"] > 0
    assert all(-1 <= line["augment/sign"] <= 1 for line in lines)
