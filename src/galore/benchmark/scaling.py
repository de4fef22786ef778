"""What more devices gain: how many to try, and what share of the ideal gain was reached."""

import dataclasses
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from galore.benchmark.measure import Plan
from galore.benchmark.record import Row
from galore.errors import InputError

STRONG, WEAK = "strong", "weak"


class Efficiency(NamedTuple):
    """Of one work on some devices, relative to the fewest that were measured.

    Attributes:
        row: the measurement.
        value: 1 where twice the devices take half the time (strong), or twice the images no more time (weak).
    """

    row: Row
    value: float


def plans(plan: Plan, kinds: Sequence[str], available: int, processes: int = 1) -> Iterator[Plan]:
    """The plan on 1, 2, 4 ... devices; on all of them alone, where several processes share them.

    Args:
        plan: for one device: weak scaling gives each device as many images, strong scaling divides them.
        kinds: "strong", "weak".
        available: devices in all processes.
        processes: how many.

    Raises:
        InputError: a batch that cannot be divided.
    """
    counts = [available] if processes > 1 else _powers_of_two(available)
    if STRONG in kinds and plan.batch % max(counts):
        raise InputError(f"--batch {plan.batch}: expected a multiple of {max(counts)}, the devices that share it")
    for kind in kinds:
        for count in counts:
            batch = plan.batch * count if kind == WEAK else plan.batch
            yield dataclasses.replace(plan, devices=count, batch=batch, scaling=kind)


def _powers_of_two(most: int) -> list[int]:
    powers = [2**k for k in range(most.bit_length()) if 2**k <= most]
    return powers if powers[-1] == most else [*powers, most]


def efficiencies(rows: Sequence[Row]) -> list[Efficiency]:
    """Of every row that was measured for its scaling; rows of several records, of the same machines, may be mixed."""
    by_work: dict[tuple, list[Row]] = {}
    for row in rows:
        if row.setting.scaling and row.is_measured:
            batch = row.setting.batch // (row.setting.devices if row.setting.scaling == WEAK else 1)
            same = dataclasses.replace(row.setting, devices=0, processes=0, batch=batch)
            by_work.setdefault((row.work, same), []).append(row)
    found = []
    for group in by_work.values():
        base = min(group, key=lambda row: (row.setting.devices, row.setting.processes))
        per_device = _rate(base) / base.setting.devices
        found += [Efficiency(row, _rate(row) / (per_device * row.setting.devices)) for row in group]
    return found


def _rate(row: Row) -> float:
    assert row.images_per_s is not None
    return row.images_per_s
