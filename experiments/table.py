"""What an experiment gives back: rows of values per image, from which every mean, interval and difference follows."""

import csv
import dataclasses
import functools
import io
import json
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from galore.evaluation import statistics
from galore.evaluation.metrics import FRACTIONS
from galore.evaluation.statistics import Estimate

UNDEFINED = "the number is undefined (parts of one kind only, none in the region, or a constant map)"
SIZES = {"iou": (0.05, 0.2)}
"""Region sizes at which curves are read: 5 % of the image for parts, which are points; objects are larger."""


@dataclasses.dataclass(frozen=True, eq=False)
class Row:
    """One number of one method.

    Attributes:
        labels: what distinguishes the row: {"user": "advanced", "method": "a"}.
        measure: what the number is: "auroc".
        values: [seeds, images], or [seeds, images, region sizes] for a curve; NaN where an image does not count.
        left_out: why images did not count, with how many.
    """

    labels: dict[str, str]
    measure: str
    values: np.ndarray
    left_out: dict[str, int] = dataclasses.field(default_factory=dict)

    @property
    def is_curve(self) -> bool:
        return self.values.ndim == 3

    @functools.cached_property
    def estimate(self) -> Estimate:
        """The mean with its interval over images."""
        return statistics.bootstrap(self.values)

    @property
    def reasons(self) -> dict[str, int]:
        """Why values are missing: `left_out`, and the images that cannot have this number."""
        undefined = int(np.isnan(self.values).sum()) - sum(self.left_out.values())
        return self.left_out | ({UNDEFINED: undefined} if undefined > 0 and not self.is_curve else {})

    def curve(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Mean, low and high at every region size."""
        return statistics.bootstrap_curve(self.values)


@dataclasses.dataclass(frozen=True, eq=False)
class Table:
    """Rows in the order in which they are shown.

    Attributes:
        rows: the numbers.
        remarks: what belongs to them (a missing row and why).
        pictures: figures that show images, by name; they are written once and not joined.
    """

    rows: tuple[Row, ...]
    remarks: tuple[str, ...] = ()
    pictures: dict[str, Figure] = dataclasses.field(default_factory=dict)

    def __add__(self, other: "Table") -> "Table":
        return Table(self.rows + other.rows, tuple(dict.fromkeys(self.remarks + other.remarks)))

    def find(self, measure: str, **labels: str) -> Row | None:
        """The first row of a measure with these labels."""
        return next((row for row in self.select(measure, **labels)), None)

    def select(self, measure: str, **labels: str) -> list[Row]:
        """All rows of a measure with these labels."""
        return [
            row
            for row in self.rows
            if row.measure == measure and all(row.labels.get(k) == v for k, v in labels.items())
        ]

    def difference(self, measure: str, first: dict[str, str], second: dict[str, str]) -> Estimate | None:
        """first - second over the images that count for both; None where a row is missing."""
        a, b = self.find(measure, **first), self.find(measure, **second)
        if a is None or b is None or a.values.shape != b.values.shape:
            return None
        return statistics.paired_difference(a.values, b.values)

    def csv(self) -> str:
        """One line per row that is no curve: labels, measure, mean, low, high, counted, seeds, left_out."""
        plain = [row for row in self.rows if not row.is_curve]
        names = list(dict.fromkeys(name for row in plain for name in row.labels))
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow([*names, "measure", "mean", "low", "high", "counted", "seeds", "by_seed", "left_out"])
        for row in plain:
            mean, low, high, counted = row.estimate
            numbers = ["" if np.isnan(x) else f"{x:.5f}" for x in (mean, low, high)]
            by_seed = " ".join(f"{x:.5f}" for x in _means_by_seed(row.values))
            why = "; ".join(f"{reason}: {count}" for reason, count in row.reasons.items())
            labels = [row.labels.get(name, "") for name in names]
            writer.writerow([*labels, row.measure, *numbers, counted, len(row.values), by_seed, why])
        return text.getvalue()

    def markdown(self) -> str:
        """Measures side by side, "0.571 [0.560, 0.582]", with how many values counted and why others did not."""
        plain = [row for row in self.rows if not row.is_curve]
        names = list(dict.fromkeys(name for row in plain for name in row.labels))
        measures = list(dict.fromkeys(row.measure for row in plain))
        lines = ["| " + " | ".join([*names, *measures, "counted"]) + " |"]
        lines.append("|" + "---|" * (len(names) + len(measures) + 1))
        by_labels: dict[tuple[str, ...], dict[str, Row]] = {}
        for row in plain:
            key = tuple(row.labels.get(name, "") for name in names)
            by_labels.setdefault(key, {})[row.measure] = row
        for key, cells in by_labels.items():
            estimates = {measure: cells[measure].estimate for measure in measures if measure in cells}
            numbers = [words(estimates[measure]) if measure in cells else "" for measure in measures]
            counted = [str(estimate.counted) for estimate in estimates.values()]
            shown = counted[0] if len(set(counted)) == 1 else ", ".join(counted)
            lines.append("| " + " | ".join([*key, *numbers, shown]) + " |")
        said = [f"- {sentence}" for sentence in [*self._reasons(), *self.remarks]]
        return "\n".join([*lines, "", *said]).rstrip() + "\n"

    def _reasons(self) -> list[str]:
        """Why images did not count, by who asks; and how many of the others lack which number."""
        groups: dict[tuple[str, str], list[Row]] = {}
        for row in self.rows:
            if row.left_out and not row.is_curve:
                who = ", ".join(row.labels[name] for name in ("network", "user") if name in row.labels)
                groups.setdefault((who, json.dumps(row.left_out)), []).append(row)
        return [_why(who, rows) for (who, _), rows in groups.items()]

    def save(self, folder: Path) -> None:
        """Writes the rows as they are, so that `load` and `join` can go on with them."""
        index = [{"labels": row.labels, "measure": row.measure, "left_out": row.left_out} for row in self.rows]
        (folder / "rows.json").write_text(json.dumps({"rows": index, "remarks": self.remarks}, indent=1))
        arrays = {str(k): row.values.astype(np.float32) for k, row in enumerate(self.rows)}
        np.savez_compressed(folder / "values.npz", **arrays)  # type: ignore[arg-type]


def _why(who: str, rows: list[Row]) -> str:
    """One sentence about rows that leave out the same images."""
    reasons = ", ".join(f"{reason}: {count}" for reason, count in rows[0].left_out.items())
    lacking: dict[str, list[int]] = {}
    for row in rows:
        lacking.setdefault(row.measure, []).append(row.reasons.get(UNDEFINED, 0))
    ranges = {measure: sorted({min(some), max(some)}) for measure, some in lacking.items() if max(some)}
    said = ", ".join(f"{measure} {' to '.join(map(str, some))}" for measure, some in ranges.items())
    about = f" ({who})" if who else ""
    return f"Images that did not count{about}: {reasons}." + (f" Of the others, {UNDEFINED}: {said}." if said else "")


def words(estimate: Estimate) -> str:
    """ "0.571 [0.560, 0.582]"; nothing where nothing counted."""
    if np.isnan(estimate.mean):
        return ""
    digits = 1 if abs(estimate.mean) >= 100 else 3
    # Adding zero takes the sign from -0.000.
    mean, low, high = (f"{round(number, digits) + 0.0:.{digits}f}" for number in estimate[:3])
    return mean if np.isnan(estimate.low) else f"{mean} [{low}, {high}]"


def load(folder: Path) -> Table:
    """Reads what `Table.save` wrote."""
    index = json.loads((folder / "rows.json").read_text())
    with np.load(folder / "values.npz") as arrays:
        rows = tuple(Row(values=arrays[str(k)], **entry) for k, entry in enumerate(index["rows"]))
    return Table(rows, tuple(index["remarks"]))


def join(tables: list[Table]) -> Table:
    """The same experiment with several seeds: values side by side, reasons added up."""
    grouped: dict[str, list[Row]] = {}
    for table in tables:
        for row in table.rows:
            grouped.setdefault(json.dumps([row.labels, row.measure]), []).append(row)
    remarks = tuple(dict.fromkeys(remark for table in tables for remark in table.remarks))
    return Table(tuple(_joined(rows) for rows in grouped.values()), remarks)


def rows_of(
    judged: dict[str, dict[str, np.ndarray]],
    rows: np.ndarray,
    images: int,
    *,
    left_out: dict[str, int] | None = None,
    fractions: tuple[float, ...] | None = None,
    **labels: str,
) -> tuple[Row, ...]:
    """Rows of judged methods: the AUROC first, curves at chosen region sizes, then the whole curves.

    Args:
        judged: method -> measure -> one number or curve per question.
        rows: the image of each question.
        images: how many images there are.
        left_out: why images did not count.
        fractions: region sizes (of `metrics.FRACTIONS`) at which curves are read; None: see SIZES.
        labels: for every row, beside the method.
    """
    made = []
    for method, measures in judged.items():
        for measure in sorted(measures, key=lambda name: name != "auroc"):
            values = np.asarray(measures[measure], np.float64)
            by_image = spread(values, rows, images)[None]
            named = {**labels, "method": method}
            if values.ndim == 1:
                made.append(Row(named, measure, by_image, dict(left_out or {})))
                continue
            for fraction in fractions or SIZES.get(measure, (0.05,)):
                at = FRACTIONS.index(fraction)
                made.append(Row(named, f"{measure} at {fraction:.3g}", by_image[..., at], dict(left_out or {})))
            made.append(Row(named, measure, by_image, dict(left_out or {})))
    return tuple(made)


def only_auroc(judged: dict[str, dict[str, np.ndarray]]) -> dict[str, dict[str, np.ndarray]]:
    """The same methods without their other measures."""
    return {method: {"auroc": measures["auroc"]} for method, measures in judged.items()}


def spread(values: np.ndarray, rows: np.ndarray, images: int) -> np.ndarray:
    """One number (or curve) per question as one per image; NaN where an image was not asked about."""
    spread_out = np.full((images, *values.shape[1:]), np.nan)
    spread_out[rows] = values
    return spread_out


def _joined(rows: list[Row]) -> Row:
    images = max(row.values.shape[1] for row in rows)

    def padded(values: np.ndarray) -> np.ndarray:
        missing = [(0, 0), (0, images - values.shape[1])] + [(0, 0)] * (values.ndim - 2)
        return np.pad(values, missing, constant_values=np.nan)

    left_out: dict[str, int] = {}
    for row in rows:
        for reason, count in row.left_out.items():
            left_out[reason] = left_out.get(reason, 0) + count
    values = np.concatenate([padded(row.values) for row in rows])
    return dataclasses.replace(rows[0], values=values, left_out=left_out)


def _means_by_seed(values: np.ndarray) -> list[float]:
    return [float(np.nanmean(row)) for row in values if not np.isnan(row).all()]
