"""Random numbers and images as pure functions of the position in training."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from torch import Tensor

from data_prep.store import PyramidDataset
from tests.prepared import write_dataset
from training.data.loader import BatchLoader, SampleRange
from training.rng import KeyedRNG, derive_seed

COUNT, SIZE = 10, 8
WHOLE = slice(0, 4)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> PyramidDataset:
    """Pictures that tell their number by the grey of their left half (10 n); the right half is 255."""
    images = torch.full((COUNT, 3, SIZE, SIZE), 255, dtype=torch.uint8)
    images[:, :, :, : SIZE // 2] = (torch.arange(COUNT) * 10).view(-1, 1, 1, 1)
    return PyramidDataset(write_dataset(tmp_path_factory.mktemp("feed") / "data", images))


def _of(start: int, stop: int) -> SampleRange:
    return SampleRange(start, stop, SIZE)


def _stream(dataset: PyramidDataset, images: int, seed: int = 0, flip: bool = True, start: int = 0) -> Tensor:
    """That many images from `start` on, in batches of four."""
    loader = BatchLoader(dataset, seed, flip)
    batches = [loader.take(_of(at, at + 4), _of(at + 4, at + 8))[0] for at in range(start, start + images, 4)]
    loader.close()
    return torch.cat(batches)


def _numbers(images: Tensor) -> list[int]:
    grey = (images + 1) * 127.5
    return (torch.minimum(grey[:, 0, 0, 0], grey[:, 0, 0, -1]) / 10).round().int().tolist()


def _flipped(images: Tensor) -> Tensor:
    return images[:, 0, 0, 0] > images[:, 0, 0, -1]


def _draws(images: int = 0, seed: int = 0, part: slice = WHOLE) -> KeyedRNG:
    return KeyedRNG(seed, images, 4, part, torch.device("cpu"))


def test_seeds_depend_on_every_part_of_the_key() -> None:
    keys: list[tuple[object, ...]] = [
        (0, 0, "a"),
        (0, 1, "a"),
        (1, 0, "a"),
        (0, 0, "b"),
        (0, 0),
        ("0", 0, "a"),
    ]
    assert len({derive_seed(*key) for key in keys}) == len(keys)
    assert derive_seed(0, 0, "a") == derive_seed(0, 0, "a")
    assert all(0 <= derive_seed(number) < 2**63 for number in range(1000))


def test_a_draw_depends_on_seed_time_and_name_alone() -> None:
    first = _draws().uniform("mix", 3)
    torch.rand(5)  # others draw meanwhile
    assert first.shape == (4, 3)
    assert torch.equal(first, _draws().uniform("mix", 3))
    for other in (
        _draws(images=4).uniform("mix", 3),
        _draws(seed=1).uniform("mix", 3),
        _draws().uniform("z", 3),
    ):
        assert not torch.equal(first, other)


def test_a_draw_leaves_the_global_generator_alone() -> None:
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    _draws().uniform("mix", 100)
    assert torch.equal(torch.rand(3), expected)


@pytest.mark.parametrize("cuts", [(0, 2, 4), (0, 1, 2, 3, 4)])
def test_the_ranks_draws_are_one_ranks_draws(cuts: tuple[int, ...]) -> None:
    parts = [_draws(part=slice(low, high)).uniform("mix", 2) for low, high in pairwise(cuts)]
    assert torch.equal(torch.cat(parts), _draws().uniform("mix", 2))


def test_uniform_is_uniform() -> None:
    draws = KeyedRNG(0, 0, 20_000, slice(0, 20_000), torch.device("cpu")).uniform("mix")
    assert draws.min() >= 0
    assert draws.max() < 1
    assert draws.mean().item() == pytest.approx(0.5, abs=0.01)
    assert draws.var().item() == pytest.approx(1 / 12, abs=0.003)


def test_every_epoch_shows_every_image_once_in_an_order_of_its_own(dataset: PyramidDataset) -> None:
    numbers = _numbers(_stream(dataset, 4 * COUNT))
    epochs = [numbers[at : at + COUNT] for at in range(0, len(numbers), COUNT)]
    for epoch in epochs:
        assert sorted(epoch) == list(range(COUNT))
    assert len({tuple(epoch) for epoch in epochs}) == 4


def test_images_are_what_is_stored_in_minus_one_to_one(dataset: PyramidDataset) -> None:
    images = _stream(dataset, 20, flip=False)
    assert images.shape == (20, 3, SIZE, SIZE)
    assert images.dtype == torch.float32
    stored = dataset.images(_numbers(images), SIZE).float()
    torch.testing.assert_close(images, stored / 127.5 - 1)
    assert images.max() == 1


@pytest.mark.parametrize("start", [4, 8, 12, 36])
def test_a_restart_anywhere_goes_on_with_the_same(dataset: PyramidDataset, start: int) -> None:
    assert torch.equal(_stream(dataset, 20, start=start), _stream(dataset, start + 20)[start:])


def test_two_ranks_see_one_ranks_batches(dataset: PyramidDataset) -> None:
    ranks = [BatchLoader(dataset, 0, flip=True) for _ in range(2)]
    batches: list[Tensor] = []
    for at in range(0, 24, 4):
        for rank, loader in enumerate(ranks):
            own = at + 2 * rank
            batches.append(loader.take(_of(own, own + 2), _of(own + 4, own + 6))[0])
    for loader in ranks:
        loader.close()
    assert torch.equal(torch.cat(batches), _stream(dataset, 24))


def test_a_batch_may_be_larger_than_the_data_set(dataset: PyramidDataset) -> None:
    loader = BatchLoader(dataset, 0, flip=False)
    numbers = _numbers(loader.take(_of(0, 25), _of(25, 50))[0])
    loader.close()
    assert sorted(numbers[:COUNT]) == sorted(numbers[COUNT : 2 * COUNT]) == list(range(COUNT))


def test_half_of_the_images_are_mirrored(dataset: PyramidDataset) -> None:
    flipped = _flipped(_stream(dataset, 2000))
    assert flipped.float().mean().item() == pytest.approx(0.5, abs=0.056)  # five standard deviations
    assert not _flipped(_stream(dataset, 200, flip=False)).any()
    by_image = [_flipped(_stream(dataset, 80))[start::COUNT] for start in range(COUNT)]
    assert any(
        image.any() and not image.all() for image in by_image
    )  # the coin is of the showing, not the image


def test_mirroring_changes_nothing_but_the_direction(dataset: PyramidDataset) -> None:
    plain, mirrored = _stream(dataset, 40, flip=False), _stream(dataset, 40)
    turned = torch.where(_flipped(mirrored).view(-1, 1, 1, 1), plain.flip(3), plain)
    assert torch.equal(mirrored, turned)


def test_other_seeds_show_other_orders_and_coins(dataset: PyramidDataset) -> None:
    one, other = _stream(dataset, 40, seed=0), _stream(dataset, 40, seed=1)
    assert _numbers(one) != _numbers(other)
    assert not torch.equal(_flipped(one), _flipped(other))


@pytest.fixture
def loader(dataset: PyramidDataset) -> Iterator[BatchLoader]:
    loader = BatchLoader(dataset, 0, flip=True)
    yield loader
    loader.close()


def test_asking_for_another_place_than_the_next_is_answered(
    loader: BatchLoader, dataset: PyramidDataset
) -> None:
    loader.take(_of(0, 4), _of(4, 8))
    whole = _stream(dataset, 40)
    assert torch.equal(loader.take(_of(24, 28), _of(28, 32))[0], whole[24:28])
    assert torch.equal(loader.take(_of(1, 3), _of(5, 7))[0], whole[1:3])


def test_smaller_levels_and_labels_are_of_the_same_pictures(tmp_path: Path) -> None:
    greys = torch.arange(6) * 40
    images = greys.view(-1, 1, 1, 1).expand(6, 3, SIZE, SIZE).to(torch.uint8).contiguous()
    labels = [2, 0, 1, 1, 0, 2]
    path = write_dataset(tmp_path / "data", images, labels)
    loader = BatchLoader(PyramidDataset(path), 0, flip=False)
    for start in (0, 3):
        sample_range = SampleRange(start, start + 3, 4)
        pictures, own = loader.take(sample_range, SampleRange(start + 3, start + 6, 4))
        assert pictures.shape == (3, 3, 4, 4)
        numbers = ((pictures[:, 0, 0, 0] + 1) * 127.5 / 40).round().int().tolist()
        assert own is not None
        assert own.tolist() == [labels[number] for number in numbers]
    loader.close()


def test_a_draw_apart_belongs_to_its_sample_and_name() -> None:
    draws = KeyedRNG(0, 96, 8, slice(0, 8), torch.device("cpu"))
    whole = draws.uniform_per_sample("noise", 5)
    assert torch.equal(replace(draws, part=slice(3, 6)).uniform_per_sample("noise", 5), whole[3:6])
    assert len(whole.unique()) == 40
    assert not torch.equal(draws.uniform_per_sample("other", 5), whole)
    many = replace(draws, count=200, part=slice(0, 200)).uniform_per_sample("noise", 50)
    assert many.mean() == pytest.approx(0.5, abs=0.02)
    assert many.min() >= 0
    assert many.max() < 1
