"""The papers' claims as data, and what our numbers say about them: holds, does not hold, cannot tell."""

import enum
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from galore import statistics
from galore.evaluation.methods import Method
from galore.experiment.table import NO_LABELS, Cell, Table, words
from galore.statistics import Estimate


class Source(enum.Enum):
    """Who claims it."""

    SCOUT_TABLE_1 = "SCOUT, table 1"
    SCOUT_FIGURE_3 = "SCOUT, figure 3"
    SCOUT_FIGURE_4 = "SCOUT, figure 4"
    SCOUT_SECTION_5 = "SCOUT, section 5"
    GALORE = "GALORE"
    GALORE_AND_NEURIPS = "GALORE; Wang and Vasconcelos, NeurIPS 2019"
    OURS = "ours"
    OURS_ADEBAYO = "ours; Adebayo et al., 2018"
    OURS_PETSIUK = "ours; Petsiuk et al., 2018"

    @property
    def is_ours(self) -> bool:
        """Whether the papers do not say it."""
        return self in (Source.OURS, Source.OURS_ADEBAYO, Source.OURS_PETSIUK)


@dataclass(frozen=True)
class Difference:
    """first - second, image by image."""

    first: "Quantity"
    second: "Quantity"


@dataclass(frozen=True)
class Multiple:
    """factor * of, image by image."""

    factor: float | int
    of: "Quantity"


Quantity = Cell | Difference | Multiple | float | int
"""A number per image: what stands in a cell of the table, or what follows from several."""


@dataclass(frozen=True)
class Claim:
    """A statement that is true where the mean of a quantity is above zero.

    Attributes:
        text: the statement.
        source: who claims it.
        number: what the quantity is: "AUROC of D minus AUROC of a".
        quantity: of which rows.
        otherwise: why it could not be measured, where a row is missing.
        is_reversed: the statement is true where the mean is below zero; the number shown is turned around.
    """

    text: str
    source: Source
    number: str
    quantity: Quantity
    otherwise: str = ""
    is_reversed: bool = False


class Verdict(enum.Enum):
    """What an interval says of a claim."""

    HOLDS = "holds"
    FAILS = "does not hold"
    UNKNOWN = "cannot tell"


@dataclass(frozen=True)
class Result:
    """A claim with what was measured.

    Attributes:
        text, source, number: of the claim.
        estimate: None: it could not be measured.
        why: why it could not be.
    """

    text: str
    source: Source
    number: str
    estimate: Estimate | None
    why: str = ""

    def sentence(self) -> str:
        """Verdict, statement and number in Markdown."""
        shown = words(self.estimate) if self.estimate else self.why or "not measured"
        return f"- **{self.verdict.value}** {self.text} ({self.source.value}) {self.number}: {shown}"

    @property
    def verdict(self) -> Verdict:
        """By the 95 % interval: above zero, below zero, or neither."""
        if self.estimate is None or np.isnan(self.estimate.low):
            return Verdict.UNKNOWN
        if self.estimate.low > 0:
            return Verdict.HOLDS
        return Verdict.FAILS if self.estimate.high < 0 else Verdict.UNKNOWN


def better(
    text: str,
    source: Source,
    first: Method,
    second: Method,
    measure: str = "auroc",
    *,
    region: float | None = None,
    number: str = "",
    otherwise: str = "",
    labels: Mapping[str, str] = NO_LABELS,
) -> Claim:
    """The claim that a measure of one method is larger than that of another."""
    cells = (Cell(method, measure, region, tuple(labels.items())) for method in (first, second))
    name = {"auroc": "AUROC"}.get(measure, measure)
    number = number or f"{name}, {first.label} minus {second.label}"
    return Claim(text, source, number, Difference(*cells), otherwise)


def measure(claim: Claim, table: Table) -> Result:
    """What the numbers of a table say of a claim."""
    values, estimate = _values(claim.quantity, table), None
    if isinstance(values, np.ndarray):
        estimate = statistics.bootstrap(values)
        if claim.is_reversed:
            estimate = Estimate(-estimate.value, -estimate.high, -estimate.low, estimate.counted)
    return Result(claim.text, claim.source, claim.number, estimate, claim.otherwise)


def _values(quantity: Quantity, table: Table) -> np.ndarray | float | int | None:
    """[seeds, images]; None where a row is missing, or rows do not fit."""
    match quantity:
        case Cell():
            row = table.find(quantity)
            return None if row is None else row.values
        case Multiple():
            values = _values(quantity.of, table)
            return None if values is None else quantity.factor * values
        case Difference():
            first, second = _values(quantity.first, table), _values(quantity.second, table)
            if first is None or second is None:
                return None
            if isinstance(first, np.ndarray) and isinstance(second, np.ndarray) and first.shape != second.shape:
                return None
            return first - second
        case _:
            return quantity


def save(results: list[Result], path: Path) -> None:
    """Writes results as data."""
    rows: list[dict[str, Any]] = [
        {
            "text": result.text,
            "source": result.source.value,
            "number": result.number,
            "estimate": result.estimate and [None if np.isnan(x) else x for x in result.estimate],
            "why": result.why,
            "verdict": result.verdict.value,
        }
        for result in results
    ]
    path.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


def load(path: Path) -> list[Result]:
    """Reads what `save` wrote."""
    results = []
    for row in json.loads(path.read_text(encoding="utf-8")):
        estimate = None
        if row["estimate"] is not None:
            value, low, high, counted = (np.nan if x is None else x for x in row["estimate"])
            estimate = Estimate(value, low, high, int(counted))
        results.append(Result(row["text"], Source(row["source"]), row["number"], estimate, row["why"]))
    return results
