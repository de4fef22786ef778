"""Two records of the same works: how many times as long the second takes, and whether that can be told.

One benchmark's rounds tell how much a machine wanders while it runs, and no more: all may fall into a slow hour. So the
interval is not that of a median, which shrinks with every round; it is where the ratio of one round of the second to
one round of the first lies. On one machine it is widened by what a work that is the same in every record differed
between the two: where that has become a tenth slower, a tenth is nothing that can be told.
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from galore.benchmark.record import Record, Row
from galore.errors import InputError

TAILS = (0.025, 0.975)


class Comparison(NamedTuple):
    """One work in one setting.

    Attributes:
        first, second: its rows.
        ratio: how many times as long the second takes, by the medians.
        low, high: where the ratio of single rounds lies, 95 % of them.
        drift: by what factor the machine itself differed, by the reference; 1 for different machines.
    """

    first: Row
    second: Row
    ratio: float
    low: float
    high: float
    drift: float

    @property
    def differs(self) -> bool:
        """Whether the interval leaves out 1."""
        return not self.low <= 1 <= self.high


def compare(first: Record, second: Record) -> list[Comparison]:
    """Every work that both measured in the same setting; the device may be another one.

    Raises:
        InputError: there is none.
    """
    others = {_key(row): row for row in second.rows if row.is_measured}
    pairs = [(row, others[_key(row)]) for row in first.rows if row.is_measured and _key(row) in others]
    if not pairs:
        raise InputError(
            "the two records have no work in common that both measured: expected the same networks, batches, dtypes, "
            "precisions and image sizes"
        )
    is_one_machine = _machine(first) == _machine(second)
    return [_compared(row, other, is_one_machine) for row, other in pairs]


def _compared(first: Row, second: Row, is_one_machine: bool) -> Comparison:
    seconds = [np.log(np.asarray(row.seconds)) for row in (first, second)]
    low, high = np.quantile(seconds[1][:, None] - seconds[0][None], TAILS)
    drift = _drift(first.reference_seconds, second.reference_seconds) if is_one_machine else 0.0
    ratio = np.median(second.seconds) / np.median(first.seconds)
    return Comparison(
        first, second, float(ratio), math.exp(low - abs(drift)), math.exp(high + abs(drift)), math.exp(drift)
    )


def _drift(first: Sequence[float], second: Sequence[float]) -> float:
    """The logarithm of the factor by which the reference takes longer."""
    return math.log(np.median(second) / np.median(first)) if first and second else 0.0


def _key(row: Row) -> tuple[Any, ...]:
    setting = row.setting
    return (
        row.work, setting.network, setting.layer, setting.image_size, setting.batch, setting.dtype, setting.precision,
        setting.devices, setting.processes, setting.scaling, setting.classes,
    )  # fmt: skip


def _machine(record: Record) -> tuple[Any, ...]:
    return record.made.get("device"), record.made.get("host", {}).get("processor")
