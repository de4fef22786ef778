"""Draws one invented bird: surroundings, the bird part by part, what is in front of it, then light."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, UInt8

from galore import representation
from galore.data.synthetic.birds_body import BEAK_LENGTHS, BEAKS, TAILS, WINGS, Skeleton, draw_pose
from galore.data.synthetic.birds_species import GROUPS, KIND_GROUPS, PALETTE, PARTS, Species
from galore.data.synthetic.canvas import Canvas, Color, as_color, jitter, relief, smooth_curve, soft_blobs

_LABEL = {part: index + 1 for index, part in enumerate(PARTS)}
_FACE = len(PARTS) + 1
_IN_FRONT = 255


@dataclass(frozen=True)
class BirdDrawing:
    """A bird and what is known of it.

    Attributes:
        image: uint8 [size, size, 3].
        points: float32 [15, 2], x and y in pixels (pixel i covers [i, i + 1)), at pixel centres; for those visible.
        visible: bool [15]: the point is inside the image and nothing covers it.
        part_map: uint8 [size, size]: 0 where there is no bird, 1 + the index in PARTS where a part is on top,
            len(PARTS) + 1 on the face, which belongs to no part.
        values: the value of every attribute group that this bird has.
    """

    image: UInt8[np.ndarray, "size size 3"]
    points: Float[np.ndarray, "15 2"]
    visible: Bool[np.ndarray, "15"]
    part_map: UInt8[np.ndarray, "size size"]
    values: Mapping[str, str]

    __repr__ = representation.fields

    @property
    def box(self) -> tuple[float, float, float, float]:
        """The smallest box around the visible bird: x, y, width, height in pixels."""
        rows, columns = np.nonzero(self.part_map)
        if not len(rows):
            return 0.0, 0.0, 0.0, 0.0
        x, y = columns.min(), rows.min()
        return float(x), float(y), float(columns.max() + 1 - x), float(rows.max() + 1 - y)


def draw(species: Species, individual_seed: tuple[int, ...], size: int, replaced: Mapping[str, Species]) -> BirdDrawing:
    """Draws one bird.

    Args:
        species: what it is.
        individual_seed: everything that is its own: pose, light, surroundings, and where it stands within its
            species' variation. None of it depends on the species.
        size: side of the image in pixels.
        replaced: for a kind of part, the species that it is taken from instead.
    """
    picture, drawing = _draw(species, individual_seed, size, replaced)
    if not replaced:
        return drawing
    # A new shape would shade what lies around it a little otherwise; only what was painted anew may change.
    original_picture, original = _draw(species, individual_seed, size, {})
    same = (picture == original_picture).all(-1, keepdims=True)
    return dataclasses.replace(drawing, image=np.where(same, original.image, drawing.image))


def _draw(
    species: Species, individual_seed: tuple[int, ...], size: int, replaced: Mapping[str, Species]
) -> tuple[Float[np.ndarray, "size size 3"], BirdDrawing]:
    """The picture before light falls on it, and the drawing."""
    rng = np.random.default_rng(np.random.SeedSequence(individual_seed))
    plumage = _plumage(rng, species, replaced)
    pose = draw_pose(rng)
    light = rng.normal(size=2)
    light = light / np.linalg.norm(light)
    tint = rng.normal(1.0, 0.07) * (1 + rng.normal(0, 0.035, 3))
    backdrop_rng, perch_rng, front_rng, noise_rng = rng.spawn(4)

    bird = Skeleton(species.shape, pose)
    canvas = Canvas(_draw_backdrop(backdrop_rng), size)
    _draw_perch(perch_rng, canvas, bird.feet)
    _draw_bird(canvas, bird, plumage)
    _draw_occluders(front_rng, canvas, _IN_FRONT)

    shade = relief(canvas.coverage(1, _FACE), (float(light[0]), float(-abs(light[1]))))
    picture = canvas.picture()
    image = picture * shade[..., None] * tint.astype(np.float32)
    image += 3.0 * noise_rng.standard_normal((size, size, 1), np.float32)
    labels = canvas.labels()
    points = (np.floor(bird.points * size) + 0.5).astype(np.float32)
    return picture, BirdDrawing(
        image=np.clip(image + 0.5, 0, 255).astype(np.uint8),
        points=points,
        visible=_visible(labels, points),
        part_map=np.where(labels == _IN_FRONT, 0, labels).astype(np.uint8),
        values=plumage.values,
    )


def _visible(labels: np.ndarray, points: np.ndarray) -> np.ndarray:
    size = len(labels)
    columns, rows = np.floor(points).astype(int).T
    inside = (columns >= 0) & (columns < size) & (rows >= 0) & (rows < size)
    on_top = labels[rows.clip(0, size - 1), columns.clip(0, size - 1)]
    return inside & (on_top == np.arange(1, len(PARTS) + 1))


@dataclass(frozen=True)
class _Plumage:
    values: dict[str, str]
    colors: dict[str, Color]

    def pattern(self, kind: str) -> tuple[str, Color, Color]:
        """The pattern of a kind of part, its colour and the pattern's own colour."""
        color = self.colors["has_upper_tail_color" if kind == "tail" else f"has_{kind}_color"]
        return self.values[f"has_{kind}_pattern"], color, _contrasting(color)


def _plumage(rng: np.random.Generator, species: Species, replaced: Mapping[str, Species]) -> _Plumage:
    owner = {group: other for kind, other in replaced.items() for group in KIND_GROUPS[kind]}
    values, colors = {}, {}
    uniforms = rng.random(len(GROUPS))
    shifts = rng.normal(0, 11, (len(GROUPS), 1)) + rng.normal(0, 5, (len(GROUPS), 3))
    for group, uniform, shift in zip(GROUPS, uniforms, shifts):
        values[group] = owner.get(group, species).value(group, float(uniform))
        if group.endswith("_color"):
            colors[group] = as_color(np.asarray(PALETTE[values[group]]) + shift)
    return _Plumage(values, colors)


def _contrasting(color: Color) -> Color:
    """A dark relative of a light colour, a light relative of a dark one."""
    values = np.asarray(color, float)
    return as_color(values * 0.35 if values.mean() > 105 else values * 0.35 + 150)


def _draw_bird(canvas: Canvas, bird: Skeleton, plumage: _Plumage) -> None:
    near, far = ("right", "left") if bird.pose.faces_right else ("left", "right")
    _draw_leg(canvas, bird, plumage, 0.55, _LABEL[f"{far} leg"])
    if bird.pose.both_wings:
        _draw_wing(canvas, bird, plumage, bird.wing_angle - 0.45, _LABEL[f"{far} wing"])
    _draw_tail(canvas, bird, plumage)
    _draw_leg(canvas, bird, plumage, 0.0, _LABEL[f"{near} leg"])
    _draw_beak(canvas, bird, plumage)
    _draw_body(canvas, bird, plumage)
    _draw_head(canvas, bird, plumage, _LABEL[f"{near} eye"])
    _draw_wing(canvas, bird, plumage, bird.wing_angle, _LABEL[f"{near} wing"])


def _draw_leg(canvas: Canvas, bird: Skeleton, plumage: _Plumage, behind: float, label: int) -> None:
    color = plumage.colors["has_leg_color"]
    leg = bird.leg(behind)
    forward = bird.place(np.array([[-0.5, 0.08], [0.0, 0.0], [0.35, 0.08]])) - bird.place(np.zeros((1, 2)))
    canvas.line(leg, 0.17 * bird.unit, color, label)
    canvas.line(leg[2] + forward, 0.14 * bird.unit, color, label)


def _draw_tail(canvas: Canvas, bird: Skeleton, plumage: _Plumage) -> None:
    angle, length = bird.pose.body + bird.pose.tail, bird.shape.tail_length + 0.5
    pattern, color, other = plumage.pattern("tail")
    outline = np.array(TAILS[plumage.values["has_tail_shape"]]) * [length, 1.0]
    canvas.polygon(bird.along(bird.rump, angle, outline), color, _LABEL["tail"])
    under = np.where(outline[:, 1:] > 0, outline, outline * [1, 0.0] + [0, 0.2])
    canvas.polygon(bird.along(bird.rump, angle, under), plumage.colors["has_under_tail_color"], _LABEL["tail"])
    half_width = np.interp([0.45, 0.6, 0.75, 0.9], *np.array([(0, 0.42), (1.0, 0.6)]).T)
    if pattern == "striped":
        for x, y in zip((0.45, 0.6, 0.75, 0.9), half_width):
            canvas.line(
                bird.along(bird.rump, angle, np.array([(x * length, -y), (x * length, y)])), 0.2 * bird.unit, other
            )
    if pattern == "spotted":
        for x, y in zip((0.45, 0.6, 0.75, 0.9), half_width):
            for side in (-0.5, 0.5):
                center = bird.along(bird.rump, angle, np.array([(x * length, side * y)]))[0]
                canvas.disc(center, 0.14 * bird.unit, other)
    if pattern == "multi-colored":
        band = np.array([(0.72 * length, -0.56), (0.9 * length, -0.6), (0.9 * length, 0.6), (0.72 * length, 0.56)])
        canvas.polygon(bird.along(bird.rump, angle, band), other)


def _draw_beak(canvas: Canvas, bird: Skeleton, plumage: _Plumage) -> None:
    color, label = plumage.colors["has_bill_color"], _LABEL["beak"]
    length = BEAK_LENGTHS[plumage.values["has_bill_length"]]
    upper = np.array(BEAKS[plumage.values["has_bill_shape"]], float) * [length, 1.0]
    gape = np.array([(0.0, 0.06), (0.75 * length, 0.08)])
    # The beak points away from the body, so its frame is turned round; mirroring y keeps up upwards.
    angle, mirror = np.pi + bird.pose.head, np.array([1.0, -1.0])
    canvas.polygon(bird.along(bird.beak_root, angle, upper * mirror), color, label)
    canvas.line(bird.along(bird.beak_root, angle, gape * mirror), 0.08 * bird.unit, as_color(np.asarray(color) * 0.6))


def _draw_body(canvas: Canvas, bird: Skeleton, plumage: _Plumage) -> None:
    colors = plumage.colors
    canvas.polygon(bird.patch(0, 1, -1, 1), colors["has_primary_color"], _FACE)
    canvas.polygon(bird.patch(0.5, 1, -1, 0.1), colors["has_belly_color"], _LABEL["belly"])
    canvas.polygon(bird.patch(0.3, 0.55, -1, 0.1), colors["has_breast_color"], _LABEL["breast"])
    canvas.polygon(bird.patch(0.36, 1, 0.05, 1), colors["has_back_color"], _LABEL["back"])
    _draw_pattern(canvas, bird, plumage, "belly", np.linspace(0.58, 0.88, 6), np.linspace(-0.85, -0.1, 4))
    _draw_pattern(canvas, bird, plumage, "breast", np.linspace(0.33, 0.52, 4), np.linspace(-0.85, -0.05, 5))
    _draw_pattern(canvas, bird, plumage, "back", np.linspace(0.42, 0.9, 8), np.linspace(0.3, 0.9, 3))


def _draw_pattern(
    canvas: Canvas, bird: Skeleton, plumage: _Plumage, kind: str, along: np.ndarray, across: np.ndarray
) -> None:
    """Spots, streaks along the body or a patch, on a grid of body coordinates that stays inside the part."""
    pattern, _, color = plumage.pattern(kind)
    if pattern == "spotted":
        for row, s in enumerate(across):
            for t in along[row % 2 :: 2]:
                canvas.disc(bird.at(t, s), 0.15 * bird.unit, color)
    if pattern == "striped":
        for s in across:
            for t0, t1 in zip(along[:-1:2], along[1::2]):
                canvas.line(bird.at(np.array([t0, t1]), np.array([s, s])), 0.15 * bird.unit, color)
    if pattern == "multi-colored":
        middle = along[len(along) // 2]
        canvas.polygon(bird.patch(middle, along[-1], across[0], across[-1]), color)


def _draw_head(canvas: Canvas, bird: Skeleton, plumage: _Plumage, eye_label: int) -> None:
    colors, pattern = plumage.colors, plumage.values["has_head_pattern"]
    if pattern == "crested":
        crest = np.concatenate(
            [bird.at(np.array([0.07, 0.15, 0.24]), np.full(3, 0.8)), bird.at(np.array([0.3]), np.array([2.1]))]
        )
        canvas.polygon(crest, colors["has_crown_color"], _LABEL["crown"])
    canvas.polygon(bird.patch(0.05, 0.27, -1, -0.42), colors["has_throat_color"], _LABEL["throat"])
    canvas.polygon(bird.patch(0.24, 0.37, 0.25, 1), colors["has_nape_color"], _LABEL["nape"])
    canvas.polygon(bird.patch(0.075, 0.25, 0.45, 1), colors["has_crown_color"], _LABEL["crown"])
    canvas.polygon(bird.patch(0.0, 0.085, 0.1, 1), colors["has_forehead_color"], _LABEL["forehead"])
    contrast = _contrasting(colors["has_primary_color"])
    if pattern == "masked":
        canvas.polygon(bird.patch(0.03, 0.2, -0.1, 0.42), contrast, _FACE)
    if pattern == "eyebrow":
        canvas.line(bird.at(np.linspace(0.05, 0.22, 6), np.full(6, 0.5)), 0.18 * bird.unit, contrast, _FACE)
    radius = bird.shape.eye_radius * bird.unit
    if pattern == "eyering":
        canvas.disc(bird.eye, 1.5 * radius, contrast, _FACE)
    canvas.disc(bird.eye, radius, colors["has_eye_color"], eye_label)
    canvas.disc(bird.eye, 0.62 * radius, (16, 14, 16))
    canvas.disc(bird.eye + np.array([-0.25, -0.3]) * radius, 0.24 * radius, (250, 250, 250))


def _draw_wing(canvas: Canvas, bird: Skeleton, plumage: _Plumage, angle: float, label: int) -> None:
    pattern, color, other = plumage.pattern("wing")
    scale = np.array([bird.shape.wing_length, 1.75])

    def place(corners: list) -> np.ndarray:
        return bird.along(bird.shoulder, angle, np.array(corners) * scale)

    outline = smooth_curve(place(WINGS[plumage.values["has_wing_shape"]]))
    canvas.polygon(outline, color, label)
    if pattern == "multi-colored":
        canvas.polygon(place([(0.5, -0.36), (0.85, -0.24), (0.95, 0.0), (0.85, 0.16), (0.55, 0.4)]), other)
    feather = as_color(np.asarray(other if pattern == "multi-colored" else color, float) * 0.72)
    for y in (-0.14, 0.06, 0.26):
        canvas.line(place([(0.5, y * 1.3), (0.72, y), (0.9, y * 0.5 + 0.01)]), 0.09 * bird.unit, feather)
    if pattern == "striped":
        for x in (0.3, 0.48):
            canvas.line(place([(x - 0.04, -0.32), (x + 0.04, 0.02), (x, 0.36)]), 0.24 * bird.unit, other)
    if pattern == "spotted":
        for x, y in (
            (0.2, -0.2),
            (0.22, 0.1),
            (0.38, -0.28),
            (0.4, 0.0),
            (0.38, 0.28),
            (0.56, -0.2),
            (0.58, 0.12),
            (0.72, -0.06),
        ):
            canvas.disc(place([(x, y)])[0], 0.17 * bird.unit, other)
    canvas.line(np.concatenate([outline, outline[:1]]), 0.06 * bird.unit, as_color(np.asarray(color, float) * 0.7))


_BACKDROPS = {
    "foliage": ((112, 142, 84), (70, 98, 58), [(150, 176, 102), (62, 92, 48), (190, 200, 130), (214, 220, 190)]),
    "sky": ((138, 176, 214), (204, 218, 226), [(232, 236, 238), (196, 212, 226), (214, 224, 232)]),
    "meadow": ((196, 206, 180), (128, 146, 76), [(150, 164, 84), (206, 188, 104), (110, 132, 70), (196, 166, 178)]),
    "water": ((156, 180, 190), (92, 128, 146), [(120, 152, 166), (178, 198, 204), (86, 116, 130)]),
    "bark": ((120, 104, 88), (86, 72, 60), [(146, 126, 104), (74, 62, 52), (132, 128, 96), (98, 84, 70)]),
    "snow": ((206, 214, 224), (228, 230, 234), [(190, 200, 212), (238, 240, 242), (170, 178, 186)]),
    "dusk": ((206, 162, 138), (138, 112, 122), [(226, 186, 150), (120, 98, 112), (180, 138, 128)]),
    "sand": ((206, 196, 172), (186, 164, 126), [(214, 200, 166), (166, 146, 112), (196, 180, 150)]),
}  # fmt: skip
"""Name: colour at the top, at the bottom, colours of what is out of focus."""

_LEAVES = ((86, 128, 58), (122, 150, 66), (64, 98, 52), (168, 156, 70), (150, 92, 52))


def _draw_backdrop(rng: np.random.Generator) -> UInt8[np.ndarray, "64 64 3"]:
    """A soft backdrop of one of a few habitats; it says nothing about the species."""
    top, bottom, blobs = _BACKDROPS[str(rng.choice(list(_BACKDROPS)))]
    shift = rng.normal(0, 9, 3) + rng.normal(0, 10)
    count = int(rng.integers(6, 22))
    return soft_blobs(
        rng, np.array(top) + shift, np.array(bottom) + shift, np.array(blobs) + shift, rng.uniform(1.4, 4), count
    )


def _draw_perch(rng: np.random.Generator, canvas: Canvas, feet: Float[np.ndarray, "2"]) -> None:
    """A branch, a rock or the ground, under the feet."""
    kind = rng.random()
    if kind < 0.62:
        _branch(rng, canvas, feet)
    elif kind < 0.8:
        color = jitter(rng, (128, 122, 114), 22)
        width, height = rng.uniform(0.25, 0.45), rng.uniform(0.14, 0.3)
        angle = np.linspace(0, np.pi, 14)
        bumps = 1 + rng.normal(0, 0.05, 14)
        top = np.stack([feet[0] - np.cos(angle) * width * bumps, feet[1] + height - np.sin(angle) * height * bumps], 1)
        top[:, 1] += 0.02
        canvas.polygon(np.concatenate([top, [[top[-1, 0], 1.3], [top[0, 0], 1.3]]]), color)
        canvas.polygon(top[2:12] * [1, 1] + [0.0, 0.02], as_color(np.asarray(color) * 1.12))
    else:
        _ground(rng, canvas, feet)


def _branch(rng: np.random.Generator, canvas: Canvas, feet: np.ndarray) -> None:
    color, width, slope = jitter(rng, (104, 82, 62), 18), rng.uniform(0.03, 0.06), rng.normal(0, 0.18)
    x = np.linspace(-0.1, 1.1, 9)
    y = feet[1] + width / 2 + slope * (x - feet[0]) + rng.normal(0, 0.35) * (x - feet[0]) ** 2
    line = smooth_curve(np.stack([x, y], 1), steps=4, closed=False)
    canvas.line(line, width, color)
    canvas.line(line - [0, width * 0.22], width * 0.25, as_color(np.asarray(color) * 1.22))
    for _ in range(int(rng.integers(0, 4))):
        start = line[int(rng.integers(4, 29))]
        tip = start + np.array([rng.normal(0, 0.12), rng.choice([-1, 1]) * rng.uniform(0.1, 0.25)])
        canvas.line(np.stack([start, tip]), width * 0.3, color)
        _leaf(rng, canvas, tip, rng.uniform(0.08, 0.14))


def _ground(rng: np.random.Generator, canvas: Canvas, feet: np.ndarray) -> None:
    color = jitter(rng, np.array([(124, 128, 76), (170, 152, 116), (146, 134, 120)])[rng.integers(3)], 14)
    x = np.linspace(0, 1, 9)
    top = np.stack([x, feet[1] + rng.normal(0, 0.008, 9) - 0.01], 1)
    canvas.polygon(np.concatenate([top, [[1, 1], [0, 1]]]), color)
    for _ in range(int(rng.integers(6, 16))):
        at = np.array([rng.random(), feet[1] + rng.uniform(0.02, 0.3)])
        tip = at + np.array([rng.normal(0, 0.02), -rng.uniform(0.02, 0.06)])
        canvas.line(np.stack([at, tip]), 0.008, jitter(rng, color, 24))


def _leaf(
    rng: np.random.Generator, canvas: Canvas, at: Float[np.ndarray, "2"], length: float, label: int | None = None
) -> None:
    angle, color = rng.uniform(0, 2 * np.pi), jitter(rng, _LEAVES[rng.integers(len(_LEAVES))], 14)
    t = np.linspace(0, 1, 7)
    half = 0.22 * np.sin(np.pi * t)
    outline = np.concatenate([np.stack([t, half], 1), np.stack([t, -half], 1)[::-1]]) - [0.5, 0]
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]]) * length
    canvas.polygon(outline @ turn + at, color, label)
    canvas.line(np.array([[-0.5, 0.0], [0.5, 0.0]]) @ turn + at, 0.006, as_color(np.asarray(color) * 0.8))


def _draw_occluders(rng: np.random.Generator, canvas: Canvas, label: int) -> None:
    """Leaves, twigs or blades of grass in front, in some of the images."""
    kind = rng.random()
    if kind < 0.25:
        for _ in range(int(rng.integers(1, 5))):
            _leaf(rng, canvas, rng.uniform(0.1, 0.9, 2), rng.uniform(0.14, 0.3), label)
    elif kind < 0.37:
        x, lean = rng.uniform(0.1, 0.9), rng.normal(0, 0.25)
        line = np.array([[x - lean, 1.05], [x, 0.5], [x + lean * 0.7, -0.05]])
        canvas.line(line, rng.uniform(0.02, 0.045), jitter(rng, (98, 80, 60), 16), label)
    elif kind < 0.5:
        for _ in range(int(rng.integers(2, 7))):
            x, lean, height = rng.uniform(0, 1), rng.normal(0, 0.12), rng.uniform(0.25, 0.75)
            blade = np.array(
                [[x - 0.012, 1.02], [x + lean * 0.4, 1 - height * 0.6], [x + lean, 1 - height], [x + 0.012, 1.02]]
            )
            canvas.polygon(blade, jitter(rng, _LEAVES[rng.integers(4)], 16), label)
