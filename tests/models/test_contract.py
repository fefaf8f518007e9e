"""What every architecture keeps to, in the sizes of `tests/systems.py`; a new one needs its line there."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest
import torch
from torch import Tensor

from common.aspect import Aspect, size_at
from models.checkpoint import ARCHITECTURES, load_generator, save_generator
from models.discriminator import Discriminator
from models.generator import Generator
from tests.systems import DATA, ITERATION, SYSTEMS
from train import parse
from training.iteration import set_up_system
from training.recipes.recipe import DataFormat
from training.system import System

SIDE = 16
FORMATS: list[tuple[int, Aspect]] = [(3, (4, 4)), (1, (4, 6)), (4, (5, 4))]  # channels and proportions
EVERY_FORMAT = pytest.mark.parametrize(("channels", "aspect"), FORMATS)
EVERY_SYSTEM = pytest.mark.parametrize("name", SYSTEMS)
SINGLE = {"began", "lapgan"}  # whose discriminators have parts in single precision whatever their weights are
LABELS = torch.tensor([0, 1, 1, 0])


def _labelled(name: str) -> bool:
    return DATA[SYSTEMS[name][0]][2]


def _system(name: str, channels: int, aspect: Aspect) -> System:
    """Networks of a system, grown to their end, and such weights that nothing is zero."""
    options = [*ITERATION.split(), *SYSTEMS[name][1].split()]
    _, recipe = parse(["--recipe", name, "--data", "-", "--out", "-", *options])
    data = DataFormat(channels, ("a", "b") if _labelled(name) else (), aspect)
    system = set_up_system(recipe, data, torch.device("cpu"))
    rng = torch.Generator().manual_seed(1)
    for network in (system.generator, *(updater.network for updater in system.updaters)):
        if isinstance(network, Generator | Discriminator):
            network.grow(SIDE, 1.0)
        network.to(memory_format=torch.contiguous_format)  # as what is loaded lies
        for parameter in network.parameters():
            parameter.data += 0.05 * torch.randn(parameter.shape, generator=rng)
    system.generator.eval().refresh_statistics()
    return system


@cache
def _generator(name: str, channels: int, aspect: Aspect) -> Generator:
    return _system(name, channels, aspect).generator


def _latents(generator: Generator, count: int = 4) -> Tensor:
    return generator.prior(count, torch.Generator().manual_seed(0))


@EVERY_SYSTEM
@EVERY_FORMAT
@torch.no_grad()
def test_an_image_of_every_resolution(name: str, channels: int, aspect: Aspect) -> None:
    generator = _generator(name, channels, aspect)
    assert generator.resolutions[-1] == SIDE
    assert list(generator.resolutions) == sorted(set(generator.resolutions))
    assert (generator.image_channels, generator.aspect) == (channels, aspect)
    images = generator(_latents(generator))
    expected = [(4, channels, *size_at(side, aspect)) for side in generator.resolutions]
    assert [tuple(image.shape) for image in images] == expected
    assert all(image.isfinite().all() for image in images)
    assert images[-1].std(0).max() > 0, "all latents give one image"


@EVERY_SYSTEM
@EVERY_FORMAT
@torch.no_grad()
def test_a_model_folder_gives_the_same_images(
    name: str, channels: int, aspect: Aspect, tmp_path: Path
) -> None:
    generator = _generator(name, channels, aspect)
    save_generator(generator, tmp_path, {})
    again = load_generator(tmp_path)
    assert type(again) is type(generator)
    for attribute in ("latent_size", "resolutions", "image_channels", "aspect", "class_names"):
        assert getattr(again, attribute) == getattr(generator, attribute), attribute
    z = _latents(generator)
    assert torch.equal(_latents(again), z)
    for image, other in zip(generator(z), again(z), strict=True):
        assert torch.equal(image, other)


@EVERY_SYSTEM
@torch.no_grad()
def test_the_stream_is_forward_in_order(name: str) -> None:
    generator = _generator(name, 3, (4, 4))
    z = _latents(generator)
    for image, streamed in zip(generator(z), generator.stream(z), strict=True):
        assert torch.equal(image, streamed)


@EVERY_SYSTEM
@torch.no_grad()
def test_an_image_is_of_its_latent_alone(name: str) -> None:
    generator = _generator(name, 3, (4, 4))
    z = _latents(generator)
    for number, own in enumerate(z.split(1)):  # type: ignore[no-untyped-call]
        for image, alone in zip(generator(z), generator(own), strict=True):
            torch.testing.assert_close(image[number], alone[0], rtol=1e-4, atol=1e-5)


@EVERY_SYSTEM
@torch.no_grad()
def test_truncation_changes_the_image_and_begins_with_none(name: str) -> None:
    generator = _generator(name, 3, (4, 4))
    z = _latents(generator)
    *_, whole = generator.stream(z, 1.0)
    *_, half = generator.stream(z, 0.5)
    assert torch.equal(generator(z)[-1], whole)
    assert not torch.allclose(whole, half)


@EVERY_SYSTEM
@torch.no_grad()
def test_labels_are_the_latents_last_entries(name: str) -> None:
    generator = _generator(name, 3, (4, 4))
    z = _latents(generator)
    if not generator.class_names:
        with pytest.raises(ValueError, match="takes no labels"):
            generator.with_labels(z, LABELS)
        return
    assert torch.equal(z[:, -2:].sum(1), torch.ones(4))
    labelled = generator.with_labels(z, LABELS)
    assert torch.equal(labelled[:, -2:].argmax(1), LABELS)
    assert torch.equal(labelled[:, :-2], z[:, :-2])
    assert not torch.allclose(generator(labelled)[-1], generator(generator.with_labels(z, 1 - LABELS))[-1])


@dataclass(frozen=True)
class Judged:
    """A discriminator and random images at its resolutions."""

    name: str
    network: Discriminator
    images: list[Tensor]


def _discriminators(name: str, channels: int, aspect: Aspect) -> Iterator[Judged]:
    for updater in _system(name, channels, aspect).updaters:
        network = updater.network
        if isinstance(network, Discriminator):
            rng = torch.Generator().manual_seed(2)
            sizes = [size_at(side, aspect) for side in network.resolutions]
            images = [torch.randn(4, channels, *size, generator=rng) / 2 for size in sizes]
            yield Judged(updater.name, network, images)


@EVERY_SYSTEM
@EVERY_FORMAT
def test_logits_of_every_image(name: str, channels: int, aspect: Aspect) -> None:
    for judged in _discriminators(name, channels, aspect):
        labels = LABELS if _labelled(name) else None
        output = judged.network(judged.images, labels)
        assert output.logits.shape == (4,), judged.name
        assert output.logits.std() > 0, judged.name
        assert (output.classes is not None) == judged.network.predicts_classes, judged.name
        for head in (output.classes, output.latents, output.features):
            assert head is None or len(head) == 4, judged.name
        if output.features is not None and judged.network.feature_size:
            assert output.features.flatten(1).shape[1] == judged.network.feature_size, judged.name


@EVERY_SYSTEM
def test_a_gradient_penalty_reaches_the_weights(name: str) -> None:
    for judged in _discriminators(name, 3, (4, 4)):
        finest = judged.images[-1].requires_grad_()
        logits = judged.network.eval()(judged.images, LABELS if _labelled(name) else None).logits
        (gradient,) = torch.autograd.grad(logits.sum(), finest, create_graph=True)
        assert gradient.abs().flatten(1).amax(1).min() > 0, "an image does not matter"
        gradient.square().sum().backward()  # type: ignore[no-untyped-call]
        gradients = [p.grad for p in judged.network.parameters() if p.grad is not None]
        assert all(gradient.isfinite().all() for gradient in gradients), judged.name
        assert any(gradient.any() for gradient in gradients), judged.name


@pytest.mark.parametrize("name", [name for name in SYSTEMS if name not in SINGLE])
def test_discriminators_are_twice_differentiable(name: str) -> None:
    """By finite differences."""
    for judged in _discriminators(name, 1, (4, 4)):
        network, labels = judged.network.double(), LABELS if _labelled(name) else None
        finest = judged.images[-1].double().requires_grad_()

        def logits(image: Tensor, judged: Judged = judged, labels: Tensor | None = labels) -> Tensor:
            coarse = [other.double() for other in judged.images[:-1]]
            found: Tensor = judged.network([*coarse, image], labels).logits
            return found

        network.eval()
        assert torch.autograd.gradcheck(logits, finest, fast_mode=True), judged.name
        assert torch.autograd.gradgradcheck(logits, finest, fast_mode=True), judged.name


def test_every_architecture_is_in_a_system() -> None:
    made = {type(_generator(name, 3, (4, 4))) for name in SYSTEMS}
    assert made == set(ARCHITECTURES.values())
