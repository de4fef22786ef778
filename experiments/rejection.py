"""Is a network better on what remains when the hardest images are rejected? Accuracy over the share that is rejected.

    python experiments/rejection.py dataset=synthetic_birds model=small_cnn

The main experiment of "Towards Realistic Predictors": a predictor that knows what is too hard for the classifier should
beat the classifier's own hesitancy and entropy, and certainly images rejected at random.

Cost: 4 s on two cores. Expect 0.91 by hardness and 0.94 by hesitancy in place of 0.89 when a fifth is rejected, on
invented birds.
"""

from galore import program

program.guard(__name__)

import numpy as np

from galore.evaluation.methods import RANDOM, Score
from galore.experiment import inputs, insecurities, plots, runner
from galore.experiment.claims import Claim, Difference, Source
from galore.experiment.config import Config
from galore.experiment.insecurities import difficulty
from galore.experiment.table import Cell, Row, Table

TITLE = "Accuracy after rejecting the hardest images"
OPTIONS = ("explanation.batch_size",)
ACCURACY = "accuracy on the images that remain"
PERCENTS = tuple(range(0, 100, 10))
CLAIMED = "20%"
"""The share that is rejected where claims are judged."""


def run(config: Config) -> Table:
    """One row per difficulty score, and for a random order, at each share of rejected images."""
    test_set = inputs.test_set(config)
    right = (test_set.predicted == test_set.labels).astype(float)
    rows = []
    by_score = insecurities.difficulties(test_set, config.explanation.batch_size)
    orders = {difficulty(score): values for score, values in by_score.items()}
    orders[RANDOM] = np.random.default_rng(config.seed).random(len(test_set))
    for method, values in orders.items():
        hardest_first = np.argsort(-values, kind="stable")
        for percent in PERCENTS:
            rejected = hardest_first[: round(percent / 100 * len(test_set))]
            kept = right.copy()
            kept[rejected] = np.nan
            cell = Cell(method, ACCURACY, None, (("rejected", f"{percent}%"),))
            left_out = {"rejected": len(rejected)} if percent else {}
            rows.append(Row(cell, kept[None], left_out, test_set.labels))
    remark = f"In the rows of {RANDOM.label}, images are rejected in a random order."
    return Table(tuple(rows), (*inputs.remarks(test_set), remark))


def claims(table: Table) -> list[Claim]:
    """The harder images are harder, by the predictor's judgement most of all."""
    hardness, hesitancy = difficulty(Score.EASINESS), difficulty(Score.SOFTMAX)
    without = Cell(hardness, ACCURACY, None, (("rejected", "0%"),))
    at = lambda method: Cell(method, ACCURACY, None, (("rejected", CLAIMED),))  # noqa: E731
    stated = (
        ("raises the accuracy on the others", at(hardness), without, "minus that of all images"),
        ("beats rejection by hesitancy", at(hardness), at(hesitancy), "hardness minus hesitancy"),
        ("beats rejection at random", at(hardness), at(RANDOM), "hardness minus random order"),
    )
    return [
        Claim(
            f"Rejecting the {CLAIMED} of images with the largest predicted hardness {what}.",
            Source.REALISTIC,
            f"Accuracy on the images that remain, {number}",
            Difference(first, second, is_paired=False),
            "there is no hardness predictor",
        )
        for what, first, second, number in stated
    ]


def draw(table: Table) -> dict:
    """The accuracy over the share that is rejected."""
    return {"rejection": plots.lines(table, ACCURACY, "rejected", ("images rejected", ACCURACY))}


if __name__ == "__main__":
    runner.main(__file__)
