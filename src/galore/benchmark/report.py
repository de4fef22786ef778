"""The benchmark's results as a table, a figure and JSON."""

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from rich import box
from rich.table import Table

from galore import atomic
from galore.benchmark.timing import Record


def table(records: Sequence[Record], ratios: np.ndarray) -> Table:
    """One setting as a table.

    Args:
        records: of one network, batch and dtype.
        ratios: of every workload to the forward pass, [rounds, workloads].
    """
    first = records[0]
    shown = Table(
        title=f"{first.network}, batch {first.batch}, {first.dtype}, {first.devices} x {first.device}",
        title_justify="left",
        box=box.SIMPLE,
    )
    shown.add_column("work", no_wrap=True)
    for heading in ("median", "spread", "images/s", "/ forward", "(min - max)", "memory", "compile"):
        shown.add_column(heading, justify="right", no_wrap=True)
    for record, column in zip(records, ratios.T, strict=True):
        shown.add_row(
            record.work,
            _seconds(record.median_s),
            f"{100 * record.spread:.0f} %",
            f"{record.images_per_s:.3g}",
            f"{record.ratio_to_forward:.3g}",
            f"{column.min():.3g} - {column.max():.3g}",
            "" if record.peak_bytes is None else f"{record.peak_bytes / 2**20:.0f} MiB",
            "" if record.compile_s is None else f"{record.compile_s:.1f} s",
        )
    return shown


def save_json(records: Sequence[Record], path: str | Path) -> None:
    """A list of records with the fields of `Record`."""
    with atomic.file(path) as temporary:
        rows = [dataclasses.asdict(record) for record in records]
        temporary.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


def save_figure(records: Sequence[Record], path: str | Path) -> None:
    """Bars of the ratio to one forward pass, one panel per network, on a logarithmic axis."""
    from matplotlib.figure import Figure

    settings = list(dict.fromkeys((r.network, r.batch, r.dtype) for r in records))
    most = max(sum((r.network, r.batch, r.dtype) == setting for r in records) for setting in settings)
    figure = Figure(figsize=(9, (0.32 * most + 0.9) * len(settings)), layout="constrained")
    panels = figure.subplots(len(settings), 1, squeeze=False)[:, 0]
    for panel, setting in zip(panels, settings, strict=True):
        rows = [r for r in records if (r.network, r.batch, r.dtype) == setting][::-1]
        values = [r.ratio_to_forward for r in rows]
        bars = panel.barh(
            [r.work for r in rows], values, color=["#7a7a7a" if ":" in r.work else "#1b6ca8" for r in rows]
        )
        panel.bar_label(bars, [f"{value:.3g}" for value in values], padding=3, fontsize=8)
        panel.axvline(1, color="black", linewidth=0.8)
        panel.set_xscale("log")
        panel.set_xlim(min(0.5, *values) * 0.9, max(values) * 2)
        panel.set_title(f"{setting[0]}, batch {setting[1]}, {setting[2]}", fontsize=10, loc="left")
        panel.tick_params(labelsize=8)
        panel.spines[["top", "right"]].set_visible(False)
    panels[-1].set_xlabel("time / one forward pass", fontsize=9)
    with atomic.file(path) as temporary:
        figure.savefig(temporary, dpi=150)


def _seconds(value: float) -> str:
    return f"{1000 * value:.1f} ms" if value < 1 else f"{value:.3g} s"
