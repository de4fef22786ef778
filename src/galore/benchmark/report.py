"""The benchmark's results as tables and as a figure."""

from collections.abc import Sequence
from pathlib import Path

from rich import box
from rich.table import Table

from galore import atomic
from galore.benchmark import record, sweep
from galore.benchmark.against_torch import COMPILED
from galore.benchmark.compare import Comparison
from galore.benchmark.record import Row


def table(rows: Sequence[Row]) -> Table:
    """One setting as a table; works that failed say how. Where torch was timed, a column compares with its compiler."""
    setting = rows[0].setting
    where = f"{setting.devices} x {setting.device}" + (f" in {setting.processes} processes" * (setting.processes > 1))
    shown = _empty(f"{setting.network}, batch {setting.batch}, {setting.arithmetic}, {where}")
    for heading in (
        "median", "p5 - p95", "images/s", "/ forward", "(min - max)", "GFLOP/s", "of peak", "memory", "first", "error",
    ):  # fmt: skip
        shown.add_column(heading, justify="right", no_wrap=True)
    beside = [record.ratio_of(row, rows, COMPILED) for row in rows]
    if any(beside):
        shown.add_column("/ torch", justify="right", no_wrap=True)
    for row, ratio in zip(rows, beside, strict=True):
        shown.add_row(
            row.work, *([*_cells(row), *([_number(ratio)] if any(beside) else [])] if row.is_measured else [row.status])
        )
    return shown


def _empty(title: str) -> Table:
    shown = Table(title=title, title_justify="left", box=box.SIMPLE, padding=(0, 1, 0, 0))
    shown.add_column("work", no_wrap=True)
    return shown


def _cells(row: Row) -> list[str]:
    low, high = (min(row.ratios), max(row.ratios)) if row.ratios else (None, None)
    return [
        seconds(row.median_s),
        f"{_milliseconds(row.p5_s)} - {_milliseconds(row.p95_s)}",
        _number(row.images_per_s),
        _number(row.ratio_to_forward),
        "" if low is None else f"{low:.3g} - {high:.3g}",
        _number(row.flops_per_s, 1e-9),
        "" if row.utilisation is None else f"{100 * row.utilisation:.0f} %",
        "" if row.planned_bytes is None else f"{row.planned_bytes / 2**20:.0f} MiB",
        "" if row.first_result_s is None else f"{row.first_result_s:.1f} s",
        "" if row.error_against_float64 is None else f"{row.error_against_float64:.0e}",
    ]


def comparison(found: Sequence[Comparison]) -> Table:
    """Two records beside each other: ratios of times, their intervals, and which works differ."""
    shown = _empty("second / first")
    shown.add_column("setting", no_wrap=True)
    for heading in ("first", "second", "ratio", "95 % of rounds", "machine", ""):
        shown.add_column(heading, justify="right", no_wrap=True)
    for one in found:
        setting = one.first.setting
        verdict = ("slower" if one.ratio > 1 else "faster") if one.differs else "no difference"
        shown.add_row(
            one.first.work,
            f"{setting.network}, {setting.batch}, {setting.arithmetic}",
            seconds(one.first.median_s),
            seconds(one.second.median_s),
            f"{one.ratio:.3g}",
            f"{one.low:.3g} - {one.high:.3g}",
            f"{one.drift:.3g}",
            verdict,
        )
    return shown


def knees(rows: Sequence[Row]) -> list[str]:
    """For each network, dtype and work of a sweep a sentence: from which batch on more images at once gain nothing."""
    rates: dict[tuple[str, str, str], dict[int, float]] = {}
    for row in rows:
        if row.images_per_s is not None:
            work = (row.setting.network, row.setting.arithmetic, row.work)
            rates.setdefault(work, {})[row.setting.batch] = row.images_per_s
    return [
        f"{network}, {dtype}, {work}: batch {(batch := sweep.knee(found))} reaches {found[batch]:.3g} images/s, "
        f"{100 * found[batch] / max(found.values()):.0f} % of the most"
        for (network, dtype, work), found in rates.items()
    ]


def save_figure(rows: Sequence[Row], path: str | Path) -> None:
    """Bars of the ratio to one forward pass, one panel for each setting, on a logarithmic axis."""
    from matplotlib.figure import Figure

    drawn = [row for row in rows if row.ratio_to_forward is not None]
    settings = list(dict.fromkeys(row.setting for row in drawn))
    if not settings:
        return
    most = max(sum(row.setting == setting for row in drawn) for setting in settings)
    figure = Figure(figsize=(9, (0.32 * most + 0.9) * len(settings)), layout="constrained")
    panels = figure.subplots(len(settings), 1, squeeze=False)[:, 0]
    for panel, setting in zip(panels, settings, strict=True):
        ratios = {row.work: row.ratio_to_forward or 0 for row in drawn[::-1] if row.setting == setting}
        values = list(ratios.values())
        bars = panel.barh(list(ratios), values, color=["#7a7a7a" if ":" in work else "#1b6ca8" for work in ratios])
        panel.bar_label(bars, [f"{value:.3g}" for value in values], padding=3, fontsize=8)
        panel.axvline(1, color="black", linewidth=0.8)
        panel.set_xscale("log")
        panel.set_xlim(min(0.5, *values) * 0.9, max(values) * 2)
        panel.set_title(f"{setting.network}, batch {setting.batch}, {setting.arithmetic}", fontsize=10, loc="left")
        panel.tick_params(labelsize=8)
        panel.spines[["top", "right"]].set_visible(False)
    panels[-1].set_xlabel("time / one forward pass", fontsize=9)
    with atomic.file(path) as temporary:
        figure.savefig(temporary, dpi=150)


def seconds(value: float | None) -> str:
    """ "12.3 ms", "1.23 s"; nothing where nothing was measured."""
    if value is None:
        return ""
    return f"{1000 * value:.1f} ms" if value < 1 else f"{value:.3g} s"


def _milliseconds(value: float | None) -> str:
    return "" if value is None else f"{1000 * value:.1f}" if value < 0.1 else f"{1000 * value:.0f}"


def _number(value: float | None, unit: float = 1.0) -> str:
    return "" if value is None else f"{unit * value:.3g}"
