"""Discriminant maps against exhaustive search for counterfactual regions: SCOUT, table 1.

    python experiments/counterfactual_vs_search.py dataset=synthetic_birds model=small_cnn

Recall, precision and PIoU of regions of one unit of the map, and images explained per second. All methods give regions
of the same size. The search makes one edit, hence one unit of the map on both images.

Cost: a minute on two cores. Expect about as many images a second by our search as by discriminant maps, and a tenth of
that by the search that runs the head on every candidate, the one of the paper.
"""

import jax
import jax.numpy as jnp
import numpy as np

from galore.evaluation import metrics, queries
from galore.evaluation.evaluate import Scores, evaluate, part_iou
from galore.evaluation.methods import Method, Rule, main_rules
from galore.experiment import inputs, plots, runner, search_baseline
from galore.experiment.claims import Claim, Difference, Multiple, Source, better
from galore.experiment.config import Config
from galore.experiment.table import Cell, Row, Table, rows_of

TITLE = "Discriminant maps against exhaustive search"
OPTIONS = ("attribution", "confidence", "explanation.batch_size")
SEARCH, SEARCH_BY_HEAD = Method(Rule.SEARCH), Method(Rule.SEARCH_BY_HEAD)
SPEED = "images per second"
ROUNDS = 7
FASTER = 50
BEGINNER = (("user", "beginner"),)


def run(config: Config) -> Table:
    """One row per user and method."""
    test_set, batch_size = inputs.test_set(config, needs_parts=True), config.explanation.batch_size
    image = jnp.asarray(test_set.inputs(np.arange(1))[0])
    height, width, _ = jax.eval_shape(lambda net, x: net(x)[0], test_set.net, image).shape
    unit = min(metrics.FRACTIONS, key=lambda fraction: abs(fraction - 1 / (height * width)))
    methods = main_rules(config.attribution, config.score_with(test_set.predictor))
    rows = ()
    for user_queries in queries.users(test_set, config.seed):
        arguments = (test_set, user_queries, methods, config.seed, batch_size)
        scored, pairs = evaluate(*arguments), part_iou(*arguments)
        by_method = {
            method: _at_unit(measures, pairs.by_method[method]["piou"], metrics.FRACTIONS.index(unit))
            for method, measures in scored.by_method.items()
        }
        by_method[SEARCH] = search_baseline.score_first_edits(test_set, user_queries, unit, batch_size)
        rows += rows_of(Scores(user_queries, by_method), test_set, {"user": user_queries.user})
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
    """The headline of [SCOUT]: faster by far, and better."""
    ours = next(row.cell.method for row in table.rows if row.cell.method.rule is Rule.DISCRIMINANT)
    stated = []
    for user in ("beginner", "advanced"):
        for measure in ("recall", "precision", "PIoU"):
            text = f"Discriminant maps have a better {measure} than exhaustive search ({user} user)."
            number = f"{measure}, difference"
            stated.append(
                better(text, Source.SCOUT_TABLE_1, ours, SEARCH, measure, number=number, labels={"user": user})
            )
    fast, ours_search, slow = (Cell(method, SPEED, labels=BEGINNER) for method in (ours, SEARCH, SEARCH_BY_HEAD))
    text, number = "Discriminant maps are faster than exhaustive search.", "images per second, difference"
    stated.append(Claim(text, Source.SCOUT_TABLE_1, number, Difference(fast, ours_search)))
    text = f"Discriminant maps are {FASTER} times faster than the search that runs the head on every candidate."
    number = f"images per second, discriminant minus {FASTER} times the search's"
    return [*stated, Claim(text, Source.SCOUT_SECTION_5, number, Difference(fast, Multiple(FASTER, slow)))]


def draw(table: Table) -> dict:
    """What table 1 shows, the AUROC first."""
    return plots.auroc(table) | {name: plots.dots(table, name, chance=None) for name in ("recall", "precision", "PIoU")}


def _at_unit(measures: dict[str, np.ndarray], piou: np.ndarray, unit: int) -> dict[str, np.ndarray]:
    """The numbers of a method at the region size of one unit of the map."""
    curves = {name: measures[name][:, unit] for name in ("recall", "precision")}
    return {"auroc": measures["auroc"], **curves, "PIoU": piou[:, unit]}


if __name__ == "__main__":
    runner.main(__file__)
