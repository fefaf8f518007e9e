"""`make demo`, killed at every step."""

import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_a_demo_that_was_killed_goes_on(tmp_path: Path) -> None:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True)
    for name in listed.stdout.splitlines():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    (tmp_path / ".venv").symlink_to(ROOT / ".venv")

    for sign in (
        "demo/.photos.*/sample/CAT_00",
        "demo/data/*.part",
        "demo/run/checkpoints/*/model/config.json",
    ):
        kill_when_there(sign, tmp_path)
        assert not (tmp_path / "demo" / "drawn-cats").exists()
    done = demo(tmp_path)
    assert "train.py" in done
    assert "--resume" in done
    shown = [
        json.loads(line)["images"] for line in (tmp_path / "demo/run/metrics.jsonl").read_text().splitlines()
    ]
    assert shown == sorted(set(shown))
    config = json.loads((tmp_path / "demo/drawn-cats/config.json").read_text())
    assert config["about"]["images"] == shown[-1] >= config["about"]["settings"]["kimg"] * 1000

    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "demo").rglob("*")}
    assert "train.py" not in demo(tmp_path)
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "demo").rglob("*")} == before


def kill_when_there(sign: str, project: Path) -> None:
    """Start the demo; kill it and all that it started as soon as a path matches."""
    process = subprocess.Popen(["make", "demo", "SERVE=0"], cwd=project, start_new_session=True)
    deadline = time.monotonic() + 900
    try:
        while not list(project.glob(sign)):
            assert process.poll() is None, f"the demo ended and {sign} was never there"
            assert time.monotonic() < deadline, f"after 15 minutes there is no {sign}"
            time.sleep(0.02)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def demo(project: Path) -> str:
    """Run the demo to its end; what it printed."""
    done = subprocess.run(
        ["make", "demo", "SERVE=0"], cwd=project, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
