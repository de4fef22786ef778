"""The papers' claims as data, and what our numbers say about them.

A claim has one primary endpoint, the measure by which the paper that makes it judges. `measure` says what the numbers
are; `judge` makes verdicts of many claims together, since the more claims a paper makes the more of them would hold by
chance (Holm, 1979).
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

from galore import foreign, statistics
from galore.errors import InputError
from galore.evaluation.ground_truth import AttributeTable
from galore.evaluation.methods import GAUSSIAN, RANDOM, WHOLE_OBJECT, Method
from galore.experiment.table import NO_LABELS, Cell, Row, Table, words
from galore.statistics import Estimate, Inference

_EXPECTED = "the claims of an experiment"
ALPHA = 0.05
"""The risk of a wrong "holds" or "does not hold" among all claims that are judged together."""
MINIMUM_TRAININGS, MINIMUM_CLASSES, MINIMUM_IMAGES = 3, 5, 30
"""Fewer of any, and nothing is said."""
MINIMUM_ROUNDS = 6
"""Of a timing: fewer could all have one order by chance."""
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
    "IoU of shared parts": 0.02,
    "mean IoU of shared parts": 0.02,
    "correlation of strength and precision": 0.05,
    "accuracy on the images that remain": 0.01,
    "Near-KP": 0.02,
    "Same-KP": 0.02,
    "moved": 0.05,
    "flipped": 0.02,
    "flipped against look-alike": 0.02,
    "deletion": 0.02,
    "insertion": 0.02,
    "correlation": 0.05,
    "correlation with the shifted image's map": 0.05,
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
        is_timing: the value is a ratio of speeds, not a mean over images.
        threshold: what the value is above where the claim holds: 0, of a timing the factor claimed.
        timing_p: of a timing, by the sign test over its rounds.
        baselines: how the method that the claim names first stands to maps that know nothing of the network.
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
    timing_p: float = math.nan
    baselines: tuple[tuple[str, str], ...] = ()
    threshold: float = 0.0

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
            return "no round counts" if self.is_timing else "no image counts"
        counted = {
            "training": (self.inference.trainings, MINIMUM_TRAININGS),
            "class": (self.inference.classes, MINIMUM_CLASSES),
            "image": (self.inference.images, MINIMUM_IMAGES),
        }
        if self.is_timing:
            counted = {"round": (self.inference.estimate.counted, MINIMUM_ROUNDS)}
        for name, (count, minimum) in counted.items():
            if count < minimum:
                return f"{counting(name, count)}, a verdict needs {minimum}"
        return ""

    @property
    def p(self) -> float:
        """Of no difference, two-sided; NaN where there is too little for a verdict."""
        if self.shortage or self.inference is None:
            return math.nan
        return self.timing_p if self.is_timing else self.inference.p_two_sided()

    def sentence(self, verdict: Verdict) -> str:
        """Verdict, statement and number in Markdown."""
        number = words(self.estimate) if self.estimate else ""
        shown = f"{number} ({self.shortage})" if number and self.shortage else number or self.shortage
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
    ours, theirs = (Cell(method, measure, region, tuple(labels.items())) for method in (first, second))
    number = number or f"{ours.heading}, {first.words} minus {second.words}"
    return Claim(text, source, number, Difference(ours, theirs), otherwise, headline=headline, published=published)


def measure(claim: Claim, table: Table) -> Result:
    """What the numbers of a table are for a claim."""
    about = (claim.text, claim.source, claim.number)
    named = {"why": claim.otherwise, "headline": claim.headline, "published": claim.published}
    if isinstance(claim.quantity, Faster):
        inference, p = _faster(claim.quantity, table)
        threshold = claim.quantity.factor
        return Result(*about, inference, None, is_timing=True, timing_p=p, threshold=threshold, **named)
    inference = _inference(claim.quantity, table)
    others = (_inference(_by_table(claim.quantity, one), table) for one in AttributeTable)
    second = next((one for one in others if one is not None), None)
    margin = claim.margin if claim.margin is not None else MARGINS.get(_measure_of(claim.quantity), math.nan)
    if claim.is_reversed:
        inference, second = (None if one is None else one.negative() for one in (inference, second))
    return Result(*about, inference, second, margin, baselines=_beside_baselines(claim.quantity, table), **named)


def judge(results: Sequence[Result], experiments: Sequence[str] = ()) -> list[Verdict]:
    """A verdict for each claim of one study, by Holm over those that are judged together.

    These are all claims of a paper, which stands or falls with them, and of ours those of one experiment: it asks one
    question, and what the next experiment asks is no reason to doubt its answer.

    **no difference that matters**: two one-sided tests show that it is smaller than the margin, be it zero or not.
    **depends on the ground truth**: else, by one of the two tables of attributes it is not zero, and by the other it
    has the other sign. **holds**, **does not hold**: it is not zero, at 5 % for all claims together.

    Args:
        results: what was measured.
        experiments: by which experiment each; empty: all by one.
    """
    verdicts = [Verdict.UNKNOWN] * len(results)
    together: dict[tuple[Paper, str], list[int]] = {}
    for place, one in enumerate(results):
        if not math.isnan(one.p):
            question = experiments[place] if experiments and one.source.is_ours else ""
            together.setdefault((one.source.paper, question), []).append(place)
    for places in together.values():
        judged = [results[place] for place in places]
        adjusted = statistics.holm([result.p for result in judged])
        by_other = statistics.holm([_p_by_other(result) for result in judged])
        for place, result, *both in zip(places, judged, adjusted, by_other):
            verdicts[place] = _verdict(result, *both)
    return verdicts


def _p_by_other(result: Result) -> float:
    """Of no difference by the other table of attributes; 1 where that says nothing."""
    p = math.nan if result.other is None else result.other.p_two_sided()
    return 1.0 if math.isnan(p) else p


def _verdict(result: Result, p: float, p_by_other: float) -> Verdict:
    """By adjusted values of p."""
    inference, other = result.inference, result.other
    assert inference is not None
    value = inference.estimate.value - result.threshold
    turns = other is not None and value * other.estimate.value < 0 and min(p, p_by_other) <= ALPHA
    small = [one.is_within(result.margin) for one in (inference, other) if one is not None]
    if not math.isnan(result.margin) and (all(small) or (small[0] and not turns)):
        return Verdict.NO_DIFFERENCE
    if turns:
        return Verdict.DEPENDS
    if p <= ALPHA:
        return Verdict.HOLDS if value > 0 else Verdict.FAILS
    return Verdict.UNKNOWN


def _faster(quantity: Faster, table: Table) -> tuple[Inference | None, float]:
    """The median ratio, and the p of the factor; None where a row is missing, or rounds do not fit."""
    rows = [row for cell in (quantity.first, quantity.second) if (row := table.find(cell)) is not None]
    if len(rows) < 2 or rows[0].values.shape != rows[1].values.shape:
        return None, math.nan
    first, second = (row.values for row in rows)
    ratio = statistics.median_ratio(first, second)
    inference = Inference(ratio, math.nan, math.nan, len(first), 0, 0)
    return inference, statistics.p_of_median_ratio(first, second, quantity.factor)


def _inference(quantity: Quantity, table: Table) -> Inference | None:
    """None where a row is missing, or rows do not fit."""
    rows = [table.find(cell) for cell in _cells(quantity)]
    found = [row for row in rows if row is not None]
    if not found or len(found) < len(rows) or not all(_fit(found[0], row) for row in found):
        return None
    classes = found[0].classes
    counters = _counters(quantity, table)
    if isinstance(quantity, Difference):
        first, second = (_values(part, table) for part in (quantity.first, quantity.second))
        asked, asked_second = (_counters(part, table) for part in (quantity.first, quantity.second))
        is_of_two = isinstance(first, np.ndarray) and isinstance(second, np.ndarray)
        if is_of_two and not (quantity.is_paired and _same(asked, asked_second)):
            if quantity.is_paired:
                missing = np.isnan(first - second)
                first, second = (np.where(missing, np.nan, some) for some in (first, second))
            return statistics.mixed_effects_of_difference(first, second, classes, asked, asked_second)
    return statistics.mixed_effects(_values(quantity, table), classes, counters)


def _fit(first: Row, second: Row) -> bool:
    """Whether they are numbers of the same images of as many trainings; a curve is not one number."""
    return not first.is_curve and first.values.shape == second.values.shape and _same(first.classes, second.classes)


def _same(first: np.ndarray | None, second: np.ndarray | None) -> bool:
    return first is second or (first is not None and second is not None and np.array_equal(first, second))


def _counters(quantity: Quantity, table: Table) -> np.ndarray | None:
    """The counter classes that all rows of a quantity asked about; None where they asked about different ones."""
    rows = [row for cell in _cells(quantity) if (row := table.find(cell)) is not None]
    return rows[0].counters if rows and all(_same(rows[0].counters, row.counters) for row in rows) else None


def _beside_baselines(quantity: Quantity, table: Table) -> tuple[tuple[str, str], ...]:
    """("above", "random map"): the method named first beside each of its table, where they differ at 5 %."""
    first = next(iter(_cells(quantity)), None)
    if first is None or first.method.is_baseline:
        return ()
    said = []
    for baseline in (RANDOM, GAUSSIAN, WHOLE_OBJECT):
        beyond = _inference(Difference(first, dataclasses.replace(first, method=baseline)), table)
        if beyond is not None and not math.isnan(p := beyond.p_two_sided()):
            where = "like" if p > ALPHA else "above" if beyond.estimate.value > 0 else "below"
            said.append((where, baseline.label))
    return tuple(said)


def _values(quantity: Quantity, table: Table) -> Any:
    """[seeds, images], or one number for all; of rows that are there and fit."""
    match quantity:
        case Cell():
            row = table.find(quantity)
            assert row is not None
            return row.values
        case Multiple():
            return quantity.factor * _values(quantity.of, table)
        case Difference():
            return _values(quantity.first, table) - _values(quantity.second, table)
        case Faster():
            raise InputError("a ratio of speeds is no number of an image: a claim compares it with its factor")
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
            "timing_p": None if math.isnan(result.timing_p) else result.timing_p,
            "baselines": result.baselines,
            "threshold": result.threshold,
        }
        for result in results
    ]
    path.write_text(json.dumps(rows, indent=1, allow_nan=False) + "\n", encoding="utf-8")


def load(path: Path) -> list[Result]:
    """Reads what `save` wrote.

    Raises:
        InputError: it is damaged.
    """
    rows = foreign.json_file(path, list[dict[str, Any]], _EXPECTED)
    with foreign.understood(path, _EXPECTED):
        return [_result(row) for row in rows]


def _result(row: dict[str, Any]) -> Result:
    return Result(
        row["text"],
        Source(row["source"]),
        row["number"],
        _from_json(row["inference"]),
        _from_json(row["other"]),
        math.nan if row["margin"] is None else row["margin"],
        row["why"],
        row["headline"],
        row["published"],
        row["is_timing"],
        math.nan if row["timing_p"] is None else row["timing_p"],
        tuple((where, baseline) for where, baseline in row["baselines"]),
        float(row.get("threshold", 0.0)),  # before, a ratio was stored less its factor
    )


def _to_json(inference: Inference | None) -> list[Any] | None:
    if inference is None:
        return None
    numbers = [*inference.estimate, *inference[1:]]
    return [number if math.isfinite(number) else None for number in numbers]


def _from_json(numbers: list[Any] | None) -> Inference | None:
    if numbers is None:
        return None
    value, low, high, counted, error, degrees, *counts = (math.nan if one is None else one for one in numbers)
    degrees = math.inf if error == 0 else degrees  # all values are one
    return Inference(Estimate(value, low, high, int(counted)), error, degrees, *map(int, counts))
