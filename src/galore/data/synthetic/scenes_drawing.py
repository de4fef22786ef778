"""Draws one invented scene: a few planes (sky, wall, floor, grass...) and objects on them, each with its mask."""

from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Float, UInt8

from galore.data.synthetic.canvas import Canvas, Color, as_color, jitter, soft_blobs

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
_WHITES = ((234, 234, 232), (216, 222, 226))
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


def _window(rng: np.random.Generator, canvas: Canvas, horizon: float) -> None:
    x, y, width, height = (
        rng.uniform(0.08, 0.6),
        rng.uniform(0.08, 0.18),
        rng.uniform(0.2, 0.3),
        rng.uniform(0.24, 0.32),
    )
    canvas.polygon(rectangle(x, y, x + width, y + height), (238, 236, 232), LABEL["windowpane"])
    pane = jitter(rng, (164, 200, 226), 14)
    for column in (0.06, 0.53):
        for row in (0.06, 0.53):
            corner = np.array([x + column * width, y + row * height])
            canvas.polygon(rectangle(*corner, *(corner + np.array([0.41 * width, 0.41 * height]))), pane)


def _curtain(rng: np.random.Generator, canvas: Canvas, horizon: float) -> None:
    color, left = pick(rng, _PAINTS), rng.uniform(0.02, 0.5)
    for x in (left, left + rng.uniform(0.28, 0.38)):
        canvas.polygon(rectangle(x, 0.04, x + 0.1, horizon - 0.04), color, LABEL["curtain"])
        for fold in (0.03, 0.06):
            canvas.line(np.array([[x + fold, 0.04], [x + fold, horizon - 0.04]]), 0.007, darker(color))


def _painting(rng: np.random.Generator, canvas: Canvas, horizon: float) -> None:
    for _ in range(int(rng.integers(1, 3))):
        x, y, width, height = (
            rng.uniform(0.05, 0.75),
            rng.uniform(0.08, 0.24),
            rng.uniform(0.14, 0.22),
            rng.uniform(0.12, 0.18),
        )
        canvas.polygon(rectangle(x, y, x + width, y + height), pick(rng, _WOODS), LABEL["painting"])
        x, y, width, height = x + 0.015, y + 0.015, width - 0.03, height - 0.03
        canvas.polygon(rectangle(x, y, x + width, y + height), pick(rng, _PAINTS))
        canvas.polygon(
            np.array([[x, y + height], [x + 0.4 * width, y + 0.3 * height], [x + width, y + height]]),
            pick(rng, _GREENS[:3]),
        )


def _mirror(rng: np.random.Generator, canvas: Canvas, horizon: float) -> None:
    at, angle = np.array([rng.uniform(0.2, 0.8), rng.uniform(0.2, 0.28)]), np.linspace(0, 2 * np.pi, 24)
    oval = np.stack([np.cos(angle), 1.3 * np.sin(angle)], 1)
    canvas.polygon(at + oval * 0.115, (170, 140, 84), LABEL["mirror"])
    canvas.polygon(at + oval * 0.098, jitter(rng, (202, 216, 222), 8))
    canvas.line(at + np.array([[-0.04, 0.05], [0.04, -0.06]]), 0.012, (236, 242, 246))


def _shelf(rng: np.random.Generator, canvas: Canvas, horizon: float) -> None:
    x, y, color = rng.uniform(0.05, 0.6), rng.uniform(0.16, 0.24), pick(rng, _WOODS)
    for row in (y, y + 0.14):
        canvas.polygon(rectangle(x, row, x + 0.32, row + 0.022), color, LABEL["shelf"])


def _book(rng: np.random.Generator, canvas: Canvas, horizon: float) -> None:
    x, y = rng.uniform(0.08, 0.6), rng.uniform(0.16, 0.3)
    canvas.line(np.array([[x - 0.01, y], [x + 0.24, y]]), 0.012, (96, 74, 56))
    for _ in range(int(rng.integers(5, 9))):
        width, height = rng.uniform(0.016, 0.03), rng.uniform(0.07, 0.11)
        canvas.polygon(rectangle(x, y - height, x + width, y), pick(rng, _PAINTS), LABEL["book"])
        x += width


def _door(rng: np.random.Generator, canvas: Canvas, horizon: float) -> None:
    x, color = rng.uniform(0.05, 0.75), pick(rng, _WOODS)
    canvas.polygon(rectangle(x, horizon - 0.48, x + 0.2, horizon), color, LABEL["door"])
    for y in (0.43, 0.21):
        canvas.polygon(rectangle(x + 0.04, horizon - y, x + 0.16, horizon - y + 0.15), darker(color, 0.85))
    canvas.disc(np.array([x + 0.175, horizon - 0.23]), 0.013, (226, 200, 110))


def _cabinet(rng: np.random.Generator, canvas: Canvas, horizon: float) -> None:
    x, width, height = rng.uniform(0, 0.55), rng.uniform(0.3, 0.45), rng.uniform(0.2, 0.28)
    color, top = pick(rng, _WOODS), horizon - height + 0.06
    canvas.polygon(rectangle(x, top, x + width, top + height), color, LABEL["cabinet"])
    for column in np.linspace(x, x + width, 4)[:-1]:
        canvas.polygon(
            rectangle(column + 0.012, top + 0.03, column + width / 3 - 0.012, top + height - 0.02), darker(color, 0.88)
        )
        canvas.disc(np.array([column + width / 6, top + 0.05]), 0.009, (226, 206, 140))


def _stove(rng: np.random.Generator, canvas: Canvas, horizon: float) -> None:
    x, top = rng.uniform(0.08, 0.7), horizon - 0.18
    canvas.polygon(rectangle(x, top, x + 0.23, top + 0.26), jitter(rng, (206, 208, 210), 14), LABEL["stove"])
    canvas.polygon(rectangle(x, top - 0.02, x + 0.23, top), (52, 52, 56), LABEL["stove"])
    canvas.polygon(rectangle(x + 0.03, top + 0.09, x + 0.2, top + 0.22), (58, 60, 66))
    for knob in (0.04, 0.09, 0.14, 0.19):
        canvas.disc(np.array([x + knob, top + 0.04]), 0.012, (70, 70, 74))


def _sink(rng: np.random.Generator, canvas: Canvas, horizon: float) -> None:
    x, y, color = rng.uniform(0.15, 0.75), horizon - rng.uniform(0.06, 0.14), pick(rng, _WHITES)
    canvas.line(np.array([[x, y + 0.04], [x, horizon + 0.06]]), 0.06, darker(color, 0.88), LABEL["sink"])
    basin = np.array([[-0.13, 0], [0.13, 0], [0.09, 0.085], [-0.09, 0.085]])
    canvas.polygon(basin + np.array([x, y]), color, LABEL["sink"])
    canvas.line(np.array([[x, y], [x, y - 0.06], [x + 0.045, y - 0.06]]), 0.016, (150, 154, 160), LABEL["sink"])


def _toilet(rng: np.random.Generator, canvas: Canvas, horizon: float) -> None:
    x, y, color = rng.uniform(0.12, 0.75), horizon + rng.uniform(0.08, 0.16), pick(rng, _WHITES)
    canvas.polygon(rectangle(x, y - 0.26, x + 0.08, y - 0.06), darker(color, 0.94), LABEL["toilet"])
    canvas.polygon(
        np.array([[0, -0.1], [0.22, -0.1], [0.17, 0], [0.14, 0.07], [0.05, 0.07]]) + np.array([x, y]),
        color,
        LABEL["toilet"],
    )
    canvas.line(np.array([[x, y - 0.1], [x + 0.22, y - 0.1]]), 0.02, darker(color, 0.85))


def _bathtub(rng: np.random.Generator, canvas: Canvas, horizon: float) -> None:
    x, y, color = rng.uniform(0.05, 0.45), horizon + rng.uniform(0.04, 0.12), pick(rng, _WHITES)
    tub = np.array([[0, -0.1], [0.48, -0.1], [0.42, 0.09], [0.06, 0.09]])
    canvas.polygon(tub + np.array([x, y]), color, LABEL["bathtub"])
    canvas.line(np.array([[x - 0.01, y - 0.1], [x + 0.49, y - 0.1]]), 0.028, darker(color, 1.05), LABEL["bathtub"])
    canvas.line(np.array([[x + 0.03, y - 0.1], [x + 0.03, y - 0.19], [x + 0.08, y - 0.19]]), 0.016, (150, 154, 160))


def _bed(rng: np.random.Generator, canvas: Canvas, horizon: float) -> None:
    x, width, y = rng.uniform(0.05, 0.35), rng.uniform(0.42, 0.56), horizon - 0.06
    wood, cloth = pick(rng, _WOODS), pick(rng, _PAINTS)
    canvas.polygon(rectangle(x, y - 0.14, x + 0.06, y + 0.24), wood, LABEL["bed"])
    canvas.polygon(rectangle(x + 0.05, y + 0.04, x + width, y + 0.18), cloth, LABEL["bed"])
    canvas.polygon(rectangle(x + 0.07, y - 0.03, x + 0.2, y + 0.05), (240, 238, 234), LABEL["bed"])
    canvas.line(np.array([[x + 0.05, y + 0.19], [x + width, y + 0.19]]), 0.025, wood, LABEL["bed"])
    canvas.line(np.array([[x + width - 0.02, y + 0.18], [x + width - 0.02, y + 0.25]]), 0.025, wood, LABEL["bed"])


def _sofa(rng: np.random.Generator, canvas: Canvas, horizon: float) -> None:
    x, y, width, color = (
        rng.uniform(0.05, 0.4),
        horizon + rng.uniform(0.06, 0.14),
        rng.uniform(0.4, 0.54),
        pick(rng, _PAINTS),
    )
    canvas.polygon(rectangle(x, y - 0.2, x + width, y), darker(color, 0.88), LABEL["sofa"])
    canvas.polygon(rectangle(x + 0.05, y - 0.08, x + width - 0.05, y), color)
    for arm in (x - 0.03, x + width - 0.04):
        canvas.polygon(rectangle(arm, y - 0.13, arm + 0.07, y + 0.03), color, LABEL["sofa"])
    canvas.line(np.array([[x + width / 2, y - 0.19], [x + width / 2, y - 0.01]]), 0.006, darker(color, 0.7))


def _table(rng: np.random.Generator, canvas: Canvas, horizon: float) -> None:
    x, y, width, color = (
        rng.uniform(0.08, 0.5),
        horizon + rng.uniform(0.04, 0.14),
        rng.uniform(0.3, 0.42),
        pick(rng, _WOODS),
    )
    for leg in (x + 0.02, x + width - 0.02):
        canvas.line(np.array([[leg, y], [leg, y + 0.18]]), 0.024, darker(color), LABEL["table"])
    canvas.polygon(
        np.array([[x, y], [x + 0.04, y - 0.045], [x + width - 0.04, y - 0.045], [x + width, y]]), color, LABEL["table"]
    )
    canvas.polygon(rectangle(x, y, x + width, y + 0.024), darker(color), LABEL["table"])


def _chair(rng: np.random.Generator, canvas: Canvas, horizon: float) -> None:
    for _ in range(int(rng.integers(1, 3))):
        x, y, color = rng.uniform(0.08, 0.78), horizon + rng.uniform(0.06, 0.18), pick(rng, _WOODS)
        canvas.polygon(rectangle(x, y - 0.18, x + 0.025, y + 0.1), color, LABEL["chair"])
        canvas.polygon(rectangle(x, y - 0.01, x + 0.13, y + 0.02), pick(rng, _PAINTS), LABEL["chair"])
        canvas.polygon(rectangle(x + 0.108, y + 0.02, x + 0.13, y + 0.1), color, LABEL["chair"])
        canvas.line(np.array([[x + 0.012, y - 0.16], [x + 0.012, y - 0.06]]), 0.034, color, LABEL["chair"])


def _rug(rng: np.random.Generator, canvas: Canvas, horizon: float) -> None:
    x, width, y = rng.uniform(0.05, 0.3), rng.uniform(0.45, 0.62), horizon + rng.uniform(0.1, 0.16)
    color = pick(rng, _PAINTS)
    shape = np.array([[0.07, 0], [width - 0.07, 0], [width, 0.13], [0, 0.13]])
    canvas.polygon(shape + np.array([x, y]), color, LABEL["rug"])
    canvas.polygon((shape - [width / 2, 0.065]) * 0.75 + [x + width / 2, y + 0.065], darker(color, 1.2))


def _lamp(rng: np.random.Generator, canvas: Canvas, horizon: float) -> None:
    x, y = rng.uniform(0.08, 0.92), horizon + rng.uniform(0.02, 0.12)
    canvas.line(np.array([[x, y], [x, y - 0.3]]), 0.016, (84, 78, 74), LABEL["lamp"])
    canvas.line(np.array([[x - 0.05, y], [x + 0.05, y]]), 0.02, (84, 78, 74), LABEL["lamp"])
    shade = np.array([[-0.045, -0.4], [0.045, -0.4], [0.085, -0.27], [-0.085, -0.27]])
    canvas.polygon(shade + np.array([x, y]), jitter(rng, (244, 224, 164), 10), LABEL["lamp"])


def _plant(rng: np.random.Generator, canvas: Canvas, horizon: float) -> None:
    x, y, color = rng.uniform(0.08, 0.92), horizon + rng.uniform(0.06, 0.2), pick(rng, _GREENS[:3])
    for angle in np.linspace(-1.1, 1.1, 7) + rng.normal(0, 0.1, 7):
        tip = np.array([x + 0.13 * np.sin(angle), y - 0.1 - 0.17 * np.cos(angle)])
        side = 0.022 * np.array([np.cos(angle), np.sin(angle)])
        middle = (tip + np.array([x, y - 0.08])) / 2
        leaf = np.array([[x, y - 0.08], middle - side, tip, middle + side])
        canvas.polygon(leaf, jitter(rng, color, 10), LABEL["plant"])
    pot = np.array([[-0.06, -0.09], [0.06, -0.09], [0.045, 0.02], [-0.045, 0.02]])
    canvas.polygon(pot + np.array([x, y]), jitter(rng, (176, 104, 74), 12), LABEL["plant"])


INDOOR: dict[str, Draw] = {
    "windowpane": _window,
    "painting": _painting,
    "mirror": _mirror,
    "shelf": _shelf,
    "book": _book,
    "curtain": _curtain,
    "door": _door,
    "cabinet": _cabinet,
    "stove": _stove,
    "sink": _sink,
    "rug": _rug,
    "bathtub": _bathtub,
    "toilet": _toilet,
    "bed": _bed,
    "sofa": _sofa,
    "table": _table,
    "chair": _chair,
    "lamp": _lamp,
    "plant": _plant,
}
"""Furniture, from far to near."""
