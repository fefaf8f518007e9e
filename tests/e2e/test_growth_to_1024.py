"""The whole growth, every size from 4x4 on: killed and resumed on the way, exported, and served in as many steps.

To 1024x1024 it takes minutes and real photographs, so `make test-long` runs that; the suite grows to 32x32, on noise.
"""

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
import torch
from commands import grow, pixels, run, service

from common.images import encode_png
from data_prep.store import PyramidWriter, Row
from models.checkpoint import load_generator
from tests.prepared import write_dataset
from tests.training.toy import fork, kill_when
from training import run as runs
from training.export import export
from training.growth import Stage
from training.recipes.msg_gan import MSGRecipe
from training.recipes.progan import ProGANRecipe
from training.recipes.recipe import DataFormat, Recipe, with_settings
from training.rng import KeyedRNG
from training.schedules import TrainState
from training.system import Batch

PHOTOS = Path(__file__).resolve().parents[3] / "shared" / "data" / "photos_1024"
WIDTHS = (8, 8, 8, 8, 4, 4, 4, 2, 2)  # at 4x4, 8x8, ..., 1024x1024
SIDES = [4 << level for level in range(len(WIDTHS))]
BATCH = 2
ROUNDS = 4  # of each fade and each hold
PHASE = ROUNDS * BATCH  # images
SEED = 7
SECONDS = 600  # within which a moment that is waited for comes
MEMORY = 4.0  # gigabytes that training at 1024x1024 may take: it took 2.9


@pytest.fixture(
    scope="module", params=[32, pytest.param(1024, marks=[pytest.mark.long, pytest.mark.timeout(3600)])]
)
def data(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set, in a folder by the name of its size."""
    size, folder = request.param, tmp_path_factory.mktemp("growth")
    if size < 1024:
        return write_dataset(folder / str(size), torch.randint(256, (6, 3, size, size)).byte())
    if not PHOTOS.is_dir():
        pytest.skip(f"the photos are not here ({PHOTOS})")
    (folder / "photos").mkdir()
    for photo in sorted(PHOTOS.glob("*.jpg"))[::9]:
        shutil.copy(photo, folder / "photos")
    said = run("-m", "data_prep", "prepare", folder / "photos", folder / str(size), "--size", size)
    assert "6 photos found: 6 kept" in said
    return folder / str(size)


def train_until(images: int, trained: Path, *arguments: object) -> None:
    """Train until there is a checkpoint after so many images, and kill the run then."""

    def saved() -> bool:
        return max((int(path.name) for path in trained.glob("checkpoints/[0-9]*")), default=0) >= images

    kill_when(saved, ("--tracker", "none", "--out", trained, *map(str, arguments)), SECONDS)


def train_to_its_end(trained: Path) -> None:
    """Resume a run in a process of its own, whose memory is the run's."""
    run = fork(("--tracker", "none", "--out", trained, "--resume"))
    assert run.wait(SECONDS) == 0, run.printed()


def grown(trained: Path) -> list[float]:
    """How far the newest checkpoint has grown: side, and weight of that size."""
    return [float(value) for value in load_generator(trained).state_dict()["growth"]]


def narrow(size: int) -> list[object]:
    """Arguments for a narrow model of this size, with a line and a checkpoint every round."""
    widths = WIDTHS[: SIDES.index(size) + 1]
    often = ("--log-every", BATCH / 1000, "--checkpoint-every", BATCH / 1000, "--snapshot-every", 1000)
    return ["--resolution", size, "--widths", *widths, "--latent-size", 8, "--batch", BATCH, *often]


def lines(trained: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (trained / "metrics.jsonl").read_text().splitlines()]


def check_growing_picture(client: httpx.Client, model: str, sides: list[int]) -> None:
    """The service streams the sides in their order, each as it paints that side by itself."""
    images = grow(client, model=model, seed=SEED)
    assert list(images) == sides
    for side, png in images.items():
        assert pixels(png)[0] == (side, side)
        whole = client.post("/generate", json={"model": model, "seed": SEED, "resolution": side})
        assert pixels(png) == pixels(whole.content)


@dataclass(frozen=True)
class Sizes:
    """The sizes that a ProGAN grows through, and when."""

    sides: list[int]

    @property
    def fade(self) -> int:
        """Images shown when the last size but one begins to fade in."""
        return (2 * len(self.sides) - 5) * PHASE

    @property
    def hold(self) -> int:
        """Images shown when that size has faded in."""
        return self.fade + PHASE

    @property
    def end(self) -> int:
        """Images shown when the last size has been held."""
        return (2 * len(self.sides) - 1) * PHASE


@pytest.fixture(scope="module")
def sizes(data: Path) -> Sizes:
    return Sizes([side for side in SIDES if side <= int(data.name)])


@pytest.fixture(scope="module")
def progan(data: Path, sizes: Sizes) -> Path:
    """A run that was killed in a fade and in a hold; beside it models of these moments (half, held) and of its end."""
    trained = data.parent / "progan" / "run"
    phase, end = PHASE / 1000, sizes.end / 1000
    schedule = ("--batches", "--hold", phase, "--fade", phase, "--kimg", end)
    begin = ("--recipe", "progan-cpu", "--data", data, *narrow(sizes.sides[-1]), *schedule)
    train_until(sizes.fade + 2 * BATCH, trained, *begin)
    export(trained, trained.parent / "half")
    train_until(sizes.hold + 2 * BATCH, trained, "--resume")
    export(trained, trained.parent / "held")
    train_to_its_end(trained)
    export(trained, trained.parent / "whole")
    return trained


@pytest.fixture(scope="module")
def msg_gan(data: Path) -> Path:
    """A run that was killed on its way; beside it the model of its end."""
    trained = data.parent / "msg-gan" / "run"
    schedule = ("--precision", "fp32", "--kimg", 5 * BATCH / 1000)
    begin = ("--recipe", "msg-gan-cpu", "--data", data, *narrow(int(data.name)), *schedule)
    train_until(2 * BATCH, trained, *begin)
    assert lines(trained)[-1]["images"] < 5 * BATCH
    train_to_its_end(trained)
    export(trained, trained.parent / "multiscale")
    return trained


@pytest.fixture(scope="module")
def client(progan: Path, msg_gan: Path, data: Path) -> Iterator[httpx.Client]:
    """A client of one service of the models of both."""
    models = (progan.parent / "whole", progan.parent / "half", msg_gan.parent / "multiscale")
    with service(",".join(map(str, models)), data.parent / "bentoml") as client:
        yield client


def test_progan_grows_to_its_end_though_killed(progan: Path, sizes: Sizes) -> None:
    *_, before, last = sizes.sides
    resolution, blend = grown(progan.parent / "half")
    assert resolution == before
    assert 0 < blend < 1
    assert grown(progan.parent / "held") == [before, 1]
    assert grown(progan) == grown(progan.parent / "whole") == [last, 1]
    assert [line["images"] for line in lines(progan)] == list(range(BATCH, sizes.end + 1, BATCH))
    fading = [round_ / ROUNDS for round_ in range(ROUNDS)]
    expected = [(4, 1.0)] * ROUNDS
    for side in sizes.sides[1:]:
        expected += [(side, blend) for blend in fading] + [(side, 1.0)] * ROUNDS
    assert [(line["resolution"], line["blend"]) for line in lines(progan)] == expected
    assert lines(progan)[-1]["memory_gb"] < MEMORY


def test_msg_gan_goes_on_to_its_end_though_killed(msg_gan: Path) -> None:
    assert [line["images"] for line in lines(msg_gan)] == list(range(BATCH, 5 * BATCH + 1, BATCH))
    assert lines(msg_gan)[-1]["memory_gb"] < MEMORY


def test_images_grow_in_the_service_as_far_as_their_models(client: httpx.Client, sizes: Sizes) -> None:
    *_, before, last = sizes.sides
    check_growing_picture(client, "whole", sizes.sides)
    check_growing_picture(client, "half", sizes.sides[:-1])
    check_growing_picture(client, "multiscale", sizes.sides)
    small, large = (
        client.post("/generate", json={"model": "half", "resolution": side}) for side in (before, last)
    )
    assert small.is_success
    assert large.status_code == 400


NARROW = {"widths": WIDTHS, "latent_size": 8, "flip": False}
PROGAN, MSG_GAN = (recipe(resolution=1024, kimg=1, batch=BATCH) for recipe in (ProGANRecipe, MSGRecipe))


@pytest.mark.parametrize("channels", [1, 4])
@pytest.mark.parametrize(
    "recipe",
    [
        with_settings(PROGAN, grow_from=4, hold=1, objective="wgan", gradient_penalty=10.0, **NARROW),
        with_settings(MSG_GAN, r1=(1.0,), **NARROW),
    ],
    ids=["progan", "msg-gan"],
)
def test_a_step_at_1024_of_other_channels(recipe: Recipe, channels: int) -> None:
    torch.manual_seed(0)
    system = recipe.build(DataFormat(channels))
    reals = torch.rand(1, channels, 1024, 1024) * 2 - 1
    draws = KeyedRNG(0, 0, 1, slice(0, 1), torch.device("cpu"))
    for updater in system.updaters:
        for other in system.updaters:
            other.network.requires_grad_(other is updater)
        move = updater.compute_loss(Batch(reals, None, draws, Stage(1024, 1)), TrainState(0, 1000, 0))
        move.loss.backward()
        gradients = [p.grad for p in updater.network.parameters() if p.grad is not None]
        assert all(gradient.isfinite().all() for gradient in gradients)
        assert sum(gradient.abs().sum() for gradient in gradients) > 0
        updater.spec.optimizer.step()
    with torch.no_grad():
        pictures = system.generator(system.generator.prior(1, torch.Generator().manual_seed(0)))
    assert [tuple(picture.shape) for picture in pictures] == [(1, channels, side, side) for side in SIDES]
    assert all(picture.isfinite().all() for picture in pictures)


def test_small_sizes_read_nothing_larger(tmp_path: Path) -> None:
    """Trained on data whose levels from 16 on are no pictures, as far as these are not needed."""
    (tmp_path / "data").mkdir()
    writer = PyramidWriter(tmp_path / "data", 1024, 3)
    for number in range(4):
        pngs = [encode_png(torch.full((3, side, side), 50 * number, dtype=torch.uint8)) for side in (4, 8)]
        writer.append(Row(f"{number}.png", (*pngs, *[b"no picture"] * 7), None))
    writer.publish()
    phase = PHASE / 1000
    often = {"grow_from": 4, "hold": phase, "fade": phase, "log_every": phase, "checkpoint_every": 1000}
    enough, more = (with_settings(PROGAN, kimg=phases * phase, **often, **NARROW) for phases in (3, 4))
    record = runs.begin(tmp_path / "run", "progan", enough, tmp_path / "data")
    assert runs.set_up(tmp_path / "run", record, record.data).run()
    assert [line["resolution"] for line in lines(tmp_path / "run")] == [4, 8, 8]
    record = runs.begin(tmp_path / "more", "progan", more, tmp_path / "data")
    with pytest.raises(ValueError, match="at resolution 16 is damaged"):
        runs.set_up(tmp_path / "more", record, record.data).run()
