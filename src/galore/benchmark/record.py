"""What a benchmark found, as one file: a row for each work in each setting, failures included, with its raw rounds."""

import dataclasses
import datetime
import json
import os
import platform
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import msgspec
import numpy as np

from galore import atomic, foreign, provenance
from galore.benchmark import devices
from galore.benchmark.devices import Peak
from galore.benchmark.timing import FORWARD, Turns, Workload
from galore.errors import InputError, is_out_of_memory

SCHEMA = "galore-benchmark/2"
"""The first was a bare list of medians."""

MEASURED, OUT_OF_MEMORY, COMPILE_ERROR, TIMED_OUT, FAILED = (
    "measured", "out of memory", "compile error", "timed out", "failed",
)  # fmt: skip
FLAGS = ("XLA_FLAGS", "LIBTPU_INIT_ARGS", "JAX_", "CUDA_VISIBLE_DEVICES", "OMP_NUM_THREADS", "XLA_PYTHON_")
"""What the names of variables begin with that change how fast programs are."""


@dataclasses.dataclass(frozen=True)
class Setting:
    """Under which circumstances works are timed.

    Attributes:
        network: its name.
        layer: where it is cut.
        image_size: pixels a side.
        batch: images at once, on all devices together.
        dtype: of the parameters and images.
        precision: of matrix products: "highest", "high", "default" as JAX chooses, or "mixed", of numbers rounded to
            bfloat16.
        device: its kind.
        devices: how many.
        processes: how many, each with its share of the devices.
        scaling: "strong" where more devices shared the same batch, "weak" where each had as many images; else empty.
        classes: how many logits.
    """

    network: str
    layer: str
    image_size: int
    batch: int
    dtype: str
    precision: str
    device: str
    devices: int
    processes: int = 1
    scaling: str = ""
    classes: int = 0

    @property
    def arithmetic(self) -> str:
        return arithmetic(self.dtype, self.precision)


def arithmetic(dtype: str, precision: str) -> str:
    """In words: "float32", "float32 highest", "float32 mixed", "bfloat16"."""
    return dtype if precision == "default" else f"{dtype} {precision}"


@dataclasses.dataclass(frozen=True)
class Row:
    """One work in one setting. Whatever was not measured, or is not known, is None or empty.

    Attributes:
        work: what was done.
        setting: under which circumstances.
        status: "measured", "out of memory", "compile error", "timed out" or "failed".
        reason: why it was not measured.
        images: how many one call explains.
        seconds: of a call, in each round.
        calls: of which each of them is the mean.
        ratios: of its time to that of one forward pass, in each round.
        reference_seconds: of a work that is the same in every record, in each round.
        joules: that all devices took for a call, in each round.
        median_s, p5_s, p95_s: of the seconds.
        spread: the distance between their quartiles, relative to the median.
        images_per_s: by the median.
        ratio_to_forward: the median of the ratios.
        counted_flops, counted_bytes: of a call, from the shapes of the network's operations (`flops.count`).
        compiled_flops, compiled_bytes: of a call, by the compiler's analysis of its program.
        flops_per_s: the counted ones.
        utilisation: these, of the devices' peak.
        bytes_per_s: the compiled ones.
        bandwidth_utilisation: these, of the devices' peak; above 1 where caches serve them.
        trace_s, compile_s, first_run_s: until the first result.
        planned_bytes: of memory on one device, by the compiler.
        used_bytes: the most that a device held, by its own account.
        joules_per_image: the median.
        error_against_float64: how far its maps are from those in double precision, see `precision.errors`.
    """

    work: str
    setting: Setting
    status: str = MEASURED
    reason: str = ""
    images: int = 0
    seconds: list[float] = dataclasses.field(default_factory=list)
    calls: int = 1
    ratios: list[float] = dataclasses.field(default_factory=list)
    reference_seconds: list[float] = dataclasses.field(default_factory=list)
    joules: list[float] = dataclasses.field(default_factory=list)
    median_s: float | None = None
    p5_s: float | None = None
    p95_s: float | None = None
    spread: float | None = None
    images_per_s: float | None = None
    ratio_to_forward: float | None = None
    counted_flops: float | None = None
    counted_bytes: float | None = None
    compiled_flops: float | None = None
    compiled_bytes: float | None = None
    flops_per_s: float | None = None
    utilisation: float | None = None
    bytes_per_s: float | None = None
    bandwidth_utilisation: float | None = None
    trace_s: float | None = None
    compile_s: float | None = None
    first_run_s: float | None = None
    planned_bytes: int | None = None
    used_bytes: int | None = None
    joules_per_image: float | None = None
    error_against_float64: float | None = None

    @property
    def is_measured(self) -> bool:
        return self.status == MEASURED

    @property
    def first_result_s(self) -> float | None:
        """Seconds until the first result: tracing, compilation, the first run."""
        parts = [part for part in (self.trace_s, self.compile_s, self.first_run_s) if part is not None]
        return sum(parts) if parts else None


@dataclasses.dataclass(frozen=True)
class Record:
    """What one benchmark found.

    Attributes:
        schema: which fields there are.
        made: when, by what and on what: date, galore, commit, versions, host, flags, clock, timer and options.
        peak: of one device; None where it is not known.
        rows: of all settings.
    """

    schema: str
    made: dict[str, Any]
    peak: Peak | None
    rows: list[Row]


def rows(
    workloads: Sequence[Workload],
    turns: Turns,
    setting: Setting,
    peak: Peak | None,
    forward: str | None = FORWARD,
    reference: str | None = None,
) -> list[Row]:
    """The rows of one setting.

    Args:
        workloads: that took turns.
        turns: what was measured.
        setting: under which circumstances.
        peak: of one device.
        forward: which of them the others are compared with; where it is not among them none is.
        reference: which of them is the same in every record; it gets no row.
    """
    base, steady = (_of(name, workloads, turns) for name in (forward, reference))
    found = []
    for k, workload in enumerate(workloads):
        if workload.name == reference:
            continue
        row = _of_program(Row(workload.name, setting, images=workload.images), workload)
        if k in turns.failures:
            found.append(failure(row, turns.failures[k]))
            continue
        row = dataclasses.replace(
            row,
            seconds=turns.seconds[:, k].tolist(),
            calls=turns.calls[k],
            ratios=_numbers(turns.seconds[:, k] / base),
            reference_seconds=_numbers(steady),
            joules=_numbers(turns.joules[:, k]),
        )
        found.append(_summarised(row, peak))
    return found


def _of(name: str | None, workloads: Sequence[Workload], turns: Turns) -> np.ndarray:
    """The seconds of one workload; NaN where it is not among them."""
    places = [place for place, workload in enumerate(workloads) if workload.name == name]
    return turns.seconds[:, places[0]] if places else np.full(len(turns.seconds), np.nan)


def failure(row: Row, error: Exception, status: str = FAILED) -> Row:
    """The row of a work that was not measured, and why."""
    status = OUT_OF_MEMORY if is_out_of_memory(error) else status
    return dataclasses.replace(row, status=status, reason=foreign.text(f"{type(error).__name__}: {error}", 300))


def _of_program(row: Row, workload: Workload) -> Row:
    made = workload.made._asdict()
    counted = made.pop("counted")
    flops, moved = (None, None) if counted is None else counted
    return dataclasses.replace(row, **made, counted_flops=flops, counted_bytes=moved)


def _summarised(row: Row, peak: Peak | None) -> Row:
    p5, quarter, median, three_quarters, p95 = np.quantile(row.seconds, [0.05, 0.25, 0.5, 0.75, 0.95]).tolist()
    setting = row.setting
    most = peak and peak.flops(setting.dtype, setting.precision)
    flops_per_s = _quotient(row.counted_flops, median)
    bytes_per_s = _quotient(row.compiled_bytes, median)
    return dataclasses.replace(
        row,
        median_s=median,
        p5_s=p5,
        p95_s=p95,
        spread=(three_quarters - quarter) / median,
        images_per_s=row.images / median,
        ratio_to_forward=float(np.median(row.ratios)) if row.ratios else None,
        flops_per_s=flops_per_s,
        utilisation=_quotient(flops_per_s, most and most * setting.devices),
        bytes_per_s=bytes_per_s,
        bandwidth_utilisation=_quotient(bytes_per_s, peak and peak.bandwidth and peak.bandwidth * setting.devices),
        joules_per_image=float(np.median(row.joules)) / row.images if row.joules else None,
    )


def _numbers(values: np.ndarray) -> list[float]:
    """Empty where one of them is none: it could not be measured."""
    return [] if np.isnan(values).any() else values.tolist()


def _quotient(above: float | None, below: float | None) -> float | None:
    return None if above is None or below is None else above / below


def made(options: Mapping[str, Any]) -> dict[str, Any]:
    """When, by what and on what a benchmark is made."""
    here = jax.local_devices()
    return provenance.collect(options) | {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "host": {
            "system": platform.platform(terse=True),
            "processor": devices.processor(),
            "cores": _usable_cores(),
            "memory_limit": devices.memory_limit(here),
        },
        "flags": {name: value for name, value in sorted(os.environ.items()) if name.startswith(FLAGS)},
        "clock_hz": devices.clock_hz(here),
        "timer_resolution_s": time.get_clock_info("perf_counter").resolution,
        "devices": len(jax.devices()),
        "processes": jax.process_count(),
    }


def _usable_cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def ratio_of(row: Row, others: Sequence[Row], work: str) -> float | None:
    """The median of a row's ratios to another work of its setting in the same round; None where one has none."""
    bases = [other.ratios for other in others if other.work == work and other.setting == row.setting]
    if not bases or not bases[0] or not row.ratios:
        return None
    return float(np.median(np.array(row.ratios) / np.array(bases[0])))


def save(record: Record, path: str | Path) -> None:
    """Writes a record, whole or not at all, over the one that may be there."""
    plain = dataclasses.asdict(record) | {"peak": record.peak and record.peak._asdict()}
    with atomic.file(path) as unfinished:
        unfinished.write_text(json.dumps(plain, indent=1) + "\n", encoding="utf-8")


def read(path: str | Path) -> Record:
    """A record that was saved.

    Raises:
        InputError: no such file, no record, or one of another schema.
    """
    expected = f"a benchmark record as galore bench --json writes it ({SCHEMA})"
    content = foreign.json_file(path, Any, expected)
    schema = content.get("schema") if isinstance(content, dict) else None
    if schema != SCHEMA:
        told = f"has the schema {foreign.name(schema)!r}" if schema is not None else "names no schema"
        raise InputError(f"{foreign.text(path)} {told}, expected {expected}: measure again")
    try:
        return msgspec.convert(content | {"peak": _peak(content.get("peak"))}, Record)
    except (msgspec.ValidationError, TypeError) as error:
        raise InputError(f"{foreign.text(path)} is not {expected}: {error}") from error


def _peak(stored: Any) -> Any:
    """msgspec takes a named tuple from a list."""
    return list(stored.values()) if isinstance(stored, dict) else stored
