"""SAGAN's game: its losses, when the singular vectors move, and real runs that are killed, resumed and shared."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from models.architectures.sagan import SAGANGenerator
from models.checkpoint import load_generator
from models.layers.normalization import SpectralConv2d, spectral_norms
from tests.prepared import write_dataset
from tests.training.plain import SAGAN
from tests.training.ranks import on_ranks
from tests.training.toy import differences, kill_when, metrics, newest_state, shapes, train
from training.distributed.collective import average_gradients, use_global_batch
from training.growth import Stage
from training.recipes.options import OptimizerOptions
from training.recipes.recipe import DataFormat, with_settings
from training.recipes.sagan import SAGANRecipe, sagan, sagan_cpu
from training.rng import KeyedRNG
from training.schedules import TrainState
from training.system import Batch, System, Updater
from training.updaters.adversarial import DiscriminatorUpdater, GeneratorUpdater

RECIPE = with_settings(
    SAGANRecipe(resolution=16, kimg=1, batch=8, **SAGAN),
    widths=(8, 6, 4),
    latent_size=12,
    attention=(8,),
    lr=(0.01,),
    ttur_ratio=2.0,
)
TINY = (
    *("--recipe", "sagan-cpu", "--tracker", "none", "--resolution", "16", "--widths", "8", "6", "4"),
    *("--latent-size", "12", "--attention", "8", "--batch", "8", "--kimg", "0.096"),
    *("--log-every", "0.016", "--checkpoint-every", "0.032", "--snapshot-every", "100"),
)
START = TrainState(0, 1000, 0)


def _system(classes: tuple[str, ...] = ("a", "b")) -> tuple[System, DiscriminatorUpdater, GeneratorUpdater]:
    torch.manual_seed(0)
    system = RECIPE.build(DataFormat(3, classes))
    d, g = system.updaters
    assert isinstance(d, DiscriminatorUpdater)
    assert isinstance(g, GeneratorUpdater)
    return system, d, g


def _batch(labels: bool = True) -> Batch:
    reals = shapes(8, 16).float() / 127.5 - 1
    kinds = torch.arange(8) % 2 if labels else None
    return Batch(reals, kinds, KeyedRNG(0, 0, 8, slice(0, 8), torch.device("cpu")), Stage(16, 8))


def _vectors(network: nn.Module) -> dict[str, Tensor]:
    return {
        key: value.clone() for key, value in network.state_dict().items() if key.endswith(("left", "right"))
    }


def _step(updater: Updater) -> None:
    updater.spec.optimizer.zero_grad()
    updater.compute_loss(_batch(), START).loss.backward()  # type: ignore[no-untyped-call]
    updater.spec.optimizer.step()


def test_the_papers_settings() -> None:
    recipe = sagan()
    assert (recipe.resolution, recipe.batch, recipe.kimg) == (128, 256, 256_000)
    assert recipe.optimizer == OptimizerOptions(lr=(1e-4,), ttur_ratio=4.0, betas=(0.0, 0.9))
    d, g = with_settings(recipe, widths=(4, 4, 4, 4, 4, 4)).build(DataFormat(3)).updaters
    assert [updater.spec.optimizer.param_groups[0]["betas"] for updater in (d, g)] == [(0.0, 0.9)] * 2
    assert [updater.spec.lr(TrainState(0, 1000, 0)) for updater in (d, g)] == [4e-4, 1e-4]
    assert [updater.spec.lr(TrainState(1000, 1000, 0)) for updater in (d, g)] == [4e-4, 1e-4]


def test_the_recipe_for_cpus_builds() -> None:
    system = sagan_cpu().build(DataFormat(3))
    assert system.generator.resolutions[-1] == 64


@pytest.mark.parametrize("classes", [(), ("a", "b")])
def test_both_sides_play_the_hinge(classes: tuple[str, ...]) -> None:
    _, d, g = _system(classes)
    batch = _batch(bool(classes))
    z = batch.rng.draw("latents", d.generator.prior)
    if batch.labels is not None:
        z = d.generator.with_labels(z, batch.labels)
    with torch.no_grad():
        fake = d.network(d.generator(z)[-1:], batch.labels).logits
        real = d.network([batch.reals], batch.labels).logits
    expected = (1 - real).clamp(min=0).mean() + (1 + fake).clamp(min=0).mean()
    torch.testing.assert_close(d.compute_loss(batch, START).loss, expected)
    torch.testing.assert_close(g.compute_loss(batch, START).loss, -fake.mean())


def test_singular_vectors_move_once_for_each_real_batch_and_with_no_pass() -> None:
    _, d, g = _system()
    before = _vectors(d.network) | {f"g.{k}": v for k, v in _vectors(g.network).items()}
    d.compute_loss(_batch(), START)  # reals and fakes
    g.compute_loss(_batch(), START)
    after = _vectors(d.network) | {f"g.{k}": v for k, v in _vectors(g.network).items()}
    assert all(torch.equal(value, after[key]) for key, value in before.items())
    _step(d)
    moved = _vectors(d.network)
    weights = dict(d.network.named_parameters())
    for key, left in _vectors(d.network).items():
        if not key.endswith("left"):
            continue
        matrix = weights[key.removesuffix("0.left") + "original"].detach().flatten(1)
        right = nn.functional.normalize(matrix.T @ before[key], dim=0)  # one iteration with the new weights
        torch.testing.assert_close(moved[key.removesuffix("left") + "right"], right)
        torch.testing.assert_close(left, nn.functional.normalize(matrix @ right, dim=0))
    assert all(torch.equal(value, before[f"g.{key}"]) for key, value in _vectors(g.network).items())


def test_spectral_norms_stay_near_one_while_training() -> None:
    _, d, _ = _system()
    for _ in range(40):
        _step(d)
    layers = [module for module in d.network.modules() if isinstance(module, SpectralConv2d)]
    gains = [torch.linalg.matrix_norm(layer.weight.flatten(1), 2).item() for layer in layers]
    assert len(gains) > 8
    assert gains == pytest.approx([1.0] * len(gains), abs=0.1)


def test_the_projection_learns_the_labels_in_each_step() -> None:
    _, d, _ = _system()
    assert d.network.embed is not None
    d.compute_loss(_batch(), START).loss.backward()  # type: ignore[no-untyped-call]
    ((_, weight),) = spectral_norms(d.network.embed)  # (features, classes)
    assert weight.grad is not None
    assert weight.grad.ne(0).any(0).all()


def test_coarse_pictures_change_nothing_that_is_trained() -> None:
    losses = []
    for found in (False, True):
        _, d, g = _system()
        if found:
            g.network.eval()
            vectors = _vectors(g.network)
            g.network.refresh_statistics()
            g.network.load_state_dict(vectors, strict=False)
            g.network.train()
            assert any(image.ne(0).any() for image in g.network(g.network.prior(2, torch.Generator()))[:-1])
        losses.append([updater.compute_loss(_batch(), START).loss.item() for updater in (d, g)])
    assert losses[0] == losses[1]


def _gradients(part: slice, global_batch: bool = True) -> dict[str, Tensor]:
    """Each player's gradients in its first move, for this rank's part of a batch of eight."""
    system, *_ = _system()
    whole = _batch()
    assert whole.labels is not None
    batch = replace(
        whole, reals=whole.reals[part], labels=whole.labels[part], rng=replace(whole.rng, part=part)
    )
    found = {}
    for updater in system.updaters:
        if global_batch:
            use_global_batch(updater.network)
    for updater in system.updaters:
        for other in system.updaters:
            other.network.requires_grad_(other is updater)
        updater.compute_loss(batch, START).loss.backward()  # type: ignore[no-untyped-call]
        average_gradients(updater.network.parameters())
        found |= {f"{updater.name}.{name}": p.grad for name, p in updater.network.named_parameters()}
    return {name: gradient for name, gradient in found.items() if gradient is not None}


def _both(part: slice) -> dict[str, Tensor]:
    """These, and with statistics within the rank."""
    local = {f"local.{name}": gradient for name, gradient in _gradients(part, global_batch=False).items()}
    return _gradients(part) | local


def test_two_ranks_give_the_gradients_of_one(tmp_path: Path) -> None:
    one = _gradients(slice(0, 8))
    ranks = on_ranks(_both, tmp_path)
    for found in ranks:
        assert len(found) == 2 * len(one)
        for name, value in one.items():
            torch.testing.assert_close(found[name], value, rtol=1e-3, atol=1e-5)
    name = "g.dense.parametrizations.weight.original"
    assert not torch.allclose(ranks[0][f"local.{name}"], one[name], rtol=0.01, atol=1e-3)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    labels = [number % 2 for number in range(20)]
    return write_dataset(tmp_path_factory.mktemp("sagan") / "data", shapes(20, 16), labels)


@pytest.fixture(scope="module")
def whole(data: Path) -> Path:
    """The run that nothing interrupts."""
    folder = data.parent / "whole"
    train((*TINY, "--data", data, "--out", folder))
    return folder


def test_a_run_gives_a_model_that_paints_by_label(whole: Path) -> None:
    generator = load_generator(whole)
    assert isinstance(generator, SAGANGenerator)
    assert generator.class_names == ("a", "b")
    z = generator.prior(4, torch.Generator().manual_seed(0))
    images = generator(z)
    assert all(image.isfinite().all() for image in images)
    assert all(image.std() > 0 for image in images)  # the coarse ones are there
    one, other = (generator(generator.with_labels(z, torch.full((4,), k)))[-1] for k in (0, 1))
    assert not torch.allclose(one, other)


def test_a_killed_run_ends_in_the_same_bits(whole: Path, data: Path) -> None:
    run = data.parent / "killed"
    kill_when(lambda: any(run.glob("checkpoints/[0-9]*/state.json")), (*TINY, "--data", data, "--out", run))
    train(("--resume", "--tracker", "none", "--out", run))
    assert differences(newest_state(run), newest_state(whole)) == []
    assert metrics(run) == metrics(whole)
