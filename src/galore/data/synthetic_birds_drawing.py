"""Draws one invented bird: surroundings, the bird part by part, what is in front of it, then light."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, UInt8

from galore.data.synthetic_birds_shapes import BEAK_LENGTHS, BEAKS, TAILS, WINGS
from galore.data.synthetic_birds_skeleton import Skeleton, draw_pose
from galore.data.synthetic_birds_species import GROUPS, KIND_GROUPS, PALETTE, PARTS, Species
from galore.data.synthetic_birds_surroundings import draw_backdrop, draw_occluders, draw_perch
from galore.data.synthetic_canvas import Canvas, Color, as_color, relief, smooth_curve

_LABEL = {part: index + 1 for index, part in enumerate(PARTS)}
_FACE = len(PARTS) + 1
_IN_FRONT = 255


@dataclass(frozen=True)
class Drawing:
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

    @property
    def box(self) -> tuple[float, float, float, float]:
        """The smallest box around the visible bird: x, y, width, height in pixels."""
        rows, columns = np.nonzero(self.part_map)
        if not len(rows):
            return 0.0, 0.0, 0.0, 0.0
        x, y = columns.min(), rows.min()
        return float(x), float(y), float(columns.max() + 1 - x), float(rows.max() + 1 - y)


def draw(species: Species, individual_seed: tuple[int, ...], size: int, replaced: Mapping[str, Species]) -> Drawing:
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
) -> tuple[Float[np.ndarray, "size size 3"], Drawing]:
    """The picture before light falls on it, and the drawing."""
    rng = np.random.default_rng(np.random.SeedSequence(individual_seed))
    plumage = _plumage(rng, species, replaced)
    pose = draw_pose(rng)
    light = rng.normal(size=2)
    light = light / np.linalg.norm(light)
    tint = rng.normal(1.0, 0.07) * (1 + rng.normal(0, 0.035, 3))
    backdrop_rng, perch_rng, front_rng, noise_rng = rng.spawn(4)

    bird = Skeleton(species.shape, pose)
    canvas = Canvas(draw_backdrop(backdrop_rng), size)
    draw_perch(perch_rng, canvas, bird.feet)
    _draw_bird(canvas, bird, plumage)
    draw_occluders(front_rng, canvas, _IN_FRONT)

    shade = relief(canvas.coverage(1, _FACE), (float(light[0]), float(-abs(light[1]))))
    picture = canvas.picture()
    image = picture * shade[..., None] * tint.astype(np.float32)
    image += 3.0 * noise_rng.standard_normal((size, size, 1), np.float32)
    labels = canvas.labels()
    points = (np.floor(bird.points * size) + 0.5).astype(np.float32)
    return picture, Drawing(
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
        return self.values[f"has_{kind}_pattern"], color, contrasting(color)


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


def contrasting(color: Color) -> Color:
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
    contrast = contrasting(colors["has_primary_color"])
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
