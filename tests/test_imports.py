"""The one-way arrows: what each package may import, read from its source."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("data_prep", "models", "training", "evaluation", "serving")
MAY_IMPORT = {  # of this project, beside itself; a module, or a package as a whole
    "data_prep": set(),
    "models": set(),
    "training": {"models", "data_prep.store"},
    "evaluation": {"models", "data_prep.store", "data_prep.pyramid"},
    "evaluation.experiments": {  # an experiment trains
        *("models", "training", "data_prep.store", "evaluation.training_runs", "evaluation.report"),
    },
    "serving": {"models"},
}
MUST_NOT_IMPORT = {  # of others
    "data_prep": {"accelerate", "wandb", "bentoml", "torch.nn", "torch.optim", "torch.distributed"},
    "models": {
        *("accelerate", "wandb", "bentoml", "starlette", "httpx", "fastapi"),  # devices and ranks, HTTP
        *("torch.optim", "torch.distributed", "datasets", "pyarrow"),  # optimisers, the data's format
    },
    "training": {"bentoml", "starlette", "httpx", "datasets", "pyarrow"},
    "evaluation": {
        *("accelerate", "wandb", "bentoml", "torch.optim", "torch.distributed"),
        "evaluation.experiments",
    },
    "evaluation.experiments": {"wandb", "bentoml", "torch.distributed"},
    "serving": {"accelerate", "wandb", "datasets", "pyarrow", "kornia", "torch.optim", "torch.distributed"},
}
NEVER = {"pickle", "cloudpickle", "dill", "joblib", "shelve", "marshal"}
FILES = [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]


def imported(source: str, package: str) -> Iterator[str]:
    """Dotted names of everything that a source imports, wherever in it; `package` is what dots are relative to."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parents = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            module = ".".join([*parents, *([node.module] if node.module else [])])
            yield from (f"{module}.{alias.name}" for alias in node.names)


def _within(name: str, places: set[str]) -> bool:
    return any(name == place or name.startswith(f"{place}.") for place in places)


def _names(path: Path) -> set[str]:
    package = ".".join(path.relative_to(ROOT).parent.parts)
    return set(imported(path.read_text(encoding="utf-8"), package))


def test_imports_are_found_wherever_they_stand() -> None:
    source = """
import torch.nn as nn, wandb
from data_prep import store
from . import near
from ..far import thing
def late():
    from data_prep.store import PyramidDataset
    import pickle
"""
    assert set(imported(source, "training.terms")) == {
        *("torch.nn", "wandb", "data_prep.store", "training.terms.near", "training.far.thing"),
        *("data_prep.store.PyramidDataset", "pickle"),
    }


def test_there_is_something_to_read() -> None:
    for package in PACKAGES:
        assert any(path.is_relative_to(ROOT / package) for path in FILES), package


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_one_way(path: Path) -> None:
    folders = path.relative_to(ROOT).parts[:-1]
    package = next(p for p in (".".join(folders[:2]), folders[0]) if p in MAY_IMPORT)
    names = _names(path)
    own = {name for name in names if name.split(".")[0] in {*PACKAGES, "train", "tests"}}
    assert {name for name in own if not _within(name, MAY_IMPORT[package] | {package})} == set()
    names.discard("torch.nn.functional")  # arithmetic on tensors, not networks
    assert {name for name in names if _within(name, MUST_NOT_IMPORT[package] | NEVER)} == set()
