"""Pictures for the report: insecurities and counterfactual pairs, with the parts that they should point at.

    python experiments/gallery.py dataset=synthetic_birds model=small_cnn

The images are drawn by the seed, not chosen; the table says how the maps score over all of them.

Cost: 16 s on two cores.
"""

from galore import program

program.guard(__name__)

import numpy as np

from galore.evaluation.evaluate import evaluate
from galore.evaluation.methods import main_rules
from galore.experiment import inputs, pictures, runner
from galore.experiment.claims import Claim
from galore.experiment.config import Config
from galore.experiment.table import Table, rows_of

TITLE = "Gallery"
OPTIONS = ("attribution", "confidence", "explanation.batch_size", "explanation.counter_images")
COUNT = 4


def run(config: Config) -> Table:
    """The scores of the maps that are shown, and the pictures."""
    test_set = inputs.test_set(config)
    user_queries = inputs.users(config, test_set)[-1]
    methods = main_rules(config.attribution, config.score_with(test_set.predictor))
    scored = evaluate(test_set, user_queries, methods, config.seed, config.explanation.batch_size).only(
        "specificity", "auroc"
    )
    shown = np.random.default_rng(config.seed).permutation(len(user_queries.rows))[:COUNT]
    attribution = config.attribution.function()
    drawn = {
        "counterfactual": pictures.counterfactual_pairs(test_set, user_queries, shown, attribution),
        "insecurities": pictures.insecurities(test_set, user_queries.rows[shown], attribution),
    }
    return Table(rows_of(scored, test_set, {"user": user_queries.user}), inputs.remarks(test_set), drawn)


def claims(table: Table) -> list[Claim]:
    """Pictures prove nothing."""
    return []


def draw(table: Table) -> dict:
    """The pictures."""
    return table.pictures


if __name__ == "__main__":
    runner.main(__file__)
