"""What stands and hangs in the rooms of invented scenes."""

import numpy as np

from galore.data.synthetic_canvas import Canvas, jitter
from galore.data.synthetic_scenes_drawing import LABEL, Draw, darker, pick, rectangle

_WOODS = ((146, 104, 66), (112, 78, 52), (186, 146, 100), (92, 72, 62), (206, 200, 190))
_CLOTHS = ((176, 72, 66), (72, 104, 150), (92, 132, 96), (208, 176, 98), (140, 98, 140), (208, 206, 200))
_GREENS = ((72, 118, 58), (96, 138, 66), (58, 98, 62))
_WHITES = ((234, 234, 232), (216, 222, 226))


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
    color, left = pick(rng, _CLOTHS), rng.uniform(0.02, 0.5)
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
        canvas.polygon(rectangle(x, y, x + width, y + height), pick(rng, _CLOTHS))
        canvas.polygon(
            np.array([[x, y + height], [x + 0.4 * width, y + 0.3 * height], [x + width, y + height]]),
            pick(rng, _GREENS),
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
        canvas.polygon(rectangle(x, y - height, x + width, y), pick(rng, _CLOTHS), LABEL["book"])
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
    wood, cloth = pick(rng, _WOODS), pick(rng, _CLOTHS)
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
        pick(rng, _CLOTHS),
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
        canvas.polygon(rectangle(x, y - 0.01, x + 0.13, y + 0.02), pick(rng, _CLOTHS), LABEL["chair"])
        canvas.polygon(rectangle(x + 0.108, y + 0.02, x + 0.13, y + 0.1), color, LABEL["chair"])
        canvas.line(np.array([[x + 0.012, y - 0.16], [x + 0.012, y - 0.06]]), 0.034, color, LABEL["chair"])


def _rug(rng: np.random.Generator, canvas: Canvas, horizon: float) -> None:
    x, width, y = rng.uniform(0.05, 0.3), rng.uniform(0.45, 0.62), horizon + rng.uniform(0.1, 0.16)
    color = pick(rng, _CLOTHS)
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
    x, y, color = rng.uniform(0.08, 0.92), horizon + rng.uniform(0.06, 0.2), pick(rng, _GREENS)
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
