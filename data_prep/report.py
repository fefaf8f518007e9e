"""The outcome of every photo: report.json for programs, report.html for people."""

import base64
import json
import math
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple

from jinja2 import Environment, PackageLoader, StrictUndefined

from common.aspect import Aspect, size_at
from common.atomic import write_text
from data_prep import pyramid, sources

JSON = "report.json"
HTML = "report.html"

KEPT_SHOWN = 120  # images in the gallery, spread evenly over the source
REFUSED_SHOWN = 2000  # any more are only in report.json
KEPT_RESOLUTION = 128  # finest level shown, pixels


class Item(NamedTuple):
    """The outcome of one photo."""

    path: str
    outcome: Literal["kept", "filtered", "quarantined"]
    reason: str  # empty if kept


class _Shown(NamedTuple):
    item: Item
    thumbnail: str  # data URI, or empty


@dataclass
class Report:
    """The outcomes, collected in the order of the photos."""

    source: sources.Source
    size: int  # pixels: shorter side of the images
    aspect: Aspect  # proportions of the images
    items: list[Item] = field(default_factory=list)
    _kept: list[_Shown] = field(default_factory=list)
    _refused: list[_Shown] = field(default_factory=list)

    @property
    def counts(self) -> dict[str, int]:
        """Photos found, and how many of them were kept, filtered and quarantined."""
        outcomes = Counter(item.outcome for item in self.items)
        return {"found": len(self.items)} | {
            name: outcomes[name] for name in ("kept", "filtered", "quarantined")
        }

    def keep(self, photo: sources.Photo, pngs: tuple[bytes, ...]) -> None:
        """Record a photo that was kept, given its PNG per level, coarsest first."""
        item = Item(photo.name, "kept", "")
        if len(self.items) % math.ceil(len(self.source.photos) / KEPT_SHOWN) == 0:
            finest = [
                png
                for png, side in zip(pngs, pyramid.level_sizes(self.size), strict=True)
                if side <= KEPT_RESOLUTION
            ][-1]
            self._kept.append(_Shown(item, _data_uri(finest, "png")))
        self.items.append(item)

    def refuse(
        self,
        photo: sources.Photo,
        outcome: Literal["filtered", "quarantined"],
        reason: str,
        thumbnail: bytes = b"",
    ) -> None:
        """Record a photo that was not kept, with a small JPEG of it if there is one."""
        item = Item(photo.name, outcome, reason)
        if len(self._refused) < REFUSED_SHOWN:
            self._refused.append(_Shown(item, _data_uri(thumbnail, "jpeg") if thumbnail else ""))
        self.items.append(item)

    def write(self, folder: Path) -> None:
        """Write both files into `folder`."""
        content = {
            "counts": self.counts,
            "size": self.size,
            "frame": self.aspect,
            "ignored_files": self.source.ignored,
            "annotations_without_photo": self.source.orphans,
            "items": [item._asdict() for item in self.items],
        }
        write_text(folder / JSON, json.dumps(content, indent=1, ensure_ascii=False) + "\n")
        environment = Environment(
            loader=PackageLoader("data_prep"), autoescape=True, undefined=StrictUndefined
        )
        height, width = size_at(self.size, self.aspect)
        page = environment.get_template("report.html.jinja").render(
            counts=self.counts,
            height=height,
            width=width,
            kept=self._kept,
            refused=self._refused,
            source=self.source,
        )
        write_text(folder / HTML, page)


def _data_uri(image: bytes, kind: Literal["png", "jpeg"]) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(image).decode()}"
