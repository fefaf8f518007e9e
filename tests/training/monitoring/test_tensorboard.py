"""The event files that TensorBoard reads: what is in them, byte for byte, and that a resumed run continues them."""

from pathlib import Path

import pytest
import torch
from PIL import Image
from tensorboardX.proto.event_pb2 import SessionLog

from common.images import save_png
from tests.training.event_files import events, values
from training.monitoring.tracking import TensorBoard


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run that broke off after 32 images and was resumed from its checkpoint after 16."""
    for session, until in ((0, 32), (16, 48)):
        tracker = TensorBoard(tmp_path, session, {"lr": 0.1, "widths": [8, 8]})
        for images in range(session + 16, until + 1, 16):
            tracker.scalars(images, {"loss/d": images / 64, "img_per_s": 3.0})
        tracker.close()
    return tmp_path


def test_metrics_are_at_their_time(run: Path) -> None:
    found = [(images, value.simple_value) for images, value in values(run, "loss/d")]
    assert found == [(16, 0.25), (32, 0.5), (32, 0.5), (48, 0.75)]
    assert len(values(run, "img_per_s")) == 4


def test_a_resumed_run_overwrites_what_came_after_its_checkpoint(run: Path) -> None:
    starts = [event.step for event in events(run) if event.session_log.status == SessionLog.START]
    assert starts == [1, 17]


def test_a_run_that_goes_back_overwrites_likewise(tmp_path: Path) -> None:
    tracker = TensorBoard(tmp_path, 0, {})
    tracker.scalars(32, {"loss/d": 1.0})
    tracker.rewind(16)
    tracker.scalars(32, {"loss/d": 2.0})
    tracker.close()
    order = [(event.step, event.WhichOneof("what")) for event in events(tmp_path)]
    assert order[-3:] == [(32, "summary"), (17, "session_log"), (32, "summary")]


def test_the_recipe_is_among_the_texts(run: Path) -> None:
    (_, config), _ = values(run, "config")
    text = config.tensor.string_val[0].decode()
    assert text.startswith("    {\n")
    assert '        "lr": 0.1,\n' in text


def test_pictures_are_the_files_themselves(tmp_path: Path) -> None:
    paths = {side: tmp_path / f"{side}.png" for side in (4, 8)}
    for side, path in paths.items():
        save_png(torch.full((3, side, 2 * side), 7 * side, dtype=torch.uint8), path)
    video = tmp_path / "growth.gif"
    frames = [Image.new("RGB", (6, 3), colour) for colour in ("red", "blue")]
    frames[0].save(video, save_all=True, append_images=frames[1:])
    tracker = TensorBoard(tmp_path, 0, {})
    tracker.grids(16, paths)
    tracker.video(32, video)
    tracker.close()
    for side, path in paths.items():
        ((images, value),) = values(tmp_path, f"samples/{side}x{2 * side}")
        assert (images, value.image.width, value.image.height) == (16, 2 * side, side)
        assert value.image.encoded_image_string == path.read_bytes()
    ((images, value),) = values(tmp_path, "growth")
    assert (images, value.image.width, value.image.height) == (32, 6, 3)
    assert value.image.encoded_image_string == video.read_bytes()


def test_alerts_are_among_the_texts(tmp_path: Path) -> None:
    tracker = TensorBoard(tmp_path, 0, {})
    tracker.alert(16, "out of memory", "going on with 4")
    tracker.artifact(16, tmp_path)  # it has no place for checkpoints
    tracker.close()
    ((images, value),) = values(tmp_path, "alerts")
    assert images == 16
    assert value.tensor.string_val[0].decode() == "**out of memory**: going on with 4"
