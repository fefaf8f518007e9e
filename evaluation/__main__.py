"""Evaluate a generator: `python -m evaluation MODEL --data DATA`."""

import hashlib
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro
from tyro.conf import arg

from common.command import exit_status

if TYPE_CHECKING:
    from models.generator import Generator


def run(
    model: Annotated[Path | None, tyro.conf.Positional, arg(metavar="[MODEL]", help_behavior_hint="")] = None,
    /,
    *,
    data: Annotated[Path, arg(metavar="DATA")],
    baseline: Annotated[
        Literal["mean-image", "gaussian-pixel"] | None,
        arg(metavar="mean-image|gaussian-pixel", help_behavior_hint=""),
    ] = None,
    features: Annotated[Path | None, arg(metavar="FILE", help_behavior_hint="")] = None,
    samples: int = 2000,
    seed: int = 0,
    out: Annotated[
        Path | None, arg(metavar="FILE", help_behavior_hint="(default: MODEL/evaluation.json)")
    ] = None,
) -> None:
    """Measure how close the images of a model, or of a baseline, are to real ones.

    Args:
        model: A model's folder, or a training run (its newest checkpoint).
        data: The real images: a data set made by `python -m data_prep prepare`.
        baseline: Evaluate a trivial generator instead of a model: the mean image, or independent Gaussian pixels.
        features: Network (.onnx) from `images` to `features`, for the Frechet and kernel distances.
        samples: Images to generate; fewer if the data set has less than twice as many.
        seed: Seed of the samples, the split of the data, the patches and the projections.
        out: JSON file to write.

    """
    if model is not None and baseline is None:
        out = out or model / "evaluation.json"
    elif model is not None or baseline is None:
        raise ValueError("name either a MODEL (or a training run) or a --baseline")
    elif out is None:
        raise ValueError("a --baseline has no folder of its own: name a file to write with --out")
    if model is not None:
        generator, description = _load(model)
    _check_writable(out)

    import torch
    from rich.console import Console

    from common.atomic import write_text
    from data_prep.store import PyramidDataset
    from evaluation.baselines import fit
    from evaluation.evaluate import evaluate
    from evaluation.metrics.features import FeatureNetwork
    from evaluation.progress import progress_bars
    from evaluation.report import table

    dataset = PyramidDataset(data)
    network = FeatureNetwork(features) if features else None
    with progress_bars() as start_task:
        if baseline is not None:
            generator, description = fit(baseline, dataset, start_task), {"baseline": baseline}
        generator.to("cuda" if torch.cuda.is_available() else "cpu")
        result = evaluate(generator, dataset, samples, network, seed, start_task)
    result["protocol"]["model"] |= description
    write_text(out, json.dumps(result, indent=2, allow_nan=False) + "\n")
    Console().print(table(result))
    print(f"written to {out}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line, by default that of the process, and return its exit status."""
    return exit_status(
        lambda: tyro.cli(run, prog="python -m evaluation", args=arguments), "stopped; nothing was written"
    )


def _load(model: Path) -> "tuple[Generator, dict[str, Any]]":
    """The generator of a model or training run, and its description in the protocol."""
    from models.checkpoint import find_model, load_generator, read_config

    folder = find_model(model)
    config = read_config(folder)
    digest = hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
    description = {"architecture": config["architecture"], "weights_sha256": digest, "about": config["about"]}
    return load_generator(folder), description


def _check_writable(out: Path) -> None:
    """Check before the work begins that its result can be written."""
    if out.is_dir() or not out.parent.is_dir() or not os.access(out.parent, os.W_OK):
        raise ValueError(f"{out} cannot be written: name a file in an existing folder with --out")


if __name__ == "__main__":
    sys.exit(main())
