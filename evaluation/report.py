"""The figures of an evaluation as a table."""

from typing import Any

from rich.console import Group
from rich.table import Table
from rich.text import Text

from common.aspect import size_text

FEW = 2000  # pictures below which the Frechet distance says little
_KERNEL_SCALE = 1000  # as is usual


def flat(result: dict[str, Any], side: str = "generated") -> dict[str, float]:
    """One number for each figure of a side, by name: levels as `sliced_wasserstein_distance/64`, means of the rest."""
    levels = result["sliced_wasserstein_distance"][side]
    named = {f"sliced_wasserstein_distance/{level}": distance for level, distance in levels.items()}
    named["ms_ssim"] = result["ms_ssim"][side]["mean"]
    if "frechet_distance" in result:
        named["frechet_distance"] = result["frechet_distance"][side]
        named["kernel_distance"] = result["kernel_distance"][side]["mean"]
    return named


def ranked_by(features: object) -> str:
    """Name, as of `flat`, of the figure that tells best which of two generators is better: the lower, the better.

    `features`: the feature network, or None where there is none.
    """
    return "frechet_distance" if features else "sliced_wasserstein_distance/mean"


def table(result: dict[str, Any]) -> Group:
    """What `evaluate` returned, readable."""
    protocol = result["protocol"]
    count, size = protocol["images_per_set"], size_text(protocol["resolution"], protocol["aspect"])
    grid = Table(title=f"{count} generated pictures against {count} real ones at {size}")
    grid.add_column("figure")
    grid.add_column("generated", justify="right")
    grid.add_column("real", justify="right")
    for figure, *values in _rows(result):
        grid.add_row(figure, *values)
    return Group(grid, *(Text(note, style="dim") for note in _notes(result)))


def _rows(result: dict[str, Any]) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    swd, aspect = result["sliced_wasserstein_distance"], result["protocol"]["aspect"]
    for level in swd["real"]:
        where = "mean" if level == "mean" else size_text(int(level), aspect)
        values = (f"{swd[side][level]:.2f}" for side in ("generated", "real"))
        rows.append((f"SWD x 1000, {where}", *values))
    similarity = result["ms_ssim"]
    values = (
        f"{similarity[side]['mean']:.4f} ± {similarity[side]['standard_error']:.4f}"
        for side in ("generated", "real")
    )
    rows.append(("MS-SSIM of pairs", *values))
    if "frechet_distance" in result:
        frechet, kernel = result["frechet_distance"], result["kernel_distance"]
        rows.append(("Frechet distance", *(f"{frechet[side]:.2f}" for side in ("generated", "real"))))
        values = (
            f"{_KERNEL_SCALE * kernel[side]['mean']:.2f} ± {_KERNEL_SCALE * kernel[side]['sd']:.2f}"
            for side in ("generated", "real")
        )
        rows.append(("kernel distance x 1000", *values))
    return rows


def _notes(result: dict[str, Any]) -> list[str]:
    protocol = result["protocol"]
    count = protocol["images_per_set"]
    notes = [
        f"Data {protocol['data']['name']}. real: the same figure for other real pictures, the floor "
        "of a distance. MS-SSIM: variety is lost where it is higher among generated pictures than "
        "among real ones."
    ]
    if count < protocol["samples_requested"]:
        notes.append(
            f"{protocol['samples_requested']} samples were asked for, the data set has only twice {count}."
        )
    if "features" in protocol:
        notes.append(
            f"Distances in the features of {protocol['features']['network']['file']}: not FID and KID."
        )
        if count < FEW:
            notes.append(f"The Frechet distance grows as counts fall below {FEW}: compare equal counts only.")
    return notes
