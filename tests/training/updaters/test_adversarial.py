"""The game of two: what each side's output is made of."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from models.discriminator import Discriminator, DiscriminatorOutput
from tests.training.toy import RECIPE, shapes
from training.growth import Stage
from training.objectives import OBJECTIVES
from training.penalties.fraction import logits_with_fraction
from training.penalties.gradient import leaves, one_centered, zero_centered
from training.recipes.recipe import DataFormat, with_settings
from training.rng import KeyedRNG
from training.schedules import TrainState
from training.system import Batch, LossOutput, System
from training.updaters.adversarial import DiscriminatorUpdater, GeneratorUpdater
from training.updaters.images import faded, scales

START = TrainState(0, 1000, 0)


def _batch() -> Batch:
    reals = shapes(8, 8).float() / 127.5 - 1
    return Batch(reals, None, KeyedRNG(0, 0, 8, slice(0, 8), torch.device("cpu")), Stage(8, 8))


def _system(**changes: object) -> tuple[System, DiscriminatorUpdater, GeneratorUpdater]:
    torch.manual_seed(0)
    system = with_settings(RECIPE, **changes).build(DataFormat(3))  # type: ignore[arg-type]
    d, g = system.updaters
    assert isinstance(d, DiscriminatorUpdater)
    assert isinstance(g, GeneratorUpdater)
    return system, d, g


def _seen(d: DiscriminatorUpdater, batch: Batch) -> tuple[list[Tensor], list[Tensor]]:
    """The reals and the fakes of the output, at every scale."""
    with torch.no_grad():
        fakes = d.generator(batch.rng.draw("latents", d.generator.prior))
    return scales(batch.reals, (4, 8)), fakes


def test_every_scale_is_the_mean_of_the_full_size() -> None:
    images = torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    coarse, middle, full = scales(images, (4, 8, 16))
    assert torch.equal(full, images)
    torch.testing.assert_close(middle, images.view(2, 3, 8, 2, 8, 2).mean((3, 5)))
    torch.testing.assert_close(coarse, images.view(2, 3, 4, 4, 4, 4).mean((3, 5)))


def test_reals_fade_from_their_coarser_selves() -> None:
    images = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    means = images.view(2, 3, 4, 2, 4, 2).mean((3, 5)).repeat_interleave(2, 2).repeat_interleave(2, 3)
    torch.testing.assert_close(faded(images, 0.0), means)
    torch.testing.assert_close(faded(images, 0.25), 0.25 * images + 0.75 * means)
    assert faded(images, 1.0) is images


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_both_sides_play_the_objective_on_the_same_noise_and_reals(objective: str) -> None:
    _, d, g = _system(objective=objective)
    reals, fakes = _seen(d, _batch())
    real, fake = d.network(reals).logits, d.network(fakes).logits
    output = d.compute_loss(_batch(), START)
    torch.testing.assert_close(output.loss, OBJECTIVES[objective].d(real, fake))
    torch.testing.assert_close(output.scalars["logits/real"], real.mean())
    torch.testing.assert_close(output.scalars["logits/fake"], fake.mean())
    torch.testing.assert_close(g.compute_loss(_batch(), START).loss, OBJECTIVES[objective].g(real, fake))


def _extra(output: LossOutput) -> float:
    return (output.loss - output.scalars["loss/d"]).item()


def test_r1_and_r2_with_their_weight() -> None:
    _, d, _ = _system(r1=(3.0,), r2=(3.0,), objective="rp-gan")
    reals, fakes = (leaves(images) for images in _seen(d, _batch()))
    r1 = zero_centered(d.network(reals).logits, reals).item()
    r2 = zero_centered(d.network(fakes).logits, fakes).item()
    assert r1 != pytest.approx(r2)
    output = d.compute_loss(_batch(), START)
    assert output.scalars["penalty/r1"].item() == pytest.approx(r1)
    assert output.scalars["penalty/r2"].item() == pytest.approx(r2)
    assert _extra(output) == pytest.approx(3 * (r1 + r2), rel=1e-5)


def test_lazy_penalties_come_rarer_and_heavier() -> None:
    _, d, _ = _system(r1=(3.0,), r2=(3.0,), penalty_every=4)
    extras = [_extra(d.compute_loss(_batch(), TrainState(0, 1000, iteration))) for iteration in range(9)]
    assert [extra != 0 for extra in extras] == [True, False, False, False] * 2 + [True]
    _, every_time, _ = _system(r1=(3.0,), r2=(3.0,))
    assert extras[4] == pytest.approx(4 * _extra(every_time.compute_loss(_batch(), START)), rel=1e-5)


def test_gamma_follows_its_schedule() -> None:
    _, d, _ = _system(r1=(4.0, 0.0), r2=(4.0, 0.0))
    start, half = (_extra(d.compute_loss(_batch(), TrainState(at, 1000, 0))) for at in (0, 500))
    assert half == pytest.approx(start / 2, rel=1e-5)
    assert _extra(d.compute_loss(_batch(), TrainState(1000, 1000, 0))) == 0


def test_wgan_gp_and_drift() -> None:
    _, d, _ = _system(gradient_penalty=10.0, objective="wgan")
    reals, fakes = _seen(d, _batch())
    penalty = one_centered(
        lambda images: d.network(images).logits, reals, fakes, _batch().rng.uniform("mix")
    ).item()
    assert _extra(d.compute_loss(_batch(), START)) == pytest.approx(10 * penalty, rel=1e-5)
    _, d, _ = _system(drift=0.5, objective="wgan")
    expected = 0.5 * d.network(reals).logits.square().mean().item()
    assert _extra(d.compute_loss(_batch(), START)) == pytest.approx(expected, rel=1e-5)
    assert d.compute_loss(_batch(), START).scalars["penalty/drift"].item() == pytest.approx(
        expected / 0.5, rel=1e-5
    )


@pytest.mark.parametrize("one_in", [2, 4])
def test_penalties_of_one_in_so_many_samples(one_in: int) -> None:
    """The samples looked at are judged by themselves, and so are the others."""
    _, d, _ = _system(r1=(3.0,), r2=(3.0,), penalty_fraction=1 / one_in, objective="rp-gan")
    reals, fakes = _seen(d, _batch())
    expected, scores = [], []
    for images in (reals, fakes):
        chosen = leaves([image[::one_in] for image in images])
        logits = torch.zeros(8)
        logits[::one_in] = d.network(chosen).logits
        expected.append(zero_centered(d.network(chosen).logits, chosen).item())
        rest = [i for i in range(8) if i % one_in]
        logits[rest] = d.network([image[rest] for image in images]).logits
        scores.append(logits)
    output = d.compute_loss(_batch(), START)
    assert output.scalars["penalty/r1"].item() == pytest.approx(expected[0], rel=1e-5)
    assert output.scalars["penalty/r2"].item() == pytest.approx(expected[1], rel=1e-5)
    assert _extra(output) == pytest.approx(3 * sum(expected), rel=1e-4)
    torch.testing.assert_close(output.scalars["loss/d"], OBJECTIVES["rp-gan"].d(*scores))


def test_a_batch_that_cannot_be_dealt_is_looked_at_whole() -> None:
    _, whole, _ = _system(r1=(3.0,), r2=(3.0,))
    _, dealt, _ = _system(r1=(3.0,), r2=(3.0,), penalty_fraction=1 / 3)
    assert torch.equal(dealt.compute_loss(_batch(), START).loss, whole.compute_loss(_batch(), START).loss)


class Linear(Discriminator):
    """D(x) = w . x, whose judgement of a sample does not depend on the others; labels choose w and fill classes."""

    resolutions = (4, 8)

    def __init__(self) -> None:
        super().__init__()
        rng = torch.Generator().manual_seed(5)
        self.weight = nn.Parameter(torch.randn(2, 3, 8, 8, generator=rng))

    def forward(self, images: Sequence[Tensor], labels: Tensor | None = None) -> DiscriminatorOutput:
        scores = (images[-1].unsqueeze(1) * self.weight).sum((2, 3, 4)) + images[0].sum((1, 2, 3))[:, None]
        return DiscriminatorOutput(
            scores[:, 0] if labels is None else scores.gather(1, labels[:, None])[:, 0], scores
        )


def test_judging_apart_keeps_the_order_of_samples_labels_and_classes() -> None:
    network, labels = Linear(), torch.tensor([0, 1, 1, 0, 0, 1])
    images = [torch.randn(6, 3, side, side, generator=torch.Generator().manual_seed(side)) for side in (4, 8)]
    whole = network(images, labels)
    for one_in in (1, 2, 3, 6):
        output, scores = logits_with_fraction(network, images, labels, one_in)
        torch.testing.assert_close(output.logits, whole.logits)
        torch.testing.assert_close(output.classes, whole.classes)
        torch.testing.assert_close(scores, whole.logits[::one_in])


AUGMENTED = ("flip", "color", "translation", "cutout")


def _transformed(d: DiscriminatorUpdater, images: list[Tensor], of: str) -> list[Tensor]:
    return d.augment(images, _batch().rng, of, START)


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_both_sides_see_the_same_augmented_pictures(objective: str) -> None:
    _, d, g = _system(objective=objective, augment=AUGMENTED)
    reals, fakes = _seen(d, _batch())
    real, fake = (d.network(_transformed(d, x, of)).logits for x, of in ((reals, "real"), (fakes, "fake")))
    assert not torch.allclose(real, d.network(reals).logits, atol=1e-3)
    output = d.compute_loss(_batch(), START)
    torch.testing.assert_close(output.loss, OBJECTIVES[objective].d(real, fake))
    assert output.scalars["augment/p"] == 1
    torch.testing.assert_close(g.compute_loss(_batch(), START).loss, OBJECTIVES[objective].g(real, fake))


@pytest.mark.parametrize("one_in", [1, 2])
def test_gradients_are_by_the_pictures_before_they_are_augmented(one_in: int) -> None:
    """Cutout and contrast change how steep D is by the picture: penalties see it."""
    _, d, _ = _system(r1=(3.0,), r2=(3.0,), augment=AUGMENTED)
    d.network = Linear()
    d.penalties = replace(d.penalties, one_in=one_in)
    output = d.compute_loss(_batch(), START)
    for of, images in zip(("real", "fake"), _seen(d, _batch()), strict=True):
        points = leaves(images)
        scores = d.network(_transformed(d, points, of)).logits
        gradients = torch.autograd.grad(scores.sum(), points)
        squares = [g.square().sum((1, 2, 3))[::one_in] for g in gradients]
        expected = (squares[0] / 4 + squares[1]).mean() / 2
        torch.testing.assert_close(output.scalars[{"real": "penalty/r1", "fake": "penalty/r2"}[of]], expected)
    seen = leaves(_seen(d, _batch())[0])
    assert output.scalars["penalty/r1"].item() != pytest.approx(
        zero_centered(d.network(seen).logits, seen).item(), rel=0.1
    )


def test_wgan_gp_is_by_the_pictures_before_they_are_augmented() -> None:
    _, d, _ = _system(gradient_penalty=10.0, objective="wgan", augment=AUGMENTED)
    reals, fakes = _seen(d, _batch())

    def logits(images: Sequence[Tensor]) -> Tensor:
        return d.network(d.augment(images, _batch().rng, "mix", START)).logits

    expected = one_centered(logits, reals, fakes, _batch().rng.uniform("mix")).item()
    assert d.compute_loss(_batch(), START).scalars["penalty/gradient"].item() == pytest.approx(
        expected, rel=1e-5
    )


def test_without_penalties_none_is_computed() -> None:
    _, d, _ = _system(r1=(0.0,), gradient_penalty=0.0)
    assert set(d.compute_loss(_batch(), START).scalars) == {"loss/d", "logits/real", "logits/fake"}


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_a_step_of_each_side_alone_lowers_its_own_loss(objective: str) -> None:
    for side in (0, 1):
        system, *_ = _system(objective=objective, lr=(0.001,))
        updater = system.updaters[side]
        before = updater.compute_loss(_batch(), START).loss
        updater.spec.optimizer.zero_grad()
        before.backward()
        updater.spec.optimizer.step()
        assert updater.compute_loss(_batch(), START).loss < before


def test_the_discriminators_move_leaves_the_generator_without_gradient() -> None:
    system, d, _ = _system(gradient_penalty=1.0, r1=(1.0,), r2=(1.0,))
    d.compute_loss(_batch(), START).loss.backward()
    assert all(parameter.grad is None for parameter in system.generator.parameters())
