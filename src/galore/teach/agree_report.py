"""What the agreement experiment members: how often people cannot tell, inside the insecurities and elsewhere."""

import dataclasses
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool

from galore import foreign
from galore.statistics import Estimate, bootstrap_difference, bootstrap_mean, wilson
from galore.teach.agree import DISCRIMINANT, RANDOM
from galore.teach.results import Refusal, Result, right
from galore.teach.sheet import Sheet
from galore.teach.tables import interval, markdown_table, save, set_title


@dataclasses.dataclass(frozen=True)
class GroupRow:
    """One group of pieces.

    Attributes:
        group: "insecurity softmax", ..., "random", "discriminant".
        pieces: how many there are.
        answers: how many were given.
        cannot_tell: the share of "cannot tell" over all answers, with a Wilson interval.
        right: the share of right answers among those who told, likewise.
    """

    group: str
    pieces: int
    answers: int
    cannot_tell: Estimate
    right: Estimate


@dataclasses.dataclass(frozen=True)
class Contrast:
    """How much more often people cannot tell inside insecurities than elsewhere.

    Attributes:
        score: the difficulty score.
        elsewhere: "random", "discriminant" or "random and discriminant".
        difference: of the shares; a mean over learners with a bootstrap interval over them.
        over_pieces: the same difference with a bootstrap interval over the pieces, which are as much a sample.
    """

    score: str
    elsewhere: str
    difference: Estimate
    over_pieces: Estimate


@dataclasses.dataclass(frozen=True)
class AgreementReport:
    """Everything about one group of learners; `simulation` is "" for people."""

    experiment: str
    data: str
    simulation: str
    learners: int
    rows: tuple[GroupRow, ...]
    contrasts: tuple[Contrast, ...]

    @property
    def title(self) -> str:
        who = f"SIMULATION ({self.simulation}), no person answered" if self.simulation else "People"
        return f"{who}: agreement on {foreign.name(self.data)}, {self.learners} learners, experiment {self.experiment}"


def make(sheet: Sheet, members: Sequence[Result], seed: int = 0) -> AgreementReport:
    """Summarises one group of learners, who are all people or all of one simulated kind."""
    (simulation,) = {result.simulation for result in members}
    names = [trial.group for trial in sheet.trials]
    groups = np.array(names)
    cannot = unsure(sheet, members)
    is_right = _by_piece(sheet, members, [right(sheet, result) for result in members])
    rows = tuple(_row(group, groups == group, cannot, is_right) for group in sorted(set(names)))
    scores = sorted(name.removeprefix("insecurity ") for name in set(names) if name.startswith("insecurity "))
    contrasts = tuple(
        _contrast(score, elsewhere, groups, cannot, seed)
        for score in scores
        for elsewhere in ((RANDOM,), (DISCRIMINANT,), (RANDOM, DISCRIMINANT))
    )
    return AgreementReport(sheet.experiment, sheet.data, simulation, len(members), rows, contrasts)


def unsure(sheet: Sheet, members: Sequence[Result]) -> Bool[np.ndarray, "n t"]:
    """Who could not tell which piece: learners by the sheet's trials."""
    return _by_piece(sheet, members, [np.array(result.answers) == "?" for result in members])


def _by_piece(
    sheet: Sheet, members: Sequence[Result], values: Sequence[Bool[np.ndarray, " t"]]
) -> Bool[np.ndarray, "n t"]:
    """From the order in which each learner was asked to the order of the sheet."""
    column = {trial.id: k for k, trial in enumerate(sheet.trials)}
    table = np.zeros((len(members), len(sheet.trials)), bool)
    for row, (result, given) in enumerate(zip(members, values)):
        table[row, [column[id] for id in sheet.orders[result.order]]] = given
    return table


def _row(group: str, columns: Bool[np.ndarray, " t"], unsure: Bool[np.ndarray, "n t"], is_right: Any) -> GroupRow:
    cannot, told = unsure[:, columns], ~unsure[:, columns]
    return GroupRow(
        group=group,
        pieces=int(columns.sum()),
        answers=cannot.size,
        cannot_tell=wilson(int(cannot.sum()), cannot.size),
        right=wilson(int((is_right[:, columns] & told).sum()), int(told.sum())),
    )


def _contrast(
    score: str, elsewhere: tuple[str, ...], groups: Any, unsure: Bool[np.ndarray, "n t"], seed: int
) -> Contrast:
    inside, outside = groups == f"insecurity {score}", np.isin(groups, elsewhere)
    return Contrast(
        score=score,
        elsewhere=" and ".join(elsewhere),
        difference=bootstrap_mean(unsure[:, inside].mean(1) - unsure[:, outside].mean(1), seed),
        over_pieces=bootstrap_difference(unsure[:, inside].mean(0), unsure[:, outside].mean(0), seed),
    )


def markdown(report: AgreementReport, refusals: Sequence[Refusal] = ()) -> str:
    """The report as Markdown."""
    head = ["pieces", "shown", "answers", "cannot tell", "right, of those who told"]
    cells = [[r.group, str(r.pieces), str(r.answers), interval(r.cannot_tell), interval(r.right)] for r in report.rows]
    lines = [f"# {report.title}", "", *markdown_table(head, cells, report.simulation)]
    head = ["insecurities by", "less elsewhere", "cannot tell (over learners)", "cannot tell (over pieces)"]
    cells = [
        [c.score, c.elsewhere, interval(c.difference, signed=True), interval(c.over_pieces, signed=True)]
        for c in report.contrasts
    ]
    lines += markdown_table(head, cells, report.simulation)
    lines += [
        "- Shares pool all answers of a group, with Wilson 95 % intervals.",
        "- Differences carry bootstrap 95 % intervals, once over learners and once over pieces.",
        "",
    ]
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


def figure(report: AgreementReport, path: Path) -> None:
    """How often people cannot tell, by group."""
    from matplotlib.figure import Figure

    drawing = Figure(figsize=(7.2, 1.5 + 0.4 * len(report.rows)), layout="constrained", dpi=160)
    axes = drawing.subplots()
    for y, row in enumerate(reversed(report.rows)):
        colour = "#14507a" if row.group.startswith("insecurity") else "#7a828c"
        value = row.cannot_tell
        axes.plot([100 * value.low, 100 * value.high], [y, y], color=colour, lw=2)
        axes.plot(100 * value.value, y, "o", color=colour, ms=7)
    axes.set_yticks(range(len(report.rows)), [row.group for row in reversed(report.rows)], parse_math=False)
    axes.set(xlim=(0, 102), ylim=(-0.6, len(report.rows) - 0.4), xlabel="people who cannot tell, %")
    if report.simulation:
        axes.set(xlabel="SIMULATED answers “cannot tell”, %")
    axes.spines[["top", "right"]].set_visible(False)
    set_title(axes, report)
    drawing.savefig(path)
