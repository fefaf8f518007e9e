"""GAN, DCGAN, LSGAN, WGAN, WGAN-GP and f-GAN: what the recipes say, and how many steps each updater takes."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor

from models.layers.normalization import BatchNorm
from tests.training.toy import shapes
from train import parse
from training.distributed.collective import standardize_globally, use_global_batch
from training.growth import Stage
from training.objectives import OBJECTIVES
from training.objectives.f_divergence import DIVERGENCES
from training.recipes import RECIPES
from training.recipes.dcgan import DCGANRecipe, dcgan, selu_dcgan, selu_dcgan_64
from training.recipes.f_gan import f_gan
from training.recipes.gan import GANRecipe, gan
from training.recipes.lsgan import lsgan
from training.recipes.recipe import DataFormat, Recipe, with_settings
from training.recipes.wgan import wgan, wgan_cpu, wgan_gp
from training.rng import KeyedRNG
from training.schedules import TrainState, early_steps
from training.system import Batch, System
from training.updaters.adversarial import DiscriminatorUpdater, GeneratorUpdater

START = TrainState(0, 1000, 0)
CONVOLUTIONAL = (
    *("dcgan", "dcgan-cpu", "selu-dcgan", "selu-dcgan-64", "selu-dcgan-cpu", "lsgan", "lsgan-cpu"),
    *("wgan", "wgan-cpu", "wgan-gp", "wgan-gp-cpu", "f-gan", "f-gan-cpu"),
)


def _small(recipe: Recipe) -> Recipe:
    """The same recipe at 16x16."""
    if isinstance(recipe, DCGANRecipe):
        return with_settings(recipe, resolution=16, widths=(8, 6), latent_size=12, precision="fp32", batch=8)
    assert isinstance(recipe, GANRecipe)
    return with_settings(recipe, resolution=16, hidden=20, units=10, latent_size=12, batch=8)


def _system(recipe: Recipe) -> tuple[System, DiscriminatorUpdater, GeneratorUpdater]:
    torch.manual_seed(0)
    system = _small(recipe).build(DataFormat(3))
    d, g = system.updaters
    assert isinstance(d, DiscriminatorUpdater)
    assert isinstance(g, GeneratorUpdater)
    return system, d, g


def _build(recipe: Recipe) -> System:
    return _small(recipe).build(DataFormat(3))


def _batch(size: int = 16) -> Batch:
    reals = shapes(8, size).float() / 127.5 - 1
    return Batch(reals, None, KeyedRNG(0, 0, 8, slice(0, 8), torch.device("cpu")), Stage(size, 8))


def _logits(d: DiscriminatorUpdater) -> tuple[Tensor, Tensor]:
    batch = _batch()
    with torch.no_grad():
        fakes = d.generator(batch.rng.draw("latents", d.generator.prior))
        return d.network([batch.reals]).logits, d.network(fakes[-1:]).logits


@pytest.mark.parametrize("name", [*CONVOLUTIONAL, "gan"])
def test_every_recipe_builds_and_computes_its_losses(name: str) -> None:
    system, *_ = _system(RECIPES[name]())
    for updater in system.updaters:
        for other in system.updaters:
            other.network.requires_grad_(other is updater)
        updater.compute_loss(_batch(), START).loss.backward()  # type: ignore[no-untyped-call]
        for parameter in updater.network.parameters():
            assert parameter.grad is not None
            assert parameter.grad.isfinite().all()


@pytest.mark.parametrize(
    ("recipe", "batch", "kind", "betas", "lr_d", "lr_g"),
    [
        (dcgan(), 128, "Adam", (0.5, 0.999), 2e-4, 2e-4),
        (selu_dcgan(), 64, "Adam", (0.5, 0.999), 5e-5, 2e-4),
        (selu_dcgan_64(), 64, "Adam", (0.5, 0.999), 5e-4, 2e-4),
        (lsgan(), 64, "Adam", (0.5, 0.999), 1e-4, 1e-4),
        (wgan(), 64, "RMSprop", None, 5e-5, 5e-5),
        (wgan_gp(), 64, "Adam", (0.0, 0.9), 1e-4, 1e-4),
        (f_gan(), 64, "Adam", (0.5, 0.999), 1e-4, 1e-4),
        (gan(), 100, "SGD", None, 0.1, 0.1),
    ],
)
def test_the_papers_settings(
    recipe: Recipe, batch: int, kind: str, betas: tuple[float, float] | None, lr_d: float, lr_g: float
) -> None:
    assert recipe.batch == batch
    updaters = _system(recipe)[0].updaters
    for updater, rate in zip(updaters, (lr_d, lr_g), strict=True):
        assert type(updater.spec.optimizer).__name__ == kind
        assert updater.spec.optimizer.param_groups[0].get("betas") == betas
        assert updater.spec.lr(START) == pytest.approx(rate)


def test_the_first_gans_learning_rate_falls_with_its_steps() -> None:
    rate = gan().build(DataFormat(1)).updaters[0].spec.lr
    assert rate(TrainState(100 * 1000, 10**9, 0)) == pytest.approx(0.1 / 1.000004**1000)
    assert rate(TrainState(10**9, 10**9, 0)) == 1e-6


def test_the_first_gans_momentum_grows_for_250_epochs() -> None:
    for updater in gan().build(DataFormat(1)).updaters:
        for epochs, momentum in ((0, 0.5), (125, 0.6), (250, 0.7), (500, 0.7)):
            updater.spec.apply_schedules(TrainState(epochs * 50_000, 10**9, 0))
            assert updater.spec.optimizer.param_groups[0]["momentum"] == pytest.approx(momentum)


@pytest.mark.parametrize(
    ("recipe", "objective"),
    [(dcgan(), "non-saturating"), (lsgan(), "least-squares"), (wgan(), "wgan"), (f_gan(), "f-hellinger")],
)
def test_both_updaters_minimize_the_objective(recipe: Recipe, objective: str) -> None:
    _, d, g = _system(recipe)
    real, fake = _logits(d)
    torch.testing.assert_close(d.compute_loss(_batch(), START).loss, OBJECTIVES[objective].d(real, fake))
    torch.testing.assert_close(g.compute_loss(_batch(), START).loss, OBJECTIVES[objective].g(real, fake))


@pytest.mark.parametrize("divergence", DIVERGENCES)
def test_the_divergence_and_its_saturating_form_can_be_chosen(divergence: Any) -> None:
    recipe = with_settings(f_gan(), objective=f"f-{divergence}")
    _, d, g = _system(recipe)
    real, fake = _logits(d)
    torch.testing.assert_close(
        d.compute_loss(_batch(), START).loss, OBJECTIVES[f"f-{divergence}"].d(real, fake)
    )
    _, _, saturating = _system(with_settings(recipe, objective=f"f-{divergence}-saturating"))
    conjugate = DIVERGENCES[divergence].conjugate(fake).mean()
    torch.testing.assert_close(saturating.compute_loss(_batch(), START).loss, -conjugate)
    torch.testing.assert_close(
        g.compute_loss(_batch(), START).loss, OBJECTIVES[f"f-{divergence}"].g(real, fake)
    )


@pytest.mark.parametrize("objective", ["non-saturating", "minimax"])
def test_smoothed_labels_are_the_discriminators_alone(objective: Any) -> None:
    _, d, g = _system(with_settings(dcgan(), objective=objective, label_smoothing=0.1))
    real, fake = _logits(d)
    expected = OBJECTIVES[objective].d(real, fake) + 0.1 * real.mean()
    torch.testing.assert_close(d.compute_loss(_batch(), START).loss, expected)
    torch.testing.assert_close(g.compute_loss(_batch(), START).loss, OBJECTIVES[objective].g(real, fake))


def test_the_critics_weights_are_clipped_before_the_first_step_and_after_each() -> None:
    system, d, _ = _system(with_settings(wgan(), lr=(0.1,)))
    weights = {name: value.detach().clone() for name, value in d.network.named_parameters()}
    assert all(value.abs().max() <= 0.01 for value in weights.values())
    assert any(value.abs().max() > 0.01 for value in system.generator.parameters())
    d.compute_loss(_batch(), START).loss.backward()  # type: ignore[no-untyped-call]
    d.spec.optimizer.step()
    moved = dict(d.network.named_parameters())
    assert all(value.abs().max() <= 0.01 for value in moved.values())
    assert any(not torch.equal(value, weights[name]) for name, value in moved.items())
    assert any(value.eq(0.01).any() for value in moved.values())


def test_the_gradient_penalty_is_the_critics() -> None:
    _, d, _ = _system(wgan_gp())
    output = d.compute_loss(_batch(), START)
    real, fake = _logits(d)
    expected = fake.mean() - real.mean() + 10 * output.scalars["penalty/gradient"]
    torch.testing.assert_close(output.loss, expected)


def test_the_critics_steps() -> None:
    d, g = _system(wgan())[0].updaters
    steps = [d.steps_at(TrainState(0, 1000, iteration)) for iteration in (0, 24, 25, 26, 499, 500, 501, 1000)]
    assert steps == [100, 100, 5, 5, 5, 100, 5, 100]
    assert [g.steps_at(TrainState(0, 1000, iteration)) for iteration in (0, 25)] == [1, 1]
    assert (d.steps, wgan_cpu().pair.n_critic_early) == (5, 10)
    assert [early_steps(0, 25, 500)(TrainState(0, 1000, iteration)) for iteration in (0, 25)] == [0, 0]


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (partial(with_settings, wgan(), weight_clip=-0.1), "weight_clip must not be negative, not -0.1"),
        (partial(with_settings, wgan_gp(), gradient_penalty=-1.0), "gradient_penalty must not be negative"),
        (partial(with_settings, wgan_gp(), norm_d="batch"), "set norm_d to layer, selu or none"),
        (partial(with_settings, dcgan(), n_critic=0), "n_critic must be positive, not 0"),
        (
            partial(with_settings, wgan(), n_critic_early=3),
            "n_critic_early must be 0 or at least n_critic, 5, not 3",
        ),
        (
            partial(with_settings, dcgan(), label_smoothing=-0.2),
            "label_smoothing must be at least 0 and below 1",
        ),
        (
            partial(with_settings, dcgan(), label_smoothing=1.0),
            "label_smoothing must be at least 0 and below 1",
        ),
        (lambda: _build(with_settings(lsgan(), label_smoothing=0.1)), "not with least-squares"),
    ],
)
def test_bad_settings_are_refused(make: Callable[[], object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        make()


def test_adaptive_augmentation_needs_a_sign_that_means_something() -> None:
    ada = {"augment": ("flip",), "ada_target": 0.6}
    assert (
        with_settings(f_gan(), objective="f-pearson", **ada).build(DataFormat(3)).updaters[0].extra_state
        is not None
    )
    with pytest.raises(ValueError, match="ada_target does not go with objective f-kl"):
        with_settings(f_gan(), objective="f-kl", widths=(4, 4, 4, 4), **ada).build(DataFormat(3))


def test_batch_norm_sees_the_global_batch() -> None:
    _, d, g = _system(dcgan())
    for updater in (d, g):
        use_global_batch(updater.network)
        norms = [module for module in updater.network.modules() if isinstance(module, BatchNorm)]
        assert norms
        assert all(norm.standardize is standardize_globally for norm in norms)


@pytest.mark.parametrize("name", [*CONVOLUTIONAL, "gan"])
def test_the_command_line_gives_the_recipe(name: str) -> None:
    _, recipe = parse(["--recipe", name, "--data", "data", "--out", "run"])
    assert recipe == RECIPES[name]()


def test_the_divergence_is_an_option() -> None:
    _, recipe = parse(["--recipe", "f-gan", "--data", "data", "--out", "run", "--objective", "f-reverse-kl"])
    assert recipe == with_settings(f_gan(), objective="f-reverse-kl")
