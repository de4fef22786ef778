"""The experiments' figures: dots with intervals, curves over region size."""

from typing import Any

import matplotlib

matplotlib.use("Agg")

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from table import Row, Table

from galore.evaluation.metrics import FRACTIONS

GREY = {"random map": "0.75", "centred Gaussian": "0.6", "whole object": "0.45", "oracle": "0.15"}


def dots(table: Table, measure: str, chance: float | None = 0.5) -> Figure:
    """A number of every method with its interval, one panel per user (network, layer, ...)."""
    panels = _panels(table.select(measure))
    names = [[row.labels.get("method", "") for row in rows] for rows in panels.values()]
    shown = [True] + [some != names[0] for some in names[1:]]
    # Inches: a letter takes about 0.085 of them.
    margins = [0.3 + 0.085 * max(map(len, some)) * labelled for some, labelled in zip(names, shown)]
    figure, axes = plt.subplots(
        1,
        len(panels),
        figsize=(sum(margins) + 2.6 * len(panels), 1.0 + 0.28 * max(map(len, names))),
        sharex=True,
        squeeze=False,
        layout="constrained",
    )
    for axis, (name, rows), some, labelled in zip(axes[0], panels.items(), names, shown):
        for position, row in enumerate(rows):
            mean, low, high, _ = row.estimate
            colour = GREY.get(row.labels.get("method", ""), "C0")
            axis.plot([low, high], [position, position], color=colour, linewidth=2)
            axis.plot(mean, position, "o", color=colour)
        if chance is not None:
            axis.axvline(chance, color="0.8", zorder=0)
        axis.set_yticks(range(len(rows)), some if labelled else [])
        axis.set_ylim(len(rows) - 0.5, -0.5)
        axis.set_xlabel("AUROC" if measure == "auroc" else measure)
        axis.set_title(name, fontsize=10)
    return figure


def region_curves(table: Table, panels: str = "") -> dict[str, Figure]:
    """Precision over recall where there are parts, IoU over region size where there are masks."""
    if any(row.measure == "precision" and row.is_curve for row in table.rows):
        return {"precision_recall": precision_recall(table, panels)}
    return {"iou": curves(table, "iou", panels)}


def precision_recall(table: Table, panels: str = "") -> Figure:
    """Precision over recall, the region size running along each curve."""
    grouped = _panels([row for row in table.select("precision") if row.is_curve], panels)
    figure, axes = plt.subplots(
        1, len(grouped), figsize=(5.2 * len(grouped) + 1, 4), squeeze=False, layout="constrained"
    )
    for axis, (name, rows) in zip(axes[0], grouped.items()):
        for row in rows:
            recall = table.find("recall", **row.labels)
            x, y = _means(recall) if recall else np.array([]), _means(row)
            axis.plot(x, y, label=row.labels.get("method", ""), **_style(row))
        axis.set(xlabel="recall", ylabel="precision", title=name)
    axes[0][-1].legend(fontsize=7, loc="center left", bbox_to_anchor=(1, 0.5))
    return figure


def curves(table: Table, measure: str, panels: str = "") -> Figure:
    """A measure over region size, one line per method."""
    grouped = _panels([row for row in table.select(measure) if row.is_curve], panels)
    figure, axes = plt.subplots(
        1, len(grouped), figsize=(5.2 * len(grouped) + 1, 4), squeeze=False, layout="constrained"
    )
    for axis, (name, rows) in zip(axes[0], grouped.items()):
        for row in rows:
            axis.plot(np.array(FRACTIONS) * 100, _means(row), label=row.labels.get("method", ""), **_style(row))
        axis.set(xlabel="region, % of the image", ylabel=measure, title=name)
    axes[0][-1].legend(fontsize=7, loc="center left", bbox_to_anchor=(1, 0.5))
    return figure


def lines(table: Table, measure: str, along: str) -> Figure:
    """A measure over a label (shift, stage of randomisation), one line with intervals per method."""
    rows = table.select(measure)
    figure, axis = plt.subplots(figsize=(6.4, 4), layout="constrained")
    for method in dict.fromkeys(row.labels["method"] for row in rows):
        some = [row for row in rows if row.labels["method"] == method]
        estimates = [row.estimate for row in some]
        means = [e.mean for e in estimates]
        (line,) = axis.plot([row.labels[along] for row in some], means, marker="o", label=method, **_style(some[0]))
        low, high = [e.low for e in estimates], [e.high for e in estimates]
        axis.fill_between(range(len(some)), low, high, alpha=0.15, color=line.get_color(), linewidth=0)
    axis.set(xlabel=along, ylabel=measure)
    axis.legend(fontsize=7)
    return figure


def _panels(rows: list[Row], name: str = "") -> dict[str, list[Row]]:
    """Rows by what distinguishes them beside the method (or by one label)."""
    grouped: dict[str, list[Row]] = {}
    for row in rows:
        labels = {key: value for key, value in row.labels.items() if (key == name if name else key != "method")}
        grouped.setdefault(", ".join(labels.values()), []).append(row)
    return grouped


def _means(row: Row) -> np.ndarray:
    """Over images, then seeds; NaN where nothing counts."""
    counted = (~np.isnan(row.values)).sum(axis=1)
    by_seed = np.nansum(row.values, axis=1) / np.where(counted, counted, np.nan)
    seen = (~np.isnan(by_seed)).sum(axis=0)
    return np.nansum(by_seed, axis=0) / np.where(seen, seen, np.nan)


def _style(row: Row) -> dict[str, Any]:
    method = row.labels.get("method", "")
    return {"color": GREY[method], "linestyle": "--"} if method in GREY else {}
