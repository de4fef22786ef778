"""Discriminant maps against exhaustive search for counterfactual regions: SCOUT, table 1.

    python experiments/counterfactual_vs_search.py dataset=synthetic_birds model=small_cnn

Recall, precision and PIoU of regions of one unit of the map, and images explained per second. The search makes one
edit; its region is the authors', the edited cell enlarged bilinearly, which is four units large. "same size" is ours:
the search's cell as a region of one unit, as large as those of the maps.

Cost: a minute on two cores. Expect about as many images a second by our search as by discriminant maps, and a
hundredth of that by the search that runs the head on every candidate, the one of the paper.
"""

from galore import program

program.guard(__name__)

import dataclasses

import numpy as np

from galore.evaluation import metrics
from galore.evaluation.evaluate import evaluate, part_iou
from galore.evaluation.methods import Method, Rule, main_rules
from galore.evaluation.queries import Queries
from galore.evaluation.test_set import TestSet
from galore.experiment import inputs, plots, runner, search_baseline
from galore.experiment.claims import Claim, Faster, Source, better
from galore.experiment.config import Config
from galore.experiment.table import Cell, Row, Table, rows_of

TITLE = "Discriminant maps against exhaustive search"
OPTIONS = ("attribution", "confidence", "explanation.batch_size", "explanation.counter_images")
SEARCH, SEARCH_BY_HEAD = Method(Rule.SEARCH), Method(Rule.SEARCH_BY_HEAD)
SPEED = "images per second"
ROUNDS = 7
FASTER = 50
PUBLISHED = {
    "recall": "0.05 against 0.02 (VGG16), 0.09 against 0.03 (ResNet-50)",
    "precision": "0.84 against 0.76 (VGG16), 0.81 against 0.77 (ResNet-50)",
    "piou": "0.15 against 0.13 (VGG16), 0.16 against 0.18 (ResNet-50)",
}
BEGINNER = (("user", "beginner"),)


NAMES = {"recall": "recall", "precision": "precision", "piou": "PIoU"}
MEASURES = tuple(NAMES)


def run(config: Config) -> Table:
    """One row per user and method."""
    test_set, batch_size = inputs.test_set(config, needs_parts=True), config.explanation.batch_size
    height, width = search_baseline.map_shape(test_set)
    unit = min(metrics.FRACTIONS, key=lambda fraction: abs(fraction - 1 / (height * width)))
    methods = main_rules(config.attribution, config.score_with(test_set.predictor))
    rows = ()
    for queries in inputs.users(config, test_set):
        arguments = (test_set, queries, methods, config.seed, batch_size)
        scored, pairs = evaluate(*arguments), part_iou(*arguments)
        place, cells = metrics.FRACTIONS.index(unit), search_baseline.first_edits(test_set, queries, batch_size)
        own, other = (
            {method: _at_unit(some[method], pairs.by_method[method], place) for method in some} | {SEARCH: searched}
            for some, searched in (
                (scored.by_method, _searched(test_set, queries, cells, queries.truth, unit)),
                (scored.by_other_table, _searched(test_set, queries, cells, queries.other_truth, unit)),
            )
        )
        rows += rows_of(
            dataclasses.replace(scored, by_method=own, by_other_table=other), test_set, {"user": queries.user}
        )
    rates = search_baseline.images_per_second(test_set, config.attribution.function(), batch_size, ROUNDS)
    for method, some in zip((methods[1].without_shared, SEARCH, SEARCH_BY_HEAD), rates):
        rows += (Row(Cell(method, SPEED, labels=BEGINNER), some[None]),)
    remark = (
        f"Regions have one unit of the {height} x {width} map, {unit:.1%} of the image. Images per second are of "
        "pairs, forward passes included, on the machine of the run. Both searches find the same edits: one uses "
        "the head's structure, the other is the one that SCOUT was compared with, in batches."
    )
    return Table(rows, (*inputs.remarks(test_set), remark))


def claims(table: Table) -> list[Claim]:
    """The headline of SCOUT: faster by far, and better."""
    ours = next(row.cell.method for row in table.rows if row.cell.method.rule is Rule.DISCRIMINANT)
    stated = []
    for user in ("beginner", "advanced"):
        for measure in MEASURES:
            text = f"Discriminant maps have a better {NAMES[measure]} than exhaustive search ({user} user)."
            published = PUBLISHED[measure] if user == "beginner" else ""
            headline = (measure, user) == ("precision", "beginner")
            named = {"labels": {"user": user}, "headline": headline, "published": published}
            stated.append(better(text, Source.SCOUT_TABLE_1, ours, SEARCH, measure, **named))
    fast, fast_search, slow = (Cell(method, SPEED, labels=BEGINNER) for method in (ours, SEARCH, SEARCH_BY_HEAD))
    text = (
        f"Discriminant maps are more than {FASTER} times as fast as the search that runs the head on every candidate."
    )
    number = f"ratio of images per second, against {FASTER}"
    published = "1326 times as fast (VGG16), 70 times (ResNet-50)"
    quantity = Faster(fast, slow, FASTER)
    stated.append(Claim(text, Source.SCOUT_SECTION_5, number, quantity, headline=True, published=published))
    text, number = "Discriminant maps are faster than our exact fast search.", "ratio of images per second, against 1"
    return [*stated, Claim(text, Source.OURS, number, Faster(fast, fast_search))]


def draw(table: Table) -> dict:
    """What table 1 shows."""
    return {name: plots.dots(table, name, chance=None) for name in MEASURES}


def _at_unit(measures: dict[str, np.ndarray], pairs: dict[str, np.ndarray], unit: int) -> dict[str, np.ndarray]:
    """The numbers of a method at the region size of one unit of the map."""
    curves = {name: measures[name][:, unit] for name in ("recall", "precision")}
    piou = {name: values[:, unit] for name, values in pairs.items()}
    return {name: measures[name] for name in ("specificity", "auroc")} | curves | piou


def _searched(
    test_set: TestSet, queries: Queries, cells: np.ndarray, truth: np.ndarray | None, unit: float
) -> dict[str, np.ndarray]:
    """The search's numbers by the authors' region, and by one as large as those of the maps."""
    if truth is None:
        return {}
    theirs, ours = (search_baseline.score_cells(test_set, queries, cells, truth, *region) for region in ((), (unit,)))
    return theirs | {f"{name}, same size": ours[name] for name in MEASURES}


if __name__ == "__main__":
    runner.main(__file__)
