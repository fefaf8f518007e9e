"""How fast the service answers: `python -m benchmarks.serving [MODEL_DIR]`.

Starts `bentoml serve` twice, as it ships and without adaptive batching, asks both in turn for single pictures
from 1, 4 and 16 clients at a time, and prints latency and throughput. Clients and service share the machine.
"""

import asyncio
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import httpx
import tyro

from models.architectures.msg_gan import MSGGenerator
from models.checkpoint import save_generator

SERVICES = {"batched": "serving.service:Crescendo", "unbatched": "benchmarks.serving_unbatched:Unbatched"}
CLIENTS = (1, 4, 16)


@dataclass(frozen=True)
class Arguments:
    """Measure the service's latency and throughput."""

    model: Annotated[Path | None, tyro.conf.Positional] = None
    """a model; without it one of the CPU recipe's size with random weights, which is as fast"""
    pictures: int = 64
    """per number of clients, service and round"""
    rounds: int = 3
    """the services take turns, so that what else the machine does strikes both"""


@contextmanager
def served(target: str, model: Path) -> Iterator[str]:
    """Run a service; gives its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = os.environ | {"CRESCENDO_MODELS": str(model), "BENTOML_DO_NOT_TRACK": "True"}
    command = [sys.executable, "-m", "bentoml", "serve", target, "--port", str(port)]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    address = f"http://127.0.0.1:{port}"
    try:
        while True:
            assert process.poll() is None, f"{target} did not start"
            try:
                httpx.get(f"{address}/readyz").raise_for_status()
                break
            except httpx.TransportError:
                time.sleep(0.2)
        yield address
    finally:
        process.send_signal(signal.SIGINT)
        process.wait()


async def load(address: str, clients: int, pictures: int) -> tuple[list[float], float]:
    """Ask for single pictures from several clients at a time: their latencies and the whole time, seconds."""
    latencies: list[float] = []
    seeds = iter(range(pictures))
    async with httpx.AsyncClient(base_url=address, timeout=120) as client:

        async def ask() -> None:
            for seed in seeds:
                request = time.perf_counter()
                (await client.post("/generate", json={"seed": seed})).raise_for_status()
                latencies.append(time.perf_counter() - request)

        started = time.perf_counter()
        await asyncio.gather(*(ask() for _ in range(clients)))
        return latencies, time.perf_counter() - started


def measure(model: Path, request: Arguments) -> None:
    """Run the services in turn, and print a table."""
    latencies: dict[tuple[str, int], list[float]] = defaultdict(list)
    seconds: dict[tuple[str, int], float] = defaultdict(float)
    with ExitStack() as stack:
        addresses = {name: stack.enter_context(served(target, model)) for name, target in SERVICES.items()}
        for address in addresses.values():  # adaptive batching learns from its first requests
            asyncio.run(load(address, 4, 32))
        for _ in range(request.rounds):
            for clients in CLIENTS:
                for name, address in addresses.items():
                    each, whole = asyncio.run(load(address, clients, request.pictures))
                    latencies[name, clients] += each
                    seconds[name, clients] += whole
    print(
        f"{model.name}: {request.rounds} x {request.pictures} pictures, {os.cpu_count()} cores, "
        f"load {os.getloadavg()[0]:.1f}"
    )
    print("| clients | service | p50 ms | p95 ms | pictures/s | ratio |")
    print("| ---: | --- | ---: | ---: | ---: | ---: |")
    for clients in CLIENTS:
        for name in SERVICES:
            cuts = statistics.quantiles(latencies[name, clients], n=20)
            p50, p95 = cuts[9] * 1e3, cuts[18] * 1e3
            rate = request.rounds * request.pictures / seconds[name, clients]
            ratio = seconds["unbatched", clients] / seconds[name, clients]
            print(f"| {clients} | {name} | {p50:.0f} | {p95:.0f} | {rate:.1f} | {ratio:.2f} |")


def main() -> None:
    """Measure the model that is named, or one of random weights."""
    request = tyro.cli(Arguments, prog="python -m benchmarks.serving")
    with tempfile.TemporaryDirectory() as folder:
        model = request.model
        if model is None:
            model = Path(folder) / "random"
            model.mkdir()
            recipe = MSGGenerator(64, (128, 128, 128, 64, 32), latent_size=512)
            save_generator(recipe, model, {})
        measure(model, request)


if __name__ == "__main__":
    main()
