"""Inference: models by name, a pool of threads, one image per forward pass.

An image's last bits depend on what else is in its batch and on how many threads share a convolution (by about 1e-5,
enough to change a byte here and there). So each image is a forward pass of its own, always on one thread, and a batch
is spread over the cores: a seed always gives the same image, and no core waits for another within one image.
`python -m serving.engine` checks that the models to serve can be loaded.
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
from common.command import exit_status
from models.checkpoint import find_model, load_generator, read_config
from models.sampler import Sampler, check_label
from serving.schemas import MAX_PIXELS, MAX_SEED, Format, GenerateRequest, GrowRequest, Layout, RefusedError

PRETRAINED = Path(__file__).parents[1] / "models" / "pretrained"


@dataclass(frozen=True)
class Model:
    """A model that is served."""

    sampler: Sampler
    architecture: str
    about: Any  # `about` of its config.json

    @property
    def resolutions(self) -> tuple[int, ...]:
        """Shorter sides of the images that it yields, pixels, coarse to fine."""
        return self.sampler.generator.resolutions

    def size(self, resolution: int) -> tuple[int, int]:
        """Height and width of its images at a resolution."""
        return size_at(resolution, self.sampler.generator.aspect)

    @property
    def channels(self) -> int:
        """Channels of its images: 1 grey, 3 RGB, 4 RGBA."""
        return self.sampler.generator.image_channels

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of its labels; empty for a model without labels."""
        return self.sampler.generator.class_names


@dataclass(frozen=True)
class ResolvedRequest:
    """A valid request with all defaults filled in."""

    model: str
    seeds: range
    resolution: int
    truncation: float
    labels: tuple[str, ...]  # label of each seed; empty for a model without labels
    format: Format
    layout: Layout | None  # None for a single image


@dataclass(frozen=True)
class Job:
    """One image of a request."""

    request: ResolvedRequest
    seed: int

    @property
    def label(self) -> str | None:
        """The image's label; None for a model without labels."""
        labels = self.request.labels
        return labels[self.seed - self.request.seeds[0]] if labels else None


@dataclass(frozen=True)
class GeneratedImage:
    """The result of a job."""

    job: Job
    pixels: Tensor  # uint8 (C, H, W)


def model_folders() -> list[Path]:
    """The model folders to serve: those named by `CRESCENDO_MODELS`, or else all in `models/pretrained`.

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
    """Load models. Each is served under the name of its folder.

    Raises:
        ValueError: a model is missing or damaged, or its folder's name cannot be used; the message says which.
    """
    models: dict[str, Model] = {}
    for path in paths:
        name = path.resolve().name
        if not re.fullmatch(r"[A-Za-z0-9._-]{1,100}", name):
            raise ValueError(
                f"{path}: a model is served under its folder's name, and {name!r} has characters other than "
                "letters, digits, '.', '_' and '-'; rename the folder"
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
    """Generates images on a pool of threads.

    Raises:
        ValueError: see `model_folders` and `load_models`.
    """

    def __init__(self, models: dict[str, Model], threads: int) -> None:
        assert models
        self.models = models
        self.default = next(iter(models))
        # One thread per operation: the bits of an image depend on the number of threads.
        self.pool = ThreadPoolExecutor(threads, "generator", initializer=lambda: torch.set_num_threads(1))

    @classmethod
    def start(cls) -> "Engine":
        """The engine for `model_folders()`, on CUDA if available, or else on as many cores as torch would use."""
        threads = torch.get_num_threads()  # the cores, or OMP_NUM_THREADS
        torch.set_num_threads(1)
        device = "cuda" if torch.cuda.is_available() else "cpu"
        torch.backends.cudnn.deterministic = True
        engine = cls(load_models(model_folders(), device), threads if device == "cpu" else 1)
        for name in engine.models:  # the first pass sets up kernels
            engine.generate([Job(engine.resolve(GrowRequest(seed=0, model=name)), 0)])
        return engine

    def resolve(self, request: GrowRequest) -> ResolvedRequest:
        """Check a request against its model, and fill in its defaults.

        Raises:
            RefusedError: an unknown model, or something that the model cannot do.
        """
        name = self.default if request.model is None else request.model
        if name not in self.models:
            raise RefusedError(404, f"there is no model {name!r}; the models are {', '.join(self.models)}")
        model = self.models[name]
        resolution = model.resolutions[-1] if request.resolution is None else request.resolution
        if resolution not in model.resolutions:
            sides = ", ".join(map(str, model.resolutions))
            raise RefusedError(400, f"model {name} has no resolution {resolution}; it has {sides}")
        if request.format == "jpeg" and model.channels == 4:
            raise RefusedError(
                400, f"model {name} generates transparency, which jpeg does not support; request png or webp"
            )
        count, layout = 1, None
        if isinstance(request, GenerateRequest):
            count = request.count
            layout = request.layout if count > 1 or request.layout == "zip" else None
        pixels = math.prod(model.size(resolution))
        if count * pixels > MAX_PIXELS:
            most = MAX_PIXELS // pixels
            raise RefusedError(
                400, f"at resolution {resolution} count must be at most {most}; send several requests"
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

    def generate(self, jobs: Sequence[Job]) -> list[GeneratedImage]:
        """Generate a batch of images, in parallel on the cores."""
        return list(self.pool.map(self._generate, jobs))

    def _generate(self, job: Job) -> GeneratedImage:
        request = job.request
        sampler = self.models[request.model].sampler
        images = sampler.generate([job.seed], request.resolution, request.truncation, job.label)
        return GeneratedImage(job, images[0])

    def stages(self, request: ResolvedRequest) -> list[int]:
        """The resolutions of a growing image, coarse to fine."""
        return [side for side in self.models[request.model].resolutions if side <= request.resolution]

    def grow(self, request: ResolvedRequest) -> Iterator[Tensor]:
        """Yield a request's first image at each resolution, uint8 (C, H, W). Each is computed when it is needed."""
        first = Job(request, request.seeds[0])
        sampler = self.models[request.model].sampler
        for images in sampler.stream([first.seed], request.truncation, first.label):
            yield images[0].cpu()


def main() -> int:
    """Load the models that would be served, and name them. Returns the exit status."""
    return exit_status(lambda: "models: " + ", ".join(load_models(model_folders(), "cpu")))


if __name__ == "__main__":
    sys.exit(main())
