"""The systems that reconstruct: VAE, DRAW, BEGAN and GRAN. Losses, and what is kept from output to output."""

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.distributions import Bernoulli, Normal

from tests.prepared import write_dataset
from tests.training.toy import metrics, shapes, trainer_of
from train import parse
from training.growth import Stage
from training.optim.gradient_clipping import limit_gradients
from training.recipes import RECIPES
from training.recipes.began import BEGANNetworks, BEGANRecipe, EquilibriumOptions, began, began_cpu
from training.recipes.draw import DRAWNetworks, DRAWRecipe, draw, draw_cpu
from training.recipes.gran import GRANRecipe, gran
from training.recipes.recipe import DataFormat, Recipe, with_settings
from training.recipes.vae import VAERecipe, vae_cpu
from training.rng import KeyedRNG
from training.schedules import TrainState
from training.system import Batch, System
from training.updaters.adversarial import GeneratorUpdater
from training.updaters.autoencoder import AutoencoderUpdater, kl_to_prior, negative_log_likelihood
from training.updaters.began import Equilibrium, EquilibriumDiscriminatorUpdater
from training.updaters.images import latents

START = TrainState(0, 1000, 0)
NAMES = [f"{system}{size}" for system in ("vae", "draw", "began", "gran") for size in ("", "-cpu")]
SIZES: dict[type[Recipe], dict[str, object]] = {
    VAERecipe: {"widths": (8, 6), "latent_size": 5},
    DRAWRecipe: {"steps": 3, "latent_size": 4, "hidden": 8},
    BEGANRecipe: {"width": 4, "latent_size": 5},
    GRANRecipe: {"widths": (8, 6), "latent_size": 5},
}


def _small(recipe: Recipe) -> Recipe:
    """The same recipe at 16x16."""
    sizes = SIZES[type(recipe)]
    return with_settings(recipe, resolution=16, batch=8, precision="fp32", **sizes)  # type: ignore[arg-type]


def _system(recipe: Recipe) -> System:
    torch.manual_seed(0)
    return _small(recipe).build(DataFormat(3))


def _batch(part: slice = slice(0, 8)) -> Batch:
    reals = shapes(8, 16).float() / 127.5 - 1
    return Batch(reals[part], None, KeyedRNG(0, 0, 8, part, torch.device("cpu")), Stage(16, 8))


@pytest.mark.parametrize("name", NAMES)
def test_every_recipe_builds_and_computes_its_losses(name: str) -> None:
    _, recipe = parse(["--recipe", name, "--data", "data", "--out", "run"])
    assert recipe == RECIPES[name]()
    system = _system(recipe)
    for updater in system.updaters:
        for other in system.updaters:
            other.network.requires_grad_(other is updater)
        updater.compute_loss(_batch(), START).loss.backward()  # type: ignore[no-untyped-call]
        for key, parameter in updater.network.named_parameters():
            assert parameter.grad is not None, key
            assert parameter.grad.ne(0).any(), key
    assert set(system.generator.parameters()) <= {
        p for updater in system.updaters for p in updater.network.parameters()
    }


def test_the_papers_settings() -> None:
    assert draw().network == DRAWNetworks(steps=64, latent_size=100, hidden=256, read=2, write=5)
    assert draw().batch == 100
    assert began().network == BEGANNetworks(width=128, latent_size=64)
    assert began().equilibrium == EquilibriumOptions(gamma=0.5, k_rate=0.001)
    assert (began().batch, began().optimizer.lr) == (16, (1e-4, 2e-5))
    assert (gran().network.steps, gran().batch) == (3, 100)
    d, g = _system(gran()).updaters
    assert [updater.spec.lr(START) for updater in (d, g)] == pytest.approx([4e-5, 1e-4])
    decay = [
        group["weight_decay"]
        for updater in _system(gran()).updaters
        for group in updater.spec.optimizer.param_groups
    ]
    assert decay == [5e-6, 0]


def test_distance_of_known_gaussians_to_the_prior() -> None:
    posterior = Normal(
        torch.tensor([[0.0, 0.0], [3.0, 0.0], [0.0, 1.0]]), torch.tensor([[1.0, 1.0], [1.0, 2.0], [0.5, 1.0]])
    )
    expected = [0, 4.5 + (4 - 1) / 2 - math.log(2), (0.25 - 1) / 2 + math.log(2) + 0.5]
    torch.testing.assert_close(kl_to_prior(posterior), torch.tensor(expected))


def test_negative_log_likelihood_is_summed_over_an_image_in_pixels_from_0_to_1() -> None:
    images = torch.tensor([-1.0, 0.0, 1.0]).view(3, 1, 1, 1).expand(3, 2, 4, 5)
    even = Bernoulli(torch.full(images.shape, 0.5), validate_args=False)
    torch.testing.assert_close(negative_log_likelihood(even, images), torch.full((3,), 40 * math.log(2)))
    unsure = Bernoulli(torch.full(images.shape, 0.25), validate_args=False)
    entropies = [-math.log(0.75), -math.log(0.75 * 0.25) / 2, -math.log(0.25)]
    torch.testing.assert_close(negative_log_likelihood(unsure, images), 40 * torch.tensor(entropies))
    gaussians = Normal(torch.zeros(images.shape), 0.5)
    squares = torch.tensor([0.0, 0.25, 1.0]) / (2 * 0.25) + math.log(0.5 * math.sqrt(2 * math.pi))
    torch.testing.assert_close(negative_log_likelihood(gaussians, images), 40 * squares)


@pytest.mark.parametrize("recipe", [vae_cpu(), draw_cpu()], ids=["vae", "draw"])
def test_the_bound_is_reconstruction_and_distance_per_picture(recipe: Recipe) -> None:
    system, batch = _system(recipe), _batch()
    (updater,) = system.updaters
    assert isinstance(updater, AutoencoderUpdater)
    found = updater.network(batch.reals, batch.rng.draw("latents", system.generator.prior))
    output = updater.compute_loss(batch, START)
    rest, distance = negative_log_likelihood(found.likelihood, batch.reals), kl_to_prior(found.posterior)
    torch.testing.assert_close(output.scalars["nats/reconstruction"], rest.mean())
    torch.testing.assert_close(output.scalars["nats/kl"], distance.mean())
    torch.testing.assert_close(output.loss, (rest + distance).mean())
    assert output.scalars["loss/bound"] is output.loss


@pytest.mark.parametrize("recipe", [vae_cpu(), draw_cpu(), began_cpu()], ids=["vae", "draw", "began"])
def test_a_batch_in_two_parts_is_the_batch(recipe: Recipe) -> None:
    for updater in _system(recipe).updaters:
        whole = updater.compute_loss(_batch(), START).loss
        parts = [updater.compute_loss(_batch(part), START).loss for part in (slice(0, 2), slice(2, 8))]
        torch.testing.assert_close(parts[0] * 0.25 + parts[1] * 0.75, whole)


def test_each_gradient_is_shortened_on_its_own() -> None:
    long, short = (torch.nn.Parameter(torch.zeros(2)) for _ in range(2))
    sgd = torch.optim.SGD([long, short], lr=1.0)
    limit_gradients(sgd, 5.0)
    long.grad, short.grad = torch.tensor([30.0, 40.0]), torch.tensor([3.0, 1.0])
    sgd.step()
    torch.testing.assert_close(long.detach(), -torch.tensor([3.0, 4.0]))
    torch.testing.assert_close(short.detach(), -torch.tensor([3.0, 1.0]))
    with pytest.raises(ValueError, match="the limit of gradients must be positive, not 0"):
        limit_gradients(sgd, 0)


def test_draw_has_its_gradients_clipped() -> None:
    (updater,) = _system(draw_cpu()).updaters
    for parameter in updater.network.parameters():
        parameter.grad = torch.full_like(parameter, 100.0)
    updater.step({})
    norms = [float(p.grad.norm()) for p in updater.network.parameters() if p.grad is not None]
    assert norms == pytest.approx([5.0] * len(norms), rel=1e-4)


def _errors(*values: float) -> list[Tensor]:
    return [torch.tensor(value) for value in values]


def test_k_by_hand() -> None:
    equilibrium = Equilibrium(gamma=0.5, k_rate=0.1)
    assert equilibrium.k == 0
    equilibrium.learn(*_errors(1.0, 0.2))
    assert equilibrium.k.item() == pytest.approx(0.03)
    equilibrium.learn(*_errors(0.4, 0.3))
    assert equilibrium.k.item() == pytest.approx(0.02)
    equilibrium.learn(*_errors(0.0, 9.0))
    assert equilibrium.k == 0
    equilibrium.learn(*_errors(100.0, 0.0))
    assert equilibrium.k == 1


def test_convergence_by_hand() -> None:
    equilibrium = Equilibrium(gamma=0.5, k_rate=0.1)
    assert equilibrium.convergence(*_errors(0.4, 0.5)).item() == pytest.approx(0.7)
    assert equilibrium.convergence(*_errors(0.4, 0.1)).item() == pytest.approx(0.5)
    assert equilibrium.convergence(*_errors(0.5, 0.4)).item() == pytest.approx(0.65)  # not symmetric


def _equilibrium(recipe: Recipe) -> tuple[EquilibriumDiscriminatorUpdater, GeneratorUpdater]:
    d, g = _system(recipe).updaters
    assert isinstance(d, EquilibriumDiscriminatorUpdater)
    assert isinstance(g, GeneratorUpdater)
    return d, g


def test_the_losses_of_began() -> None:
    d, g = _equilibrium(began_cpu())
    d.equilibrium.k.fill_(0.25)
    batch = _batch()
    with torch.no_grad():
        fakes = d.generator(latents(d.generator, batch))[-1]
        real, fake = (
            (images - d.network.decoder(d.network.encoder(images))).abs().mean()  # type: ignore[operator]
            for images in (batch.reals, fakes)
        )
    output = d.compute_loss(batch, START)
    torch.testing.assert_close(output.loss, real - 0.25 * fake)
    torch.testing.assert_close(g.compute_loss(batch, START).loss, fake)
    assert output.scalars["k"] == 0.25
    torch.testing.assert_close(output.scalars["convergence"], real + (0.5 * real - fake).abs())
    assert d.equilibrium.k == 0.25  # a output that is not made changes nothing
    d.after_step(output.scalars, batch.stage)
    assert d.equilibrium.k.item() == pytest.approx(0.25 + 0.002 * (0.5 * real - fake).item())
    assert [key for key in d.extra_state.state_dict() if "k" in key] == ["equilibrium.k"]


def test_the_learning_rate_of_began_is_halved() -> None:
    d, g = _equilibrium(began())
    for images, expected in (
        (0, 1e-4),
        (1_599_999, 1e-4),
        (1_600_000, 5e-5),
        (3_200_000, 2.5e-5),
        (9_000_000, 2e-5),
    ):
        for updater in (d, g):
            assert updater.spec.lr(TrainState(images, 10**8, 0)) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"gamma": 0.0}, "gamma must be above 0 and at most 1, not 0.0"),
        ({"gamma": 1.5}, "gamma must be above 0 and at most 1, not 1.5"),
        ({"lr_halve_every": -1.0}, "lr_halve_every must not be negative, not -1.0"),
        ({"objective": "hinge"}, "objective must be wgan, of which BEGAN is a form, not hinge"),
    ],
)
def test_a_recipe_that_cannot_be(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        with_settings(began(), **changes)  # type: ignore[arg-type]


def test_a_vae_learns(tmp_path: Path) -> None:
    data, run = write_dataset(tmp_path / "data", shapes(20, 16)), tmp_path / "run"
    recipe = with_settings(
        _small(vae_cpu()), kimg=0.8, log_every=0.1, snapshot_every=100, checkpoint_every=100
    )
    assert trainer_of(run, data, recipe, "vae-cpu").run()
    bounds = [line["loss/bound"] for line in metrics(run)]
    assert bounds[-1] < bounds[0] - 200
