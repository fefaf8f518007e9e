"""Tricks of adversarial pairs: closed forms, who sees them, and what goes with what."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from models.discriminator import DiscriminatorOutput
from models.layers.dropout import Dropout
from models.layers.equalized import EqualizedConv2d, EqualizedLinear
from models.layers.minibatch import MinibatchDifference, MinibatchDiscrimination, MinibatchDiscriminator
from models.layers.normalization import spectral_norms
from tests.training.plain import AC_GAN, BEGAN, GRAN, INFOGAN, MODERN, MSG_GAN, PROGAN, SAGAN
from tests.training.ranks import on_ranks
from tests.training.updaters.test_adversarial import START, _batch, _seen, _system
from training.data.instance_noise import noisy
from training.distributed.collective import ranks, use_global_batch
from training.growth import Stage
from training.iteration import set_up_system
from training.objectives.feature_matching import feature_matching
from training.optim.historical_averaging import average_history
from training.penalties.gradient import one_centered, perturbed
from training.recipes.ac_gan import ACGANRecipe
from training.recipes.began import BEGANRecipe
from training.recipes.cgan import CGANRecipe
from training.recipes.dcgan import DCGANRecipe, dcgan
from training.recipes.gan import GANRecipe
from training.recipes.gran import GRANRecipe
from training.recipes.infogan import InfoGANRecipe
from training.recipes.lapgan import LAPGANRecipe
from training.recipes.lsgan import lsgan
from training.recipes.mine import MINERecipe
from training.recipes.modern import ModernRecipe
from training.recipes.msg_gan import MSGRecipe
from training.recipes.progan import ProGANRecipe
from training.recipes.recipe import DataFormat, Recipe, with_settings
from training.recipes.sagan import SAGANRecipe
from training.recipes.stacked_gan import StackedGANRecipe
from training.rng import KeyedRNG
from training.schedules import TrainState
from training.system import Batch, LossOutput, Updater
from training.updaters.adversarial import DiscriminatorUpdater, GeneratorUpdater
from training.updaters.images import scales

SMALL: dict[str, Any] = {"resolution": 8, "kimg": 1, "batch": 8}
RECIPES: list[Recipe] = [
    with_settings(DCGANRecipe(**SMALL), widths=(8,), norm_d="none"),
    with_settings(GANRecipe(**SMALL), hidden=8, units=8, pieces=2),
    with_settings(MSGRecipe(**SMALL, **MSG_GAN), widths=(8, 8), latent_size=8),
    with_settings(ProGANRecipe(**SMALL, **PROGAN), widths=(8, 8), latent_size=8, hold=0.1, fade=0.1),
    with_settings(ModernRecipe(**SMALL, **MODERN), widths=(16, 16), latent_size=8, blocks=1),
    with_settings(SAGANRecipe(**SMALL, **SAGAN), widths=(8, 8), attention=()),
    with_settings(GRANRecipe(**SMALL, **GRAN), widths=(8,), latent_size=8),
    with_settings(CGANRecipe(**SMALL), latent_size=8, units_g=(8, 8, 8), units_d=(8, 4, 8)),
    with_settings(
        InfoGANRecipe(**SMALL, **INFOGAN), widths=(8,), hidden=8, weight_categorical=0, weight_continuous=0
    ),
    with_settings(MINERecipe(**SMALL), widths=(8,), latent_size=12, weight=0),
    with_settings(BEGANRecipe(**SMALL, **BEGAN), width=4, latent_size=4),
    with_settings(
        ACGANRecipe(**SMALL, **AC_GAN), widths_g=(8,), widths_d=(4,) * 6, latent_size=4, classify=0
    ),
]
EVERY_RECIPE = pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: type(recipe).__name__)


def _updaters(recipe: Recipe) -> tuple[DiscriminatorUpdater, GeneratorUpdater]:
    data = DataFormat(3, ("a", "b") if recipe.needs_labels else ())
    d, *_, g = set_up_system(recipe, data, torch.device("cpu")).updaters
    assert isinstance(d, DiscriminatorUpdater)
    assert isinstance(g, GeneratorUpdater)
    return d, g


def _batch_for(recipe: Recipe) -> Batch:
    """The first batch of a run, with labels if the recipe needs them."""
    stage, labels = recipe.growth_schedule().at(0), torch.arange(8) % 2 if recipe.needs_labels else None
    batch = _batch()
    reals = batch.reals[..., : stage.resolution, : stage.resolution]
    return replace(batch, reals=reals, stage=stage, labels=labels)


def _output(features: Tensor) -> DiscriminatorOutput:
    return DiscriminatorOutput(torch.zeros(len(features)), features=features)


def test_feature_matching_is_the_squared_distance_of_the_means() -> None:
    real = torch.tensor([[1.0, 2.0], [3.0, 0.0]])  # mean (2, 1)
    fake = torch.tensor([[0.0, 1.0], [1.0, 4.0], [2.0, 1.0], [3.0, 6.0]], requires_grad=True)  # (1.5, 3)
    loss = feature_matching(_output(real), _output(fake))
    assert loss.item() == 0.25 + 4
    loss.backward()
    assert fake.grad is not None
    torch.testing.assert_close(fake.grad, torch.tensor([-0.5, 2.0]).mul(2 / 4).expand(4, 2))


@EVERY_RECIPE
def test_every_recipes_generator_can_match_features_of_the_reals(recipe: Recipe) -> None:
    torch.manual_seed(0)
    batch = _batch_for(recipe)
    if isinstance(recipe, BEGANRecipe):
        with pytest.raises(ValueError, match="feature_matching needs features"):
            _updaters(with_settings(recipe, feature_matching=3.0))
        return
    _, g = _updaters(with_settings(recipe, feature_matching=3.0))
    for dropout in (module for module in g.discriminator.modules() if isinstance(module, Dropout)):
        dropout.rate = 0.0
    output = g.compute_loss(batch, START)
    extra = (output.loss - output.scalars["loss/g"]).item()
    assert extra == pytest.approx(3 * output.scalars["loss/matching"].item(), rel=1e-3, abs=1e-4)
    assert extra > 0
    other = g.compute_loss(replace(batch, reals=batch.reals.flip(2) * 0.3), START)
    assert other.scalars["loss/matching"] != output.scalars["loss/matching"]
    gradients = torch.autograd.grad(
        output.scalars["loss/matching"], list(g.network.parameters()), allow_unused=True
    )
    assert any(gradient is not None and gradient.abs().sum() > 0 for gradient in gradients)


@EVERY_RECIPE
def test_every_recipe_takes_the_other_tricks(recipe: Recipe) -> None:
    torch.manual_seed(0)
    batch = _batch_for(recipe)
    dragan = 0.0 if isinstance(recipe, InfoGANRecipe | ACGANRecipe) else 10.0  # which have batch norm
    d, g = _updaters(with_settings(recipe, dragan=dragan, historical_averaging=0.1, instance_noise=(0.3,)))
    assert ("penalty/dragan" in d.compute_loss(batch, START).scalars) == (dragan > 0)
    for updater in (d, g):
        for _ in range(2):
            updater.spec.optimizer.zero_grad()
            updater.compute_loss(batch, START).loss.backward()
            updater.spec.optimizer.step()
        moved = [p for p in updater.network.parameters() if p.grad is not None]
        assert all(updater.spec.optimizer.state[p]["history_steps"] == 2 for p in moved)
    assert d.augment is g.augment
    assert d.augment.noise(START) == 0.3


@EVERY_RECIPE
@pytest.mark.parametrize("minibatch", ["stddev", "discrimination", "difference"])
def test_every_recipes_discriminator_takes_a_minibatch_layer(recipe: Recipe, minibatch: Any) -> None:
    batch = _batch_for(recipe)
    if isinstance(recipe, BEGANRecipe):
        with pytest.raises(ValueError, match="returns no features"):
            _updaters(with_settings(recipe, minibatch=minibatch))
        return
    d, g = _updaters(with_settings(recipe, minibatch=minibatch))
    assert isinstance(d.network, MinibatchDiscriminator)
    assert g.discriminator is d.network
    for updater in (d, g):
        updater.compute_loss(batch, START).loss.backward()  # type: ignore[no-untyped-call]
    d.spec.optimizer.step()
    grads = [
        parameter.grad for module in (d.network.layer, d.network.linear) for parameter in module.parameters()
    ]
    assert all(grad is not None and grad.isfinite().all() and grad.abs().sum() > 0 for grad in grads)


@EVERY_RECIPE
def test_every_recipe_takes_spectral_norm_and_two_time_scales(recipe: Recipe) -> None:
    torch.manual_seed(0)
    batch = _batch_for(recipe)
    plain, _ = _updaters(recipe)
    d, g = _updaters(with_settings(recipe, spectral_norm=True, ttur_ratio=4.0))
    assert d.spec.lr(START) == pytest.approx(4 * g.spec.lr(START))
    norms = spectral_norms(d.network)
    kinds = (nn.Conv2d, nn.Linear, EqualizedConv2d, EqualizedLinear)
    layers = [module for module in plain.network.modules() if isinstance(module, kinds)]
    own = len(spectral_norms(plain.network))
    assert len(norms) == len(layers) + own > 0
    before = [norm.left.clone() for norm, _ in norms]
    for updater in (g, d):
        updater.spec.apply_schedules(START)
        updater.compute_loss(batch, START).loss.backward()  # type: ignore[no-untyped-call]
        updater.spec.optimizer.step()
    moved = [not torch.equal(norm.left, was) for (norm, _), was in zip(norms, before, strict=True)]
    assert any(moved)
    assert all(weight.isfinite().all() for _, weight in norms)


def test_perturbed_images_move_by_half_the_batchs_deviation() -> None:
    images = torch.stack([torch.full((1, 2, 2), value) for value in (-1.0, 3.0)])  # deviation 2
    uniforms = torch.rand(2, 1, 2, 2, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(perturbed(images, uniforms), images + uniforms)


def test_dragan_is_wgan_gps_penalty_around_the_reals() -> None:
    _, d, _ = _system(dragan=5.0)
    reals, fakes = _seen(d, _batch())
    rng = _batch().rng
    around = scales(perturbed(reals[-1], rng.uniform("perturbed", 3, 8, 8)), (4, 8))
    expected, other = (
        one_centered(lambda x: d.network(x).logits, reals, ends, rng.uniform("mix")).item()
        for ends in (around, fakes)
    )
    output = d.compute_loss(_batch(), START)
    assert output.scalars["penalty/dragan"].item() == pytest.approx(expected, rel=1e-5)
    assert expected != pytest.approx(other, rel=1e-3)
    assert (output.loss - output.scalars["loss/d"]).item() == pytest.approx(5 * expected, rel=1e-4)


@pytest.mark.parametrize(("mine", "other"), [("r1", "r2"), ("r2", "r1")])
def test_r1_and_r2_alone(mine: str, other: str) -> None:
    recipe = with_settings(RECIPES[0], **{mine: (2.0,)})
    scalars = _updaters(recipe)[0].compute_loss(_batch(), START).scalars
    assert f"penalty/{mine}" in scalars
    assert f"penalty/{other}" not in scalars


def _draws(count: int = 8) -> KeyedRNG:
    return KeyedRNG(0, 0, count, slice(0, count), torch.device("cpu"))


def test_noise_has_its_deviation_and_coarse_pictures_have_its_mean() -> None:
    pictures = [torch.zeros(8, 3, side, side) for side in (8, 32)]
    coarse, fine = noisy(pictures, 0.5, _draws(), "real")
    assert fine.std().item() == pytest.approx(0.5, rel=0.02)
    assert fine.mean().item() == pytest.approx(0, abs=0.02)
    torch.testing.assert_close(coarse, nn.functional.avg_pool2d(fine, 4))
    assert not torch.equal(noisy(pictures, 0.5, _draws(), "fake")[1], fine)


def test_noise_fades_and_is_on_all_that_the_discriminator_sees() -> None:
    _, d, g = _system(instance_noise=(0.4, 0.0), objective="rp-gan")
    reals, fakes = _seen(d, _batch())
    for at, deviation in ((0, 0.4), (500, 0.2)):
        train_state = TrainState(at, 1000, 0)
        real, fake = (
            d.network(noisy(x, deviation, _batch().rng, of)).logits
            for x, of in ((reals, "real"), (fakes, "fake"))
        )
        torch.testing.assert_close(d.compute_loss(_batch(), train_state).loss, d.objective.d(real, fake))
        torch.testing.assert_close(g.compute_loss(_batch(), train_state).loss, g.objective.g(real, fake))
    end = d.compute_loss(_batch(), TrainState(1000, 1000, 0)).loss
    torch.testing.assert_close(end, d.objective.d(d.network(reals).logits, d.network(fakes).logits))


def test_historical_averaging_by_hand() -> None:
    """w is stepped by SGD of rate 1/2 on c w: at 1, then -1.0, and so on; the mean is of the values after steps."""
    w = nn.Parameter(torch.tensor(1.0))
    optimizer = torch.optim.SGD([w], lr=0.5)
    average_history(optimizer, 0.25)
    values: list[float] = []
    value = 1.0
    for slope in (4.0, 1.0, -2.0, 0.0):
        mean = sum(values) / len(values) if values else value
        value -= 0.5 * (slope + 2 * 0.25 * (value - mean))
        values.append(value)
        optimizer.zero_grad()
        (slope * w).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        assert w.item() == pytest.approx(value)
    assert len(set(values)) == 4
    with pytest.raises(ValueError, match="must be positive"):
        average_history(optimizer, 0.0)


def test_spectral_norm_is_brought_up_to_date_with_each_step() -> None:
    d, g = _updaters(with_settings(DCGANRecipe(**SMALL), widths=(8,), norm_d="none", spectral_norm=True))
    norm, _ = spectral_norms(d.network)[0]
    before = norm.left.clone()
    g.compute_loss(_batch(), START)
    d.compute_loss(_batch(), START).loss.backward()
    assert torch.equal(norm.left, before)
    d.spec.optimizer.step()
    assert not torch.equal(norm.left, before)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"label_smoothing": 1.0}, "label_smoothing must be at least 0 and below 1"),
        ({"feature_matching": -1.0}, "feature_matching must not be negative"),
        ({"historical_averaging": -1.0}, "historical_averaging must not be negative"),
        ({"dragan": -1.0}, "dragan must not be negative"),
        ({"instance_noise": (-0.1,)}, "instance_noise must not be negative"),
        ({"dragan": 10.0}, "dragan needs each sample's own gradient"),
        ({"r1": (10.0,)}, "r1 needs each sample's own gradient"),
        (
            {"objective": "hinge", "label_smoothing": 0.1},
            "label_smoothing goes with objective non-saturating or minimax",
        ),
    ],
)
def test_what_does_not_go_is_refused(change: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        with_settings(dcgan(), **change).build(DataFormat(3))


def test_dragan_is_refused_where_batch_norm_is_fixed() -> None:
    with pytest.raises(ValueError, match="dragan needs each sample's own gradient"):
        _updaters(
            with_settings(GRANRecipe(resolution=16, kimg=1, batch=8, **GRAN), widths=(8, 8), dragan=10.0)
        )


def test_smoothing_is_refused_where_the_objective_is_fixed() -> None:
    with pytest.raises(ValueError, match="label_smoothing goes with"):
        _updaters(
            with_settings(SAGANRecipe(**SMALL, **SAGAN), widths=(8, 8), attention=(), label_smoothing=0.1)
        )
    assert with_settings(lsgan(), objective="non-saturating", label_smoothing=0.1).build(DataFormat(3))


def compute_statistics(part: slice) -> dict[str, Tensor]:
    """Feature matching, perturbation and the batch's variety of a rank's samples, and gradients by them."""
    rng = torch.Generator().manual_seed(3)
    real, fake = torch.randn(2, 8, 5, generator=rng)[:, part]
    loss = feature_matching(_output(real), _output(fake.requires_grad_()))
    loss.backward()  # type: ignore[no-untyped-call]
    assert fake.grad is not None
    images, uniforms = torch.randn(2, 8, 3, 4, 4, generator=rng)[:, part]
    torch.manual_seed(0)
    found = {
        "loss": loss.detach()[None],
        "by_fake": fake.grad / ranks(),
        "moved": perturbed(images, uniforms),
    }
    for layer, x in ((MinibatchDiscrimination(48, 3, 2), images.flatten(1)), (MinibatchDifference(), images)):
        use_global_batch(layer)
        own, name = x.clone().requires_grad_(), type(layer).__name__
        seen = layer(own)
        seen.square().sum().backward()
        assert own.grad is not None
        found |= {name: seen.detach(), f"by {name}": own.grad}
    return {name: value.contiguous() for name, value in found.items()}


def test_statistics_are_those_of_the_global_batch(tmp_path: Path) -> None:
    whole = compute_statistics(slice(0, 8))
    for rank, found in enumerate(on_ranks(compute_statistics, tmp_path)):
        torch.testing.assert_close(found.pop("loss"), whole["loss"])
        for name, value in found.items():
            torch.testing.assert_close(value, whole[name][rank * 4 : rank * 4 + 4])


LEVELLED: list[Recipe] = [
    with_settings(
        LAPGANRecipe(resolution=16, kimg=1, batch=8),
        base=8,
        widths=(8, 4),
        latent_size=4,
        optimizer="adam",
    ),
    with_settings(
        StackedGANRecipe(resolution=16, kimg=1, batch=8),
        widths_e=(4, 4),
        widths_g=(4, 4),
        widths_d=(4, 4),
        feature_size=8,
        encoder_kimg=0.008,
        joint_kimg=0.016,
    ),
]


def _levels(recipe: Recipe, **changes: Any) -> list[Updater]:
    """The updaters of a recipe's levels, without an encoder's."""
    data = DataFormat(3, ("a", "b") if recipe.needs_labels else ())
    system = set_up_system(with_settings(recipe, **changes), data, torch.device("cpu"))
    return [updater for updater in system.updaters if updater.name != "e"]


def _loss(updater: Updater, images: int) -> LossOutput:
    rng = torch.Generator().manual_seed(3)
    reals = torch.rand(8, 3, 16, 16, generator=rng) * 2 - 1
    return updater.compute_loss(
        Batch(reals, torch.arange(8) % 2, _draws(), Stage(16, 8)), TrainState(images, 1000, 1)
    )


@pytest.mark.parametrize("recipe", LEVELLED, ids=lambda recipe: type(recipe).__name__)
class TestLevels:
    """LAPGAN's and Stacked GAN's pairs, which have updaters of their own."""

    def test_smoothing_is_the_discriminators_alone(self, recipe: Recipe) -> None:
        plain, smoothed = _levels(recipe), _levels(recipe, label_smoothing=0.2)
        for one, other in zip(plain, smoothed, strict=True):
            losses = [_loss(updater, 100).loss for updater in (one, other)]
            assert torch.equal(*losses) != one.name.startswith("d"), one.name

    def test_noise_is_on_all_that_the_discriminator_sees_and_fades(self, recipe: Recipe) -> None:
        plain, blurred = _levels(recipe), _levels(recipe, instance_noise=(0.5, 0.0))
        for one, other in zip(plain, blurred, strict=True):
            for images, alike in ((0, False), (1000, True)):
                losses = [_loss(updater, images).loss for updater in (one, other)]
                assert torch.equal(*losses) == alike, one.name

    def test_how_both_are_optimized(self, recipe: Recipe) -> None:
        plain = _levels(recipe)
        tricked = _levels(recipe, spectral_norm=True, ttur_ratio=3.0, historical_averaging=0.1)
        for one, other in zip(plain, tricked, strict=True):
            discriminates = one.name.startswith("d")
            assert other.spec.lr(START) == pytest.approx(one.spec.lr(START) * (3 if discriminates else 1))
            norms = spectral_norms(other.network)
            assert bool(norms) == discriminates
            before = [norm.right.clone() for norm, _ in norms]
            for _ in range(2):
                other.spec.optimizer.zero_grad()
                _loss(other, 100).loss.backward()  # type: ignore[no-untyped-call]
                other.spec.apply_schedules(START)
                other.spec.optimizer.step()
            assert all(not torch.equal(norm.right, was) for (norm, _), was in zip(norms, before, strict=True))
            moved = [p for p in other.network.parameters() if p.grad is not None]
            assert moved
            assert all(other.spec.optimizer.state[p]["history_steps"] == 2 for p in moved)
