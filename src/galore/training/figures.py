"""The training curve, and hardness against what went wrong."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool, Float
from matplotlib.figure import Figure

from galore.statistics import wilson

_BLUE, _ORANGE, _GREY = "#1f5fa8", "#c4601d", "#8a8a8a"


def training_curve(records: Sequence[dict[str, Any]]) -> Figure:
    """Loss and accuracy over the steps, training smoothed over 20 steps.

    Args:
        records: as `galore.training.loop.fit` gives them.
    """
    figure = Figure(figsize=(7.2, 3.0), layout="constrained")
    left, right = figure.subplots(1, 2)
    steps = [record for record in records if "loss" in record]
    checks = [record for record in records if "validation" in record]
    x = [record["step"] for record in steps]
    for axes, name in ((left, "loss"), (right, "accuracy")):
        axes.plot(x, _smooth([record.get(name, np.nan) for record in steps]), color=_BLUE, label="training")
        at = [(record["step"], record["validation"][name]) for record in checks if name in record["validation"]]
        if at:
            axes.plot(*zip(*at, strict=True), "o-", color=_ORANGE, markersize=4, label="validation")
        axes.set(xlabel="step", ylabel=name, title="")
        axes.spines[["top", "right"]].set_visible(False)
    left.set_ylabel("loss (nats)")
    right.set_ylim(0, 1.02)
    right.legend(frameon=False, loc="lower right")
    return figure


def calibration(hardness: Float[np.ndarray, " n"], wrong: Bool[np.ndarray, " n"], bins: int = 8) -> Figure:
    """The error rate of images of equal hardness, in bins of equal size, with 95 % Wilson intervals.

    Args:
        hardness: of the test images.
        wrong: whether the classifier errs.
        bins: how many.
    """
    figure = Figure(figsize=(4.2, 3.4), layout="constrained")
    axes = figure.subplots()
    groups = [group for group in np.array_split(np.argsort(hardness, kind="stable"), bins) if len(group)]
    x = np.array([hardness[group].mean() for group in groups])
    rate = np.array([wrong[group].mean() for group in groups])
    _, low, high, _ = np.array([wilson(int(wrong[group].sum()), len(group)) for group in groups]).T
    axes.plot([0, 1], [0, 1], color=_GREY, linewidth=1, linestyle=":", label="hardness = error rate")
    errors = [np.maximum(rate - low, 0), np.maximum(high - rate, 0)]
    axes.errorbar(x, rate, yerr=errors, fmt="o", color=_BLUE, capsize=2, label=f"{len(hardness) // bins} images each")
    axes.axhline(wrong.mean(), color=_ORANGE, linewidth=1, label=f"all: {wrong.mean():.2f}")
    axes.set(xlabel="predicted hardness", ylabel="error rate", xlim=(0, 1), ylim=(0, 1))
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, loc="upper left", fontsize=8)
    return figure


def _smooth(values: Sequence[float], window: int = 20) -> Float[np.ndarray, " n"]:
    array = np.asarray(values, np.float64)
    window = max(1, min(window, len(array)))
    sums = np.cumsum(np.insert(array, 0, 0.0))
    starts = np.maximum(np.arange(1, len(array) + 1) - window, 0)
    ends = np.arange(1, len(array) + 1)
    return (sums[ends] - sums[starts]) / (ends - starts)
