"""What TensorBoard's event files hold."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tensorboardX.proto.event_pb2 import Event


def events(run: Path) -> Iterator[Any]:
    """The events of a run, session by session. A record: its length (8 bytes), checksum (4), data, checksum (4)."""
    for path in sorted((run / "tensorboard").iterdir(), key=lambda path: path.suffix):
        content, at = path.read_bytes(), 0
        while at < len(content):
            length = int.from_bytes(content[at : at + 8], "little")
            yield Event.FromString(content[at + 12 : at + 12 + length])
            at += 16 + length


def values(run: Path, tag: str) -> list[tuple[int, Any]]:
    """What was written under a name: images shown, value."""
    return [
        (event.step, value)
        for event in events(run)
        for value in event.summary.value
        if value.tag.removesuffix("/text_summary") == tag
    ]
