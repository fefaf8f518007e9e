"""The whole way through the commands that a user types: drawings in, a picture that grows out over HTTP."""

import base64
import io
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from PIL import Image

ROOT = Path(__file__).parents[2]
TINY = ["--resolution", "16", "--widths", "16", "16", "16", "--latent-size", "16", "--batch", "16"]
SEED = 7


def run(*arguments: object) -> str:
    """Run `python ARGUMENTS` in the project's root, with no word on W&B; its standard output."""
    command = [sys.executable, *map(str, arguments)]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("WANDB_")}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@contextmanager
def service(models: Path, home: Path) -> Iterator[httpx.Client]:
    """`bentoml serve` in the project's root, ready, on the models; a client of it."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = os.environ | {
        "CRESCENDO_MODELS": str(models),
        "BENTOML_HOME": str(home),
        "BENTOML_DO_NOT_TRACK": "True",
    }
    command = [sys.executable, "-m", "bentoml", "serve", "--port", str(port)]
    home.mkdir()
    with (home / "log").open("wb") as log:
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=subprocess.STDOUT)
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
            await_ready(client, process, home / "log")
            yield client
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def await_ready(client: httpx.Client, process: subprocess.Popen[bytes], log: Path) -> None:
    """Return when the service says that it is ready."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        assert process.poll() is None, log.read_text()
        try:
            if client.get("/readyz").is_success:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.2)
    pytest.fail(f"the service was not ready within two minutes:\n{log.read_text()}")


def grow(client: httpx.Client, seed: int) -> dict[int, bytes]:
    """The PNGs that the service streams for a seed, by resolution, in the order of their coming."""
    images: dict[int, bytes] = {}
    with client.stream("POST", "/generate_progressive", json={"seed": seed}) as answer:
        assert answer.status_code == 200
        for line in answer.iter_lines():
            if line.startswith("data: {") and "image" in (event := json.loads(line.removeprefix("data: "))):
                images[event["resolution"]] = base64.b64decode(event["image"])
    return images


def test_from_drawings_to_a_picture_that_grows(tmp_path: Path) -> None:
    photos, data, trained, model = (tmp_path / name for name in ("photos", "data", "run", "tiny-cats"))

    run("-m", "data_prep", "synthesize", photos, "--count", 40, "--size", 128)
    assert "40 photos found: 40 kept" in run(
        "-m", "data_prep", "prepare", photos, data, "--size", 16, "--align", "cat"
    )

    train = ("train.py", "--out", trained, "--snapshot-every", 0.16)
    run(*train, "--recipe", "msg-gan-cpu", "--data", data, "--kimg", 0.16, *TINY)
    run(*train, "--resume", "--kimg", 0.32)
    metrics = [json.loads(line) for line in (trained / "metrics.jsonl").read_text().splitlines()]
    assert metrics[-1]["images"] == 320
    grids = sorted(path.relative_to(trained / "samples") for path in trained.glob("samples/*/*.png"))
    assert [str(path.parent) for path in grids[::3]] == ["0000000000", "0000000160", "0000000320"]
    assert [path.name for path in grids[:3]] == ["0004.png", "0008.png", "0016.png"]
    assert list(trained.glob("wandb/offline-run-*")), "W&B is to be kept offline by default"

    run("-m", "evaluation", trained, "--data", data, "--samples", 16)
    figures = json.loads((trained / "evaluation.json").read_text())
    distance = figures["sliced_wasserstein_distance"]
    assert distance["generated"]["mean"] > distance["real"]["mean"], "hardly trained, yet as good as real"

    run("-m", "training.export", trained, model)
    assert {path.name for path in model.iterdir()} >= {"model.safetensors", "config.json", "README.md"}
    assert json.loads((model / "config.json").read_text())["about"]["images"] == 320
    assert f"{distance['generated']['mean']:.4g}" in (model / "README.md").read_text()

    run("-m", "models.sample", model, "--seeds", f"{SEED}-{SEED + 1}", "--out", tmp_path / "pictures")
    sampled, other = ((tmp_path / "pictures" / f"{seed}.png").read_bytes() for seed in (SEED, SEED + 1))
    assert sampled != other

    with service(model, tmp_path / "bentoml") as client:
        assert [entry["name"] for entry in client.get("/models").json()["models"]] == ["tiny-cats"]
        images = grow(client, SEED)
        whole = client.post("/generate", json={"seed": SEED})
    assert list(images) == [4, 8, 16]
    assert pixels(images[16]) == pixels(whole.content) == pixels(sampled)


def pixels(png: bytes) -> tuple[tuple[int, int], bytes]:
    """Size and pixels of a PNG."""
    with Image.open(io.BytesIO(png)) as image:
        return image.size, image.tobytes()
