"""The leaderboard's rows as a web page, as Markdown, and as JSON."""

import base64
import io
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple

from PIL import Image

from common.atomic import write_text

NAME = "leaderboard"  # of the files, without suffix
_INLINE_HEIGHT = 96  # of a row of samples in the page, pixels at most
_STATES = ("done", "needs labels", "failed")  # in the order of their rows


class Statistic(NamedTuple):
    """A number, or the mean of several."""

    mean: float
    sd: float | None = None  # standard deviation over evaluations and trainings; None for a single number


@dataclass(frozen=True)
class Row:
    """The results of a system, a baseline or the real images."""

    name: str
    kind: Literal["system", "baseline", "real"]
    metrics: dict[str, Statistic] = field(
        default_factory=dict
    )  # by column, or by name as in `report.flatten`
    state: Literal["done", "needs labels", "failed"] = "done"
    reason: str = ""  # why it has no results
    samples: str = ""  # image file with a row of samples, relative to the leaderboard's folder

    @property
    def problem(self) -> str:
        """What is shown in place of metrics."""
        return f"{self.state}: {self.reason}"


@dataclass(frozen=True)
class Column:
    """A column of the table."""

    key: str
    title: str
    note: str  # explanation
    format: Callable[[float], str]


def columns(ranked_by: str) -> list[Column]:
    """The columns of a leaderboard that is sorted by the given metric."""
    distances = [
        Column(
            "frechet_distance", "Frechet", "Frechet distance of features; lower is better", "{:.1f}".format
        ),
        Column(
            "kernel_distance", "kernel × 1000", "kernel distance of features; lower is better", _times_1000
        ),
    ]
    return [
        *(distances if ranked_by == "frechet_distance" else ()),
        Column(
            "sliced_wasserstein_distance/mean",
            "SWD × 1000",
            "sliced Wasserstein distance, mean over levels; lower is better",
            "{:.1f}".format,
        ),
        Column(
            "ms_ssim",
            "MS-SSIM",
            "similarity of pairs; above the value of real images, diversity is lost",
            "{:.3f}".format,
        ),
        Column(
            "untrained",
            "untrained",
            "the first metric for the same networks with freshly initialized weights",
            "{:.1f}".format,
        ),
        Column("images", "images", "real images shown", "{:,.0f}".format),
        Column("seconds", "trained", "training time", duration),
        Column("images_per_second", "img/s", "real images per second of training", "{:.3g}".format),
        Column("generator", "generator", "trained parameters of the generator", _millions),
        Column("rest", "the rest", "trained parameters of networks that only training needs", _millions),
    ]


def sort_rows(rows: list[Row], ranked_by: str) -> list[Row]:
    """Real images, then results by the ranking metric, then systems without results."""

    def sort_key(row: Row) -> tuple[bool, int, float]:
        return (
            row.kind != "real",
            _STATES.index(row.state),
            row.metrics[ranked_by].mean if row.state == "done" else 0,
        )

    return sorted(rows, key=sort_key)


def write(folder: Path, rows: list[Row], ranked_by: str, metadata: dict[str, Any]) -> None:
    """Write `leaderboard.json`, `.md` and `.html` into the folder that holds the samples.

    Args:
        folder: the leaderboard's.
        rows: in any order.
        ranked_by: name of the metric that they are sorted by.
        metadata: `title`, `text` (a list of sentences), and whatever else belongs into the JSON file.

    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    rows = sort_rows(rows, ranked_by)
    shown = columns(ranked_by)
    listed = [
        {**asdict(row), "metrics": {key: each._asdict() for key, each in row.metrics.items()}} for row in rows
    ]
    content = {**metadata, "ranked_by": ranked_by, "rows": listed}
    write_text(folder / f"{NAME}.json", json.dumps(content, indent=1, allow_nan=False) + "\n")
    write_text(folder / f"{NAME}.md", _markdown(rows, shown, metadata))
    environment = Environment(loader=PackageLoader("evaluation"), autoescape=True, undefined=StrictUndefined)
    page = environment.get_template(f"{NAME}.html.jinja").render(
        metadata=metadata,
        columns=shown,
        ranked_by=ranked_by,
        rows=[(row, _inline(folder / row.samples) if row.samples else "") for row in rows],
    )
    write_text(folder / f"{NAME}.html", page)


def duration(seconds: float) -> str:
    """Seconds as readable text."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def _times_1000(value: float) -> str:
    return f"{1000 * value:.1f}"


def _millions(value: float) -> str:
    return f"{value / 1e6:.2f} M"


def _markdown(rows: list[Row], shown: list[Column], metadata: dict[str, Any]) -> str:
    lines = [f"# {metadata['title']}", "", *metadata["text"], ""]
    lines += ["| | " + " | ".join(column.title for column in shown) + " |", "|---|" + "---:|" * len(shown)]
    for row in rows:
        cells = (
            [_cell(row, column) for column in shown]
            if row.state == "done"
            else [row.problem.replace("|", "\\|"), *[""] * (len(shown) - 1)]
        )
        lines.append(f"| {row.name} | " + " | ".join(cells) + " |")
    lines += ["", *(f"- **{column.title}**: {column.note}" for column in shown), ""]
    for row in rows:
        lines += [f"{row.name}", "", f"![samples of {row.name}]({row.samples})", ""] if row.samples else []
    return "\n".join(lines).rstrip() + "\n"


def _cell(row: Row, column: Column) -> str:
    statistic = row.metrics.get(column.key)
    if statistic is None:
        return ""
    deviation = f" ± {column.format(statistic.sd)}" if statistic.sd else ""
    return column.format(statistic.mean) + deviation


def _inline(path: Path) -> str:
    """An image file as a data URI, reduced in height."""
    with Image.open(path) as image:
        image.thumbnail((image.width, _INLINE_HEIGHT), Image.Resampling.LANCZOS)
        buffer = io.BytesIO()
        image.save(buffer, "WEBP", quality=90)
    return f"data:image/webp;base64,{base64.b64encode(buffer.getvalue()).decode()}"
