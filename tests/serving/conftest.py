"""A real service on a free port, with small generators of random weights; started once for all tests."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
import torch

from models.architectures.msg_gan import MSGGenerator
from models.architectures.progan import ProGANGenerator
from models.checkpoint import save_generator

ROOT = Path(__file__).parents[2]
NOT_NEEDED = ["accelerate", "datasets", "data_prep", "evaluation", "kornia", "training", "wandb"]


@pytest.fixture(scope="session")
def model_folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Folders by name: models of 1, 3 and 4 channels, a slow one, one with labels, and a training run.

    Pictures of 1 and of 4 channels are not square.
    """
    root = tmp_path_factory.mktemp("models")
    torch.manual_seed(0)
    generators = {
        "tiny": MSGGenerator(16, (8, 8, 8), latent_size=16),
        "grey": MSGGenerator(8, (8, 8), latent_size=16, image_channels=1, aspect=(4, 6)),
        "alpha": MSGGenerator(8, (8, 8), latent_size=16, image_channels=4, aspect=(5, 4)),
        "slow": MSGGenerator(512, (8, 8, 8, 8, 8, 32, 64, 64), latent_size=16),
        "cats": ProGANGenerator(8, (8, 8), latent_size=16, class_names=("tabby", "café, noir", "wild")),
    }
    for name, generator in generators.items():
        for key, parameter in generator.named_parameters():
            if key.endswith("bias"):  # without biases pixel norm would undo truncation
                torch.nn.init.normal_(parameter)
        (root / name).mkdir()
        save_generator(generator, root / name, {"of": name, "distance": float("nan")})
    newest = root / "run" / "checkpoints" / "000000100" / "model"
    newest.mkdir(parents=True)
    save_generator(generators["tiny"], newest, {})
    return {name: root / name for name in (*generators, "run")}


Serve = Callable[[str, int], tuple[subprocess.Popen[bytes], Path]]


@pytest.fixture(scope="session")
def serve(tmp_path_factory: pytest.TempPathFactory) -> Serve:
    """Starts `bentoml serve` in the project's root on models and a port: the process, and its output's file.

    It runs as if what serving must not need were not installed.
    """

    def start(models: str, port: int) -> tuple[subprocess.Popen[bytes], Path]:
        home = tmp_path_factory.mktemp("bentoml")
        without = f"import sys\nsys.modules.update(dict.fromkeys({NOT_NEEDED}))\n"  # None: to import it fails
        (home / "sitecustomize.py").write_text(without)
        own = {
            "CRESCENDO_MODELS": models,
            "BENTOML_DO_NOT_TRACK": "True",
            "BENTOML_HOME": str(home),
            "PYTHONPATH": str(home),
            "OMP_NUM_THREADS": "2",  # two painters, whatever the machine has
        }
        command = [sys.executable, "-m", "bentoml", "serve", "--port", str(port)]
        with (home / "serve.log").open("wb") as log:
            process = subprocess.Popen(
                command, cwd=ROOT, env=os.environ | own, stdout=log, stderr=subprocess.STDOUT
            )
        return process, home / "serve.log"

    return start


@pytest.fixture(scope="session")
def url(model_folders: dict[str, Path], serve: Serve) -> Iterator[str]:
    """The address of the service, ready."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process, log = serve(",".join(map(str, model_folders.values())), port)
    address = f"http://127.0.0.1:{port}"
    try:
        for _ in range(600):
            assert process.poll() is None, log.read_text()
            try:
                if httpx.get(f"{address}/readyz").is_success:
                    break
            except httpx.TransportError:
                pass
            time.sleep(0.2)
        else:
            pytest.fail("the service was not ready within two minutes")
        yield address
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@pytest.fixture
def client(url: str) -> Iterator[httpx.Client]:
    """A client of the service."""
    with httpx.Client(base_url=url, timeout=60) as client:
        yield client
