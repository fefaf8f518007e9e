"""Export a run's generator as a model to keep: `python -m training.export RUN MODEL_DIR`.

MODEL_DIR gets `model.safetensors`, `config.json`, `samples.png` and `README.md`, a model card (Mitchell et al. 2019,
arXiv 1810.03993) with the data, the settings and, where `python -m evaluation RUN` has been run, the metrics.
"""

import json
import shutil
import sys
from pathlib import Path
from typing import Annotated, Any

import tyro

from common.aspect import SQUARE, size_at
from common.atomic import new_folder, write_text
from common.command import exit_status
from common.images import grid, save_png
from models.checkpoint import find_model, load_generator, read_config
from models.sampler import Sampler
from training.monitoring.samples import SEEDS

TRUNCATION = 0.8  # of the card's pictures


def export(run: Path, folder: Path, data_note: str = "") -> None:
    """Write the newest checkpoint's model and its card into a new folder.

    Args:
        run: a training run.
        folder: must not exist or be empty.
        data_note: where the data are from, in words, for the card.

    Raises:
        ValueError: no checkpoint there, or the folder is in use.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ValueError(f"{folder} exists and is not empty; name another folder")
    source = find_model(run)
    config, generator = read_config(source), load_generator(source)
    evaluation = run / "evaluation.json"
    metrics = json.loads(evaluation.read_text()) if evaluation.is_file() else None
    folder.parent.mkdir(parents=True, exist_ok=True)
    with new_folder(folder) as aside:
        save_png(grid(Sampler(generator).generate(SEEDS, truncation=TRUNCATION)), aside / "samples.png")
        if metrics is not None:
            shutil.copy(evaluation, aside / "evaluation.json")
        text = card(folder.resolve().name, config, generator.resolutions[-1], metrics, data_note)
        write_text(aside / "README.md", text)
        shutil.copy(source / "model.safetensors", aside)
        shutil.copy(source / "config.json", aside)


def card(
    name: str,
    config: dict[str, Any],  # the model's
    resolution: int,  # that it has grown to
    metrics: dict[str, Any] | None,
    data_note: str,
) -> str:
    """The model card, in Markdown."""
    about, network = config["about"], config["generator"]
    data, settings = about["data"], about["settings"]
    rows = "\n".join(f"| {key} | {json.dumps(value)} |" for key, value in settings.items())
    size, whole = (
        "{}x{}".format(*size_at(side, network.get("aspect", SQUARE)))
        for side in (resolution, network["resolution"])
    )
    grown = "" if size == whole else f"It has not grown to its {whole} yet.\n"
    channels = network["image_channels"]
    note = f" {data_note}" if data_note else ""
    return f"""# {name}

A {config["architecture"]} generator of {size} images with {channels} channels, trained with Crescendo for
{about["images"]:,} images shown.
{grown}
![samples](samples.png)

Seeds 0 to {len(SEEDS) - 1}, truncation {TRUNCATION}, not picked.

    python -m models.sample {name} --seeds 0-15 --out grid.png

## Data

{data["images"]:,} images ({data["name"]}, fingerprint `{data["fingerprint"][:16]}`).{note}

## Measured

{measured(metrics, about["images"])}

## Settings

Recipe `{about["recipe"]}`.

| field | value |
|---|---|
{rows}

## Use and limits

The model paints pictures like those it was trained on and knows nothing else; what is rare in the data is rare or
missing in the pictures. Pictures may resemble training images. Lower truncation gives more typical, less varied ones.
"""


def measured(metrics: dict[str, Any] | None, images: int) -> str:
    """The card's table of metrics, each beside the same figure for real against real."""
    if metrics is None:
        return "Nothing yet: run `python -m evaluation` on the training run before exporting."
    protocol = metrics["protocol"]
    rows = []
    swd = metrics["sliced_wasserstein_distance"]
    for level in swd["generated"]:
        rows.append((f"SWD x 1000, {level}", swd["generated"][level], swd["real"][level]))
    ssim = metrics["ms_ssim"]
    rows.append(("MS-SSIM among pictures", ssim["generated"]["mean"], ssim["real"]["mean"]))
    if "frechet_distance" in metrics:
        frechet, kernel = metrics["frechet_distance"], metrics["kernel_distance"]
        network = frechet["feature_network"]["file"]
        rows.append((f"Frechet distance in {network}", frechet["generated"], frechet["real"]))
        means = (kernel[which]["mean"] * 1000 for which in ("generated", "real"))
        rows.append((f"Kernel distance x 1000 in {network}", *means))
    table = "\n".join(f"| {name} | {generated:.4g} | {real:.4g} |" for name, generated, real in rows)
    trained = protocol["model"]["about"]["images"]
    note = "" if trained == images else f" (measured after {trained:,} images)"
    return f"""| metric | generated | real against real |
|---|---|---|
{table}

Of {protocol["images_per_set"]:,} pictures per set, truncation 1{note}. Distances in a feature
network other than Inception are not the published FID or KID. The whole protocol is in `evaluation.json`."""


def _command(
    run: Annotated[Path, tyro.conf.Positional],  # a training run
    folder: Annotated[Path, tyro.conf.Positional],  # the model's new folder
    /,
    data_note: str = "",  # where the data are from, in words, for the card
) -> None:
    """Export a run's newest generator with a model card."""
    export(run, folder, data_note)
    print(f"{folder} is a model: python -m models.sample {folder} --seeds 0-15 --out grid.png")


if __name__ == "__main__":
    sys.exit(exit_status(lambda: tyro.cli(_command)))
