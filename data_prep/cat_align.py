"""The CAT annotation and the square around a cat's face.

Zhang, Sun and Tang, "Cat Head Detection", ECCV 2008: nine points per photo in `NAME.jpg.cat`, as one line: the count,
then x y pairs in pixels of the photo as a viewer shows it.
"""

import math
from dataclasses import dataclass

from data_prep.crop import Square

Point = tuple[float, float]

POINT_NAMES = (
    "left eye",
    "right eye",
    "mouth",
    "left ear 1",
    "left ear 2",
    "left ear 3",
    "right ear 1",
    "right ear 2",
    "right ear 3",
)
MAX_BYTES = 4096  # of an annotation file; real ones have about 60


class BadAnnotationError(ValueError):
    """The annotation cannot be used; the message says why."""


@dataclass(frozen=True)
class Annotation:
    """The points that a crop needs, in pixels (x right, y down); integers are pixel centers."""

    eyes: tuple[Point, Point]
    mouth: Point
    left_ear_1: Point  # outer base of one ear
    right_ear_3: Point  # outer base of the other


def parse(data: bytes) -> Annotation:
    """Read the bytes of a `.cat` file.

    Raises:
        BadAnnotationError: not the count 9 followed by nine pairs of finite numbers.

    """
    try:
        numbers = [float(word) for word in data[:MAX_BYTES].decode("ascii").split()]
    except ValueError:
        raise BadAnnotationError("the annotation is not a line of numbers") from None
    expected = 2 * len(POINT_NAMES)
    if len(numbers) != 1 + expected or numbers[0] != len(POINT_NAMES) or len(data) > MAX_BYTES:
        raise BadAnnotationError(
            f"the annotation holds {len(numbers)} numbers instead of the count {len(POINT_NAMES)} "
            f"and {expected} coordinates"
        )
    if not all(math.isfinite(number) for number in numbers):
        raise BadAnnotationError("the annotation holds a coordinate that is not finite")
    points = dict(zip(POINT_NAMES, zip(numbers[1::2], numbers[2::2], strict=True), strict=True))
    return Annotation(
        (points["left eye"], points["right eye"]),
        points["mouth"],
        points["left ear 1"],
        points["right ear 3"],
    )


def face_square(annotation: Annotation, width: int, height: int) -> Square:
    """The square around the face in a photo of `width` x `height`.

    Its x axis runs along the eyes, with the mouth below them (if the annotation has the eyes in the other order, they
    are swapped). Its side is the distance between `left ear 1` and `right ear 3` along that axis. The midpoint of the
    eyes is at (0.5, 0.4) of the square.

    Raises:
        BadAnnotationError: an eye outside of the photo, both eyes at the same point, or ears with no distance.

    """
    (ax, ay), (bx, by) = annotation.eyes
    if not all(0 <= x < width and 0 <= y < height for x, y in annotation.eyes):
        raise BadAnnotationError(f"the annotation has an eye outside of the photo of {width} x {height}")
    middle_x, middle_y = (ax + bx) / 2 + 0.5, (ay + by) / 2 + 0.5
    dx, dy = bx - ax, by - ay
    if dx == dy == 0:
        raise BadAnnotationError("the annotation has both eyes at the same point")
    # The eye axis, rotated by +90 degrees (x right, y down), must point to the mouth's side.
    if dx * (annotation.mouth[1] - ay) - dy * (annotation.mouth[0] - ax) < 0:
        dx, dy = -dx, -dy
    angle = math.atan2(dy, dx)
    (lx, ly), (rx, ry) = annotation.left_ear_1, annotation.right_ear_3
    side = abs((rx - lx) * math.cos(angle) + (ry - ly) * math.sin(angle))
    if not 0 < side <= 2 * math.hypot(width, height):
        raise BadAnnotationError(
            f"the annotated ears are {side:.0f} pixels apart in a photo of {width} x {height}"
        )
    # The square's center is 0.1 of its side below the eyes, along its own y axis.
    return Square(
        middle_x - 0.1 * side * math.sin(angle), middle_y + 0.1 * side * math.cos(angle), side, angle
    )
