"""What a program prints at its end: the table, as wide as the terminal is, and what became of each claim."""

import textwrap
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from galore.evaluation.ground_truth import AttributeTable
from galore.experiment.claims import Result, Verdict
from galore.experiment.table import RowSummary, TableSummary, words
from galore.statistics import Estimate

GAP = "  "
ROUNDING = 1.5e-3
"""By how much the two halves of an interval may differ that is shown as one number."""
COUNTED = {
    Verdict.HOLDS: "hold",
    Verdict.FAILS: "do not hold",
    Verdict.NO_DIFFERENCE: "are about differences too small to matter",
    Verdict.DEPENDS: "depend on the ground truth",
    Verdict.UNKNOWN: "cannot be told",
}


def table(numbers: TableSummary, width: int, other: AttributeTable | None = None) -> str:
    """The numbers for a terminal: a paragraph for each group of rows that share their labels, with as many measures
    side by side as fit, the others below them.

    Args:
        numbers: of the table.
        width: of the terminal in characters; a line is longer only where one word, or one number with its method, is.
        other: by which table of attributes the ground truth is made; None: the experiment's own.
    """
    by_labels: dict[tuple[tuple[str, str], ...], list[RowSummary]] = {}
    for row in numbers.rows:
        if row.cell.table is other:
            by_labels.setdefault(row.cell.labels, []).append(row)
    paragraphs = []
    for labels, some in by_labels.items():
        title = ", ".join(f"{name}: {value}" for name, value in labels if value)
        paragraphs += [*([_filled(title, width)] if title else []), *_blocks(some, width)]
    notes = [_filled(remark, width) for remark in numbers.remarks]
    return "\n\n".join([*paragraphs, *notes])


def verdicts(results: Sequence[Result], judged: Sequence[Verdict], width: int) -> str:
    """What became of each claim, with the number behind it, and in the last line of all of them together."""
    said = []
    for result, verdict in zip(results, judged, strict=True):
        number = words(result.estimate) if result.estimate else "not measured"
        text = f"{verdict.value}: {result.text} ({result.source.value})"
        said += [_filled(text, width), _filled(f"{result.number}: {number}", width, "    ")]
    counts = Counter(judged)
    parts = [f"{counts[verdict]} {phrase}" for verdict, phrase in COUNTED.items() if counts[verdict]]
    shortages = {result.shortage for result in results if result.shortage}
    why = f" ({shortages.pop()})" if len(shortages) == 1 else ""
    return "\n".join([*said, "", _filled(f"Of {len(judged)} claims: {', '.join(parts)}{why}.", width)])


def _blocks(rows: Sequence[RowSummary], width: int) -> list[str]:
    """The rows of one group, method by method, cut into blocks of measures that fit."""
    methods = list(dict.fromkeys(row.cell.method.label for row in rows))
    heading = lambda row: row.cell.heading.replace(" %", "\u00a0%")  # noqa: E731
    measures = list(dict.fromkeys(map(heading, rows)))
    shown = {(row.cell.method.label, heading(row)): _short(row.estimate) for row in rows}
    first = max(map(len, methods))
    widths = {measure: max(len(shown.get((method, measure), "")) for method in methods) for measure in measures}
    widths = {measure: max(size, *map(len, measure.split())) for measure, size in widths.items()}
    blocks: list[list[str]] = [[]]
    for measure in measures:
        if blocks[-1] and first + sum(len(GAP) + widths[one] for one in (*blocks[-1], measure)) > width:
            blocks.append([])
        blocks[-1].append(measure)
    return [_block(methods, [(measure, widths[measure]) for measure in block], shown, first) for block in blocks]


def _block(
    methods: Sequence[str], measures: Sequence[tuple[str, int]], shown: dict[tuple[str, str], str], first: int
) -> str:
    headings = [textwrap.wrap(measure, size) for measure, size in measures]
    height, lines = max(map(len, headings)), []
    for line in range(height):
        cells = [["", *lines_][max(0, line - height + len(lines_) + 1)] for lines_ in headings]
        lines.append(["", *cells])
    lines += [[method, *(shown.get((method, measure), "") for measure, _ in measures)] for method in methods]
    sizes = [first, *(size for _, size in measures)]
    return "\n".join(GAP.join(cell.ljust(size) for cell, size in zip(line, sizes)).rstrip() for line in lines)


def _short(estimate: Estimate) -> str:
    """ "0.571 ±0.011" where the interval is symmetric, as nearly all are."""
    value, low, high, _ = estimate
    is_symmetric = not np.isnan(low) and abs((high - value) - (value - low)) < ROUNDING
    return f"{value + 0.0:.3f} ±{(high - low) / 2:.3f}" if is_symmetric and abs(value) < 100 else words(estimate)


def _filled(text: str, width: int, indent: str = "") -> str:
    options: dict[str, Any] = {"break_long_words": False, "break_on_hyphens": False}
    return textwrap.fill(text, width, initial_indent=indent, subsequent_indent=indent or "  ", **options)
