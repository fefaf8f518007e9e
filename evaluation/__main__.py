"""Command line: python -m evaluation --help."""

import hashlib
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from common.command import exit_status

if TYPE_CHECKING:
    from models.generator import Generator


def run(
    run_or_model: Annotated[Path | None, tyro.conf.Positional] = None,
    /,
    *,
    data: Path,
    baseline: Literal["mean-image", "gaussian-pixel"] | None = None,
    features: Path | None = None,
    samples: int = 2000,
    seed: int = 0,
    out: Path | None = None,
) -> None:
    """Measure how far a model's pictures, or a baseline's, are from real ones.

    Args:
        run_or_model: A model's folder, or a training run's, whose newest checkpoint is taken.
        data: The real pictures: a data set made by python -m data_prep prepare.
        baseline: In place of a model, what has learnt next to nothing: the data set's mean picture, or every pixel
            drawn by itself around its mean.
        features: A network (.onnx) that turns `images` into `features`, for Frechet and kernel distance.
        samples: Pictures to generate; fewer are where the data set has not twice as many.
        seed: Of samples, halves of the data, patches and projections.
        out: JSON file to write. By default evaluation.json in RUN_OR_MODEL.

    """
    if run_or_model is not None and baseline is None:
        out = out or run_or_model / "evaluation.json"
    elif run_or_model is not None or baseline is None:
        raise ValueError("name either a run or model, or a --baseline")
    elif out is None:
        raise ValueError("a --baseline has no folder of its own: name a file to write with --out")
    if run_or_model is not None:
        generator, described = _load(run_or_model)
    _check_writable(out)

    import torch
    from rich.console import Console

    from common.atomic import write_text
    from data_prep.store import PyramidDataset
    from evaluation.baselines import fit
    from evaluation.evaluate import evaluate
    from evaluation.metrics.features import FeatureNetwork
    from evaluation.progress import bars
    from evaluation.report import table

    dataset = PyramidDataset(data)
    network = FeatureNetwork(features) if features else None
    with bars() as begin:
        if baseline is not None:
            generator, described = fit(baseline, dataset, begin), {"baseline": baseline}
        generator.to("cuda" if torch.cuda.is_available() else "cpu")
        result = evaluate(generator, dataset, samples, network, seed, begin)
    result["protocol"]["model"] |= described
    write_text(out, json.dumps(result, indent=2, allow_nan=False) + "\n")
    Console().print(table(result))
    print(f"written to {out}")


def main() -> int:
    """Run the command line and return its exit status."""
    return exit_status(lambda: tyro.cli(run, prog="python -m evaluation"), "stopped; nothing was written")


def _load(run_or_model: Path) -> "tuple[Generator, dict[str, Any]]":
    """The generator of a model or run, and what the protocol says of it."""
    from models.checkpoint import find_model, load_generator, read_config

    folder = find_model(run_or_model)
    config = read_config(folder)
    digest = hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
    described = {"architecture": config["architecture"], "weights_sha256": digest, "about": config["about"]}
    return load_generator(folder), described


def _check_writable(out: Path) -> None:
    """See before the work begins that its result can be written."""
    if out.is_dir() or not out.parent.is_dir() or not os.access(out.parent, os.W_OK):
        raise ValueError(f"{out} cannot be written: name a file in a folder that is there with --out")


if __name__ == "__main__":
    sys.exit(main())
