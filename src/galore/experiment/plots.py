"""The experiments' figures: dots with intervals, curves over region size; each says below it what it shows."""

import dataclasses
import textwrap
from collections.abc import Callable
from typing import Any

import matplotlib

matplotlib.use("Agg")

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from galore.evaluation.methods import GAUSSIAN, ORACLE, RANDOM, WHOLE_OBJECT, Method
from galore.evaluation.metrics import FRACTIONS
from galore.experiment.table import Row, Table

GREY = {RANDOM: "0.75", GAUSSIAN: "0.6", WHOLE_OBJECT: "0.45", ORACLE: "0.15"}
PANELS = 4
"""How many panels stand side by side."""
WORDS = {
    "auroc": "AUROC (0.5: chance)",
    "piou": "PIoU",
    "iou": "IoU",
}
"""Measures as axes name them, where that is not their own name."""
DOTS = "Dots: means over images and seeds; bars: 95 % intervals; grey: maps that know nothing of the network."
LINES = "Bands: 95 % intervals; dashed: maps that know nothing of the network."


def auroc(table: Table) -> dict[str, Figure]:
    """The AUROC of every method."""
    return {"auroc": dots(table, "auroc")}


def auroc_and_curves(table: Table) -> dict[str, Figure]:
    """The AUROC of every method, and the curves over the region size."""
    return auroc(table) | region_curves(table)


def dots(
    table: Table,
    measure: str,
    chance: float | None = 0.5,
    words: str = "",
    *,
    region: float | None = None,
    names: Callable[[Row], str] = lambda row: row.cell.method.label,
) -> Figure:
    """A number of every method with its interval, one panel per user (network, layer, ...).

    Args:
        table: of the experiment.
        measure: the rows to show.
        chance: where a line is drawn; None: nowhere.
        words: on the axis, where the measure's name says too little.
        region: the region size at which a curve was read.
        names: what stands beside each row.
    """
    panels = _panels(table.select(measure, region=region))
    labels = [[names(row) for row in rows] for rows in panels.values()]
    across = min(PANELS, len(panels))
    # Inches: a letter takes about 0.085 of them.
    margin = 0.3 + 0.085 * max(len(name) for some in labels for name in some)
    height = 0.7 + 0.28 * max(map(len, labels))
    figure, axes = _grid(len(panels), (margin / across + 2.6, height), sharex=True)
    for place, (axis, (name, rows)) in enumerate(zip(axes, panels.items())):
        for position, row in enumerate(rows):
            mean, low, high, _ = row.estimate
            colour = GREY.get(row.cell.method, "C0")
            axis.plot([low, high], [position, position], color=colour, linewidth=2)
            axis.plot(mean, position, "o", color=colour)
        if chance is not None:
            axis.axvline(chance, color="0.8", zorder=0)
        labelled = place % across == 0 or labels[place] != labels[place - 1]
        axis.set_yticks(range(len(rows)), labels[place] if labelled else [])
        axis.set_ylim(len(rows) - 0.5, -0.5)
        axis.set_title(name, fontsize=10)
        axis.tick_params(labelbottom=True)
    _caption(figure, words or WORDS.get(measure, measure), DOTS)
    return figure


def region_curves(table: Table) -> dict[str, Figure]:
    """Precision over recall where there are parts, IoU over region size where there are masks."""
    if table.select("precision"):
        return {"precision_recall": precision_recall(table)}
    return {"iou": curves(table, "iou")}


def precision_recall(table: Table) -> Figure:
    """Precision over recall, the region size running along each curve."""
    shown = [row for row in table.select("precision") if row.is_curve]
    grouped, styles = _panels(shown), _styles(shown)
    figure, axes = _grid(len(grouped), (4.0, 3.6), legend=True)
    for axis, (name, rows) in zip(axes, grouped.items()):
        for row in rows:
            recall = table.find(dataclasses.replace(row.cell, measure="recall"))
            if recall is not None:
                x, (y, low, high) = recall.curve()[0], row.curve()
                # The oracle's curve is a point.
                (line,) = axis.plot(x, y, marker="o" if np.ptp(x) == 0 else None, **styles[row.cell.method])
                axis.fill_between(x, low, high, alpha=0.1, color=line.get_color(), linewidth=0)
        axis.set(xlabel="recall", ylabel="precision")
        axis.set_title(name, fontsize=10)
    _legend(figure, axes)
    _caption(figure, f"The region grows along a curve, from 0.5 % to 99 % of the image. {LINES}")
    return figure


def curves(table: Table, measure: str, words: tuple[str, str] = ("", ""), x: tuple[float, ...] = FRACTIONS) -> Figure:
    """A measure over region size, one line per method.

    Args:
        table: of the experiment.
        measure: the rows to show.
        words: on the axes, where the name of the measure says too little.
        x: the region sizes of its values.
    """
    shown = [row for row in table.select(measure) if row.is_curve]
    grouped, styles = _panels(shown), _styles(shown)
    figure, axes = _grid(len(grouped), (4.0, 3.6), legend=True)
    for axis, (name, rows) in zip(axes, grouped.items()):
        for row in rows:
            mean, low, high = row.curve()
            (line,) = axis.plot(np.array(x) * 100, mean, **styles[row.cell.method])
            axis.fill_between(np.array(x) * 100, low, high, alpha=0.15, color=line.get_color(), linewidth=0)
        axis.set(xlabel=words[0] or "region, % of the image", ylabel=words[1] or WORDS.get(measure, measure))
        axis.set_title(name, fontsize=10)
    _legend(figure, axes)
    _caption(figure, LINES)
    return figure


def lines(table: Table, measure: str, along: str, words: tuple[str, str]) -> Figure:
    """A measure over a label (shift, stage of randomisation), one line with intervals per method.

    Args:
        table: of the experiment.
        measure: the rows to show.
        along: the label.
        words: on the axes, of the label and of the measure.
    """
    rows = table.select(measure)
    styles = _styles(rows)
    figure, (axis,) = _grid(1, (4.4, 3.6), legend=True)
    for method in dict.fromkeys(row.cell.method for row in rows):
        some = [row for row in rows if row.cell.method == method]
        mean, low, high, _ = zip(*(row.estimate for row in some))
        (line,) = axis.plot([row.cell.label(along) for row in some], mean, marker="o", **styles[method])
        axis.fill_between(range(len(some)), low, high, alpha=0.15, color=line.get_color(), linewidth=0)
    axis.set(xlabel=words[0], ylabel=words[1])
    _legend(figure, [axis])
    _caption(figure, LINES)
    return figure


def _panels(rows: list[Row]) -> dict[str, list[Row]]:
    """Rows by what distinguishes them beside the method."""
    grouped: dict[str, list[Row]] = {}
    for row in rows:
        labels = [f"{value} user" if name == "user" else value for name, value in row.cell.labels]
        grouped.setdefault(", ".join(labels), []).append(row)
    return grouped


def _grid(
    panels: int, inches: tuple[float, float], sharex: bool = False, legend: bool = False
) -> tuple[Figure, list[Axes]]:
    """A figure with this many panels, some side by side; `inches` is the width and height of one of them."""
    across = min(PANELS, panels)
    down = -(-panels // across)
    size = (inches[0] * across + 2.2 * legend, inches[1] * down + 0.5)
    figure, axes = plt.subplots(down, across, figsize=size, sharex=sharex, squeeze=False, layout="constrained")
    for axis in axes.flat[panels:]:
        axis.remove()
    return figure, list(axes.flat[:panels])


def _caption(figure: Figure, *paragraphs: str) -> None:
    """Small text below the panels, as wide as they are."""
    letters = int(figure.get_figwidth() * 16)
    figure.supxlabel("\n".join(textwrap.fill(text, letters) for text in paragraphs), fontsize=8)


def _legend(figure: Figure, axes: list[Axes]) -> None:
    """One entry per method, beside the panels."""
    named = {str(line.get_label()): line for axis in axes for line in axis.get_lines()}
    figure.legend(named.values(), named.keys(), fontsize=7, loc="outside right center")


def _styles(rows: list[Row]) -> dict[Method, dict[str, Any]]:
    """How each method's line looks, the same in all panels."""
    methods = list(dict.fromkeys(row.cell.method for row in rows))
    own = [method for method in methods if not method.is_baseline]
    styles: dict[Method, dict[str, Any]] = {method: {"color": f"C{k}"} for k, method in enumerate(own)}
    styles |= {method: {"color": colour, "linestyle": "--"} for method, colour in GREY.items()}
    return {method: {"label": method.label} | styles[method] for method in methods}
