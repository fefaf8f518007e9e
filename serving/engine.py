"""Fast inference: models by name, a pool of threads, one picture per pass.

A picture's last bits depend on what else is in its batch and on how many threads share a convolution (by
about 1e-5, enough to move a byte here and there). So each picture is a forward pass of its own, always on one
thread, and a batch is spread over the cores: one seed stays one picture, and no core waits for another within
one. `python -m serving.engine` tells whether the models that would be served can be.
"""

import json
import math
import os
import re
import secrets
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from common.aspect import size_at
from models.checkpoint import find_model, load_generator, read_config
from models.sampler import Sampler, check_label
from serving.schemas import MAX_PIXELS, MAX_SEED, Format, GenerateRequest, GrowRequest, Layout, RefusedError

PRETRAINED = Path(__file__).parents[1] / "models" / "pretrained"


@dataclass(frozen=True)
class Model:
    """A model that is served."""

    sampler: Sampler
    architecture: str
    about: Any  # what its config.json says of the weights

    @property
    def resolutions(self) -> tuple[int, ...]:
        """Shorter sides of the pictures it yields, pixels, coarse to fine."""
        return self.sampler.generator.resolutions

    def size(self, resolution: int) -> tuple[int, int]:
        """Height and width of its pictures at a resolution."""
        return size_at(resolution, self.sampler.generator.aspect)

    @property
    def channels(self) -> int:
        """Of its pictures: 1 grey, 3 RGB, 4 RGBA."""
        return self.sampler.generator.image_channels

    @property
    def labels(self) -> tuple[str, ...]:
        """What it paints pictures of; empty if that cannot be chosen."""
        return self.sampler.generator.class_names


@dataclass(frozen=True)
class ResolvedRequest:
    """A request made definite: nothing left to choose, and all of it can be done."""

    model: str
    seeds: range
    resolution: int
    truncation: float
    labels: tuple[str, ...]  # of each seed; empty for a model without
    format: Format
    layout: Layout | None  # None for a single picture


@dataclass(frozen=True)
class Job:
    """One picture of an order."""

    order: ResolvedRequest
    seed: int

    @property
    def label(self) -> str | None:
        """What it is a picture of; None for a model without labels."""
        return self.order.labels[self.seed - self.order.seeds[0]] if self.order.labels else None


@dataclass(frozen=True)
class Picture:
    """A job done: uint8 (C, H, W)."""

    job: Job
    image: Tensor


def model_folders() -> list[Path]:
    """The folders to serve: those that `CRESCENDO_MODELS` names, else all under `models/pretrained`.

    Raises:
        ValueError: there is none.
    """
    named = [Path(part.strip()) for part in os.environ.get("CRESCENDO_MODELS", "").split(",") if part.strip()]
    if named:
        return named
    shipped = sorted(path for path in PRETRAINED.glob("[!.]*") if path.is_dir())
    if not shipped:
        raise ValueError(
            f"there is no model to serve: {PRETRAINED} has none, and CRESCENDO_MODELS is not set. Name a "
            "training run or an exported model: CRESCENDO_MODELS=RUN_OR_MODEL bentoml serve"
        )
    return shipped


def load_models(paths: Sequence[Path], device: str) -> dict[str, Model]:
    """Load models, by the names of their folders.

    Raises:
        ValueError: one of them is missing or damaged, or cannot go by its folder's name; says which.
    """
    models: dict[str, Model] = {}
    for path in paths:
        name = path.resolve().name
        if not re.fullmatch(r"[A-Za-z0-9._-]{1,100}", name):
            raise ValueError(
                f"{path}: a model goes by its folder's name, and {name!r} has other signs than letters, "
                "digits, . _ -; rename the folder"
            )
        if name in models:
            raise ValueError(
                f"two models are named {name!r} ({path} is the second); rename one of the folders"
            )
        config = read_config(find_model(path))
        about = json.loads(json.dumps(config.get("about")), parse_constant=lambda _: None)  # JSON has no NaN
        models[name] = Model(Sampler(load_generator(path), device), config["architecture"], about)
    return models


class Engine:
    """Paints orders on a pool of threads.

    Raises:
        ValueError: see `model_folders` and `load_models`.
    """

    def __init__(self, models: dict[str, Model], threads: int) -> None:
        assert models
        self.models = models
        self.default = next(iter(models))
        # Each painter computes alone: the bits of a picture depend on the number of threads per operation.
        self.pool = ThreadPoolExecutor(threads, "painter", initializer=lambda: torch.set_num_threads(1))

    @classmethod
    def start(cls) -> "Engine":
        """The engine for `model_folders()`: on CUDA if there, else on the cores that torch would use."""
        threads = torch.get_num_threads()  # the cores, or OMP_NUM_THREADS
        torch.set_num_threads(1)
        device = "cuda" if torch.cuda.is_available() else "cpu"
        torch.backends.cudnn.deterministic = True
        engine = cls(load_models(model_folders(), device), threads if device == "cpu" else 1)
        for name in engine.models:
            engine.paint(
                [Job(engine.order(GrowRequest(seed=0, model=name)), 0)]
            )  # the first pass sets kernels up
        return engine

    def order(self, request: GrowRequest) -> ResolvedRequest:
        """Fill in what a request leaves open.

        Raises:
            RefusedError: an unknown model, or what that model cannot do.
        """
        name = self.default if request.model is None else request.model
        if name not in self.models:
            raise RefusedError(404, f"there is no model {name!r}; there are: {', '.join(self.models)}")
        model = self.models[name]
        resolution = model.resolutions[-1] if request.resolution is None else request.resolution
        if resolution not in model.resolutions:
            sides = ", ".join(map(str, model.resolutions))
            raise RefusedError(400, f"model {name} has no resolution {resolution}; it has {sides}")
        if request.format == "jpeg" and model.channels == 4:
            raise RefusedError(
                400, f"model {name} paints transparency, which jpeg has not; ask for png or webp"
            )
        count, layout = 1, None
        if isinstance(request, GenerateRequest):
            count = request.count
            layout = request.layout if count > 1 or request.layout == "zip" else None
        pixels = math.prod(model.size(resolution))
        if count * pixels > MAX_PIXELS:
            most = MAX_PIXELS // pixels
            raise RefusedError(
                400, f"at resolution {resolution} count must be at most {most}; ask several times"
            )
        seed = secrets.randbelow(MAX_SEED + 2 - count) if request.seed is None else request.seed
        if seed + count - 1 > MAX_SEED:
            raise RefusedError(400, f"seed + count - 1 must be at most {MAX_SEED}")
        seeds = range(seed, seed + count)
        labels = self._labels(name, seeds, request.label)
        return ResolvedRequest(name, seeds, resolution, request.truncation, labels, request.format, layout)

    def _labels(self, name: str, seeds: range, label: str | None) -> tuple[str, ...]:
        model = self.models[name]
        if label is not None:
            try:
                check_label(model.labels, label)
            except ValueError as error:
                raise RefusedError(400, str(error)) from None
            return (label,) * len(seeds)
        drawn = (model.sampler.label(seed) for seed in seeds)
        return tuple(label for label in drawn if label is not None)

    def paint(self, jobs: Sequence[Job]) -> list[Picture]:
        """Paint a batch, its pictures side by side on the cores."""
        return list(self.pool.map(self._paint, jobs))

    def _paint(self, job: Job) -> Picture:
        order = job.order
        sampler = self.models[order.model].sampler
        return Picture(job, sampler.generate([job.seed], order.resolution, order.truncation, job.label)[0])

    def stages(self, order: ResolvedRequest) -> list[int]:
        """The resolutions of a growing picture, coarse to fine."""
        return [side for side in self.models[order.model].resolutions if side <= order.resolution]

    def grow(self, order: ResolvedRequest) -> Iterator[Tensor]:
        """The first picture of an order at each resolution, uint8 (C, H, W), each computed when asked for."""
        first = Job(order, order.seeds[0])
        for images in self.models[order.model].sampler.stream([first.seed], order.truncation, first.label):
            yield images[0].cpu()


def check() -> int:
    """Load the models that would be served; say which, or what is wrong. Returns the exit code, 0 or 2."""
    try:
        print("models:", ", ".join(load_models(model_folders(), "cpu")))
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(check())
