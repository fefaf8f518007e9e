"""The cat experiment of A. Jolicoeur-Martineau: who converges on cat faces, who collapses, and how fast.

Systems of DCGAN's family learn the same pictures in the same order, as many images each, and are measured on the way:
`python -m experiments cats --data DST`. At 128x128 the same for SELU against batch norm:
`--recipes dcgan-cpu selu-dcgan-cpu --widths 256 128 64 32 16`.

Deviations: narrow networks and some ten thousand images, where the experiment had days of a GPU; distances and
diversity stand for its looking at the pictures.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import matplotlib

from common.images import grid, to_pil
from data_prep.store import PyramidDataset
from evaluation.report import ranking_metric
from evaluation.training_runs import TrainingLimit, TrainingRun
from experiments.experiment import Experiment, Result, Row, markdown
from models.checkpoint import find_model, load_generator
from models.sampler import Sampler

matplotlib.use("agg")
from matplotlib import pyplot as plt

SHOWN = 8  # pictures of a system in the figure


@dataclass(frozen=True)
class CatExperiment(Experiment):
    """Distance from the reals, and diversity of the pictures, over the images shown to systems of DCGAN's family."""

    data: Path  # folder of a prepared data set
    features: Path | None = None  # network (.onnx) for the Frechet distance; without: sliced Wasserstein
    recipes: tuple[str, ...] = ("dcgan-cpu", "selu-dcgan-cpu", "lsgan-cpu", "wgan-cpu", "wgan-gp-cpu")
    kimg: int = 24  # thousands of images shown to each
    points: int = 8  # of a curve
    pictures: int = 500  # that a measurement generates
    widths: tuple[int, ...] = (256, 128, 64, 32)  # channels of all networks, at 4x4, 8x8, ..., half the size
    runs: Path = Path("runs", "cats")  # folder for the training runs, which are gone on with

    def rows(self) -> Mapping[str, Row]:
        """A row for each recipe."""
        return {name: Row(self.kimg * 1000, partial(self.learn, name)) for name in self.recipes}

    def learn(self, name: str) -> Result:
        """Train, or go on; what was measured, from point to point."""
        self.runs.mkdir(parents=True, exist_ok=True)
        with (self.runs / ".lock").open("w") as lock:
            self.run(name).train(lock.fileno(), lambda _images: None)
        lines = map(json.loads, (self.runs / name / "metrics.jsonl").read_text().splitlines())
        reports = [line for line in lines if "alert" not in line]
        measured = [line for line in reports if f"metric/{self.distance}" in line]
        return {
            "images": [line["images"] for line in measured],
            "distance": [line[f"metric/{self.distance}"] for line in measured],
            "diversity": [line["diversity"] for line in measured],
            "floor": measured[-1][f"metric/real/{self.distance}"],
            "images_per_second": median(line["img_per_s"] for line in reports),
        }

    @property
    def distance(self) -> str:
        """Name of the figure that is followed."""
        return ranking_metric(self.features)

    def run(self, name: str) -> TrainingRun:
        """A recipe's training."""
        every = str(self.kimg / self.points)
        fields = {
            "resolution": [str(PyramidDataset(self.data).size)],
            "widths": [str(width) for width in self.widths],
            "evaluate-every": [every],
            "snapshot-every": [every],
            "evaluate-samples": [str(self.pictures)],
        }
        words = [word for option, values in fields.items() for word in (f"--{option}", *values)]
        network = ["--features", str(self.features)] if self.features else []
        return TrainingRun(
            self.runs / name, name, self.data, TrainingLimit(self.kimg, None), (*words, *network)
        )

    def table(self, results: Mapping[str, Result]) -> str:
        """A line for each row, and the floor."""
        header = (
            "system",
            "distance at first",
            "least",
            "at thousands",
            "at the end",
            "diversity",
            "images/s",
        )
        lines = []
        for name, found in results.items():
            distances = found["distance"]
            least = min(range(len(distances)), key=distances.__getitem__)
            line = (
                f"{distances[0]:.0f}",
                f"{distances[least]:.0f}",
                f"{found['images'][least] / 1000:.0f}",
                f"{distances[-1]:.0f}",
                f"{found['diversity'][-1]:.2f}",
                f"{found['images_per_second']:.0f}",
            )
            lines.append((name, *line))
        floor = next(iter(results.values()))["floor"]
        return markdown(header, [*lines, ("other real pictures", "", f"{floor:.0f}", "", "", "1.00", "")])

    def figure(self, results: Mapping[str, Result], path: Path) -> None:
        """The distances and diversities as curves; below, pictures of each."""
        names = [*results, *["."] * (len(results) % 2)]
        pairs: list[Any] = [list(pair) for pair in zip(names[::2], names[1::2], strict=True)]
        curves = {"distance": self.distance.replace("_", " "), "diversity": "diversity, in that of reals"}
        sheet, panels = plt.subplot_mosaic(
            [list(curves), *pairs],
            figsize=(10, 3 + 0.75 * len(pairs)),
            height_ratios=[3, *[0.75] * len(pairs)],
            layout="constrained",
        )
        for what, title in curves.items():
            for name, found in results.items():
                panels[what].plot([images / 1000 for images in found["images"]], found[what], label=name)
            panels[what].set(title=title, xlabel="thousands of images shown")
        panels["distance"].legend(fontsize=8)
        for name in results:
            pictures = Sampler(load_generator(find_model(self.runs / name))).generate(range(SHOWN))
            panels[name].imshow(to_pil(grid(pictures, columns=SHOWN)))
            panels[name].set_title(name, fontsize=8, pad=2)
            panels[name].set_axis_off()
        sheet.savefig(path, dpi=110, metadata={"Software": None})
        plt.close(sheet)
