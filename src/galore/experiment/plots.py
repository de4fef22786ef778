"""The experiments' figures: dots with intervals, curves over region size or depth; each says below it what it shows.

Methods stand in words at the ends of their lines, in the colours of Okabe and Ito, which colour-blind people tell
apart, and with strokes of their own. Axes are scaled to what is measured, alike in all panels; the oracle, which lies
far above it, is a mark at their edge. A figure without any number has no axes, and is not saved.
"""

import dataclasses
import math
import textwrap
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib

matplotlib.use("Agg")

import numpy as np
from jaxtyping import Float
from matplotlib import colors
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from galore.evaluation.methods import GAUSSIAN, ORACLE, RANDOM, WHOLE_OBJECT, Method, Rule
from galore.evaluation.metrics import FRACTIONS
from galore.experiment.table import Row, Table

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
"""Of Okabe and Ito, 2008, without the yellow, which is too light for lines."""
STROKES = ("-", (0, (5, 1.5)), (0, (1, 1)), (0, (5, 1, 1, 1)))
GREY = {RANDOM: "#949494", GAUSSIAN: "#6e6e6e", WHOLE_OBJECT: "#4a4a4a"}
DARK = "#222222"
WIDEST = 11.8
"""Inches of a figure."""
NARROWEST = 1.2
"""Inches of a panel with dots: where names leave less, fewer stand side by side."""
TITLE_LETTER, AXIS_LETTER = 0.1, 0.08
"""Inches that a letter of a title takes, and of the words on an axis."""
PANELS = {"dots": 4, "lines": 3}
"""How many panels stand side by side."""
WORDS = {
    "specificity": "specificity: does the map move to the parts that tell this very class apart? (0.5: no)",
    "auroc": "AUROC within the image (0.5: chance)",
    "precision at recall 0.5": "precision where recall is 0.5",
    "area under precision-recall": "area under the precision-recall curve",
    "mean iou": "IoU, mean over regions of 10, 30, 50, 70 and 90 % of the image",
    "piou": "PIoU, over images with a part in both regions",
    "piou, every image": "PIoU, over every image",
    "iou": "IoU",
}
"""Measures as axes name them, where that is not their own name."""
CHANCE = {"specificity": 0.5, "auroc": 0.5}
"""What a map that knows nothing has, by how the measure's name begins."""
SECONDARY = (Rule.WITHOUT_CONFIDENCE, Rule.MARGIN_TIMES_CONFIDENCE, Rule.WHOLE_OBJECT)
"""Rules that tables show and curves leave out, so that they can be told apart."""
BY_MEASURE = math.nan
MARGIN = 0.06
"""Of an axis, left free at both ends."""


def auroc(table: Table) -> dict[str, Figure]:
    """The specificity, where there is one, and the AUROC of every method."""
    return {measure: dots(table, measure) for measure in ("specificity", "auroc")}


def auroc_and_curves(table: Table) -> dict[str, Figure]:
    """The numbers of every method, and the curves of the main ones over the region size."""
    return auroc(table) | region_curves(table)


def primary(table: Table) -> Table:
    """The methods that a figure with lines has room for."""
    return Table(tuple(row for row in table.rows if row.cell.method.rule not in SECONDARY))


def dots(
    table: Table,
    measure: str,
    chance: float | None = BY_MEASURE,
    words: str = "",
    *,
    region: float | None = None,
    names: Callable[[Row], str] = lambda row: row.cell.method.words,
) -> Figure:
    """A number of every method with its interval, one panel per user (network, layer, ...).

    Args:
        table: of the experiment.
        measure: the rows to show.
        chance: where a line is drawn; None: nowhere; `BY_MEASURE`: as `CHANCE` says.
        words: on the axis, where the measure's name says too little.
        region: the region size at which a curve was read.
        names: what stands beside each row.
    """
    panels = _panels(row for row in table.select(measure, region=region) if not np.isnan(row.estimate.value))
    if not panels:
        return Figure()
    if chance is not None and math.isnan(chance):
        chance = next((level for name, level in CHANCE.items() if measure.startswith(name)), None)
    labels = [[names(row) for row in rows] for rows in panels.values()]
    # Inches: a letter takes about 0.075 of them.
    margin = 0.3 + 0.075 * max(len(name) for some in labels for name in some)
    height = 0.7 + 0.25 * max(map(len, labels))
    # Names that differ stand beside every panel, not beside every line of them.
    once, each = (margin, 0.0) if all(some == labels[0] for some in labels) else (0.0, margin)
    across = max(1, min(PANELS["dots"], len(panels), int((WIDEST - once) / (NARROWEST + each))))
    width = min(2.6, max(NARROWEST, (WIDEST - once) / across - each))
    figure, axes = _grid(len(panels), across, (once / across + each + width, height))
    limits = _limits(_extent(panels.values(), _possible(measure)), chance)
    for place, (axis, (name, rows)) in enumerate(zip(axes, panels.items())):
        for position, row in enumerate(rows):
            _dot(axis, position, row, limits[1])
        if chance is not None:
            axis.axvline(chance, color="0.8", zorder=0)
        labelled = place % across == 0 or labels[place] != labels[place - 1]
        axis.set_yticks(range(len(rows)), labels[place] if labelled else [], fontsize=9)
        axis.set(ylim=(len(rows) - 0.5, -0.5), xlim=limits)
        axis.set_title(textwrap.fill(name, round(width / TITLE_LETTER), break_long_words=False), fontsize=10)
    shown = [row for rows in panels.values() for row in rows]
    methods = {row.cell.method for row in shown}
    _caption(
        figure,
        f"Shown: {words or WORDS.get(measure, measure)}.",
        "Dots: means over trainings and images; bars: 95 % intervals.",
        "Open, grey: maps that know nothing of the network." if methods & GREY.keys() else "",
        "Triangle at the edge: the oracle, the best map there is, with its number."
        if any(_is_beyond(row, limits[1]) for row in shown)
        else "",
        f"Vertical line: {chance:g}." if chance is not None else "",
    )
    return figure


def region_curves(table: Table) -> dict[str, Figure]:
    """Precision over recall where there are parts, IoU over region size where there are masks."""
    if table.select("precision"):
        return {"precision_recall": precision_recall(table)}
    return {"iou": curves(primary(table), "iou")}


def precision_recall(table: Table) -> Figure:
    """Precision over recall of the main methods, the region size running along each curve."""
    grouped: dict[str, list[_Line]] = {}
    shown = [row for row in primary(table).select("precision") if row.is_curve]
    for name, rows in _panels(shown).items():
        for row in rows:
            recall = table.find(dataclasses.replace(row.cell, measure="recall"))
            if recall is not None:
                grouped.setdefault(name, []).append(_Line(row.cell.method, recall.curve()[0], *row.curve()))
    said = "The region grows along a curve, from 0.5 % to 99 % of the image; names stand in the order of the precision."
    return _drawn(grouped, ("recall", "precision"), said, is_joined=False)


def curves(table: Table, measure: str, words: tuple[str, str] = ("", ""), x: tuple[float, ...] = FRACTIONS) -> Figure:
    """A measure over region size, one line per method.

    Args:
        table: of the experiment.
        measure: the rows to show.
        words: on the axes, where the name of the measure says too little.
        x: the region sizes of its values.
    """
    shown = [row for row in table.select(measure) if row.is_curve]
    along = np.array(x) * 100
    grouped = {
        name: [_Line(row.cell.method, along, *row.curve()) for row in rows] for name, rows in _panels(shown).items()
    }
    return _drawn(grouped, (words[0] or "region, % of the image", words[1] or WORDS.get(measure, measure)))


def lines(table: Table, measure: str, along: str, words: tuple[str, str]) -> Figure:
    """A measure over a label (shift, layer, stage of randomisation), one line with intervals per method.

    Args:
        table: of the experiment.
        measure: the rows to show.
        along: the label.
        words: on the axes, of the label and of the measure.
    """
    grouped, ticks = {}, {}
    for name, rows in _panels(table.select(measure), without=along).items():
        ticks[name] = list(dict.fromkeys(row.cell.label(along) for row in rows))
        by_method: dict[Method, list[Row]] = {}
        for row in rows:
            by_method.setdefault(row.cell.method, []).append(row)
        grouped[name] = [_over(method, some, along, ticks[name]) for method, some in by_method.items()]
    return _drawn(grouped, words, ticks=ticks)


def over_depth(table: Table, measure: str = "auroc", words: str = "", along: str = "layer") -> Figure:
    """A measure over the layers at which a network is cut, a panel for each network."""
    return lines(
        primary(table), measure, along, ("layer, from the input to the output", words or WORDS.get(measure, measure))
    )


def described(figure: Figure, title: str) -> str:
    """A figure in sentences, for those who cannot see it: what it is, its panels, its caption."""
    panels = [text for axis in figure.axes if (text := " ".join(axis.get_title().split()))]
    several = f" Panels: {'; '.join(dict.fromkeys(panels))}." if panels else ""
    along = next((f"{axis.get_ylabel()} over {axis.get_xlabel()}" for axis in figure.axes if axis.get_ylabel()), "")
    shown = f" Shown: {' '.join(along.split())}." if along else ""
    caption = " ".join(figure.get_supxlabel().split())
    return f"{title}.{shown}{several} {caption}".strip()


def spread(wanted: Sequence[float], gap: float) -> Float[np.ndarray, " n"]:
    """Places between 0 and 1, as near as can be to those wanted, and at least a gap apart, in the same order.

    Least squares under these constraints is isotonic regression of what is left after the gaps are taken away.
    """
    from scipy import optimize  # a quarter of a second, which every program would wait for

    order = np.argsort(wanted, kind="stable")
    steps = gap * np.arange(len(order))
    free = optimize.isotonic_regression(np.asarray(wanted, float)[order] - steps).x
    places = np.empty(len(order))
    places[order] = np.clip(free, 0, max(1 - steps[-1], 0)) + steps if len(order) else []
    return places


@dataclass(frozen=True, eq=False)
class _Line:
    """Of a method: where, how much, and the interval, [points] each."""

    method: Method
    x: Float[np.ndarray, " points"]
    mean: Float[np.ndarray, " points"]
    low: Float[np.ndarray, " points"]
    high: Float[np.ndarray, " points"]


def _over(method: Method, rows: Sequence[Row], along: str, ticks: Sequence[str]) -> _Line:
    """A method's numbers over the places of a label."""
    x = np.array([ticks.index(row.cell.label(along)) for row in rows], float)
    mean, low, high, _ = (np.array(some, float) for some in zip(*(row.estimate for row in rows)))
    return _Line(method, x, mean, low, high)


def _drawn(
    grouped: dict[str, list[_Line]],
    words: tuple[str, str],
    said: str = "",
    *,
    ticks: dict[str, list[str]] | None = None,
    is_joined: bool = True,
) -> Figure:
    """Panels of lines with names at their ends.

    Args:
        grouped: the lines of each panel.
        words: on the axes.
        said: first in the caption.
        ticks: the names of the places 0, 1, ... of each panel; none: the axis is a number's.
        is_joined: names are joined to the ends of lines; else they stand in the order of the curves' means.
    """
    grouped = {
        name: some
        for name, lines in grouped.items()
        if (some := [one for one in lines if not np.isnan(one.mean).all()])
    }
    if not grouped:
        return Figure()
    every = [line for some in grouped.values() for line in some]
    measured = [line for line in every if line.method != ORACLE] or every
    # Inches: a letter of a name beside a panel takes about 0.07 of them.
    names = max(1.1, 0.07 * max(len(line.method.words) for line in measured))
    across = min(PANELS["lines"], len(grouped), max(round(WIDEST / (2.9 + names)), 1))
    width = 2.9 + names if across > 1 else max(2.9 + names, 5.2)
    styles = _styles([line.method for line in every])
    figure, axes = _grid(len(grouped), across, (width, 3.3))
    # As long as the axes are: the layout leaves no room for words beyond their ends.
    xlabel, ylabel = (
        textwrap.fill(text, round(inches / AXIS_LETTER))
        for text, inches in zip(words, (width - names - 0.8, 2.6), strict=True)
    )
    limits = _limits([number for line in measured for number in (line.mean, *((line.low, line.high) if ticks else ()))])
    along = _limits([line.x for line in measured])
    for axis, (name, some) in zip(axes, grouped.items()):
        axis.set(xlabel=xlabel, ylabel=ylabel, xlim=along, ylim=limits)
        if ticks:
            axis.set_xticks(range(len(ticks[name])), ticks[name], rotation=30 if max(map(len, ticks[name])) > 6 else 0)
        axis.set_title(name, fontsize=10)
        for line in some:
            style = styles.get(line.method, {})
            if line.method != ORACLE:
                axis.plot(line.x, line.mean, marker="o" if ticks else None, markersize=4, **style)
            if not line.method.is_baseline:
                axis.fill_between(line.x, line.low, line.high, alpha=0.12, color=style["color"], linewidth=0)
        _name_lines(axis, [line for line in some if line.method != ORACLE], styles, is_joined)
        for line in some:
            if line.method == ORACLE:
                _mark_oracle(axis, line, limits)
    methods = {line.method for line in every}
    _caption(
        figure,
        said,
        "Bands: 95 % intervals." if any(not method.is_baseline for method in methods) else "",
        "Grey, dotted: maps that know nothing of the network." if methods & GREY.keys() else "",
        "Star: the oracle, the best map there is, at the edge where it lies beyond." if ORACLE in methods else "",
    )
    return figure


def _name_lines(axis: Axes, lines: Sequence[_Line], styles: dict[Method, dict[str, Any]], is_joined: bool) -> None:
    """Names to the right of a panel, each with a stroke of its line, none on another one."""
    low, high = axis.get_ylim()
    height = axis.get_position().height * axis.figure.get_figheight()  # type: ignore[union-attr]
    known = [~np.isnan(line.mean) for line in lines]
    ends = [float(line.mean[some][-1] if is_joined else line.mean[some].mean()) for line, some in zip(lines, known)]
    places = spread([(end - low) / (high - low) for end in ends], 0.17 / max(height, 1.0))
    for line, some, end, place in zip(lines, known, ends, places):
        begin, style = (1.0, place), styles[line.method]
        if is_joined:
            begin = axis.transAxes.inverted().transform(axis.transData.transform((line.x[some][-1], end)))
        width = 0.8 if is_joined else 1.5
        inside: dict[str, Any] = {"transform": axis.transAxes, "clip_on": False}
        axis.plot([begin[0], 1.05], [begin[1], place], **inside | style, linewidth=width)
        axis.text(1.07, place, line.method.words, **inside, fontsize=8.5, va="center", color=_dark(style["color"]))


def _mark_oracle(axis: Axes, line: _Line, limits: tuple[float, float]) -> None:
    """A star where the oracle is highest, or at the edge below that."""
    best = int(np.nanargmax(line.mean))
    x = float(np.clip(line.x[best], *axis.get_xlim()))
    y = float(np.clip(line.mean[best], *limits))
    axis.plot(x, y, "*", color=DARK, markersize=10, clip_on=False, zorder=5)
    is_left = x < np.mean(axis.get_xlim())
    axis.annotate(
        f"oracle, {line.mean[best]:.2f}",
        (x, y),
        (8 if is_left else -8, -3 if y >= limits[1] else 0),
        textcoords="offset points",
        ha="left" if is_left else "right",
        va="top" if y >= limits[1] else "center",
        fontsize=8.5,
        color=DARK,
    )


def _dot(axis: Axes, position: int, row: Row, edge: float) -> None:
    """A mean with its interval; where it lies beyond the edge, a triangle there with its number."""
    mean, low, high, _ = row.estimate
    if _is_beyond(row, edge):
        axis.plot(edge, position, ">", color=DARK, clip_on=False, zorder=5)
        axis.annotate(
            f"{mean:.2f}", (edge, position), (-8, 0), textcoords="offset points", ha="right", va="center", fontsize=8.5
        )
        return
    colour = GREY.get(row.cell.method, DARK if row.cell.method == ORACLE else COLOURS[0])
    axis.plot([low, high], [position, position], color=colour, linewidth=2)
    axis.plot(mean, position, "o", color=colour, markerfacecolor="white" if row.cell.method in GREY else colour)


def _is_beyond(row: Row, edge: float) -> bool:
    return row.cell.method == ORACLE and row.estimate.value > edge


def _possible(measure: str) -> tuple[float, float]:
    """Between what a measure lies, as nearly all do; those that count something lie beyond with their means."""
    return (-1.0, 1.0) if "correlation" in measure or "moved" in measure else (0.0, 1.0)


def _extent(panels: Iterable[Sequence[Row]], possible: tuple[float, float]) -> list[Float[np.ndarray, "3"]]:
    """What an axis has to hold: every number with its interval, but for the oracle's.

    An interval of a few trainings may go far beyond what is possible; its end is then that of the axis.
    """
    rows = [row for some in panels for row in some]
    numbers = [np.array(row.estimate[:3]) for row in rows if row.cell.method != ORACLE]
    numbers = numbers or [np.array(row.estimate[:3]) for row in rows]
    low, high = possible
    is_within = all(low <= value <= high for value, *_ in numbers)
    return [np.clip(number, low, high) for number in numbers] if is_within else numbers


def _limits(numbers: Sequence[Any], also: float | None = None) -> tuple[float, float]:
    """The least and the most, with some room."""
    some = np.concatenate([np.ravel(number) for number in numbers] + ([] if also is None else [np.array([also])]))
    low, high = float(np.nanmin(some)), float(np.nanmax(some))
    room = MARGIN * (high - low) or 0.01
    return low - room, high + room


def _panels(rows: Iterable[Row], without: str = "") -> dict[str, list[Row]]:
    """Rows by what distinguishes them beside the method."""
    grouped: dict[str, list[Row]] = {}
    for row in rows:
        labels = [
            f"{value} user" if name == "user" else value for name, value in row.cell.labels if name != without and value
        ]
        grouped.setdefault(", ".join(labels), []).append(row)
    return grouped


def _grid(panels: int, across: int, inches: tuple[float, float]) -> tuple[Figure, list[Axes]]:
    """A figure with this many panels, some side by side; `inches` is the width and height of one of them."""
    down = -(-panels // across)
    size = (inches[0] * across, inches[1] * down + 0.5)
    with plt.rc_context(
        {"axes.spines.top": False, "axes.spines.right": False, "xtick.labelsize": 9, "ytick.labelsize": 9}
    ):
        figure, axes = plt.subplots(down, across, figsize=size, squeeze=False, layout="constrained")
    for axis in axes.flat[panels:]:
        axis.remove()
    return figure, list(axes.flat[:panels])


def _caption(figure: Figure, *sentences: str) -> None:
    """Small text below the panels, as wide as they are."""
    letters = int(figure.get_figwidth() * 14)
    figure.supxlabel(textwrap.fill(" ".join(filter(None, sentences)), letters), fontsize=8.5)


def _styles(methods: Iterable[Method]) -> dict[Method, dict[str, Any]]:
    """How each method's line looks, the same in all panels."""
    own = [method for method in dict.fromkeys(methods) if not method.is_baseline]
    styles: dict[Method, dict[str, Any]] = {
        method: {"color": COLOURS[k % len(COLOURS)], "linestyle": STROKES[k % len(STROKES)]}
        for k, method in enumerate(own)
    }
    return styles | {method: {"color": colour, "linestyle": ":"} for method, colour in GREY.items()}


def _dark(colour: str) -> str:
    """A colour for letters: the same hue, dark enough to be read on white."""
    rgb = np.array(colors.to_rgb(colour))
    while contrast(tuple(rgb), (1.0, 1.0, 1.0)) < 4.5:
        rgb = rgb * 0.95
    return colors.to_hex(tuple(rgb))


def contrast(first: tuple[float, ...], second: tuple[float, ...]) -> float:
    """Of two colours, 1 to 21 (WCAG 2, relative luminance)."""
    light = sorted((_luminance(colour) for colour in (first, second)), reverse=True)
    return (light[0] + 0.05) / (light[1] + 0.05)


def _luminance(colour: tuple[float, ...]) -> float:
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in colour]
    return float(np.dot([0.2126, 0.7152, 0.0722], linear))
