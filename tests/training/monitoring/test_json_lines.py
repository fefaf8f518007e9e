"""`metrics.jsonl`: what it holds, and what a resumed run takes back of it."""

import json
from pathlib import Path
from typing import Any

from training.monitoring.tracking import JsonLines


def _lines(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def test_metrics_and_alerts_are_lines_in_order(tmp_path: Path) -> None:
    tracker = JsonLines(tmp_path, 0)
    tracker.scalars(16, {"loss/d": 0.5})
    tracker.alert(20, "out of memory", "going on with 4")
    assert _lines(tmp_path) == [  # at once, not only at the end
        {"images": 16, "loss/d": 0.5},
        {"images": 20, "alert": "out of memory", "text": "going on with 4"},
    ]
    tracker.close()


def test_what_came_after_the_checkpoint_is_taken_back(tmp_path: Path) -> None:
    whole = '{"images": 16, "loss/d": 1.0}\n{"images": 32, "loss/d": 2.0}\n'
    (tmp_path / "metrics.jsonl").write_text(whole + '{"images": 48, "loss/d": 3.0}\n{"images": 6')
    tracker = JsonLines(tmp_path, 32)
    assert (tmp_path / "metrics.jsonl").read_text() == whole
    tracker.scalars(48, {"loss/d": 4.0})
    tracker.close()
    assert _lines(tmp_path)[-1] == {"images": 48, "loss/d": 4.0}


def test_a_run_that_goes_back_takes_its_lines_back(tmp_path: Path) -> None:
    tracker = JsonLines(tmp_path, 0)
    for images in (16, 32, 48):
        tracker.scalars(images, {})
    tracker.rewind(32)
    tracker.scalars(40, {})
    tracker.close()
    assert [line["images"] for line in _lines(tmp_path)] == [16, 32, 40]
