"""The README's Python example runs as it is."""

import re
from pathlib import Path

import pytest
import torch
from accelerate.state import AcceleratorState

ROOT = Path(__file__).parents[1]


def test_the_python_example(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (example,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    (tmp_path / "models").symlink_to(ROOT / "models")
    monkeypatch.chdir(tmp_path)
    AcceleratorState._reset_state()
    content: dict[str, object] = {}
    exec(compile(example, "README.md", "exec"), content)
    image = content["image"]
    assert isinstance(image, torch.Tensor)
    assert (image.shape, image.dtype) == ((1, 3, 64, 64), torch.uint8)
    for made in ("data/manifest.json", "run/run.json", "run/evaluation.json"):
        assert (tmp_path / made).is_file()
