"""Draws one invented scene: a few planes (sky, wall, floor, grass...) and objects on them, each with its mask."""

from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Float, UInt8

from galore.data.synthetic_canvas import Canvas, Color, as_color, jitter, soft_blobs

OBJECTS = (
    "wall", "building, edifice", "sky", "floor, flooring", "tree", "road, route", "bed", "windowpane, window", "grass",
    "cabinet", "door, double door", "table", "mountain, mount", "plant, flora, plant life", "curtain", "chair",
    "car, auto, automobile", "water", "painting, picture", "sofa, couch, lounge", "shelf", "sea", "mirror",
    "rug, carpet, carpeting", "fence, fencing", "rock, stone", "lamp", "bathtub", "sand", "sink", "boat", "stove",
    "toilet", "streetlight, street lamp", "book", "flower", "sidewalk, pavement",
)  # fmt: skip
"""Names after ADE20K's; object k is number k + 1 in a mask."""

LABEL = {name.split(",")[0]: index + 1 for index, name in enumerate(OBJECTS)}

Draw = Callable[[np.random.Generator, Canvas, float], None]


def rectangle(x0: float | int, y0: float | int, x1: float | int, y1: float | int) -> Float[np.ndarray, "4 2"]:
    """The corners of an upright rectangle."""
    return np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]], float)


def darker(color: Color, factor: float = 0.75) -> Color:
    """The same colour with less light, or with more where `factor` exceeds 1."""
    return as_color(np.asarray(color, float) * factor)


def pick(rng: np.random.Generator, colors: Sequence[Color], amount: float | int = 12) -> Color:
    return jitter(rng, colors[int(rng.integers(len(colors)))], amount)


_WALLS = ((214, 204, 188), (186, 200, 206), (196, 206, 180), (222, 196, 176), (176, 170, 190))
_WOODS = ((146, 104, 66), (112, 78, 52), (186, 146, 100), (92, 72, 62), (206, 200, 190))
_PAINTS = ((176, 72, 66), (72, 104, 150), (92, 132, 96), (208, 176, 98), (140, 98, 140), (208, 206, 200))
_GREENS = ((72, 118, 58), (96, 138, 66), (58, 98, 62), (122, 142, 62))
_STONES = ((138, 132, 126), (160, 150, 136), (112, 110, 112))


def indoors(rng: np.random.Generator, canvas: Canvas) -> float:
    """A wall and a floor; returns the height of the line between them."""
    horizon = rng.uniform(0.58, 0.72)
    canvas.polygon(rectangle(0, 0, 1, 1), pick(rng, _WALLS), LABEL["wall"])
    floor = pick(rng, _WOODS + _STONES)
    canvas.polygon(rectangle(0, horizon, 1, 1), floor, LABEL["floor"])
    for x in np.linspace(-0.6, 1.6, 12):
        canvas.line(np.array([[0.5 + (x - 0.5) * 0.6, horizon], [x, 1.0]]), 0.005, darker(floor, 0.9))
    canvas.line(np.array([[0, horizon], [1, horizon]]), 0.012, (236, 232, 226))
    return horizon


def outdoors(rng: np.random.Generator, canvas: Canvas) -> float:
    """A sky over nothing yet; returns the height of the horizon."""
    horizon = rng.uniform(0.42, 0.58)
    canvas.mark(rectangle(0, 0, 1, 1), LABEL["sky"])
    return horizon


def backdrop(rng: np.random.Generator) -> UInt8[np.ndarray, "64 64 3"]:
    """A sky with clouds."""
    top = np.array([(116, 160, 214), (150, 176, 204), (216, 178, 158)])[rng.integers(3)] + rng.normal(0, 10, 3)
    clouds = np.array([(240, 242, 244), (222, 228, 234)])
    return soft_blobs(rng, top, top * 0.4 + 140, clouds, rng.uniform(2, 4), int(rng.integers(0, 10)))


def _ground(name: str, colors: Sequence[Color], top: float = 0.0) -> Draw:
    def draw(rng: np.random.Generator, canvas: Canvas, horizon: float) -> None:
        y = horizon + top * (1 - horizon)
        color = pick(rng, colors)
        x = np.linspace(0, 1, 9)
        edge = np.stack([x, y + rng.normal(0, 0.006, 9)], 1)
        canvas.polygon(np.concatenate([edge, [[1, 1], [0, 1]]]), color, LABEL[name])
        for _ in range(10):
            x0, y0 = rng.random(), rng.uniform(y + 0.02, 1)
            canvas.line(np.array([[x0, y0], [x0 + 0.08, y0]]), 0.007, jitter(rng, color, 16))

    return draw


def _road(rng: np.random.Generator, canvas: Canvas, horizon: float) -> None:
    center, color = rng.uniform(0.3, 0.7), pick(rng, ((92, 92, 98), (116, 112, 110)))
    near = np.array([[center - 0.04, horizon], [center + 0.04, horizon], [center + 0.5, 1], [center - 0.5, 1]])
    canvas.polygon(near, color, LABEL["road"])
    for t in (0.1, 0.35, 0.65):
        y0, y1 = horizon + t * (1 - horizon), horizon + (t + 0.16) * (1 - horizon)
        canvas.line(np.array([[center, y0], [center, y1]]), 0.008 + 0.02 * t, (226, 222, 206))


def _mountain(rng: np.random.Generator, canvas: Canvas, horizon: float) -> None:
    for _ in range(int(rng.integers(1, 4))):
        x, width, height = rng.uniform(0.1, 0.9), rng.uniform(0.25, 0.5), rng.uniform(0.15, 0.36)
        color = pick(rng, ((104, 112, 124), (128, 118, 116), (92, 110, 104)))
        peak = np.array([[x - width, horizon], [x, horizon - height], [x + width, horizon]])
        canvas.polygon(peak, color, LABEL["mountain"])
        cap = peak[1] + (peak - peak[1]) * 0.28
        canvas.polygon(np.insert(cap, 2, [[x + 0.01, horizon - height * 0.62]], axis=0), (236, 238, 242))


def _tree(rng: np.random.Generator, canvas: Canvas, horizon: float) -> None:
    for _ in range(int(rng.integers(1, 4))):
        x, base, size = rng.uniform(0.05, 0.95), horizon + rng.uniform(0.02, 0.2), rng.uniform(0.1, 0.18)
        color = pick(rng, _GREENS)
        canvas.line(np.array([[x, base], [x, base - 2 * size]]), size * 0.22, (96, 74, 56), LABEL["tree"])
        for dx, dy in ((-0.5, 1.7), (0.5, 1.8), (0, 2.3), (0, 1.6)):
            at = np.array([x + dx * size, base - dy * size])
            canvas.disc(at, size * 0.75, jitter(rng, color, 6), LABEL["tree"])


def _building(rng: np.random.Generator, canvas: Canvas, horizon: float) -> None:
    x = rng.uniform(-0.1, 0.1)
    while x < 1:
        width, height = rng.uniform(0.16, 0.32), rng.uniform(0.2, 0.45)
        color = pick(rng, ((172, 120, 98), (150, 150, 158), (196, 178, 148), (122, 130, 142)))
        canvas.polygon(rectangle(x, horizon - height, x + width, horizon + 0.01), color, LABEL["building"])
        for row in np.arange(horizon - height + 0.04, horizon - 0.06, 0.075):
            for column in np.arange(x + 0.03, x + width - 0.04, 0.065):
                canvas.polygon(rectangle(column, row, column + 0.03, row + 0.045), darker(color, 0.6))
        x += width + rng.uniform(0.0, 0.25)


def _car(rng: np.random.Generator, canvas: Canvas, horizon: float) -> None:
    for _ in range(int(rng.integers(1, 3))):
        size = rng.uniform(0.12, 0.2)
        x, y, color = rng.uniform(0.1, 0.75), horizon + rng.uniform(0.12, 0.3), pick(rng, _PAINTS)
        corners = [[0, 0], [0, -0.3], [0.3, -0.36], [0.5, -0.66], [1.1, -0.66], [1.35, -0.34], [1.7, -0.3], [1.7, 0]]
        canvas.polygon(np.array(corners) * size + np.array([x, y]), color, LABEL["car"])
        glass = np.array([[0.42, -0.36], [0.56, -0.58], [1.04, -0.58], [1.22, -0.36]])
        canvas.polygon(glass * size + np.array([x, y]), (168, 194, 208))
        for wheel in (0.38, 1.3):
            canvas.disc(np.array([x + wheel * size, y]), 0.17 * size, (38, 38, 42), LABEL["car"])


def _boat(rng: np.random.Generator, canvas: Canvas, horizon: float) -> None:
    size, x, y = rng.uniform(0.14, 0.24), rng.uniform(0.2, 0.7), horizon + rng.uniform(0.08, 0.2)
    sail = np.array([[0.06, -0.14], [0.06, -1.1], [0.62, -0.14]])
    canvas.polygon(sail * size + np.array([x, y]), (240, 238, 230), LABEL["boat"])
    hull = np.array([[-0.5, -0.1], [0.7, -0.1], [0.5, 0.14], [-0.35, 0.14]])
    canvas.polygon(hull * size + np.array([x, y]), pick(rng, _PAINTS), LABEL["boat"])


def _rock(rng: np.random.Generator, canvas: Canvas, horizon: float) -> None:
    for _ in range(int(rng.integers(1, 4))):
        at, size, color = (
            np.array([rng.random(), rng.uniform(horizon + 0.15, 0.95)]),
            rng.uniform(0.05, 0.12),
            pick(rng, _STONES),
        )
        angle = np.linspace(0, 2 * np.pi, 8, endpoint=False)
        corners = np.stack([np.cos(angle), 0.65 * np.sin(angle)], 1) * size * rng.uniform(0.8, 1.15, (8, 1)) + at
        canvas.polygon(corners, color, LABEL["rock"])
        canvas.polygon((corners - at) * 0.5 + at - [0.01, 0.02], darker(color, 1.15))


def _fence(rng: np.random.Generator, canvas: Canvas, horizon: float) -> None:
    y, color = horizon + rng.uniform(0.1, 0.22), pick(rng, _WOODS)
    for dy in (-0.08, -0.03):
        canvas.line(np.array([[0, y + dy], [1, y + dy]]), 0.018, color, LABEL["fence"])
    for x in np.arange(rng.uniform(0, 0.1), 1, 0.1):
        canvas.line(np.array([[x, y], [x, y - 0.12]]), 0.024, color, LABEL["fence"])


def _streetlight(rng: np.random.Generator, canvas: Canvas, horizon: float) -> None:
    x, y = rng.uniform(0.08, 0.92), horizon + rng.uniform(0.1, 0.25)
    top = horizon - rng.uniform(0.2, 0.34)
    pole = np.array([[x, y], [x, top], [x + 0.07, top - 0.02]])
    canvas.line(pole, 0.018, (64, 68, 74), LABEL["streetlight"])
    canvas.disc(pole[2], 0.026, (248, 234, 180), LABEL["streetlight"])


def _flower(rng: np.random.Generator, canvas: Canvas, horizon: float) -> None:
    color = pick(rng, ((214, 70, 92), (236, 196, 66), (178, 108, 190), (240, 236, 236)))
    for x, y in zip(rng.random(9), rng.uniform(horizon + 0.12, 0.97, 9)):
        canvas.line(np.array([[x, y + 0.04], [x, y]]), 0.008, (72, 118, 58), LABEL["flower"])
        canvas.disc(np.array([x, y]), 0.02, jitter(rng, color, 8), LABEL["flower"])


OUTDOOR: dict[str, Draw] = {
    "mountain": _mountain,
    "building": _building,
    "grass": _ground("grass", ((112, 146, 72), (136, 156, 78))),
    "sidewalk": _ground("sidewalk", _STONES),
    "sea": _ground("sea", ((66, 112, 148), (78, 136, 156))),
    "sand": _ground("sand", ((220, 200, 154), (206, 184, 142)), 0.45),
    "water": _ground("water", ((96, 140, 158), (84, 122, 132)), 0.4),
    "road": _road,
    "tree": _tree,
    "fence": _fence,
    "rock": _rock,
    "boat": _boat,
    "streetlight": _streetlight,
    "car": _car,
    "flower": _flower,
}
"""Ground and things out of doors, from far to near."""
