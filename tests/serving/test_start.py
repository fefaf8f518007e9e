"""What serving needs, and how it fails to start."""

import ast
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_imports_of_the_project_are_models_and_common() -> None:
    imported = set()
    for file in (ROOT / "serving").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Import):
                imported |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0
                imported.add((node.module or "").partition(".")[0])
    beyond = imported - sys.stdlib_module_names
    assert beyond == {
        "bentoml",
        "common",
        "models",
        "prometheus_client",
        "pydantic",
        "serving",
        "starlette",
        "torch",
    }


def test_torch_is_imported_with_the_instance_only() -> None:
    code = "import serving.service, sys; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


def test_a_broken_model_stops_the_start_with_a_clear_line(
    serve: Callable[[str, int], tuple[subprocess.Popen[bytes], Path]], tmp_path: Path
) -> None:
    (tmp_path / "config.json").write_text("{")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process, log = serve(str(tmp_path), port)
    assert process.wait(timeout=120) != 0
    said = log.read_text()
    assert f"{tmp_path}/config.json is damaged" in said
    assert "export the model again" in said
    assert "Traceback" not in said
