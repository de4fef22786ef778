"""A region of pixels as a drawing: an SVG path, and back."""

import math
import re
from collections.abc import Sequence

import numpy as np
import skimage.measure
import skimage.morphology
from jaxtyping import Bool, Float
from PIL import Image, ImageChops, ImageDraw

from galore.teach.sheet import Mark

UNITS = 1000
"""The side of a picture in the path's coordinates."""

ROOM = 0.075
"""How far apart two numbers stand at least, in units of the picture's side."""


def path(mask: Bool[np.ndarray, "height width"]) -> str:
    """The outlines of a region as an SVG path, to be filled by the even-odd rule.

    Args:
        mask: the region.

    Returns:
        Closed polygons in whole units of 1/1000 of the mask's sides; "" for an empty region.
    """
    height, width = mask.shape
    # A thread, of less than a fiftieth of the side, is nothing to look at.
    broad = skimage.morphology.opening(mask, skimage.morphology.disk(min(height, width) // 112))
    mask = broad if broad.any() else mask
    drawn = []
    for contour in skimage.measure.find_contours(np.pad(mask, 1).astype(float), 0.5):
        # A padded array's index k is the centre of pixel k - 1, which lies at k - 0.5.
        smooth = skimage.measure.approximate_polygon(contour, 0.75) - 0.5
        corners = np.clip(np.round(smooth[:-1] * (UNITS / height, UNITS / width)), 0, UNITS).astype(int)
        if len(corners) > 2:
            drawn.append("M" + "L".join(f"{x} {y}" for y, x in corners) + "Z")
    return "".join(drawn)


def mask(path: str, side: int) -> Bool[np.ndarray, "side side"]:
    """The pixels inside a path that `path` made; everything for "".

    Args:
        path: the outlines.
        side: of the picture in pixels.
    """
    if not path:
        return np.ones((side, side), bool)
    inside = Image.new("1", (side, side))
    for polygon in re.findall(r"M([^Z]+)Z", path):
        corners = [
            tuple(float(value) * side / UNITS - 0.5 for value in corner.split()) for corner in polygon.split("L")
        ]
        one = Image.new("1", (side, side))
        ImageDraw.Draw(one).polygon(corners, fill=1)  # type: ignore[arg-type]
        inside = ImageChops.logical_xor(inside, one)
    return np.asarray(inside).astype(bool)


def spaced(marks: Sequence[tuple[Mark, Mark]]) -> list[int]:
    """Which marks have room for a number, so that numbers hide neither each other nor the part beside them.

    Args:
        marks: the marks of a part in the two pictures.

    Returns:
        Positions, in order; the first of two that crowd each other in either picture stays.
    """
    kept: list[int] = []
    for k, pair in enumerate(marks):
        gaps = [
            math.hypot(mark.x - other.x, mark.y - other.y)
            for earlier in kept
            for mark, other in zip(pair, marks[earlier])
        ]
        if min(gaps, default=1.0) > ROOM:
            kept.append(k)
    return kept


def matched(
    names: Sequence[str],
    first: tuple[Float[np.ndarray, "p 2"], Bool[np.ndarray, " p"]],
    second: tuple[Float[np.ndarray, "p 2"], Bool[np.ndarray, " p"]],
) -> tuple[tuple[Mark, ...], tuple[Mark, ...]]:
    """The parts that lie in both regions; a left and a right part match each other.

    Args:
        names: of the parts.
        first: points in units of the picture's side, and whether each is visible inside the region.
        second: likewise for the other picture.

    Returns:
        As many marks for either picture, in the same order.
    """
    plain = [name.removeprefix("left ").removeprefix("right ") for name in names]

    def marks(points: Float[np.ndarray, "p 2"], inside: Bool[np.ndarray, " p"]) -> dict[str, Mark]:
        lit: dict[str, Mark] = {}
        for name, point, visible in zip(plain, points, inside):
            if visible and name not in lit:
                lit[name] = Mark(name, round(float(point[0]), 3), round(float(point[1]), 3))
        return lit

    here, there = marks(*first), marks(*second)
    shared = [name for name in here if name in there]
    return tuple(here[name] for name in shared), tuple(there[name] for name in shared)
