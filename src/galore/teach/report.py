"""What the teaching experiment members: a table, tests between the conditions, and a figure.

People and each kind of simulated learner have a report of their own; the published numbers are of people and stand
beside people only.
"""

import dataclasses
import itertools
import math
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np

from galore import foreign
from galore.statistics import Estimate, bootstrap_difference, bootstrap_mean, wilson
from galore.teach import results
from galore.teach.results import Refusal, Result
from galore.teach.sheet import Sheet
from galore.teach.significance import holm, permutation_p
from galore.teach.tables import interval, markdown_table, p_text, percent, save, seconds, set_title

PUBLISHED = {"counterfactual": 0.95, "whole": 0.77, "random": 0.60}
"""Accuracy after ten explained pairs (Wang & Vasconcelos, SCOUT, CVPR 2020, and GALORE, TPAMI 2023)."""


@dataclasses.dataclass(frozen=True)
class ConditionRow:
    """One condition.

    Attributes:
        condition: its name.
        learners: how many.
        before, after: accuracy over all answers, with Wilson intervals; "don't know" is not right.
        unsure_before, unsure_after: the share of "don't know".
        gain: the learners' mean gain in accuracy, with a bootstrap interval over learners.
        gain_guessed: the same, had every "don't know" been a guess, half of them right.
        explained: how many pairs a learner saw explained, on average; a right answer needs none.
        seconds_explained: the median time for which an explanation was looked at.
        seconds_before, seconds_training, seconds_after: the median time of an answer.
        published: the published accuracy after the training; None where there is none, and for simulations.
    """

    condition: str
    learners: int
    before: Estimate
    after: Estimate
    unsure_before: float
    unsure_after: float
    gain: Estimate
    gain_guessed: Estimate
    explained: float
    seconds_explained: float
    seconds_before: float
    seconds_training: float
    seconds_after: float
    published: float | None


@dataclasses.dataclass(frozen=True)
class Comparison:
    """Two conditions: the difference of their mean gains, and the permutation test with Holm's correction."""

    first: str
    second: str
    difference: Estimate
    p: float
    p_holm: float


@dataclasses.dataclass(frozen=True)
class TeachingReport:
    """Everything about one group of learners; `simulation` is "" for people, `shared_codes` see `results`."""

    experiment: str
    data: str
    classes: tuple[str, ...]
    simulation: str
    rows: tuple[ConditionRow, ...]
    comparisons: tuple[Comparison, ...]
    shared_codes: tuple[str, ...]

    @property
    def title(self) -> str:
        kinds = " and ".join(foreign.name(name.replace("_", " ")) for name in self.classes)
        who = f"SIMULATION ({self.simulation}), no person answered" if self.simulation else "People"
        return f"{who}: {kinds}, experiment {self.experiment}"


def groups(members: Sequence[Result]) -> dict[str, list[Result]]:
    """The results of people ("") and of each kind of simulated learner, which are never mixed."""
    return {kind: [r for r in members if r.simulation == kind] for kind in sorted({r.simulation for r in members})}


def make(sheet: Sheet, members: Sequence[Result], seed: int = 0) -> TeachingReport:
    """Summarises one group of learners, who are all people or all of one simulated kind."""
    (simulation,) = {result.simulation for result in members}
    conditions = [name for name in ("counterfactual", "attributive", "random", "whole") if name in sheet.conditions]
    by_condition = {name: [r for r in members if r.condition == name] for name in conditions}
    rows = tuple(
        _row(sheet, name, members, bool(simulation), seed) for name, members in by_condition.items() if members
    )
    gains = {name: results.gains(sheet, members) for name, members in by_condition.items() if members}
    pairs = list(itertools.combinations(gains, 2))
    p_values = [permutation_p(gains[a], gains[b], seed) for a, b in pairs]
    comparisons = tuple(
        Comparison(a, b, bootstrap_difference(gains[a], gains[b], seed), p, corrected)
        for (a, b), p, corrected in zip(pairs, p_values, holm(p_values))
    )
    shared = tuple(results.shared_codes(members))
    return TeachingReport(sheet.experiment, sheet.data, sheet.classes, simulation, rows, comparisons, shared)


def _row(sheet: Sheet, condition: str, members: Sequence[Result], is_simulation: bool, seed: int) -> ConditionRow:
    def pooled(phase: str) -> tuple[Estimate, float, float]:
        is_right = np.concatenate([results.right(sheet, r)[results.in_phase(sheet, r, phase)] for r in members])
        unsure = np.concatenate([(np.array(r.answers) == "?")[results.in_phase(sheet, r, phase)] for r in members])
        times = np.concatenate([results.seconds(sheet, r, phase) for r in members])
        return wilson(int(is_right.sum()), len(is_right)), float(unsure.mean()), _median(times)

    before, training, after = (pooled(phase) for phase in ("before", "training", "after"))
    studied = np.concatenate([results.explained(sheet, r) for r in members])
    return ConditionRow(
        condition=condition,
        learners=len(members),
        before=before[0],
        after=after[0],
        unsure_before=before[1],
        unsure_after=after[1],
        gain=bootstrap_mean(results.gains(sheet, members), seed),
        gain_guessed=bootstrap_mean(results.gains(sheet, members, unsure=0.5), seed),
        explained=len(studied) / len(members),
        seconds_explained=_median(studied),
        seconds_before=before[2],
        seconds_training=training[2],
        seconds_after=after[2],
        published=None if is_simulation else PUBLISHED.get(condition),
    )


def _median(values: np.ndarray) -> float:
    return float(np.median(values)) if len(values) else math.nan


def table(report: TeachingReport) -> tuple[list[str], list[list[str]]]:
    """The head and the cells of the table of conditions."""
    head = [
        "condition",
        "learners",
        "before",
        "after",
        "gain",
        "gain, if guessed",
        "don't know",
        "pairs explained",
        "seconds",
    ]
    cells = [
        [
            row.condition,
            str(row.learners),
            interval(row.before),
            interval(row.after),
            interval(row.gain, signed=True),
            interval(row.gain_guessed, signed=True),
            f"{percent(row.unsure_before)}, then {percent(row.unsure_after)}",
            f"{row.explained:.1f}",
            ", ".join(
                seconds(getattr(row, f"seconds_{when}")) for when in ("before", "training", "explained", "after")
            ),
        ]
        for row in report.rows
    ]
    if report.simulation:
        return head, cells
    return [*head, "published, after"], [
        [*cell, "–" if row.published is None else percent(row.published)] for cell, row in zip(cells, report.rows)
    ]


def comparison_table(report: TeachingReport) -> tuple[list[str], list[list[str]]]:
    """The head and the cells of the table of tests."""
    head = ["gain of", "less that of", "difference", "p", "p (Holm)"]
    return head, [
        [c.first, c.second, interval(c.difference, signed=True), p_text(c.p), p_text(c.p_holm)]
        for c in report.comparisons
    ]


NOTES = (
    'Accuracy pools all answers of a condition, with Wilson 95 % intervals; "don\'t know" is not right.',
    "Gains are means over learners, with bootstrap 95 % intervals; p is a two-sided permutation test over learners.",
    'If guessed: had every "don\'t know" been a guess, half of them right. Who stops saying it gains without learning.',
    "Pairs explained: of the training's, how many a learner saw explained; a right answer is only confirmed.",
    "Seconds are medians: an answer before, one in the training, a look at an explanation, an answer after.",
)
SOURCE = "Published: SCOUT (CVPR 2020), accuracy of people after ten explained pairs; other pictures and other people."


def markdown(report: TeachingReport, refusals: Sequence[Refusal] = ()) -> str:
    """The report as Markdown."""
    lines = [f"# {report.title}", ""]
    for head, cells in (table(report), comparison_table(report)):
        if cells:
            lines += markdown_table(head, cells, report.simulation)
    notes = NOTES if report.simulation else (*NOTES, SOURCE)
    if report.shared_codes:
        codes = ", ".join(report.shared_codes)
        notes = (*notes, f"More than one learner came by the code {codes}; all count, but check the balance.")
    lines += [*(f"- {note}" for note in notes), ""]
    if refusals:
        lines += ["Not counted:", "", *(f"- {refusal}" for refusal in refusals), ""]
    return "\n".join(lines)


def write(sheet: Sheet, members: Sequence[Result], refusals: Sequence[Refusal], folder: Path, seed: int = 0) -> str:
    """Writes table.md, results.json and figure.png of one group; the names of a simulation's files say so.

    Args:
        sheet: the experiment.
        members: people, or simulated learners of one kind.
        refusals: the files that are not counted.
        folder: where to; it is made.
        seed: of the resampling.

    Returns:
        The tables as Markdown.
    """
    report = make(sheet, members, seed)
    save(report, markdown(report, refusals), refusals, partial(figure, report), folder)
    return markdown(report)


def figure(report: TeachingReport, path: Path) -> None:
    """Accuracy before and after for each condition, with the published numbers beside people's."""
    from matplotlib.figure import Figure

    drawing = Figure(figsize=(7.2, 1.7 + 0.6 * len(report.rows)), layout="constrained", dpi=160)
    axes = drawing.subplots()
    axes.axvline(50, color="#bbbbbb", lw=1, zorder=0)
    for y, row in enumerate(reversed(report.rows)):
        for offset, value, colour, filled in (
            (0.12, row.before, "#7a828c", "white"),
            (-0.12, row.after, "#14507a", "#14507a"),
        ):
            axes.plot([100 * value.low, 100 * value.high], [y + offset] * 2, color=colour, lw=2)
            axes.plot(100 * value.value, y + offset, "o", color=colour, mfc=filled, ms=7, mew=2)
        if row.published is not None:
            axes.plot(100 * row.published, y - 0.12, "D", color="#b4480f", mfc="white", ms=7, mew=1.8)
    labels = [f"{row.condition}\n{row.learners} learner{'s' * (row.learners != 1)}" for row in reversed(report.rows)]
    axes.set_yticks(range(len(report.rows)), labels)
    axes.set(
        xlim=(0, 102),
        ylim=(-0.6, len(report.rows) - 0.4),
        xlabel="right answers, % (50 is chance, with no “don’t know”)",
    )
    axes.spines[["top", "right"]].set_visible(False)
    axes.plot([], [], "o-", color="#7a828c", mfc="white", label="before")
    axes.plot([], [], "o-", color="#14507a", label="after")
    if not report.simulation and any(row.published is not None for row in report.rows):
        axes.plot([], [], "D", color="#b4480f", mfc="white", label="after, published (SCOUT, 2020)")
    drawing.legend(loc="outside lower center", ncols=3, frameon=False)
    set_title(axes, report)
    drawing.savefig(path)
