"""All records of a folder on one page: a table for each setting, rooflines, scaling, time to the first result."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from galore import atomic, foreign
from galore.benchmark import record, report, scaling
from galore.benchmark.against_torch import COMPILED
from galore.benchmark.record import Record, Row
from galore.errors import InputError

PAGE = "index.md"
ONLY_CPUS = "**No accelerator has been measured yet**: every record below is of a CPU. "
INTRODUCTION = """# Benchmarks

{first}Each record was written by `galore bench --json FILE`, and this page by
`galore bench page FOLDER`. Add the record of your own machine, and compare: `galore bench compare A.json B.json`.

Times are medians of interleaved rounds, with the 5th and the 95th percentile; *of forward* is the median of the ratios
to one forward pass in the same round. *GFLOP* are the network's own operations, counted from shapes, beside those that
the compiler counts in its program, to which a loop runs once. GFLOP/s and *of peak* go by the first. On CPUs
Winograd's method takes 3 x 3 convolutions of VGG and ResNet with fewer multiplications (of ResNet-50 those on 56 and
28 rows): there *of peak* is more than the machine does, by as much as the first count exceeds the second, and may pass
100 %. A measured peak is what XLA's matrix product attained at that moment, and no limit of the hardware. *GB/s* is
what the compiler's program reads and writes, caches included. *Planned* memory is the compiler's, *used* the device's
own account. *Error* is that of the maps against float64 on the CPU. *First result* is tracing, compilation and the
first run.
"""
HEADINGS = (
    "work", "median", "5 % - 95 %", "images/s", "of forward", "of compiled torch", "GFLOP", "by compiler", "GFLOP/s",
    "of peak", "GB/s", "planned", "used", "J/image", "error", "first result",
)  # fmt: skip


def draw(folder: Path) -> Path:
    """Writes index.md and its figures beside the records of a folder.

    Returns:
        The page.

    Raises:
        InputError: no records, or one of another schema.
    """
    paths = sorted(folder.glob("*.json")) if folder.is_dir() else []
    if not paths:
        raise InputError(f"{foreign.text(folder)}: expected a folder with records that galore bench --json wrote")
    records = {path.stem: record.read(path) for path in paths}
    figures = {
        "roofline": ("Rooflines", roofline),
        "scaling": ("Scaling", scaling_figure),
        "first_result": ("Time to the first result", first_result),
    }
    drawn = []
    for name, (title, draw_one) in figures.items():
        if _save(draw_one(records), folder / f"{name}.svg"):
            drawn.append(f"## {title}\n\n![{_alternative(draw_one)}]({name}.svg)\n")
    rows = [row for one in records.values() for row in one.rows]
    first = ONLY_CPUS if all(row.setting.device in ("cpu", "") for row in rows) else ""
    parts = [INTRODUCTION.format(first=first), *drawn, *(_section(name, one) for name, one in records.items())]
    with atomic.file(folder / PAGE) as unfinished:
        unfinished.write_text("\n".join(parts), encoding="utf-8")
    return folder / PAGE


def _alternative(draw_one: Callable[..., Any]) -> str:
    return (draw_one.__doc__ or "").splitlines()[0].rstrip(".")


def _save(figure: Any, path: Path) -> bool:
    if figure is None:
        path.unlink(missing_ok=True)
        return False
    with atomic.file(path) as unfinished:
        figure.savefig(unfinished, metadata={"Date": None})
    return True


def _section(name: str, found: Record) -> str:
    """One record: what it was made on, and a table for each of its settings."""
    lines = [f"## {_text(name)}\n", _origin(found), ""]
    for setting in dict.fromkeys(row.setting for row in found.rows):
        rows = [row for row in found.rows if row.setting == setting]
        where = f"{setting.devices} x {setting.device}" + f", {setting.processes} processes" * (setting.processes > 1)
        scaled = f", {setting.scaling} scaling" if setting.scaling else ""
        title = f"{setting.network}, batch {setting.batch}, {setting.arithmetic}"
        lines += [
            f"**{_text(title)}** ({_text(where)}, {setting.image_size} pixels, {setting.classes} classes{scaled})",
            "",
        ]
        # A column in which nothing stands says nothing.
        table = [HEADINGS, *(_cells(row, rows) for row in rows)]
        kept = [k for k in range(len(HEADINGS)) if k == 0 or any(cells[k] for cells in table[1:])]
        lines += [_line([cells[k] for k in kept]) for cells in table]
        lines.insert(len(lines) - len(rows), _line(["---"] + ["---:"] * (len(kept) - 1)))
        lines.append("")
    return "\n".join(lines)


def _origin(found: Record) -> str:
    """When, on what and by what a record was made, as one paragraph."""
    made, host = found.made, found.made.get("host") or {}
    versions = ", ".join(f"{name} {version}" for name, version in (made.get("versions") or {}).items())
    commit = ((made.get("git") or {}).get("commit") or "")[:10]
    clock = f" at {made['clock_hz'] / 1e9:.2f} GHz" if made.get("clock_hz") else ""
    flags = "; ".join(f"{name}={value}" for name, value in (made.get("flags") or {}).items())
    cores = f"{host.get('cores', '?')} cores of {host.get('processor', '')}"
    said = [
        f"{made.get('date', '')}: {made.get('device', '')}{clock}, {cores}",
        f"galore {made.get('galore', '')} {commit}; {versions}",
    ]
    said += [f"flags: {flags}"] if flags else []
    if found.peak is not None and found.peak.default and found.peak.bandwidth:
        most = f"{found.peak.default / 1e9:,.0f} GFLOP/s and {found.peak.bandwidth / 1e9:,.0f} GB/s"
        said.append(f"peak in float32: {most} ({found.peak.source})")
    return _text(". ".join(said) + ".")


def _cells(row: Row, others: Sequence[Row]) -> tuple[str, ...]:
    if not row.is_measured:
        return (_text(row.work), f"{row.status}: {_text(row.reason)}", *[""] * (len(HEADINGS) - 2))
    return (
        _text(row.work),
        report.seconds(row.median_s),
        f"{report.seconds(row.p5_s)} - {report.seconds(row.p95_s)}",
        _number(row.images_per_s),
        _number(row.ratio_to_forward),
        _number(record.ratio_of(row, others, COMPILED)),
        _number(row.counted_flops, 1e9),
        _number(row.compiled_flops, 1e9),
        _number(row.flops_per_s, 1e9),
        "" if row.utilisation is None else f"{100 * row.utilisation:.0f} %",
        _number(row.bytes_per_s, 1e9),
        _mebibytes(row.planned_bytes),
        _mebibytes(row.used_bytes),
        _number(row.joules_per_image),
        "" if row.error_against_float64 is None else f"{row.error_against_float64:.0e}",
        report.seconds(row.first_result_s),
    )


def _text(value: str) -> str:
    """A foreign text as Markdown shows it, and not as markup."""
    return "".join(f"\\{c}" if c in "\\`*_|<>[]#" else c for c in foreign.text(value, 1000))


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _number(value: float | None, unit: float = 1.0) -> str:
    return "" if value is None else f"{value / unit:.3g}"


def _mebibytes(value: int | None) -> str:
    return "" if value is None else f"{value / 2**20:.0f} MiB"


def roofline(records: dict[str, Record]) -> Any:
    """FLOP/s against FLOP per byte, a panel for each record, under the roof of the device where it is known."""
    panels = {name: [row for row in one.rows if row.flops_per_s] for name, one in records.items()}
    panels = {name: rows for name, rows in panels.items() if rows}
    if not panels:
        return None
    figure, axes = _figure(len(panels))
    networks = list(dict.fromkeys(row.setting.network for rows in panels.values() for row in rows))
    works = list(dict.fromkeys(row.work for rows in panels.values() for row in rows))
    for panel, (name, rows) in zip(axes, panels.items(), strict=True):
        for row in rows:
            assert row.counted_flops and row.counted_bytes and row.flops_per_s
            intensity, speed = row.counted_flops / row.counted_bytes, row.flops_per_s / row.setting.devices
            colour, marker = f"C{networks.index(row.setting.network)}", MARKERS[works.index(row.work) % len(MARKERS)]
            panel.plot(intensity, speed / 1e9, marker, color=colour, ms=6, alpha=0.8)
        _roof(panel, records[name])
        panel.set(xscale="log", yscale="log", title=name, xlabel="FLOP per byte", ylabel="GFLOP/s of one device")
        panel.grid(which="major", linewidth=0.3)
    handles = [_handle("s", network, f"C{k}") for k, network in enumerate(networks)]
    handles += [_handle(MARKERS[k % len(MARKERS)], work, "#777777") for k, work in enumerate(works)]
    figure.legend(handles=handles, loc="outside right upper", frameon=False, fontsize=8)
    return figure


MARKERS = "os^vD*P<>Xpdh8"


def _handle(marker: str, label: str, colour: str) -> Any:
    from matplotlib.lines import Line2D

    return Line2D([], [], marker=marker, color=colour, linestyle="", label=foreign.name(label))


def _roof(panel: Any, found: Record) -> None:
    """The peak of each kind of number that was measured, as far as memory feeds it."""
    if found.peak is None or not found.peak.bandwidth:
        return
    low, high = panel.get_xlim()
    for dtype, precision in dict.fromkeys((row.setting.dtype, row.setting.precision) for row in found.rows):
        most = found.peak.flops(dtype, precision)
        if most:
            # From where memory sets the pace, so that the roof has its slope.
            intensities = np.geomspace(min(low / 2, most / found.peak.bandwidth / 4), high * 2, 100)
            panel.plot(intensities, np.minimum(most, found.peak.bandwidth * intensities) / 1e9, color="black", lw=1)
            panel.annotate(dtype, (intensities[-1], most / 1e9), ha="right", va="bottom", fontsize=8)


def scaling_figure(records: dict[str, Record]) -> Any:
    """The share of the ideal gain against the number of devices, strong and weak, for each work."""
    found = scaling.efficiencies([row for one in records.values() for row in one.rows])
    kinds = [kind for kind in (scaling.STRONG, scaling.WEAK) if any(e.row.setting.scaling == kind for e in found)]
    if not kinds:
        return None
    figure, axes = _figure(len(kinds))
    for panel, kind in zip(axes, kinds, strict=True):
        lines: dict[str, list[scaling.Efficiency]] = {}
        for one in found:
            if (setting := one.row.setting).scaling == kind:
                lines.setdefault(f"{setting.network}, {one.row.work} ({setting.device})", []).append(one)
        for label, points in lines.items():
            points.sort(key=lambda one: (one.row.setting.devices, one.row.setting.processes))
            x = [one.row.setting.devices for one in points]
            panel.plot(x, [one.value for one in points], marker="o", ms=4, label=foreign.name(label))
        panel.axhline(1, color="black", linewidth=0.8)
        panel.set(title=f"{kind} scaling", xlabel="devices", ylabel="efficiency", xscale="log")
        ticks = sorted({one.row.setting.devices for one in found})
        panel.set_xticks(ticks, [str(tick) for tick in ticks])
        panel.minorticks_off()
        panel.set_ylim(0, None)
        panel.legend(frameon=False, fontsize=8)
    return figure


def first_result(records: dict[str, Record]) -> Any:
    """Seconds of tracing, compilation and the first run, stacked, for each work of each network."""
    bars = {}
    for name, one in records.items():
        for row in one.rows:
            if None not in (row.trace_s, row.compile_s, row.first_run_s):
                key = name, row.setting.network, row.work
                # Of several batches the first: they compile equally long.
                bars.setdefault(key, (row.trace_s, row.compile_s, row.first_run_s))
    if not bars:
        return None
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 1.2 + 0.22 * len(bars)), layout="constrained")
    panel = figure.subplots()
    labels = [", ".join(map(foreign.name, key if len(records) > 1 else key[1:])) for key in bars]
    left = np.zeros(len(bars))
    parts = zip(("tracing", "compilation", "first run"), np.array(list(bars.values())).T, strict=True)
    for colour, (label, seconds) in zip(("#9ecae1", "#1b6ca8", "#e08214"), parts, strict=True):
        panel.barh(labels, seconds, left=left, label=label, color=colour)
        left += seconds
    panel.invert_yaxis()
    panel.set_xlabel("seconds")
    panel.tick_params(labelsize=8)
    panel.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside upper right", ncols=len(panel.containers), frameon=False, fontsize=8)
    return figure


def _figure(panels: int) -> tuple[Any, Sequence[Any]]:
    from matplotlib.figure import Figure

    columns = min(panels, 2)
    rows = -(-panels // columns)
    figure = Figure(figsize=(9 if columns == 2 else 7, 4 * rows), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for unused in axes[panels:]:
        unused.set_axis_off()
    return figure, list(axes[:panels])
