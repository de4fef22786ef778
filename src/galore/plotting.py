"""Panels of photos and maps in matplotlib, in figures as wide as the columns of a paper.

Figures are made without pyplot: no window opens, no display is needed, nothing has to be closed.
"""

import io
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib
import numpy as np
from jaxtyping import UInt8
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from galore import overlay
from galore.errors import InputError

COLUMN, PAGE = 3.25, 6.75
"""Inches: the width of one column, and of both, on a page of two."""

FONT, TITLE, FOOT = 8.0, 9.0, 6.5
"""Points, of captions, of the title, and of the line below."""

FORMATS = (".pdf", ".png", ".svg")
DPI = 200
SIDE = 448
"""Pixels, of small images and of maps without any."""

GREY = "#555c66"
_MARGIN, _GAP, _BAR = 0.05, 0.08, 0.3
"""Inches: around the panels, between them, and below those with a scale."""

_REPRODUCIBLE: dict[str, dict[str, Any]] = {".pdf": {"CreationDate": None}, ".svg": {"Date": None}, ".png": {}}


class NotebookFigure(Figure):
    """A figure that a notebook shows where it is the value of a cell, whether or not pyplot is in use."""

    def _repr_png_(self) -> bytes:
        written = io.BytesIO()
        self.savefig(written, format="png", dpi=DPI)
        return written.getvalue()


class Scale(NamedTuple):
    """The values of the lowest and of the highest colour."""

    lowest: float
    highest: float


class Panel(NamedTuple):
    """A picture under its caption; of a map also the scale of its colours."""

    picture: UInt8[np.ndarray, "height width 3"]
    caption: str
    scale: Scale | None = None


def scale_of(*maps: np.ndarray) -> Scale:
    """One scale for several maps that are compared by colour."""
    return Scale(min(float(one.min()) for one in maps), max(float(one.max()) for one in maps))


def draw(axis: Axes, panel: Panel, width: float | None = None) -> None:
    """Draws a panel into axes.

    Args:
        axis: where to.
        panel: what to draw.
        width: of the axes in inches, within which the caption is broken; None: it is not.
    """
    axis.imshow(panel.picture)
    axis.set_axis_off()
    axis.set_title("\n".join(_lines(panel.caption, FONT, width)), fontsize=FONT, parse_math=False, pad=3)
    if panel.scale is None:
        return
    bar = axis.inset_axes((0.0, -0.06, 1.0, 0.035))
    bar.imshow(overlay.legend()[None], aspect="auto")
    bar.set(xticks=[], yticks=[])
    bar.spines[:].set_visible(False)
    for place, side, value in zip((0, 1), ("left", "right"), panel.scale):
        bar.text(place, -0.5, f"{value:.3g}", ha=side, va="top", fontsize=FOOT, transform=bar.transAxes)


def maps(drawn: Sequence[tuple[Any, Any, int, str]], ax: Axes | None = None) -> Figure | Axes:
    """Maps over their images, on one scale of colours.

    Args:
        drawn: each map [h, w], the images that it belongs to, [B, H, W, c] or one alone (see `overlay.viewable`) or
            None, its place among them, and its caption.
        ax: axes for the first map alone; None: a figure with all of them.

    Returns:
        The figure or the axes.

    Raises:
        InputError: images that cannot be drawn.
    """
    of_maps = [np.asarray(map_, np.float32) for map_, *_ in drawn]
    scale = scale_of(*of_maps)
    panels = [
        Panel(overlay.heat(_below(images, index), map_, scale), caption, scale)
        for map_, (_, images, index, caption) in zip(of_maps, drawn)
    ]
    if ax is not None:
        draw(ax, panels[0])
        return ax
    return row(panels)


def _below(images: Any, index: int) -> UInt8[np.ndarray, "height width 3"]:
    """What is seen below a map: one of the images, or grey."""
    if images is None:
        return np.full((SIDE, SIDE, 3), 128, np.uint8)
    pixels = np.asarray(images)
    if pixels.ndim == 4 and not -len(pixels) <= index < len(pixels):
        raise InputError(f"index={index}: there are {len(pixels)} images")
    pixels = overlay.viewable(pixels[index] if pixels.ndim == 4 else pixels)
    larger = max(1, SIDE // max(pixels.shape[:2]))  # the edges of the cells lie between pixels
    return pixels.repeat(larger, axis=0).repeat(larger, axis=1)


def row(panels: Sequence[Panel], title: str = "", foot: str = "") -> Figure:
    """Panels beside one another, one or two as wide as a column and more as wide as the page.

    Args:
        panels: from left to right.
        title: above all.
        foot: small, below all.
    """
    width = COLUMN if len(panels) <= 2 else PAGE
    side = (width - 2 * _MARGIN - (len(panels) - 1) * _GAP) / len(panels)
    caption = _height(max((_lines(panel.caption, FONT, side) for panel in panels), key=len), FONT)
    above, below = _lines(title, 1.1 * TITLE, width), _lines(foot, FOOT, width)  # the title is bold
    top = _MARGIN + _height(above, TITLE) + caption
    bar = _BAR if any(panel.scale for panel in panels) else 0.0
    heights = [panel.picture.shape[0] / panel.picture.shape[1] * side for panel in panels]
    height = top + max(heights) + bar + _height(below, FOOT) + _MARGIN
    figure = NotebookFigure(figsize=(width, height))
    for place, (panel, tall) in enumerate(zip(panels, heights)):
        x, y = _MARGIN + place * (side + _GAP), height - top - tall
        axis = figure.add_axes((x / width, y / height, side / width, tall / height))
        draw(axis, panel, side)
    font: dict[str, Any] = {"ha": "center", "parse_math": False}
    figure.text(0.5, 1 - _MARGIN / height, "\n".join(above), fontsize=TITLE, fontweight="bold", va="top", **font)
    figure.text(0.5, _MARGIN / height, "\n".join(below), fontsize=FOOT, color=GREY, va="bottom", **font)
    return figure


def save(figure: Figure, path: Path) -> None:
    """Writes a figure in the format that the name ends in, one of `FORMATS`; the same bytes every time.

    Letters are embedded in a PDF (TrueType) and are outlines in an SVG, so that they look the same everywhere.
    """
    suffix = path.suffix.lower()
    # Half the time to write a PNG, for a sixth more bytes.
    options: dict[str, Any] = {"dpi": DPI, "pil_kwargs": {"compress_level": 3}} if suffix == ".png" else {"dpi": 300}
    with matplotlib.rc_context({"pdf.fonttype": 42, "svg.fonttype": "path", "svg.hashsalt": "galore"}):
        figure.savefig(path, format=suffix[1:], metadata=_REPRODUCIBLE[suffix], **options)


def _lines(text: str, size: float, width: float | None) -> list[str]:
    """A text broken to a width in inches; a letter is about half as wide as its size."""
    if width is None:
        return text.splitlines()
    most = max(int(width * 72 / (0.52 * size)), 8)
    return [line for one in text.splitlines() for line in textwrap.wrap(one, most)]


def _height(lines: Sequence[str], size: float) -> float:
    return (len(lines) * 1.25 * size + (4 if lines else 0)) / 72
