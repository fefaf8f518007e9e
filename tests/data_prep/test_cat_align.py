import math

import numpy as np
import pytest

from data_prep import cat_align
from data_prep.crop import crop_and_resize

# A face in its own frame: middle of the eyes at the origin, ears 2 apart.
FACE = (
    (-0.45, 0),
    (0.45, 0),
    (0, 0.68),
    (-1, -0.4),
    (-1.1, -1.4),
    (-0.4, -0.8),
    (0.4, -0.8),
    (1.1, -1.4),
    (1, -0.4),
)


def annotate(angle: float, scale: float, x: float, y: float) -> list[tuple[float, float]]:
    """The face turned by `angle` with its eyes' middle at the middle of pixel (x, y)."""
    cos, sin = math.cos(angle), math.sin(angle)
    return [(x + scale * (cos * u - sin * v), y + scale * (sin * u + cos * v)) for u, v in FACE]


def line(points: list[tuple[float, float]]) -> bytes:
    return " ".join(["9", *(str(number) for point in points for number in point)]).encode()


@pytest.mark.parametrize("angle", [0.0, 0.4, -1.2, 1.9, 3.0, -2.5])
def test_the_square_follows_the_face(angle: float) -> None:
    square = cat_align.face_square(cat_align.parse(line(annotate(angle, 90, 300, 250))), 640, 480)
    assert square.side == pytest.approx(180)
    assert math.remainder(square.angle - angle, 2 * math.pi) == pytest.approx(0, abs=1e-9)
    # The middle of the eyes, seen from the square's upper left corner.
    dx, dy = 300.5 - square.x, 250.5 - square.y
    across = (dx * math.cos(angle) + dy * math.sin(angle)) / square.side + 0.5
    down = (dy * math.cos(angle) - dx * math.sin(angle)) / square.side + 0.5
    assert (across, down) == pytest.approx((0.5, 0.4))


@pytest.mark.parametrize("angle", [0.0, 0.7, -2.0])
def test_swapped_eyes_give_the_same_square(angle: float) -> None:
    points = annotate(angle, 80, 320, 240)
    expected = cat_align.face_square(cat_align.parse(line(points)), 640, 480)
    eyes_swapped = [points[1], points[0], *points[2:]]
    sides_swapped = [points[1], points[0], points[2], *points[8:5:-1], *points[5:2:-1]]
    for other in (eyes_swapped, sides_swapped):
        square = cat_align.face_square(cat_align.parse(line(other)), 640, 480)
        assert (square.x, square.y, square.side) == pytest.approx((expected.x, expected.y, expected.side))
        assert math.remainder(square.angle - expected.angle, 2 * math.pi) == pytest.approx(0, abs=1e-9)


def test_the_side_is_measured_along_the_eyes() -> None:
    points = annotate(0.6, 100, 320, 240)
    x, y = points[8]
    points[8] = x - 50 * math.sin(0.6), y + 50 * math.cos(0.6)  # one ear lower: square to the eyes
    assert cat_align.face_square(cat_align.parse(line(points)), 640, 480).side == pytest.approx(200)


@pytest.mark.parametrize("angle", [0.0, 0.5, -2.2])
def test_eyes_arrive_where_they_belong(angle: float) -> None:
    points = [(round(x), round(y)) for x, y in annotate(angle, 120, 330, 270)]
    photo = np.zeros((540, 660, 3), np.uint8)
    for x, y in points[:2]:
        photo[y - 4 : y + 5, x - 4 : x + 5] = 255
    image = crop_and_resize(photo, cat_align.face_square(cat_align.parse(line(points)), 660, 540), 100)[
        0
    ].float()
    for half, expected in ((image[:, :50], 27.5), (image[:, 50:], 22.5)):
        down, across = np.indices(half.shape) + 0.5
        weight = half.numpy() / half.sum().item()
        assert (down * weight).sum() == pytest.approx(40, abs=0.4)
        assert (across * weight).sum() == pytest.approx(expected, abs=0.4)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "holds 0 numbers"),
        (b"278 256 66 61", "holds 4 numbers"),
        (b"nine cats", "not a line of numbers"),
        (b"\xff\xfe9 1", "not a line of numbers"),
        (line(annotate(0, 90, 300, 250)).replace(b"9 ", b"8 ", 1), "holds 19 numbers"),
        (b"9 nan " + b"1 " * 17, "not finite"),
        (b"9 " + b"1 " * 5000, "holds"),
    ],
)
def test_a_bad_annotation_says_why(data: bytes, reason: str) -> None:
    with pytest.raises(cat_align.BadAnnotationError, match=reason):
        cat_align.parse(data)


@pytest.mark.parametrize(
    ("points", "reason"),
    [
        (annotate(0, 90, 700, 250), "outside of the photo"),
        (annotate(0, 0, 300, 250), "both eyes at the same point"),
        ([*annotate(0, 90, 300, 250)[:3], *[(300.0, 100.0)] * 6], "0 pixels apart"),
        ([*annotate(0, 90, 300, 250)[:3], *[(-90000.0, 100.0)] * 5, (300.0, 100.0)], "90300 pixels apart"),
    ],
)
def test_an_impossible_face_says_why(points: list[tuple[float, float]], reason: str) -> None:
    with pytest.raises(cat_align.BadAnnotationError, match=reason):
        cat_align.face_square(cat_align.parse(line(points)), 640, 480)
