"""What does this image have that other classes lack? Unique explanations against the ten least probable classes.

    python experiments/unique.py dataset=synthetic_birds model=small_cnn

SCOUT, supplement: the map of the prediction alone, a, and with the confidence, a * a(s). Neither knows the counter
class; each is judged at the parts (objects) that tell the prediction from each of the ten classes: the mean of ten.

Cost: 15 s on two cores. Expect nothing on invented birds: a precision as that of a random map, with the confidence or
not.
"""

from galore import program

program.guard(__name__)

import dataclasses

import numpy as np

from galore.evaluation import queries
from galore.evaluation.evaluate import AREA, MEAN_IOU, PRECISION_AT_RECALL, Scores, evaluate
from galore.evaluation.methods import RANDOM, Method, Rule, Score, scores
from galore.experiment import inputs, plots, runner
from galore.experiment.claims import Claim, Source, better
from galore.experiment.config import Config
from galore.experiment.table import Table, rows_of

TITLE = "Unique explanations"
OPTIONS = ("attribution", "explanation.edited_images", "explanation.batch_size")
CLASSES = 10
ATTRIBUTIVE = Method(Rule.ATTRIBUTIVE)


def run(config: Config) -> Table:
    """One row per map."""
    test_set, batch_size = inputs.test_set(config), config.explanation.batch_size
    methods = (
        Method(Rule.ATTRIBUTIVE, None, config.attribution),
        *(Method(Rule.ATTRIBUTIVE_TIMES_CONFIDENCE, score, config.attribution) for score in scores(test_set.predictor)),
    )
    scored = []
    for place in range(min(CLASSES, len(np.unique(test_set.labels)) - 1)):
        asked = queries.least_probable(test_set, place, config.seed)
        sample = asked.sample(config.explanation.edited_images, config.seed)
        scored.append(evaluate(test_set, sample, methods, config.seed, batch_size, every_class=False))
    remark = f"Means over the {len(scored)} least probable classes of each image."
    return Table(rows_of(_mean(scored), test_set), (*inputs.remarks(test_set), remark))


def claims(table: Table) -> list[Claim]:
    """The supplement shows them as pictures; what they point at should be better than chance, and better for a(s)."""
    measure = PRECISION_AT_RECALL if table.select(PRECISION_AT_RECALL) else MEAN_IOU
    stated = [better("Unique explanations beat random maps.", Source.OURS, ATTRIBUTIVE, RANDOM, measure)]
    for score in Score:
        method = Method(Rule.ATTRIBUTIVE_TIMES_CONFIDENCE, score)
        text, missing = f"The confidence improves unique explanations ({score.value}).", "there is no predictor"
        stated.append(better(text, Source.SCOUT_SUPPLEMENT, method, ATTRIBUTIVE, measure, otherwise=missing))
    return stated


def draw(table: Table) -> dict:
    """The paper's measure and its curves."""
    measure = AREA if table.select(AREA) else MEAN_IOU
    return {"primary": plots.dots(table, measure, chance=None)} | plots.region_curves(table)


def _mean(scored: list[Scores]) -> Scores:
    """The mean over evaluations of the same images, where a number is defined for some of them."""

    def mean(by: list[dict[Method, dict[str, np.ndarray]]]) -> dict[Method, dict[str, np.ndarray]]:
        return {
            method: {name: _nanmean(np.stack([one[method][name] for one in by])) for name in measures}
            for method, measures in by[0].items()
        }

    by, other = mean([one.by_method for one in scored]), mean([one.by_other_table for one in scored])
    return dataclasses.replace(scored[0], by_method=by, by_other_table=other)


def _nanmean(values: np.ndarray) -> np.ndarray:
    counted = (~np.isnan(values)).sum(axis=0)
    return np.nansum(values, axis=0) / np.where(counted, counted, np.nan)


if __name__ == "__main__":
    runner.main(__file__)
