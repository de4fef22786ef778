"""The papers' claims as data, and what our numbers say about them.

A claim has one primary endpoint, the measure by which the paper that makes it judges. `measure` says what the numbers
are; `judge` makes verdicts of all claims of a study together, since the more claims a paper makes the more of them
would hold by chance (Holm, 1979).
"""

import dataclasses
import enum
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from galore import statistics
from galore.evaluation.ground_truth import AttributeTable
from galore.evaluation.methods import GAUSSIAN, RANDOM, Method
from galore.experiment.table import NO_LABELS, Cell, Table, words
from galore.statistics import Estimate, Inference

ALPHA = 0.05
"""The risk of a wrong "holds" or "does not hold" among all claims of one paper in one study."""
MINIMUM_TRAININGS, MINIMUM_CLASSES, MINIMUM_IMAGES = 3, 5, 30
"""Fewer of any, and nothing is said."""
MARGINS = {
    "specificity": 0.01,
    "auroc": 0.02,
    "precision": 0.02,
    "precision at recall 0.5": 0.02,
    "area under precision-recall": 0.02,
    "recall": 0.02,
    "piou": 0.02,
    "piou, every image": 0.02,
    "iou": 0.02,
    "mean iou": 0.02,
}
"""The smallest difference that matters, by measure; where a measure has none, no difference is called too small."""


class Paper(enum.Enum):
    """Whose claims are judged together."""

    SCOUT = "SCOUT (CVPR 2020)"
    DELIBERATIVE = "Deliberative explanations (NeurIPS 2019)"
    GALORE = "GALORE (TPAMI 2023)"
    HARDNESS = "Towards Realistic Predictors (ECCV 2018)"
    OURS = "What we add"


class Source(enum.Enum):
    """Who claims it."""

    SCOUT_TABLE_1 = "SCOUT, table 1"
    SCOUT_FIGURE_3 = "SCOUT, figure 3"
    SCOUT_FIGURE_4 = "SCOUT, figure 4"
    SCOUT_SECTION_5 = "SCOUT, section 5"
    SCOUT_SUPPLEMENT = "SCOUT, supplement"
    GALORE = "GALORE"
    GALORE_AND_NEURIPS = "GALORE; Wang and Vasconcelos, NeurIPS 2019"
    REALISTIC = "Wang and Vasconcelos, ECCV 2018"
    OURS = "ours"
    OURS_ADEBAYO = "ours; Adebayo et al., 2018"
    OURS_PETSIUK = "ours; Petsiuk et al., 2018"

    @property
    def paper(self) -> Paper:
        """Whose claim it is."""
        if self.is_ours:
            return Paper.OURS
        if self is Source.REALISTIC:
            return Paper.HARDNESS
        if self is Source.GALORE_AND_NEURIPS:
            return Paper.DELIBERATIVE
        return Paper.GALORE if self is Source.GALORE else Paper.SCOUT

    @property
    def is_ours(self) -> bool:
        """Whether the papers do not say it."""
        return self in (Source.OURS, Source.OURS_ADEBAYO, Source.OURS_PETSIUK)


@dataclass(frozen=True)
class Difference:
    """first - second: image by image, over the images that count for both; or, unpaired, of their means."""

    first: "Quantity"
    second: "Quantity"
    is_paired: bool = True


@dataclass(frozen=True)
class Multiple:
    """factor * of, image by image."""

    factor: float | int
    of: "Quantity"


@dataclass(frozen=True)
class Faster:
    """How many times as fast the first is as the second, by the median of interleaved rounds, beyond a factor."""

    first: Cell
    second: Cell
    factor: float = 1.0


Quantity = Cell | Difference | Multiple | Faster | float | int
"""A number per image: what stands in a cell of the table, or what follows from several; or a ratio of speeds."""


@dataclass(frozen=True)
class Claim:
    """A statement that is true where the mean of a quantity is above zero.

    Attributes:
        text: the statement.
        source: who claims it.
        number: what the quantity is: "precision of D minus precision of a".
        quantity: of which rows.
        otherwise: why it could not be measured, where a row is missing.
        is_reversed: the statement is true where the mean is below zero; the number shown is turned around.
        headline: whether the page begins with it.
        published: what the paper measured, where it says so.
        margin: the smallest difference that matters; None: that of the first cell's measure (`MARGINS`).
    """

    text: str
    source: Source
    number: str
    quantity: Quantity
    otherwise: str = ""
    is_reversed: bool = False
    headline: bool = False
    published: str = ""
    margin: float | None = None


class Verdict(enum.Enum):
    """What the numbers say of a claim."""

    HOLDS = "holds"
    FAILS = "does not hold"
    NO_DIFFERENCE = "no difference that matters"
    DEPENDS = "depends on the ground truth"
    UNKNOWN = "cannot tell"


@dataclass(frozen=True)
class Result:
    """A claim with what was measured.

    Attributes:
        text, source, number, headline, published: of the claim.
        inference: None: it could not be measured.
        other: the same by the other table of attributes; None: there is none.
        margin: the smallest difference that matters; NaN: none is stated.
        why: why it could not be measured.
        is_timing: the value is a ratio of speeds less the factor claimed, not a mean over images.
        baselines: maps that know nothing of the network, and whether the claim's first method is surely better.
    """

    text: str
    source: Source
    number: str
    inference: Inference | None
    other: Inference | None = None
    margin: float = math.nan
    why: str = ""
    headline: bool = False
    published: str = ""
    is_timing: bool = False
    baselines: tuple[tuple[str, bool], ...] = ()

    @property
    def estimate(self) -> Estimate | None:
        """The number and its interval."""
        return None if self.inference is None else self.inference.estimate

    @property
    def shortage(self) -> str:
        """What there is too little of for a verdict; empty where there is enough."""
        if self.inference is None:
            return self.why or "not measured"
        if self.inference.estimate.counted == 0:
            return "no image counts"
        if self.is_timing:
            return ""
        counted = {
            "training": (self.inference.trainings, MINIMUM_TRAININGS),
            "class": (self.inference.classes, MINIMUM_CLASSES),
            "image": (self.inference.images, MINIMUM_IMAGES),
        }
        for name, (count, minimum) in counted.items():
            if count < minimum:
                return f"{counting(name, count)}, a verdict needs {minimum}"
        return ""

    @property
    def p(self) -> float:
        """Of no difference, two-sided; NaN where there is too little for a verdict."""
        if self.shortage or self.inference is None:
            return math.nan
        if self.is_timing:
            low, high = self.inference.estimate.low, self.inference.estimate.high
            return 0.0 if low > 0 or high < 0 else 1.0
        return self.inference.p_two_sided()

    def sentence(self, verdict: Verdict) -> str:
        """Verdict, statement and number in Markdown."""
        shown = words(self.estimate) if self.estimate else self.shortage
        return f"- **{verdict.value}** {self.text} ({self.source.value}) {self.number}: {shown}"


def better(
    text: str,
    source: Source,
    first: Method,
    second: Method,
    measure: str,
    *,
    region: float | None = None,
    number: str = "",
    otherwise: str = "",
    labels: Mapping[str, str] = NO_LABELS,
    headline: bool = False,
    published: str = "",
) -> Claim:
    """The claim that a measure of one method is larger than that of another."""
    cells = tuple(Cell(method, measure, region, tuple(labels.items())) for method in (first, second))
    number = number or f"{cells[0].heading}, {first.words} minus {second.words}"
    return Claim(text, source, number, Difference(*cells), otherwise, headline=headline, published=published)


def measure(claim: Claim, table: Table) -> Result:
    """What the numbers of a table are for a claim."""
    about = (claim.text, claim.source, claim.number)
    named = {"why": claim.otherwise, "headline": claim.headline, "published": claim.published}
    if isinstance(claim.quantity, Faster):
        return Result(*about, _faster(claim.quantity, table), None, is_timing=True, **named)
    inference = _inference(claim.quantity, table)
    others = (_inference(_by_table(claim.quantity, one), table) for one in AttributeTable)
    second = next((one for one in others if one is not None), None)
    margin = claim.margin if claim.margin is not None else MARGINS.get(_measure_of(claim.quantity), math.nan)
    if claim.is_reversed:
        inference, second = (None if one is None else one.negative() for one in (inference, second))
    return Result(*about, inference, second, margin, baselines=_baselines(claim, table), **named)


def judge(results: Sequence[Result]) -> list[Verdict]:
    """A verdict for each claim of one study, by Holm over the claims of each paper.

    **holds**, **does not hold**: the difference is not zero, at 5 % for all claims of the paper together. **no
    difference that matters**: two one-sided tests show that it is smaller than the margin. **depends on the ground
    truth**: by one of the two tables of attributes it is not zero, and by the other it has the other sign.
    """
    verdicts = [Verdict.UNKNOWN] * len(results)
    for paper in Paper:
        places = [place for place, one in enumerate(results) if one.source.paper is paper and not math.isnan(one.p)]
        adjusted = statistics.holm([results[place].p for place in places])
        for place, p in zip(places, adjusted):
            verdicts[place] = _verdict(results[place], p)
    return verdicts


def _verdict(result: Result, adjusted: float) -> Verdict:
    inference, other = result.inference, result.other
    assert inference is not None
    value, significant = inference.estimate.value, adjusted <= ALPHA
    if other is not None and value * other.estimate.value < 0:
        if significant or other.p_two_sided() <= ALPHA:
            return Verdict.DEPENDS
    if significant:
        return Verdict.HOLDS if value > 0 else Verdict.FAILS
    if not math.isnan(result.margin) and inference.is_within(result.margin):
        return Verdict.NO_DIFFERENCE
    return Verdict.UNKNOWN


def _baselines(claim: Claim, table: Table) -> tuple[tuple[str, bool], ...]:
    """Whether the method of the first cell beats the maps that know nothing: its 95 % interval of the difference."""
    first, beaten = next(iter(_cells(claim.quantity)), None), []
    for baseline in (RANDOM, GAUSSIAN) if first is not None and not first.method.is_baseline else ():
        inference = _inference(Difference(first, dataclasses.replace(first, method=baseline)), table)
        if inference is not None and inference.estimate.counted:
            low, high = inference.estimate[1:3]
            beaten.append((baseline.words, bool(high < 0 if claim.is_reversed else low > 0)))
    return tuple(beaten)


def _faster(quantity: Faster, table: Table) -> Inference | None:
    rows = [table.find(cell) for cell in (quantity.first, quantity.second)]
    if rows[0] is None or rows[1] is None:
        return None
    ratio = statistics.median_ratio(rows[0].values, rows[1].values)
    value, low, high = (number - quantity.factor for number in ratio[:3])
    count = len(rows[0].values)
    return Inference(Estimate(value, low, high, ratio.counted), math.nan, math.nan, count, 0, 0)


def _inference(quantity: Quantity, table: Table) -> Inference | None:
    """None where a row is missing, or rows do not fit."""
    rows = [row for cell in _cells(quantity) if (row := table.find(cell)) is not None]
    if not rows:
        return None
    classes, counters = rows[0].classes, rows[0].counters
    if isinstance(quantity, Difference) and not quantity.is_paired:
        first, second = _values(quantity.first, table), _values(quantity.second, table)
        if not isinstance(first, np.ndarray) or not isinstance(second, np.ndarray):
            return None
        return statistics.mixed_effects_of_difference(first, second, classes, counters)
    values = _values(quantity, table)
    return statistics.mixed_effects(values, classes, counters) if isinstance(values, np.ndarray) else None


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
        case Faster():
            return None
        case _:
            return quantity


def _cells(quantity: Quantity) -> list[Cell]:
    match quantity:
        case Cell():
            return [quantity]
        case Multiple():
            return _cells(quantity.of)
        case Difference() | Faster():
            return [*_cells(quantity.first), *_cells(quantity.second)]
        case _:
            return []


def _measure_of(quantity: Quantity) -> str:
    return next((cell.measure for cell in _cells(quantity)), "")


def _by_table(quantity: Quantity, table: AttributeTable) -> Quantity:
    """The same quantity of the rows that were scored by a table of attributes."""
    match quantity:
        case Cell():
            return dataclasses.replace(quantity, table=table)
        case Multiple():
            return Multiple(quantity.factor, _by_table(quantity.of, table))
        case Difference():
            parts = (_by_table(quantity.first, table), _by_table(quantity.second, table))
            return Difference(*parts, quantity.is_paired)
        case _:
            return quantity


def counting(name: str, count: int) -> str:
    """ "1 class", "5 classes"."""
    return f"{count} {name if count == 1 else {'class': 'classes'}.get(name, f'{name}s')}"


def save(results: Sequence[Result], path: Path) -> None:
    """Writes results as data."""
    rows = [
        {
            "text": result.text,
            "source": result.source.value,
            "number": result.number,
            "inference": _to_json(result.inference),
            "other": _to_json(result.other),
            "margin": None if math.isnan(result.margin) else result.margin,
            "why": result.why,
            "headline": result.headline,
            "published": result.published,
            "is_timing": result.is_timing,
            "baselines": result.baselines,
        }
        for result in results
    ]
    path.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


def load(path: Path) -> list[Result]:
    """Reads what `save` wrote."""
    results = []
    for row in json.loads(path.read_text(encoding="utf-8")):
        inferences = [_from_json(row.pop(name)) for name in ("inference", "other")]
        text, source, number = row.pop("text"), Source(row.pop("source")), row.pop("number")
        margin = math.nan if (margin := row.pop("margin")) is None else margin
        row["baselines"] = tuple((name, is_beaten) for name, is_beaten in row["baselines"])
        results.append(Result(text, source, number, *inferences, margin, **row))
    return results


def _to_json(inference: Inference | None) -> list[Any] | None:
    if inference is None:
        return None
    numbers = [*inference.estimate, *inference[1:]]
    return [None if math.isnan(number) else number for number in numbers]


def _from_json(numbers: list[Any] | None) -> Inference | None:
    if numbers is None:
        return None
    value, low, high, counted, error, degrees, *counts = (math.nan if one is None else one for one in numbers)
    return Inference(Estimate(value, low, high, int(counted)), error, degrees, *map(int, counts))
