"""The commands that a user types, in processes of their own or in this one, and what comes of them."""

import base64
import io
import json
import os
import runpy
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from unittest.mock import patch

import httpx
import pytest
from PIL import Image

ROOT = Path(__file__).parents[2]


def start(*arguments: object) -> subprocess.Popen[str]:
    """Start `python ARGUMENTS` in the project's root, with no word on W&B."""
    command = [sys.executable, *map(str, arguments)]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("WANDB_")}
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=ROOT, env=environment, stdout=pipe, stderr=pipe, text=True)


def run(*arguments: object) -> str:
    """Run `python ARGUMENTS` to its end; its standard output."""
    process = start(*arguments)
    said, complained = process.communicate()
    assert process.returncode == 0, f"{arguments}\n{said}\n{complained}"
    return said


def run_here(*arguments: object) -> None:
    """`run` in this process, which saves the seconds that importing torch takes."""
    first, *words = map(str, arguments)
    if first == "-m":
        first, *words = words
        command = partial(runpy.run_module, first, run_name="__main__", alter_sys=True)
    else:
        command = partial(runpy.run_path, str(ROOT / first), run_name="__main__")
    with patch.object(sys, "argv", [first, *words]), pytest.raises(SystemExit) as end:
        command()
    assert not end.value.code, arguments


@contextmanager
def service(models: str, home: Path) -> Iterator[httpx.Client]:
    """`bentoml serve` in the project's root, ready, on the models (CRESCENDO_MODELS); a client of it."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = os.environ | {
        "CRESCENDO_MODELS": models,
        "BENTOML_HOME": str(home),
        "BENTOML_DO_NOT_TRACK": "True",
    }
    command = [sys.executable, "-m", "bentoml", "serve", "--port", str(port)]
    home.mkdir()
    with (home / "log").open("wb") as log:
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=subprocess.STDOUT)
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
            _await_ready(client, process, home / "log")
            yield client
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _await_ready(client: httpx.Client, process: subprocess.Popen[bytes], log: Path) -> None:
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


def grow(client: httpx.Client, **options: object) -> dict[int, bytes]:
    """The PNGs that the service streams for a request, by resolution, in the order of their coming."""
    images: dict[int, bytes] = {}
    with client.stream("POST", "/generate_progressive", json=options) as answer:
        assert answer.status_code == 200
        for line in answer.iter_lines():
            if line.startswith("data: {") and "image" in (event := json.loads(line.removeprefix("data: "))):
                images[event["resolution"]] = base64.b64decode(event["image"])
    return images


def pixels(png: bytes) -> tuple[tuple[int, int], bytes]:
    """Size and pixels of a PNG."""
    with Image.open(io.BytesIO(png)) as image:
        return image.size, image.tobytes()
