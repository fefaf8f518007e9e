"""CGAN, AC-GAN, InfoGAN, MINE and Stacked GAN: their settings, losses, which updater steps when."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from models.architectures.stacked_gan import StackedGenerator
from models.layers.dropout import Dropout
from tests.training.toy import shapes
from training.growth import Stage
from training.objectives.mutual_information import donsker_varadhan
from training.recipes import RECIPES
from training.recipes.mine import MINERecipe
from training.recipes.recipe import DataFormat, Recipe, with_settings
from training.recipes.stacked_gan import StackedGANRecipe
from training.rng import KeyedRNG
from training.schedules import TrainState
from training.system import Batch, System, Updater
from training.updaters.adversarial import DiscriminatorUpdater, GeneratorUpdater
from training.updaters.mine import StatisticsUpdater
from training.updaters.stacked_gan import Bottom, LevelDiscriminatorUpdater, LevelGeneratorUpdater, Top

START = TrainState(0, 1000, 0)
SMALL: dict[str, dict[str, Any]] = {
    "cgan": {"latent_size": 5, "units_g": (6, 7, 8), "units_d": (8, 5, 6)},
    "ac-gan": {"widths_g": (6, 4), "widths_d": (4, 4, 6, 6, 8, 8), "latent_size": 5},
    "infogan": {"widths": (6, 4), "hidden": 8, "latent_size": 5, "categorical": (3, 4)},
    "mine": {"widths": (6, 4), "latent_size": 8, "code_size": 3},
    "stacked-gan": {
        **{
            "widths_e": (4, 4),
            "widths_g": (6, 4),
            "widths_d": (4, 6),
            "feature_size": 9,
            "latent_sizes": (5, 4),
        },
        **{"encoder_kimg": 0.016, "joint_kimg": 0.032, "joint_weight": 0.5},
    },
}
EVERY = pytest.mark.parametrize("name", SMALL)


def _recipe(name: str, **changes: Any) -> Recipe:
    tiny = {"resolution": 16, "batch": 8, "kimg": 0.048, "precision": "fp32", "channels_last": False}
    return with_settings(RECIPES[name](), **{**tiny, **SMALL[name], **changes})


def _system(name: str, **changes: Any) -> System:
    torch.manual_seed(0)
    return _recipe(name, **changes).build(DataFormat(3, ("a", "b")))


def _batch() -> Batch:
    reals = shapes(8, 16).float() / 127.5 - 1
    rng = KeyedRNG(0, 0, 8, slice(0, 8), torch.device("cpu"))
    return Batch(reals, torch.arange(8) % 2, rng, Stage(16, 8))


def _latents(updater: DiscriminatorUpdater | GeneratorUpdater) -> Tensor:
    generator = updater.generator if isinstance(updater, DiscriminatorUpdater) else updater.network
    z = _batch().rng.draw("latents", generator.prior)
    return generator.with_labels(z, torch.arange(8) % 2) if generator.class_names else z


def _pair(system: System) -> tuple[DiscriminatorUpdater, GeneratorUpdater]:
    d, g = system.updaters[0], system.updaters[-1]
    assert isinstance(d, DiscriminatorUpdater)
    assert isinstance(g, GeneratorUpdater)
    return d, g


@pytest.mark.parametrize(
    ("name", "batch", "kind", "rates"),
    [
        ("cgan", 100, "SGD", [0.02, 0.02]),
        ("ac-gan", 100, "Adam", [2e-4, 2e-4]),
        ("infogan", 128, "Adam", [2e-4, 1e-3]),
        ("mine", 128, "Adam", [2e-4] * 3),
        ("stacked-gan", 100, "Adam", [1e-4] * 5),
    ],
)
def test_the_papers_settings(name: str, batch: int, kind: str, rates: list[float]) -> None:
    assert RECIPES[name]().batch == batch
    updaters = _system(name).updaters
    assert [updater.spec.lr(START) for updater in updaters] == pytest.approx(rates)
    for updater in updaters:
        assert type(updater.spec.optimizer).__name__ == kind
        assert updater.spec.optimizer.param_groups[0].get("betas", (0.5, 0.999)) == (0.5, 0.999)


def test_cgans_learning_rate_falls_with_its_steps_to_its_end() -> None:
    rate = _system("cgan", batch=100).updaters[0].spec.lr
    assert rate(TrainState(100 * 1000, 10**9, 0)) == pytest.approx(0.02 / 1.00004**1000)
    assert rate(TrainState(10**9, 10**9, 0)) == 1e-6


@pytest.mark.parametrize("name", ["cgan", "ac-gan", "stacked-gan"])
def test_data_without_labels_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="prepare the data with labels, or choose a recipe that needs none"):
        _recipe(name).build(DataFormat(3))


@pytest.mark.parametrize("name", ["infogan", "infogan-faces", "mine", "mine-cpu", "ac-gan-cpu"])
def test_every_recipe_builds(name: str) -> None:
    names = ("a", "b") if name.startswith("ac") else ()
    assert RECIPES[name]().build(DataFormat(3, names)).generator.class_names == names


@EVERY
def test_each_step_gives_all_of_the_updaters_own_weights_a_gradient_and_no_other(name: str) -> None:
    system = _system(name)
    train_state = TrainState(60, 100, 7)  # Stacked GAN is joined
    for updater in system.updaters:
        for other in system.updaters:
            other.network.requires_grad_(other is updater)
            other.network.zero_grad()
        updater.compute_loss(_batch(), train_state).loss.backward()  # type: ignore[no-untyped-call]
        for other in system.updaters:
            for key, parameter in other.network.named_parameters():
                assert (parameter.grad is not None) == (other is updater), (updater.name, other.name, key)


def test_ac_gan_tells_classes_on_both_sides() -> None:
    d, g = _pair(_system("ac-gan"))
    for network in (d.network, g.network):
        for module in network.modules():
            if isinstance(module, Dropout):
                module.rate = 0.0
    batch, kinds = _batch(), torch.arange(8) % 2
    real, fake = d.network([batch.reals]), d.network(g.network(_latents(d))[-1:])
    assert real.classes is not None
    assert fake.classes is not None
    of_real, of_fake = (F.cross_entropy(output.classes, kinds) for output in (real, fake))
    expected = F.softplus(-real.logits).mean() + F.softplus(fake.logits).mean() + of_real + of_fake
    torch.testing.assert_close(d.compute_loss(batch, START).loss, expected)
    torch.testing.assert_close(g.compute_loss(batch, START).loss, F.softplus(-fake.logits).mean() + of_fake)


def test_both_of_infogans_networks_minimize_the_code_loss() -> None:
    d, g = _pair(_system("infogan", weight_categorical=0.7, weight_continuous=0.2))
    z = _latents(d)
    real, fake = d.network([_batch().reals]), d.network(g.network(z)[-1:])
    assert fake.latents is not None
    errors = (z[:, -9:-7] - fake.latents[:, :2]).square().sum(1).mean() / 2
    crossed = sum(
        F.cross_entropy(fake.latents[:, a:b], z[:, a - 9 : b - 9 or None]) for a, b in ((2, 5), (5, 9))
    )
    wanted = 0.2 * errors + 0.7 * (crossed - math.log(3) - math.log(4))
    expected = F.softplus(-real.logits).mean() + F.softplus(fake.logits).mean() + wanted
    output = d.compute_loss(_batch(), START)
    torch.testing.assert_close(output.loss, expected)
    torch.testing.assert_close(g.compute_loss(_batch(), START).loss, F.softplus(-fake.logits).mean() + wanted)
    assert {"information/categorical", "information/continuous", "loss/codes"} < output.scalars.keys()


def test_infogans_q_is_trained_with_the_discriminator() -> None:
    d, g = _pair(_system("infogan"))
    moved = {id(p) for group in d.spec.optimizer.param_groups for p in group["params"]}
    q = [p for name, p in d.network.named_parameters() if name.startswith("read")]
    assert q
    assert all(id(parameter) in moved for parameter in q)
    assert not moved & {id(p) for group in g.spec.optimizer.param_groups for p in group["params"]}


def test_mines_updaters_share_one_bound() -> None:
    system = _system("mine", weight=0.5)
    d, g = _pair(system)
    t = system.updaters[1]
    assert isinstance(t, StatisticsUpdater)
    z, others = _latents(d), _batch().rng.draw("marginal", g.network.prior)
    with torch.no_grad():
        pictures = g.network(z)[-1]
        bound = donsker_varadhan(t.network(pictures, z[:, -3:]), t.network(pictures, others[:, -3:]))
    output, of_g = t.compute_loss(_batch(), START), g.compute_loss(_batch(), START)
    torch.testing.assert_close(output.loss, -bound)
    torch.testing.assert_close(of_g.scalars["information/code_g"], bound)
    torch.testing.assert_close(of_g.loss, of_g.scalars["loss/g"])  # the value; its gradient is of both
    assert not t.information.bound.started
    t.after_step(output.scalars, _batch().stage)
    assert t.extra_state.state_dict()["log_average"].item() == pytest.approx(
        math.log(output.scalars["information/ratio"].item()), abs=1e-6
    )


def _gradient(updater: Updater) -> Tensor:
    updater.network.zero_grad()
    updater.compute_loss(_batch(), START).loss.backward()  # type: ignore[no-untyped-call]
    return torch.cat([p.grad.flatten() for p in updater.network.parameters() if p.grad is not None])


def test_mines_generator_follows_information_no_further_than_the_discriminator() -> None:
    without, little, much = (_gradient(_system("mine", weight=w).updaters[-1]) for w in (0.0, 1e-3, 1e6))
    assert 0 < (little - without).norm() < without.norm()
    assert (much - without).norm().item() == pytest.approx(without.norm().item(), rel=1e-3)
    cosine = F.cosine_similarity(little - without, much - without, dim=0)
    assert cosine.item() == pytest.approx(1, abs=0.05)


def test_a_code_fits_into_the_latent_vector() -> None:
    with pytest.raises(ValueError, match="code_size must be from 1 to latent_size, 4, not 5"):
        with_settings(MINERecipe(resolution=16, kimg=1, batch=8), latent_size=4, code_size=5)


def _stack() -> tuple[System, StackedGenerator, Top, Bottom]:
    system = _system("stacked-gan")
    _, _, g1, _, g0 = system.updaters
    assert isinstance(g1, LevelGeneratorUpdater)
    assert isinstance(g0, LevelGeneratorUpdater)
    assert isinstance(g1.level, Top)
    assert isinstance(g0.level, Bottom)
    assert isinstance(system.generator, StackedGenerator)
    return system, system.generator, g1.level, g0.level


def test_the_encoder_is_trained_first_and_then_frozen() -> None:
    system, *_ = _stack()
    steps = {
        images: [updater.steps_at(TrainState(images, 100, 0)) for updater in system.updaters]
        for images in (0, 8, 16, 64)
    }
    assert steps == {
        0: [1, 0, 0, 0, 0],
        8: [1, 0, 0, 0, 0],
        16: [0, 1, 1, 1, 1],
        64: [0, 1, 1, 1, 1],
    }


@pytest.mark.parametrize("images", [24, 64])
def test_the_levels_losses_by_hand_alone_and_joined(images: int) -> None:
    system, generator, top, bottom = _stack()
    _, d1, g1, d0, g0 = system.updaters
    batch, train_state, label = (
        _batch(),
        TrainState(images, 100, 0),
        F.one_hot(torch.arange(8) % 2, 2).float(),
    )
    noise = [batch.rng.uniform(f"noise{i}", size) for i, size in ((1, 5), (0, 4))]
    with torch.no_grad():
        features = top.encoder(batch.reals)
        made = generator.top(label, noise[0])
        given = made if images == 64 else features
        picture = generator.bottom(given, noise[1])
        ends = [(top, features, made), (bottom, batch.reals, picture)]
        losses = []
        for (level, real, fake), z in zip(ends, noise, strict=True):
            of_real, of_fake = level.discriminator(real), level.discriminator(fake)
            entropy = 10 * (of_fake.latents - z).square().mean()
            d = (F.softplus(-of_real.logits) + F.softplus(of_fake.logits)).mean() / 2
            losses.append((d + entropy, F.softplus(-of_fake.logits).mean() + entropy))
        right = F.cross_entropy(top.encoder.top(made), torch.arange(8) % 2)
        back = (top.encoder(picture) - given).square().mean()
    joint = 0.5 * (losses[1][1] + back) if images == 64 else 0.0
    torch.testing.assert_close(d1.compute_loss(batch, train_state).loss, losses[0][0])
    torch.testing.assert_close(d0.compute_loss(batch, train_state).loss, losses[1][0])
    torch.testing.assert_close(g1.compute_loss(batch, train_state).loss, losses[0][1] + right + joint)
    torch.testing.assert_close(g0.compute_loss(batch, train_state).loss, losses[1][1] + back)


def test_the_generator_that_ships_is_the_stack() -> None:
    _, generator, *_ = _stack()
    z = generator.prior(3, torch.Generator().manual_seed(0))
    first, second, label = z[:, :5], z[:, 5:9], z[:, 9:]
    expected = generator.bottom(generator.top(label, first), second)
    torch.testing.assert_close(generator(z)[-1], expected)


def test_the_encoder_tells_labels() -> None:
    system, *_ = _stack()
    updater = system.updaters[0]
    before = updater.compute_loss(_batch(), START)
    for _ in range(300):
        updater.spec.optimizer.zero_grad()
        updater.compute_loss(_batch(), START).loss.backward()  # type: ignore[no-untyped-call]
        updater.spec.optimizer.param_groups[0]["lr"] = 0.003
        updater.spec.optimizer.step()
    after = updater.compute_loss(_batch(), START)
    assert after.loss < 0.1 * before.loss
    assert after.scalars["encoder/accuracy"] == 1


def test_parts_of_the_run_are_in_order() -> None:
    with pytest.raises(ValueError, match=r"encoder_kimg must be positive and at most joint_kimg, 2, not 3"):
        with_settings(StackedGANRecipe(resolution=16, kimg=1, batch=8), encoder_kimg=3, joint_kimg=2)


def test_a_discriminator_of_a_level_moves_q_too() -> None:
    system, *_ = _stack()
    d1 = system.updaters[1]
    assert isinstance(d1, LevelDiscriminatorUpdater)
    d1.compute_loss(_batch(), TrainState(24, 100, 0)).loss.backward()  # type: ignore[no-untyped-call]
    assert d1.network.read.weight.grad is not None
    assert d1.network.read.weight.grad.abs().max() > 0
