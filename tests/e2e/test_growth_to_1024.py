"""The whole growth, every size from 4x4 on: killed and resumed on the way, exported, and served in as many steps.

To 1024x1024 it takes minutes and real photographs, so `make test-long` runs that; the suite grows to 32x32, on noise.
"""

import json
import shutil
import signal
import time
from pathlib import Path

import httpx
import pytest
import torch
from commands import grow, pixels, run, service, start

from data_prep.store import PyramidWriter, Row, encode_png
from models.checkpoint import load_generator
from tests.prepared import write_dataset
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
    process = start("train.py", "--tracker", "none", "--out", trained, *arguments)
    give_up = time.monotonic() + SECONDS
    try:
        while max((int(path.name) for path in trained.glob("checkpoints/[0-9]*")), default=0) < images:
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < give_up, f"after {SECONDS} seconds {images} images had not been shown"
            time.sleep(0.002)
    finally:
        process.kill()
        process.communicate()
    assert process.returncode == -signal.SIGKILL


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


def test_progan(data: Path, tmp_path: Path) -> None:
    trained, half, whole = (tmp_path / name for name in ("run", "half", "whole"))
    sides = [side for side in SIDES if side <= int(data.name)]
    *_, before, last = range(len(sides))  # indices of the last two sizes
    fade, hold = (
        (2 * before - 1) * PHASE,
        2 * before * PHASE,
    )  # images shown when that of the one before begins
    end = (2 * last + 1) * PHASE

    schedule = ("--batches", "--hold", PHASE / 1000, "--fade", PHASE / 1000, "--kimg", end / 1000)
    train_until(
        fade + 2 * BATCH, trained, "--recipe", "progan-cpu", "--data", data, *narrow(sides[-1]), *schedule
    )
    resolution, blend = grown(trained)
    assert resolution == sides[before]
    assert 0 < blend < 1
    export(trained, half)
    train_until(hold + 2 * BATCH, trained, "--resume")
    assert grown(trained) == [sides[before], 1]
    run("train.py", "--tracker", "none", "--out", trained, "--resume")

    assert grown(trained) == [sides[-1], 1]
    assert [line["images"] for line in lines(trained)] == list(range(BATCH, end + 1, BATCH))
    fading = [round_ / ROUNDS for round_ in range(ROUNDS)]
    expected = [(4, 1.0)] * ROUNDS
    for side in sides[1:]:
        expected += [(side, blend) for blend in fading] + [(side, 1.0)] * ROUNDS
    assert [(line["resolution"], line["blend"]) for line in lines(trained)] == expected
    assert lines(trained)[-1]["memory_gb"] < MEMORY

    export(trained, whole)
    with service(f"{whole},{half}", tmp_path / "bentoml") as client:
        check_growing_picture(client, "whole", sides)
        check_growing_picture(client, "half", sides[: before + 1])
        small, large = (
            client.post("/generate", json={"model": "half", "resolution": sides[level]})
            for level in (before, last)
        )
    assert small.is_success
    assert large.status_code == 400


def test_msg_gan(data: Path, tmp_path: Path) -> None:
    trained, whole = tmp_path / "run", tmp_path / "whole"
    size = int(data.name)
    schedule = ("--precision", "fp32", "--kimg", 5 * BATCH / 1000)
    train_until(2 * BATCH, trained, "--recipe", "msg-gan-cpu", "--data", data, *narrow(size), *schedule)
    assert lines(trained)[-1]["images"] < 5 * BATCH
    run("train.py", "--tracker", "none", "--out", trained, "--resume")
    assert [line["images"] for line in lines(trained)] == list(range(BATCH, 5 * BATCH + 1, BATCH))
    assert lines(trained)[-1]["memory_gb"] < MEMORY

    export(trained, whole)
    with service(str(whole), tmp_path / "bentoml") as client:
        check_growing_picture(client, "whole", [side for side in SIDES if side <= size])


NARROW = {"resolution": 1024, "batch": BATCH, "widths": WIDTHS, "latent_size": 8, "flip": False}


@pytest.mark.parametrize("channels", [1, 4])
@pytest.mark.parametrize(
    "recipe",
    [
        with_settings(ProGANRecipe(kimg=1), hold=1, objective="wgan", gradient_penalty=10.0, **NARROW),
        with_settings(MSGRecipe(kimg=1), r1=(1.0,), **NARROW),
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
    often = {"hold": phase, "fade": phase, "log_every": phase, "checkpoint_every": 1000}
    enough, more = (ProGANRecipe(kimg=phases * phase, **often, **NARROW) for phases in (3, 4))
    record = runs.begin(tmp_path / "run", "progan", enough, tmp_path / "data")
    assert runs.set_up(tmp_path / "run", record, record.data).run()
    assert [line["resolution"] for line in lines(tmp_path / "run")] == [4, 8, 8]
    record = runs.begin(tmp_path / "more", "progan", more, tmp_path / "data")
    with pytest.raises(ValueError, match="at 16 is damaged"):
        runs.set_up(tmp_path / "more", record, record.data).run()
