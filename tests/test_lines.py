"""How long a system is: what `docs/adding-a-system.md` says of recipes, and the limits that it gives."""

import ast
import io
import re
import tokenize
from pathlib import Path

import pytest

from training.recipes import RECIPES

ROOT = Path(__file__).parents[1]
SHARED = {"recipe", "judged", "augmented", "duel", "convolutional", "multiscale", "growing", "descent"}
LAYOUT = {
    *(tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE),
    *(tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER),
}


def code_lines(path: Path) -> int:
    """Lines that are not blank, a comment, a docstring or an import."""
    source = path.read_text()
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    lines = {
        line
        for token in tokens
        if token.type not in LAYOUT
        for line in range(token.start[0], token.end[0] + 1)
    }
    for node in ast.walk(ast.parse(source)):
        first = node.body[0] if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) else node
        if isinstance(first, ast.Import | ast.ImportFrom) or (
            first is not node and isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
        ):
            lines -= set(range(first.lineno, (first.end_lineno or first.lineno) + 1))
    return len(lines)


def _table() -> dict[str, int]:
    """Lines of each file of recipes, by the first system that it holds."""
    text = (ROOT / "docs" / "adding-a-system.md").read_text()
    rows = re.findall(r"^\| ([a-z-]+)[^|]*\| (\d+) \|", text, re.MULTILINE)
    return {name.replace("-", "_"): int(lines) for name, lines in rows}


def test_no_recipe_is_over_40_lines_and_the_table_tells() -> None:
    files = {path.stem: path for path in (ROOT / "training" / "recipes").glob("[a-z]*.py")}
    counted = {name: code_lines(path) for name, path in files.items() if name not in SHARED}
    assert counted == _table()
    assert max(counted.values()) <= 40
    makers = {make.__module__.rsplit(".", 1)[-1] for make in RECIPES.values()}
    assert makers == set(counted)


@pytest.mark.parametrize("folder", ["models", "training"])
def test_no_file_is_over_300_lines(folder: str) -> None:
    long = {
        path.name: lines
        for path in (ROOT / folder).rglob("*.py")
        if (lines := len(path.read_text().splitlines())) > 300
    }
    assert not long


def test_what_counts_as_a_line(tmp_path: Path) -> None:
    path = tmp_path / "some.py"
    path.write_text(
        '"""What it is.\n\nMore."""\n\nimport re  # to find\n\n\n# Three.\ndef f(\n    a: int,  # a number\n) -> int:\n'
        '    """Say it."""\n    return (\n        a\n    )\n'
    )
    assert code_lines(path) == 6
