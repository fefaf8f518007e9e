"""What the import rules of pyproject.toml cannot say: parts of torch, and what a command loads."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MUST_NOT_IMPORT = {  # parts of torch
    "data_prep": ("torch.nn", "torch.optim", "torch.distributed"),
    "models": ("torch.optim", "torch.distributed"),
    "evaluation": ("torch.optim", "torch.distributed"),
    "experiments": ("torch.distributed",),
    "serving": ("torch.optim", "torch.distributed"),
}
HEAVY = (
    "wandb",
    "tensorboard",
    "tensorboardX",
    "kornia",
    "torchvision",
    "onnxruntime",
    "accelerate",
    "datasets",
    "pyarrow",
)


def imported(source: str) -> Iterator[str]:
    """Dotted names of everything that a source imports, wherever in it."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def test_imports_are_found_wherever_they_stand() -> None:
    source = "import torch.nn as nn, wandb\ndef late():\n    from torch.optim import Adam\n"
    assert set(imported(source)) == {"torch.nn", "wandb", "torch.optim.Adam"}


@pytest.mark.parametrize("package", MUST_NOT_IMPORT)
def test_parts_of_torch(package: str) -> None:
    files = sorted((ROOT / package).rglob("*.py"))
    assert files
    for path in files:
        names = set(imported(path.read_text(encoding="utf-8"))) - {
            "torch.nn.functional"
        }  # arithmetic on tensors
        bad = {name for name in names if name.startswith(MUST_NOT_IMPORT[package])}
        assert {name for name in bad if not name.startswith("torch.nn.functional.")} == set(), path


def test_the_list_of_recipes_loads_nothing_that_trains_tracks_or_reads() -> None:
    look = (
        "import sys, train\n"
        "try:\n    train.main(['--list'])\n"
        f"finally:\n    print([name for name in {HEAVY} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", look], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_installing_is_refused_with_what_to_do_instead() -> None:
    command = [sys.executable, "-m", "pip", "install", "--no-deps", "--disable-pip-version-check", "."]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "is an application that runs from its checkout" in done.stdout + done.stderr
    assert "`make setup`" in done.stdout + done.stderr
