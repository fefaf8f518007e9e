"""Plot what `benchmarks.training growth --out` wrote: python -m benchmarks.growth_plot PLOT.svg NAME=JSON ..."""

import json
import sys
from collections.abc import Mapping
from pathlib import Path

import matplotlib

matplotlib.use("svg")
matplotlib.rcParams |= {
    "svg.hashsalt": "crescendo",
    "svg.fonttype": "none",
}  # the same figures give the same file
from matplotlib import pyplot as plt  # noqa: E402
from matplotlib.axes import Axes  # noqa: E402


def plot(path: Path, figures: Mapping[str, Path]) -> None:
    """CPU time (of a CUDA device, wall time) per image, and peak memory, over the side; fades are left out."""
    drawing, (times, memory) = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
    for name, file in figures.items():
        content = json.loads(file.read_text())
        rows = [row for row in content["rows"] if not row["fading"]]
        sides, train_state = [row["side"] for row in rows], "wall" if content["device"] == "cuda" else "cpu"
        times.loglog(sides, [row[train_state] for row in rows], marker="o", label=name)
        memory.semilogx(sides, [row["memory"] for row in rows], marker="o")
    _label(times, "ms per image")
    _label(memory, "peak memory, GB")
    memory.set_ylim(bottom=0)
    drawing.legend(loc="outside lower center", ncols=len(figures), frameon=False)
    drawing.savefig(path, metadata={"Date": None})


def _label(axes: Axes, what: str) -> None:
    sides = [4 << level for level in range(9)]
    axes.set_xticks(sides, [str(side) for side in sides])
    axes.minorticks_off()
    axes.set_xlabel("side, pixels")
    axes.set_ylabel(what)
    axes.grid(alpha=0.3)


if __name__ == "__main__":
    plot(
        Path(sys.argv[1]),
        {name: Path(file) for name, _, file in (word.partition("=") for word in sys.argv[2:])},
    )
