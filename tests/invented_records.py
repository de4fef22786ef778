"""Records that nobody measured."""

import numpy as np

from galore.benchmark import record
from galore.benchmark.devices import Peak
from galore.benchmark.record import Record, Row, Setting
from galore.benchmark.timing import Made, Turns, Workload
from galore.cutting.flops import Count

SETTING = Setting("net", "conv", 224, 8, "float32", "default", "Abacus 3000", 1)
PEAK = Peak(1e12, 2e12, 4e12, 1e11, "https://example.org")


def rows(seconds, setting=SETTING, reference=None, joules=None, names=("forward", "discriminant"), peak=PEAK):
    """Of works of known seconds, [rounds, works]."""
    seconds = np.asarray(seconds, float)
    made = Made(0.5, 2.0, 0.25, 2**20, 2**21, 3e9, 4e8, Count(2e9, 1e8))
    works = [Workload(name, lambda: None, 8, made) for name in names]
    if reference is not None:
        works.append(Workload("reference", lambda: None, 1))
        seconds = np.column_stack([seconds, reference])
    joules = np.full_like(seconds, np.nan) if joules is None else joules
    turns = Turns(seconds, joules, [3] * len(works), {})
    return record.rows(works, turns, setting, peak, reference="reference")


def of(found: list[Row], device="Abacus 3000", processor="Abacus", peak=PEAK) -> Record:
    made = {"device": device, "host": {"processor": processor, "cores": 2}, "date": "2026-11-26", "flags": {"A": "b"}}
    return Record(record.SCHEMA, made, peak, found)
