"""One drawn cat portrait with its nine CAT points, from a seed. These are drawings, not photographs.

Shapes are signed distances, evaluated at every pixel in the face's own coordinates: the midpoint of the eyes is the
origin, x runs along the eyes, y down, and the outer bases of the ears are near x = -1 and 1 (proportions are medians
over annotated photos). A shape's coverage of a pixel depends on the distance in pixels, so edges are antialiased at any
size and tilt.
"""

import math
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

Coat = Literal["bicolour", "pointed", "solid", "spotted", "tabby"]
COATS: tuple[Coat, ...] = get_args(Coat)

Field = NDArray[np.floating[Any]]  # float32 (H, W), or (H, W, 3) for colors in [0, 1]
Color = tuple[float, float, float]
Point = tuple[float, float]

# Base and mark colors of each coat, sRGB.
FURS: dict[Coat, tuple[tuple[Color, Color], ...]] = {
    "tabby": (
        ((0.62, 0.56, 0.48), (0.20, 0.17, 0.15)),
        ((0.88, 0.62, 0.35), (0.66, 0.36, 0.15)),
        ((0.66, 0.66, 0.66), (0.24, 0.24, 0.26)),
        ((0.80, 0.70, 0.56), (0.50, 0.37, 0.26)),
    ),
    "spotted": (
        ((0.84, 0.66, 0.42), (0.27, 0.17, 0.10)),
        ((0.78, 0.77, 0.75), (0.22, 0.22, 0.24)),
        ((0.72, 0.54, 0.37), (0.36, 0.21, 0.12)),
    ),
    "bicolour": (
        ((0.94, 0.92, 0.89), (0.13, 0.12, 0.12)),
        ((0.95, 0.92, 0.87), (0.82, 0.50, 0.22)),
        ((0.93, 0.92, 0.91), (0.42, 0.44, 0.49)),
        ((0.94, 0.92, 0.89), (0.36, 0.25, 0.18)),
    ),
    "pointed": (
        ((0.92, 0.86, 0.76), (0.25, 0.18, 0.14)),
        ((0.93, 0.90, 0.86), (0.46, 0.45, 0.49)),
        ((0.94, 0.87, 0.78), (0.75, 0.48, 0.30)),
    ),
    "solid": (
        ((0.14, 0.13, 0.14), (0.08, 0.08, 0.09)),
        ((0.43, 0.46, 0.51), (0.36, 0.39, 0.44)),
        ((0.94, 0.93, 0.90), (0.88, 0.86, 0.83)),
        ((0.85, 0.56, 0.28), (0.78, 0.49, 0.23)),
        ((0.37, 0.25, 0.18), (0.30, 0.20, 0.14)),
        ((0.90, 0.78, 0.62), (0.84, 0.71, 0.54)),
    ),
}
IRISES: tuple[Color, ...] = (
    (0.86, 0.66, 0.18),
    (0.62, 0.71, 0.24),
    (0.33, 0.62, 0.38),
    (0.79, 0.47, 0.14),
    (0.55, 0.74, 0.66),
)
BLUE: Color = (0.36, 0.60, 0.87)
NOSES: tuple[Color, ...] = ((0.86, 0.56, 0.54), (0.74, 0.43, 0.38), (0.93, 0.66, 0.63))
DARK_NOSE: Color = (0.20, 0.15, 0.15)
WHITE: Color = (0.96, 0.95, 0.92)


@dataclass(frozen=True)
class Portrait:
    """A drawing and its ground truth."""

    pixels: NDArray[np.uint8]  # (size, size, 3)
    points: tuple[tuple[int, int], ...]  # columns and rows, in the order of `cat_align.POINT_NAMES`
    coat: Coat


def draw(rng: np.random.Generator, size: int) -> Portrait:
    """Draw one portrait of `size` x `size` pixels."""
    coat = COATS[rng.integers(len(COATS))]
    unit = size * rng.uniform(0.19, 0.27)  # pixels: half the distance between the ears
    tilt = rng.normal(0, 0.2)
    center = size * (0.5 + rng.uniform(-0.07, 0.07)), size * (0.5 + rng.uniform(-0.05, 0.06))
    scene = _Scene.of(size, center, tilt, unit)
    face = _Face.of(rng, coat)
    _background(rng, scene)
    fur = _fur(rng, scene, face)
    _body(rng, scene, fur)
    _ears(scene, face, fur)
    _head(scene, face, fur)
    _muzzle(scene, face)
    for side in (-1, 1):
        _eye(scene, face, side)
    _whiskers(rng, scene, face)
    light = rng.uniform(0.86, 1.1) * np.array(
        [1 + rng.normal(0, 0.035), 1, 1 + rng.normal(0, 0.045)], np.float32
    )
    image = scene.image * light + rng.normal(0, 0.010, (size, size, 1)).astype(np.float32)
    pixels = (np.clip(image, 0, 1) * 255 + 0.5).astype(np.uint8)
    cos, sin = math.cos(tilt), math.sin(tilt)
    # The center of pixel i is at i + 0.5.
    points = tuple(
        (
            round(center[0] + unit * (cos * x - sin * y) - 0.5),
            round(center[1] + unit * (sin * x + cos * y) - 0.5),
        )
        for x, y in face.points
    )
    return Portrait(pixels, points, coat)


@dataclass(frozen=True)
class _Scene:
    """The image, and the coordinates of its pixels in the face's frame of reference."""

    image: Field  # (H, W, 3), drawn in place
    x: Field
    y: Field
    unit: float  # pixels per unit of the face's coordinates
    center: tuple[float, float]  # pixels: the origin of the face's coordinates
    tilt: float  # radians

    @staticmethod
    def of(size: int, center: tuple[float, float], tilt: float, unit: float) -> "_Scene":
        row, column = np.mgrid[:size, :size].astype(np.float32) + np.float32(0.5)
        right, down = (column - center[0]) / unit, (row - center[1]) / unit
        cos, sin = math.cos(tilt), math.sin(tilt)
        x, y = cos * right + sin * down, cos * down - sin * right
        image = np.zeros((size, size, 3), np.float32)
        return _Scene(image, x.astype(np.float32), y.astype(np.float32), unit, center, tilt)

    def area(self, x: float, y: float, radius: float) -> tuple[slice, slice]:
        """Rows and columns that contain a disc, given in the face's coordinates."""
        cos, sin = math.cos(self.tilt), math.sin(self.tilt)
        column = self.center[0] + self.unit * (cos * x - sin * y)
        row = self.center[1] + self.unit * (sin * x + cos * y)
        reach = radius * self.unit
        last = self.image.shape[0] - 1  # at least one row and column, for discs outside of the image
        rows = slice(min(last, max(0, int(row - reach))), max(1, int(row + reach) + 1))
        columns = slice(min(last, max(0, int(column - reach))), max(1, int(column + reach) + 1))
        return rows, columns

    def within(self, area: tuple[slice, slice]) -> "_Scene":
        """A part of the scene as views: drawing in it draws in the scene."""
        return replace(self, image=self.image[area], x=self.x[area], y=self.y[area])

    def window(self, x: float, y: float, radius: float) -> "_Scene":
        """The part of the scene that contains a disc, given in the face's coordinates."""
        return self.within(self.area(x, y, radius))

    def fill(self, color: Field | Color, distance: Field, soft: float = 0.0, opacity: float = 1.0) -> None:
        """Fill the area where `distance` < 0 with a color; the edge is one pixel wide, or `soft` units if more."""
        width = max(1 / self.unit, soft)
        cover = np.clip(0.5 - distance / width, 0, 1)[:, :, None] * np.float32(opacity)
        self.image[...] += (np.asarray(color, np.float32) - self.image) * cover


@dataclass(frozen=True)
class _Face:
    """The features in which one cat differs from another."""

    coat: Coat
    base: Color
    mark: Color
    iris: Color
    nose: Color
    muzzle: Color
    inner_ear: Color
    eye_x: float
    eye_half: tuple[float, float]  # half width and half height
    slant: float  # radians: outer corners of the eyes up
    pupil: float  # half width
    gaze: float
    cheek: float
    turn: float  # offset of nose and mouth from the middle
    mouth_y: float
    ear_tip: tuple[float, float]
    ear_skew: float

    @staticmethod
    def of(rng: np.random.Generator, coat: Coat) -> "_Face":
        base, mark = (_vary(rng, color) for color in FURS[coat][rng.integers(len(FURS[coat]))])
        dark = sum(base) < 0.8
        light_muzzle = coat in ("tabby", "spotted") or (coat == "solid" and rng.random() < 0.3)
        muzzle = _mix(base, WHITE, 0.75 if light_muzzle else 0.1)
        if coat == "pointed":
            muzzle = _mix(mark, base, 0.15)
        if coat == "bicolour":
            muzzle = base
        return _Face(
            coat=coat,
            base=base,
            mark=mark,
            iris=_vary(rng, BLUE if coat == "pointed" or rng.random() < 0.08 else _pick(rng, IRISES)),
            nose=_vary(
                rng, DARK_NOSE if dark or (coat == "pointed" and sum(mark) < 1) else _pick(rng, NOSES)
            ),
            muzzle=muzzle,
            inner_ear=_mix(_pick(rng, NOSES), base, 0.25 if not dark else 0.55),
            eye_x=rng.normal(0.45, 0.025),
            eye_half=(rng.uniform(0.19, 0.23), rng.uniform(0.12, 0.18)),
            slant=rng.uniform(0.02, 0.25),
            pupil=rng.uniform(0.02, 0.105),
            gaze=rng.normal(0, 0.02),
            cheek=rng.uniform(0.92, 1.1),
            turn=rng.normal(0, 0.05),
            mouth_y=rng.normal(0.69, 0.035),
            ear_tip=(rng.normal(1.06, 0.07), rng.normal(-1.38, 0.1)),
            ear_skew=rng.normal(0, 0.05),
        )

    def ear(self, side: int) -> tuple[Point, Point, Point]:
        """Outer base, tip and inner base of the ear on one side (-1 is the viewer's left)."""
        skew = self.ear_skew
        tip = side * self.ear_tip[0] + skew, self.ear_tip[1] + side * skew
        return (side * 1.0, -0.38), tip, (side * 0.40, -0.81)

    @property
    def points(self) -> tuple[Point, ...]:
        """The nine points of the CAT annotation in the face's coordinates."""
        left, right = self.ear(-1), self.ear(1)
        return ((-self.eye_x, 0.0), (self.eye_x, 0.0), (self.turn, self.mouth_y), *left, *right[::-1])


@dataclass(frozen=True)
class _Fur:
    """The coat: fields over the scene that all visible parts of the cat share."""

    color: Field  # (H, W, 3)
    strand: Field  # (H, W) in [-1, 1]: strands of hair that run away from the nose

    def within(self, area: tuple[slice, slice]) -> "_Fur":
        return _Fur(self.color[area], self.strand[area])


def _background(rng: np.random.Generator, scene: _Scene) -> None:
    size = scene.image.shape[0]
    hue = np.array(_vary(rng, _pick(rng, BACKGROUNDS)), np.float32)
    ramp = np.linspace(-1, 1, size, dtype=np.float32)
    angle = rng.uniform(0, 2 * math.pi)
    slope = (math.cos(angle) * ramp[None, :] + math.sin(angle) * ramp[:, None])[:, :, None]
    scene.image[...] = hue * (1 + np.float32(rng.uniform(0.05, 0.3)) * slope)
    kind = rng.integers(4)
    if kind == 0:  # lights out of focus
        for _ in range(rng.integers(5, 14)):
            x, y, radius = rng.uniform(-2.4, 2.4), rng.uniform(-2.4, 2.4), rng.uniform(0.12, 0.5)
            light = scene.window(x, y, radius * 1.2)
            distance = np.hypot(light.x - x, light.y - y) - radius
            light.fill(_mix(_pick(rng, BACKGROUNDS), WHITE, 0.35), distance, 0.1, rng.uniform(0.15, 0.5))
    elif kind == 1:  # cloth or boards
        across = scene.x * math.cos(angle) + scene.y * math.sin(angle)
        stripes = np.tanh(3 * np.sin(across * rng.uniform(3, 9)))
        scene.image[...] *= 1 + np.float32(rng.uniform(0.04, 0.14)) * stripes[:, :, None]
    elif kind == 2:  # grass, carpet, clouds
        rough = _noise(rng, scene.x * rng.uniform(1, 5) + 20, scene.y * rng.uniform(1, 5) + 20)
        scene.image[...] *= 1 + np.float32(rng.uniform(0.1, 0.3)) * rough[:, :, None]
    else:  # a wall and a floor
        edge = rng.uniform(0.5, 1.3)
        scene.fill(_vary(rng, _pick(rng, BACKGROUNDS)), edge - scene.y, 0.05)


BACKGROUNDS: tuple[Color, ...] = (
    (0.55, 0.66, 0.74),
    (0.46, 0.58, 0.40),
    (0.72, 0.62, 0.50),
    (0.80, 0.78, 0.74),
    (0.34, 0.33, 0.38),
    (0.62, 0.40, 0.36),
    (0.42, 0.36, 0.30),
    (0.70, 0.60, 0.70),
)


def _fur(rng: np.random.Generator, scene: _Scene, face: _Face) -> _Fur:
    x, y = scene.x - face.turn * 0.5, scene.y
    aside = np.abs(x)
    angle, radius = np.arctan2(y - 0.45, x), np.hypot(x, y - 0.45)
    strand = _noise(rng, angle * 40 + 128, radius * 6)
    warp = _noise(rng, scene.x * 2.3 + 20, scene.y * 2.3 + 20)
    marked: Field = np.zeros_like(x)
    match face.coat:
        case "tabby":
            forehead = _step(-0.12, -0.34, y) * _step(0.85, 0.55, aside)
            spread = 1 + 0.45 * np.clip(-y, 0, 1.5)
            lines = _step(-0.1, 0.55, np.cos(aside / spread * 19 + warp * 0.9))
            cheeks = _step(0.5, 0.68, aside) * _step(-0.45, -0.2, y)
            bars = _step(0.0, 0.6, np.sin(y * 15 - aside * 7 + warp * 1.4))
            back = _step(1.05, 1.3, y) * _step(0.0, 0.5, np.sin(y * 11 + warp * 2))
            marked = np.maximum(np.maximum(forehead * lines, cheeks * bars), back) * 0.85
        case "spotted":
            marked = (
                _dots(rng, scene.x + 0.06 * warp, y, 0.21)
                * _step(0.16, 0.3, np.hypot(x, y - 0.6) - 0.2)
                * 0.9
            )
        case "bicolour":
            blaze = 0.07 + rng.uniform(0.0, 0.1) + 0.45 * _step(-0.55, 0.75, y) + 0.09 * warp
            chest = np.where(y > 1.0, 0.75 + 0.2 * warp, 0)
            marked = _step(-0.02, 0.05, aside - np.maximum(blaze, chest))
            if rng.random() < 0.35:  # a patch over one eye only
                marked = marked * _step(-0.1, 0.1, x * (1 if rng.random() < 0.5 else -1))
        case "pointed":
            mask = np.exp(-(((x / 0.62) ** 2 + ((y - 0.3) / 0.68) ** 2) ** 1.4))
            marked = np.maximum(
                np.clip(mask * 1.15 + 0.1 * warp * mask, 0, 1),
                _step(-0.58, -0.85, y) * _step(0.35, 0.6, aside),
            )
        case "solid":
            marked = 0.5 + 0.5 * warp
    base, mark = np.array(face.base, np.float32), np.array(face.mark, np.float32)
    color = base + (mark - base) * marked[:, :, None].astype(np.float32)
    return _Fur((color * (1 + 0.11 * strand[:, :, None])).astype(np.float32), strand)


def _body(rng: np.random.Generator, scene: _Scene, fur: _Fur) -> None:
    x, y = scene.x, scene.y
    distance = _ellipse(x - rng.normal(0, 0.15), y - 2.1, 1.3, 1.35) + 0.03 * fur.strand
    shadow = 0.60 + 0.35 * _step(0.9, 1.8, y)
    scene.fill(fur.color * shadow[:, :, None], distance, 0.03)
    if rng.random() < 0.25:
        band = np.abs(np.hypot(x, (y - 0.2) * 1.0) - 1.12) - 0.055
        collar = np.maximum(band, np.maximum(distance, 0.6 - y))
        scene.fill(_vary(rng, _pick(rng, COLLARS)), collar)
        bell = scene.window(0, 1.36, 0.2)
        ball = np.hypot(bell.x, bell.y - 1.38)
        bell.fill((0.85, 0.68, 0.25), ball - 0.1)
        bell.fill((0.97, 0.90, 0.60), np.hypot(bell.x + 0.03, bell.y - 1.35) - 0.03, 0.03)


COLLARS: tuple[Color, ...] = ((0.75, 0.15, 0.17), (0.16, 0.36, 0.68), (0.18, 0.50, 0.34), (0.55, 0.25, 0.58))


def _ears(whole: _Scene, face: _Face, whole_fur: _Fur) -> None:
    for side in (-1, 1):
        area = whole.area(side * 0.75, -0.9, 0.95)
        scene, fur = whole.within(area), whole_fur.within(area)
        outer, tip, inner = face.ear(side)
        low, near = (side * 0.92, -0.1), (side * 0.3, -0.6)  # inside the head
        outline = _convex(scene, (outer, tip, inner, near, low), side) + 0.018 * fur.strand
        scene.fill(fur.color * 0.93, outline, 0.02)
        x, y = (outer[0] + inner[0]) / 2, (outer[1] + inner[1]) / 2
        small = tuple(
            (x + 0.66 * (corner_x - x), y + 0.72 * (corner_y - y))
            for corner_x, corner_y in (outer, tip, inner)
        )
        depth = (0.72 + 0.35 * _step(-0.4, -1.2, scene.y))[:, :, None]
        hollow = _convex(scene, small, side) + 0.02 * fur.strand
        scene.fill(np.array(face.inner_ear, np.float32) * depth, hollow, 0.07, 0.9)


def _head(whole: _Scene, face: _Face, whole_fur: _Fur) -> None:
    area = whole.area(0, 0.1, 1.5)
    scene, fur = whole.within(area), whole_fur.within(area)
    x, y = scene.x, scene.y
    distance = _ellipse(x, y, 0.99, 0.90)
    for side in (-1, 1):
        cheek = _ellipse(x - side * 0.47 - face.turn * 0.3, y - 0.42, 0.58 * face.cheek, 0.46)
        distance = _join(distance, cheek, 0.12)
    distance = _join(distance, _ellipse(x - face.turn, y - 0.72, 0.42, 0.36), 0.15)
    shade = 1 - 0.38 * _step(-0.42, 0.02, distance) - 0.05 * y + 0.06 * _step(0.5, 0.0, np.abs(y + 0.35))
    scene.fill(fur.color * shade[:, :, None], distance + 0.02 * fur.strand, 0.035)


def _muzzle(scene: _Scene, face: _Face) -> None:
    part = scene.window(face.turn, 0.6, 0.62)
    x, y = part.x - face.turn, part.y - (face.mouth_y - 0.69)
    bridge = np.maximum(np.abs(x + face.turn * np.clip(0.5 - y, 0, 1)) - 0.10, np.abs(y - 0.17) - 0.2)
    part.fill(_mix(face.muzzle, face.base, 0.4), bridge, 0.16, 0.22)
    pads = np.minimum(_ellipse(x - 0.15, y - 0.61, 0.21, 0.17), _ellipse(x + 0.15, y - 0.61, 0.21, 0.17))
    part.fill(_scale(face.muzzle, 0.86), _ellipse(x, y - 0.80, 0.17, 0.13), 0.10, 0.85)
    part.fill(face.muzzle, pads, 0.10, 0.92)
    line = _scale(_mix(face.nose, face.muzzle, 0.15), 0.45)
    for side in (-1, 1):
        smile = np.abs(np.hypot(x - side * 0.115, y - 0.595) - 0.115) - 0.012
        smile = np.maximum(smile, np.maximum(0.605 - y, -side * x - 0.003))
        part.fill(line, smile, 0.015, 0.85)
    part.fill(line, np.maximum(np.abs(x) - 0.010, np.abs(y - 0.56) - 0.055), 0.015, 0.8)
    nose = _join(_ellipse(x, y - 0.435, 0.125, 0.055), _ellipse(x, y - 0.485, 0.05, 0.055), 0.06)
    part.fill(_scale(face.nose, 0.55), nose - 0.016, 0.03, 0.7)
    part.fill(np.array(face.nose, np.float32) * (1.12 - 1.2 * np.clip(y - 0.40, 0, 0.2))[:, :, None], nose)
    part.fill(_mix(face.nose, WHITE, 0.6), _ellipse(x + 0.02, y - 0.405, 0.06, 0.014), 0.03, 0.6)
    for side in (-1, 1):
        part.fill(_scale(face.nose, 0.35), _ellipse(x - side * 0.062, y - 0.468, 0.026, 0.014), 0.012, 0.85)


def _eye(scene: _Scene, face: _Face, side: int) -> None:
    part = scene.window(side * face.eye_x, 0, 0.42)
    right, down = (part.x - side * face.eye_x) * side, part.y  # right: away from the nose
    cos, sin = math.cos(face.slant), math.sin(face.slant)
    x = cos * right - sin * down
    y = cos * down + sin * right
    half_x, half_y = face.eye_half
    radius = (half_x**2 + half_y**2) / (2 * half_y)
    almond = np.hypot(x, np.abs(y) + radius - half_y) - radius
    dark = _scale(face.mark, 0.30)
    if face.coat in ("tabby", "spotted"):
        part.fill(_mix(face.base, WHITE, 0.45), almond - 0.085, 0.08, 0.45)
    corner = _ellipse(x + half_x, y - 0.02, 0.08, 0.032)
    part.fill(dark, np.minimum(almond - 0.030, corner), 0.02, 0.95)
    away = np.hypot(x - face.gaze * side, y)
    lid_shadow = 0.72 + 0.28 * _step(-half_y, -half_y * 0.1, y)
    glow = np.clip(1.18 - 0.75 * (away / 0.2) ** 2, 0.45, 1.2) * lid_shadow
    part.fill(np.array(face.iris, np.float32) * glow[:, :, None], almond)
    pupil = _ellipse(x - face.gaze * side, y, face.pupil, max(half_y * 0.86, face.pupil))
    part.fill((0.03, 0.03, 0.035), np.maximum(pupil, almond), 0.012)
    light_x, light_y = part.x - side * face.eye_x, part.y
    part.fill((1, 1, 1), np.maximum(np.hypot(light_x + 0.055, light_y + 0.055) - 0.035, almond), 0.012, 0.95)
    part.fill((1, 1, 1), np.maximum(np.hypot(light_x - 0.05, light_y - 0.05) - 0.016, almond), 0.012, 0.5)


def _whiskers(rng: np.random.Generator, scene: _Scene, face: _Face) -> None:
    pale = _mix(face.base, WHITE, 0.85)
    for side in (-1, 1):
        for row in range(int(rng.integers(3, 6))):
            start = 0.57 + 0.045 * row + face.mouth_y - 0.69
            slope, sag = rng.normal(-0.22 + 0.13 * row, 0.05), rng.uniform(0.02, 0.2)
            length = rng.uniform(0.75, 1.2)
            root = face.turn + side * (0.2 + 0.02 * row)
            middle = root + side * length / 2
            part = scene.window(middle, start + slope * length / 2 + sag * length**2 / 2, length * 0.62)
            along = (part.x - root) * side
            bend = slope + 2 * sag * along
            off = np.abs(part.y - start - slope * along - sag * along**2) / np.sqrt(1 + bend**2)
            thick = 0.009 * np.clip(1 - along / length, 0.15, 1)
            part.fill(pale, np.maximum(off - thick, np.maximum(-along, along - length)), 0.010, 0.75)
            dot = scene.window(root, start, 0.03)
            dot.fill(_scale(face.muzzle, 0.5), np.hypot(dot.x - root, dot.y - start) - 0.011, 0.01, 0.6)


def _ellipse(x: Field, y: Field, half_x: float, half_y: float) -> Field:
    """Distance to an ellipse about the origin, exact to first order near its edge."""
    level = np.sqrt((x / half_x) ** 2 + (y / half_y) ** 2) + np.float32(1e-6)
    slope = np.sqrt((x / half_x**2) ** 2 + (y / half_y**2) ** 2) + np.float32(1e-6)
    distance: Field = level * (level - 1) / slope
    return distance


def _convex(scene: _Scene, corners: tuple[Point, ...], side: int) -> Field:
    """Distance to a convex polygon; `side` is the orientation of its corners."""
    distance = np.full_like(scene.x, -np.inf)
    for (ax, ay), (bx, by) in zip(corners, corners[1:] + corners[:1], strict=True):
        length = math.hypot(bx - ax, by - ay)
        inward = side * (by - ay) / length, side * (ax - bx) / length
        distance = np.maximum(distance, (ax - scene.x) * inward[0] + (ay - scene.y) * inward[1])
    return distance


def _join(a: Field, b: Field, blend: float) -> Field:
    """Smooth union of two distances."""
    mix = np.clip(0.5 + 0.5 * (b - a) / blend, 0, 1)
    joined: Field = b + (a - b) * mix - blend * mix * (1 - mix)
    return joined


def _step(start: float, end: float, value: Field) -> Field:
    """Smooth step from 0 at `start` to 1 at `end`, in either order."""
    t = np.clip((value - start) / (end - start), 0, 1)
    smooth: Field = (t * t * (3 - 2 * t)).astype(np.float32)
    return smooth


def _noise(rng: np.random.Generator, x: Field, y: Field) -> Field:
    """Smooth noise in [-1, 1] with one random value per unit square."""
    table = rng.uniform(-1, 1, (256, 256)).astype(np.float32)
    column, row = np.floor(x).astype(np.int32), np.floor(y).astype(np.int32)
    u, v = _step(0, 1, x - column), _step(0, 1, y - row)
    column, right, row, below = column & 255, (column + 1) & 255, (row & 255) << 8, ((row + 1) & 255) << 8
    top = table.take(row + column) * (1 - u) + table.take(row + right) * u
    bottom = table.take(below + column) * (1 - u) + table.take(below + right) * u
    value: Field = top + v * (bottom - top)
    return value


def _dots(rng: np.random.Generator, x: Field, y: Field, cell: float) -> Field:
    """One dot of random position and size in every cell of a grid: 1 inside, 0 outside."""
    places = rng.uniform(0.36, 0.64, (64, 64, 2)).astype(np.float32)
    sizes = rng.uniform(0.12, 0.31, (64, 64)).astype(np.float32)
    gx, gy = x / cell + 32, y / cell + 32
    gx = gx + 0.5 * (np.floor(gy) % 2)
    column, row = np.floor(gx).astype(np.int32), np.floor(gy).astype(np.int32)
    place = places[row & 63, column & 63]
    distance = np.hypot(gx - column - place[:, :, 0], gy - row - place[:, :, 1])
    return _step(0.05, -0.05, distance - sizes[row & 63, column & 63])


def _vary(rng: np.random.Generator, color: Color) -> Color:
    gain = rng.normal(1, 0.07)
    r, g, b = (min(1.0, max(0.0, part * gain + rng.normal(0, 0.012))) for part in color)
    return r, g, b


def _pick(rng: np.random.Generator, colors: tuple[Color, ...]) -> Color:
    return colors[rng.integers(len(colors))]


def _mix(a: Color, b: Color, fraction: float) -> Color:
    r, g, b_ = (p + (q - p) * fraction for p, q in zip(a, b, strict=True))
    return r, g, b_


def _scale(color: Color, gain: float) -> Color:
    return color[0] * gain, color[1] * gain, color[2] * gain
