"""The leaderboard's rows as a page, as Markdown, and as JSON."""

import base64
import io
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple

from jinja2 import Environment, PackageLoader, StrictUndefined
from PIL import Image

from common.atomic import write_text

NAME = "leaderboard"  # of the files, before their endings
_INLINE = 96  # height of a row of pictures in the page, pixels at most
_LAST = ("done", "needs labels", "failed")  # what is sorted after what


class Figure(NamedTuple):
    """A number, or the mean of several."""

    mean: float
    sd: float | None = None  # over evaluations and trainings; None where there is one


@dataclass(frozen=True)
class Row:
    """What is known of a system, a baseline or the real pictures."""

    name: str
    kind: Literal["system", "baseline", "real"]
    figures: dict[str, Figure] = field(
        default_factory=dict
    )  # by key of a column, or as `report.flat` calls them
    state: Literal["done", "needs labels", "failed"] = "done"
    reason: str = ""  # why it is not done
    samples: str = ""  # file with a row of pictures, relative to the board's folder

    @property
    def why(self) -> str:
        """What is said in place of figures."""
        return f"{self.state}: {self.reason}"


@dataclass(frozen=True)
class Column:
    """A column of figures."""

    key: str
    title: str
    note: str  # what it means
    show: Callable[[float], str]


def columns(rank: str) -> list[Column]:
    """The columns of a board that is sorted by a figure."""
    distances = [
        Column(
            "frechet_distance", "Frechet", "Frechet distance of features; lower is better", "{:.1f}".format
        ),
        Column(
            "kernel_distance", "kernel × 1000", "kernel distance of features; lower is better", _thousandfold
        ),
    ]
    return [
        *(distances if rank == "frechet_distance" else ()),
        Column(
            "sliced_wasserstein_distance/mean",
            "SWD × 1000",
            "sliced Wasserstein distance, mean of the levels; lower is better",
            "{:.1f}".format,
        ),
        Column(
            "ms_ssim",
            "MS-SSIM",
            "similarity of pairs; variety is lost where it is above that of real pictures",
            "{:.3f}".format,
        ),
        Column(
            "untrained",
            "untrained",
            "the first figure of the same networks with fresh weights",
            "{:.1f}".format,
        ),
        Column("images", "images", "real images shown", "{:,.0f}".format),
        Column("seconds", "trained", "time in training", duration),
        Column("images_per_second", "img/s", "real images per second of training", "{:.3g}".format),
        Column("generator", "generator", "trained numbers of the generator", _millions),
        Column("rest", "the rest", "trained numbers of what only training needs", _millions),
    ]


def ordered(rows: list[Row], rank: str) -> list[Row]:
    """Real pictures, then the least figure first, then what is not done."""

    def place(row: Row) -> tuple[bool, int, float]:
        return (
            row.kind != "real",
            _LAST.index(row.state),
            row.figures[rank].mean if row.state == "done" else 0,
        )

    return sorted(rows, key=place)


def write(folder: Path, rows: list[Row], rank: str, about: dict[str, Any]) -> None:
    """Write `leaderboard.json`, `.md` and `.html` into a folder that holds the pictures.

    Args:
        folder: the board's.
        rows: in any order.
        rank: key of the figure that sorts them.
        about: `title`, `text` (a list of sentences), and what else the JSON file is to hold.

    """
    rows = ordered(rows, rank)
    shown = columns(rank)
    listed = [
        {**asdict(row), "figures": {key: each._asdict() for key, each in row.figures.items()}} for row in rows
    ]
    content = {**about, "rank": rank, "rows": listed}
    write_text(folder / f"{NAME}.json", json.dumps(content, indent=1, allow_nan=False) + "\n")
    write_text(folder / f"{NAME}.md", _markdown(rows, shown, about))
    environment = Environment(loader=PackageLoader("evaluation"), autoescape=True, undefined=StrictUndefined)
    page = environment.get_template(f"{NAME}.html.jinja").render(
        about=about,
        columns=shown,
        rank=rank,
        rows=[(row, _inline(folder / row.samples) if row.samples else "") for row in rows],
    )
    write_text(folder / f"{NAME}.html", page)


def duration(seconds: float) -> str:
    """A time that a person can read."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def _thousandfold(value: float) -> str:
    return f"{1000 * value:.1f}"


def _millions(value: float) -> str:
    return f"{value / 1e6:.2f} M"


def _markdown(rows: list[Row], shown: list[Column], about: dict[str, Any]) -> str:
    lines = [f"# {about['title']}", "", *about["text"], ""]
    lines += ["| | " + " | ".join(column.title for column in shown) + " |", "|---|" + "---:|" * len(shown)]
    for row in rows:
        cells = (
            [_cell(row, column) for column in shown]
            if row.state == "done"
            else [row.why.replace("|", "\\|"), *[""] * (len(shown) - 1)]
        )
        lines.append(f"| {row.name} | " + " | ".join(cells) + " |")
    lines += ["", *(f"- **{column.title}**: {column.note}" for column in shown), ""]
    for row in rows:
        lines += [f"{row.name}", "", f"![pictures of {row.name}]({row.samples})", ""] if row.samples else []
    return "\n".join(lines).rstrip() + "\n"


def _cell(row: Row, column: Column) -> str:
    figure = row.figures.get(column.key)
    if figure is None:
        return ""
    return column.show(figure.mean) + (f" ± {column.show(figure.sd)}" if figure.sd else "")


def _inline(path: Path) -> str:
    """A data URI of a row of pictures, small enough for a page of many."""
    with Image.open(path) as picture:
        picture.thumbnail((picture.width, _INLINE), Image.Resampling.LANCZOS)
        buffer = io.BytesIO()
        picture.save(buffer, "WEBP", quality=90)
    return f"data:image/webp;base64,{base64.b64encode(buffer.getvalue()).decode()}"
