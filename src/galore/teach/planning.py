"""How many people an experiment needs, after simulated learners took it; every table says that it is a simulation."""

from collections.abc import Sequence

import numpy as np

from galore.teach import agree_report, results, significance
from galore.teach.results import Result
from galore.teach.sheet import AGREE, Sheet
from galore.teach.tables import markdown_table

MOST = 400

NOTES = (
    "These learners see with the features of the network that chose the regions, which favours its regions;",
    "people may need more. Plan for the smallest difference that would matter.",
)


def table(sheet: Sheet, members: Sequence[Result], seed: int = 0) -> str:
    """How many learners are needed to tell what the experiment compares.

    Args:
        sheet: the experiment.
        members: simulated results of one kind.
        seed: of the draws.

    Returns:
        Markdown that says it is a simulation.
    """
    (kind,) = {result.simulation for result in members}
    what, head, cells = (_agreement if sheet.kind == AGREE else _teaching)(sheet, members, seed)
    lines = [
        f"# SIMULATION ({kind}), no person answered: how many learners are needed",
        "",
        what,
        *NOTES,
        "",
        *markdown_table(head, cells, kind),
    ]
    return "\n".join(lines)


def _teaching(sheet: Sheet, members: Sequence[Result], seed: int) -> tuple[str, list[str], list[list[str]]]:
    """Counterfactual explanations against each other condition."""
    gains = {name: results.gains(sheet, [r for r in members if r.condition == name]) for name in sheet.conditions}
    reference = "counterfactual" if "counterfactual" in gains else sheet.conditions[0]
    cells = []
    for name in sorted(set(gains) - {reference}):
        needed = significance.learners_needed(gains[reference], gains[name], seed, most=MOST)
        means = f"{100 * gains[reference].mean():+.0f} %, {100 * gains[name].mean():+.0f} %"
        cells.append([reference, name, means, _count(needed)])
    what = "Learners a condition for a power of 80 % at the 5 % level, by the gain in accuracy (two-sided test)."
    return what, ["SIMULATION", "against", "mean gains", "learners a condition"], cells


def _agreement(sheet: Sheet, members: Sequence[Result], seed: int) -> tuple[str, list[str], list[list[str]]]:
    """Insecurities of each difficulty score against everything else."""
    unsure = agree_report.unsure(sheet, members)
    groups = np.array([trial.group for trial in sheet.trials])
    insecure = np.char.startswith(groups, "insecurity ")
    cells = []
    for group in sorted(set(groups[insecure])):
        inside, outside = unsure[:, groups == group], unsure[:, ~insecure]
        learners = significance.learners_needed_within(inside.mean(1) - outside.mean(1), seed, most=MOST)
        pieces = significance.learners_needed(inside.mean(0), outside.mean(0), seed, most=MOST)
        means = f"{100 * inside.mean():.0f} %, {100 * outside.mean():.0f} %"
        cells.append([str(group), "random and discriminant", means, _count(learners), _count(pieces)])
    what = (
        "Learners for a power of 80 % at the 5 % level, by how often they cannot tell (two-sided, within learners) of\n"
        "these pieces; and pieces of each group, to say it of other pieces too: learners do not make up for few pieces."
    )
    return what, ["SIMULATION", "against", "cannot tell", "learners", "pieces of each group"], cells


def _count(needed: int | None) -> str:
    return f"more than {MOST}" if needed is None else str(needed)
