"""The metrics of an evaluation: flattened by name, and as a table."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Group

from common.aspect import size_text

FEW = 2000  # images per set below which the Frechet distance depends strongly on their number
_KERNEL_SCALE = 1000  # as is customary


def flatten(result: dict[str, Any], side: str = "generated") -> dict[str, float]:
    """One number per metric, `generated` or `real`: SWD by level as `sliced_wasserstein_distance/64`, else means."""
    levels = result["sliced_wasserstein_distance"][side]
    named = {f"sliced_wasserstein_distance/{level}": distance for level, distance in levels.items()}
    named["ms_ssim"] = result["ms_ssim"][side]["mean"]
    if "frechet_distance" in result:
        named["frechet_distance"] = result["frechet_distance"][side]
        named["kernel_distance"] = result["kernel_distance"][side]["mean"]
    return named


def ranking_metric(features: object) -> str:
    """Name, as in `flatten`, of the metric that generators are ranked by: lower is better.

    `features`: the feature network, or None.
    """
    return "frechet_distance" if features else "sliced_wasserstein_distance/mean"


def table(result: dict[str, Any]) -> "Group":
    """The result of `evaluate` as a table with notes."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    protocol = result["protocol"]
    count, size = protocol["images_per_set"], size_text(protocol["resolution"], protocol["aspect"])
    grid = Table(title=f"{count} generated images against {count} real ones at {size}")
    grid.add_column("metric")
    grid.add_column("generated", justify="right")
    grid.add_column("real", justify="right")
    for metric, *values in _rows(result):
        grid.add_row(metric, *values)
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
        f"Data: {protocol['data']['name']}. real: the same metric for other real images, the floor of a distance. "
        "MS-SSIM: diversity is lost if it is higher among generated images than among real ones."
    ]
    if count < protocol["samples_requested"]:
        notes.append(
            f"{protocol['samples_requested']} samples were requested, but the data set has only twice {count} images."
        )
    if "features" in protocol:
        notes.append(
            f"Distances are in the features of {protocol['features']['network']['file']}; they are not FID and KID."
        )
        if count < FEW:
            notes.append(f"The Frechet distance grows as counts fall below {FEW}: compare only equal counts.")
    return notes
