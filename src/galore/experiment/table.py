"""What an experiment gives back: rows of values per image, from which every mean, interval and difference follows."""

import csv
import dataclasses
import functools
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int
from matplotlib.figure import Figure

from galore import foreign, npz, representation, statistics
from galore.errors import InputError
from galore.evaluation.evaluate import Scores
from galore.evaluation.ground_truth import AttributeTable
from galore.evaluation.methods import AttributionSetting, Method, Rule, Score
from galore.evaluation.queries import Queries
from galore.evaluation.test_set import TestSet
from galore.statistics import Estimate

FORMAT, VERSION = "galore table", 3
UNDEFINED = "the number is undefined (parts of one kind only, none in the region, or a constant map)"
FIRST = ("specificity", "auroc")
"""The measures that stand first, in this order."""
REGIONS = {"iou": (0.1, 0.3, 0.5, 0.7, 0.9)}
"""Region sizes at which curves are read: 5 % of the image for parts, which are points; objects are larger."""


WORDS = {
    "auroc": "AUROC",
    "piou": "PIoU",
    "piou, every image": "PIoU, every image",
    "iou": "IoU",
    "mean iou": "mean IoU",
}
"""Measures as people write them."""
MOST_DIGITS = 6
"""What is kept in single precision has no more."""
NO_LABELS: Mapping[str, str] = {}


@dataclass(frozen=True)
class Cell:
    """Where a number stands in a table.

    Attributes:
        method: whose number it is.
        measure: what the number is: "auroc".
        region: the region size at which a curve is read; None: the number belongs to no region, or is a whole curve.
        labels: what distinguishes the row besides: (("user", "advanced"),).
        table: of attributes, that the ground truth was made of; None: the experiment's own, or there is none.
    """

    method: Method
    measure: str
    region: float | None = None
    labels: tuple[tuple[str, str], ...] = ()
    table: AttributeTable | None = None

    @property
    def number(self) -> str:
        """The measure as data name it."""
        at = self.measure if self.region is None else f"{self.measure} at {self.region:.3g}"
        return at if self.table is None else f"{at}, {self.table.title}"

    @property
    def heading(self) -> str:
        """The measure in words, above a column of a table."""
        name = WORDS.get(self.measure, self.measure)
        at = name if self.region is None else f"{name} at {100 * self.region:.3g} %"
        return at if self.table is None else f"{at}, {self.table.title}"

    @property
    def columns(self) -> dict[str, str]:
        """What tells the row from others, as tables show it."""
        return {**dict(self.labels), "method": self.method.label}

    def label(self, name: str) -> str:
        """A label's value; empty where the row has none."""
        return dict(self.labels).get(name, "")

    def with_labels(self, **labels: str) -> "Cell":
        """The same with more labels in front."""
        return dataclasses.replace(self, labels=tuple((labels | dict(self.labels)).items()))


@dataclass(frozen=True, eq=False)
class Row:
    """One number of one method.

    Attributes:
        cell: where it stands.
        values: [seeds, images], or [seeds, images, region sizes] for a curve; NaN where an image does not count.
        left_out: why images did not count, with how many.
        classes: of the images; None: the values are not of images.
        counters: the counter classes that were asked about, -1 where none was; None: nobody asked.
    """

    cell: Cell
    values: np.ndarray
    left_out: dict[str, int] = field(default_factory=dict)
    classes: Int[np.ndarray, "images"] | None = None
    counters: Int[np.ndarray, "seeds images"] | None = None

    __repr__ = representation.fields

    @property
    def is_curve(self) -> bool:
        return self.values.ndim == 3

    @functools.cached_property
    def estimate(self) -> Estimate:
        """The mean with its interval over trainings, classes and images."""
        return statistics.mixed_effects(self.values, self.classes, self.counters).estimate

    def curve(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Mean, low and high at every region size."""
        return statistics.mixed_effects_curve(self.values, self.classes, self.counters)

    def summary(self) -> "RowSummary":
        """What is shown of a row that is no curve."""
        by_seed = tuple(float(np.nanmean(some)) for some in self.values if not np.isnan(some).all())
        undefined = max(int(np.isnan(self.values).sum()) - sum(self.left_out.values()), 0)
        return RowSummary(self.cell, self.estimate, by_seed, len(self.values), dict(self.left_out), undefined)


@dataclass(frozen=True)
class RowSummary:
    """One number of one method with its interval, without the values behind it.

    Attributes:
        cell: where it stands.
        estimate: the mean over images and seeds.
        by_seed: the means of the seeds that have any value.
        seeds: how many there are.
        left_out: why images did not count, with how many.
        undefined: how many more values are missing, since those images cannot have this number.
    """

    cell: Cell
    estimate: Estimate
    by_seed: tuple[float, ...]
    seeds: int
    left_out: dict[str, int]
    undefined: int

    @property
    def reasons(self) -> dict[str, int]:
        """Why values are missing."""
        return self.left_out | ({UNDEFINED: self.undefined} if self.undefined else {})


@dataclass(frozen=True, eq=False)
class Table:
    """Rows in the order in which they are shown.

    Attributes:
        rows: the numbers.
        remarks: what belongs to them (a missing row and why).
        pictures: figures that show images, by name; they are written once and not joined.
    """

    rows: tuple[Row, ...]
    remarks: tuple[str, ...] = ()
    pictures: dict[str, Figure] = field(default_factory=dict)

    def __repr__(self) -> str:
        return f"Table({len(self.rows)} rows; {'; '.join(dict.fromkeys(row.cell.number for row in self.rows))})"

    def __add__(self, other: "Table") -> "Table":
        return Table(self.rows + other.rows, tuple(dict.fromkeys(self.remarks + other.remarks)))

    def select(
        self,
        measure: str,
        labels: Mapping[str, str] = NO_LABELS,
        region: float | None = None,
        table: AttributeTable | None = None,
    ) -> list[Row]:
        """All rows of a measure with these labels."""
        return [
            row
            for row in self.rows
            if (row.cell.measure, row.cell.region, row.cell.table) == (measure, region, table)
            and all(row.cell.label(name) == value for name, value in labels.items())
        ]

    def find(self, cell: Cell) -> Row | None:
        """The first row of a method and measure with the cell's labels."""
        rows = self.select(cell.measure, dict(cell.labels), cell.region, cell.table)
        return next((row for row in rows if row.cell.method == cell.method), None)

    def labels(self, name: str) -> list[str]:
        """The different values of a label, in order; one that is empty where rows have none."""
        return list(dict.fromkeys(row.cell.label(name) for row in self.rows))

    def summary(self) -> "TableSummary":
        """What is shown of the rows that are no curves."""
        return TableSummary(tuple(row.summary() for row in self.rows if not row.is_curve), self.remarks)

    def save(self, folder: Path) -> None:
        """Writes what is shown and the values behind it, so that `load` and `join` can go on with them."""
        cells = [_cell_to_json(row.cell) | {"left_out": row.left_out} for row in self.rows]
        _write(folder / "rows.json", cells, self.remarks)
        arrays = {f"{k}": row.values.astype(np.float32) for k, row in enumerate(self.rows)}
        for name in ("classes", "counters"):
            of_rows = {k: getattr(row, name) for k, row in enumerate(self.rows)}
            arrays |= {f"{k} {name}": some.astype(np.int32) for k, some in of_rows.items() if some is not None}
        np.savez_compressed(folder / "values.npz", **arrays)  # type: ignore[arg-type]


@dataclass(frozen=True)
class TableSummary:
    """The numbers of a table as people see them; it outlives the values behind it."""

    rows: tuple[RowSummary, ...]
    remarks: tuple[str, ...] = ()

    __repr__ = representation.fields

    def find(self, cell: Cell) -> RowSummary | None:
        """The row that stands there."""
        return next((row for row in self.rows if row.cell == cell), None)

    @property
    def _names(self) -> list[str]:
        return list(dict.fromkeys(name for row in self.rows for name in row.cell.columns))

    def csv(self) -> str:
        """One line per row: labels, measure, mean, low, high, counted, seeds, by_seed, left_out."""
        names, text = self._names, io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow([*names, "measure", "mean", "low", "high", "counted", "seeds", "by_seed", "left_out"])
        for row in self.rows:
            *interval, counted = row.estimate
            numbers = ["" if np.isnan(x) else f"{x:.5f}" for x in interval]
            by_seed = " ".join(f"{x:.5f}" for x in row.by_seed)
            why = "; ".join(f"{reason}: {count}" for reason, count in row.reasons.items())
            labels = [row.cell.columns.get(name, "") for name in names]
            writer.writerow([*labels, row.cell.number, *numbers, counted, row.seeds, by_seed, why])
        return text.getvalue()

    def markdown(self) -> str:
        """Measures side by side, "0.571 [0.560, 0.582]", with how many values counted and why others did not."""
        names = self._names
        # What the other table of attributes says stands beside what the experiment's own does.
        places = list(dict.fromkeys((row.cell.measure, row.cell.region) for row in self.rows))
        beside = sorted(self.rows, key=lambda row: places.index((row.cell.measure, row.cell.region)))
        measures = list(dict.fromkeys(row.cell.heading for row in beside))
        lines = ["| " + " | ".join([*names, *measures, "counted"]) + " |"]
        lines.append("|" + "---|" * (len(names) + len(measures) + 1))
        by_labels: dict[tuple[str, ...], dict[str, Estimate]] = {}
        for row in self.rows:
            key = tuple(row.cell.columns.get(name, "") for name in names)
            by_labels.setdefault(key, {})[row.cell.heading] = row.estimate
        for key, estimates in by_labels.items():
            numbers = [words(estimates[measure]) if measure in estimates else "" for measure in measures]
            counted = [str(estimates[measure].counted) for measure in measures if measure in estimates]
            shown = counted[0] if len(set(counted)) == 1 else ", ".join(counted)
            lines.append("| " + " | ".join([*key, *numbers, shown]) + " |")
        notes = [f"- {sentence}" for sentence in [*self._reasons(), *self.remarks]]
        return "\n".join([*lines, "", *notes]).rstrip() + "\n"

    def _reasons(self) -> list[str]:
        """Why images did not count, by who asks; and how many of the others lack which number."""
        groups: dict[tuple[str, str], list[RowSummary]] = {}
        for row in self.rows:
            if row.left_out:
                who = ", ".join(filter(None, (row.cell.label("network"), row.cell.label("user"))))
                groups.setdefault((who, json.dumps(row.left_out)), []).append(row)
        return [_why(who, rows) for (who, _), rows in groups.items()]

    def save(self, path: Path) -> None:
        """Writes the numbers as data."""
        rows = [_cell_to_json(row.cell) | _numbers_to_json(row) for row in self.rows]
        _write(path, rows, self.remarks)


def load(folder: Path) -> Table:
    """Reads what `Table.save` wrote.

    Raises:
        InputError: there is no table, or it is of another format or version.
    """
    index, values = check_format(folder / "rows.json"), folder / "values.npz"
    expected = "the table of an experiment"
    with (
        foreign.open_regular(values, expected) as file,
        foreign.understood(folder, expected),
        npz.opened(file) as arrays,
    ):
        rows = tuple(
            Row(
                _cell_from_json(entry),
                arrays[str(k)],
                entry["left_out"],
                *(arrays[name] if (name := f"{k} {kind}") in arrays else None for kind in ("classes", "counters")),
            )
            for k, entry in enumerate(index["rows"])
        )
        return Table(rows, tuple(index["remarks"]))


def load_summary(path: Path) -> TableSummary:
    """Reads what `TableSummary.save` wrote.

    Raises:
        InputError: it is of another format or version.
    """
    index = check_format(path)
    with foreign.understood(path, "the joined table of an experiment"):
        rows = tuple(_summary_from_json(entry) for entry in index["rows"])
        return TableSummary(rows, tuple(index["remarks"]))


def join(tables: Sequence[Table]) -> Table:
    """The same experiment with several seeds: values side by side, reasons added up."""
    grouped: dict[tuple[Cell, bool], list[Row]] = {}
    for table in tables:
        for row in table.rows:
            grouped.setdefault((row.cell, row.is_curve), []).append(row)
    remarks = tuple(dict.fromkeys(remark for table in tables for remark in table.remarks))
    return Table(tuple(_joined(rows) for rows in grouped.values()), remarks)


def rows_of(
    scores: Scores,
    test_set: TestSet,
    labels: Mapping[str, str] = NO_LABELS,
    regions: Sequence[float] | None = None,
) -> tuple[Row, ...]:
    """Rows of scored methods: what is judged first, curves at chosen region sizes, then the whole curves.

    Args:
        scores: of an evaluation; those by the other table of attributes make rows of their own.
        test_set: whose images they are.
        labels: for every row, beside the method.
        regions: region sizes (of `scores.fractions`) at which curves are read; None: see `REGIONS`.
    """
    rows = _rows_by(scores, scores.by_method, None, test_set, labels, regions)
    if scores.other_table is not None:
        rows += _rows_by(scores, scores.by_other_table, scores.other_table, test_set, labels, regions)
    return tuple(rows)


def _rows_by(
    scores: Scores,
    by_method: Mapping[Method, Mapping[str, np.ndarray]],
    table: AttributeTable | None,
    test_set: TestSet,
    labels: Mapping[str, str],
    regions: Sequence[float] | None,
) -> list[Row]:
    rows, queries, images = [], scores.queries, len(test_set)
    counters = None
    if isinstance(queries, Queries):
        counters = np.full((1, images), -1, np.int32)
        counters[0, queries.rows] = queries.counter
    about = (dict(queries.left_out), test_set.labels, counters)
    for method, measures in by_method.items():
        for measure in sorted(measures, key=lambda name: FIRST.index(name) if name in FIRST else len(FIRST)):
            values = np.asarray(measures[measure], np.float64)
            by_image = spread(values, queries.rows, images)[None]
            cell = Cell(method.without_shared, measure, None, tuple(labels.items()), table)
            if values.ndim == 2:
                for region in regions or REGIONS.get(measure, (0.05,)):
                    at = by_image[..., scores.fractions.index(region)]
                    rows.append(Row(dataclasses.replace(cell, region=region), at, *about))
            rows.append(Row(cell, by_image, *about))
    return rows


def spread(values: np.ndarray, rows: np.ndarray, images: int) -> np.ndarray:
    """One number (or curve) per query as one per image; NaN where an image was not asked about."""
    by_image = np.full((images, *values.shape[1:]), np.nan)
    by_image[rows] = values
    return by_image


def words(estimate: Estimate, digits: int = 3) -> str:
    """ "0.571 [0.560, 0.582]", with more digits where an end beside zero would look like zero; "" for nothing."""
    digits, ends = 1 if abs(estimate.value) >= 100 else digits, estimate[1:3]
    while digits < MOST_DIGITS and any(end != 0 and round(end, digits) == 0 for end in ends):
        digits += 1
    return estimate.text(digits)


def _why(who: str, rows: list[RowSummary]) -> str:
    """One sentence about rows that leave out the same images."""
    reasons = ", ".join(f"{reason}: {count}" for reason, count in rows[0].left_out.items())
    lacking: dict[str, list[int]] = {}
    for row in rows:
        lacking.setdefault(row.cell.heading, []).append(row.undefined)
    ranges = {number: sorted({min(some), max(some)}) for number, some in lacking.items() if max(some)}
    said = ", ".join(f"{number} {' to '.join(map(str, some))}" for number, some in ranges.items())
    about = f" ({who})" if who else ""
    return f"Images that did not count{about}: {reasons}." + (f" Of the others, {UNDEFINED}: {said}." if said else "")


def _joined(rows: list[Row]) -> Row:
    shapes, classes = {row.values.shape[1:] for row in rows}, [row.classes for row in rows]
    same = all(np.array_equal(a, b) if a is not None and b is not None else a is b for a, b in pairwise(classes))
    if len(shapes) > 1 or not same:
        raise InputError(
            f"{rows[0].cell.number} of {rows[0].cell.method.label} is about other images in some runs: "
            "expected runs of the same data set and options"
        )

    left_out: dict[str, int] = {}
    for row in rows:
        for reason, count in row.left_out.items():
            left_out[reason] = left_out.get(reason, 0) + count
    values, asked = np.concatenate([row.values for row in rows]), [row.counters for row in rows]
    counters = np.concatenate([one for one in asked if one is not None]) if all(a is not None for a in asked) else None
    return Row(rows[0].cell, values, left_out, classes[0], counters)


def _write(path: Path, rows: Sequence[dict[str, Any]], remarks: Sequence[str]) -> None:
    """JSON with a line for each row."""
    head = json.dumps({"format": FORMAT, "version": VERSION, "remarks": remarks}).removesuffix("}")
    lines = ",\n".join(json.dumps(row, allow_nan=False) for row in rows)
    path.write_text(f'{head}, "rows": [\n{lines}\n]}}\n', encoding="utf-8")


def check_format(path: Path) -> dict[str, Any]:
    """The data of a table, once it is certain that this version can read them.

    Raises:
        InputError: it is no table, or one of another format or version.
    """
    index = foreign.json_file(path, Any, "the table of an experiment")
    kind = (index.get("format"), index.get("version")) if isinstance(index, dict) else (None, None)
    if kind != (FORMAT, VERSION):
        found = f"{foreign.text(kind[0], 60)!r}, version {foreign.text(kind[1], 60)}"
        raise InputError(
            f"{foreign.text(path)} has the format {found}, expected {FORMAT!r}, version {VERSION}: run again"
        )
    return index


def _cell_to_json(cell: Cell) -> dict[str, Any]:
    method = cell.method
    return {
        "method": {
            "rule": method.rule.name,
            "score": method.score and method.score.name,
            "attribution": method.attribution and dataclasses.asdict(method.attribution),
            "score_attribution": method.score_attribution and dataclasses.asdict(method.score_attribution),
        },
        "measure": cell.measure,
        "region": cell.region,
        "labels": dict(cell.labels),
        "table": cell.table and cell.table.value,
    }


def _cell_from_json(entry: dict[str, Any]) -> Cell:
    method = entry["method"]
    settings = [
        one and AttributionSetting(**one | {"options": _hashable(one["options"])})
        for one in (method["attribution"], method["score_attribution"])
    ]
    score = method["score"] and Score[method["score"]]
    labels = tuple(entry["labels"].items())
    table = entry["table"] and AttributeTable(entry["table"])
    return Cell(Method(Rule[method["rule"]], score, *settings), entry["measure"], entry["region"], labels, table)


def _hashable(value: Any) -> Any:
    """JSON's lists as the tuples that they were."""
    return tuple(map(_hashable, value)) if isinstance(value, list) else value


def _numbers_to_json(row: RowSummary) -> dict[str, Any]:
    numbers = [None if np.isnan(x) else x for x in row.estimate]
    return {
        "estimate": numbers,
        "by_seed": row.by_seed,
        "seeds": row.seeds,
        "left_out": row.left_out,
        "undefined": row.undefined,
    }


def _summary_from_json(entry: dict[str, Any]) -> RowSummary:
    value, low, high, counted = (np.nan if x is None else x for x in entry["estimate"])
    return RowSummary(
        _cell_from_json(entry),
        Estimate(value, low, high, int(counted)),
        tuple(entry["by_seed"]),
        entry["seeds"],
        entry["left_out"],
        entry["undefined"],
    )
