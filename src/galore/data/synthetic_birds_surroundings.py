"""Where an invented bird sits: what is behind it, what it stands on, and what is in front."""

import numpy as np
from jaxtyping import Float, UInt8

from galore.data.synthetic_canvas import Canvas, as_color, jitter, smooth_curve, soft_blobs

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


def draw_backdrop(rng: np.random.Generator) -> UInt8[np.ndarray, "64 64 3"]:
    """A soft backdrop of one of a few habitats; it says nothing about the species."""
    top, bottom, blobs = _BACKDROPS[str(rng.choice(list(_BACKDROPS)))]
    shift = rng.normal(0, 9, 3) + rng.normal(0, 10)
    count = int(rng.integers(6, 22))
    return soft_blobs(
        rng, np.array(top) + shift, np.array(bottom) + shift, np.array(blobs) + shift, rng.uniform(1.4, 4), count
    )


def draw_perch(rng: np.random.Generator, canvas: Canvas, feet: Float[np.ndarray, "2"]) -> None:
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


def draw_occluders(rng: np.random.Generator, canvas: Canvas, label: int) -> None:
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
