"""Do the query's region and the counter image's region hold the same parts? PIoU by region size: SCOUT, figure 4.

    python experiments/part_iou_vs_region.py dataset=synthetic_birds model=small_cnn

By the authors' rule an image counts where both regions hold a part; "every image" is ours and counts the others as 0.

Cost: 35 s on two cores. Expect, for the beginner on invented birds, a PIoU that is 0.2 above that of random maps at
regions of 10 %; the paper's rises to about 0.5.
"""

from galore import program

program.guard(__name__)

import dataclasses

from galore.evaluation.evaluate import evaluate, part_iou
from galore.evaluation.methods import RANDOM, Rule, main_rules
from galore.experiment import inputs, plots, runner
from galore.experiment.claims import Claim, Source, better
from galore.experiment.config import Config
from galore.experiment.table import Table, rows_of

TITLE = "Parts that query and counter image have in common, by region size"
OPTIONS = ("attribution", "confidence", "explanation.batch_size", "explanation.counter_images")
REGIONS = (0.02, 0.05, 0.1, 0.2)


def run(config: Config) -> Table:
    """One row per user and map, one column per region size."""
    test_set = inputs.test_set(config, needs_parts=True)
    methods = main_rules(config.attribution, config.score_with(test_set.predictor))
    rows = ()
    for queries in inputs.users(config, test_set):
        arguments = (test_set, queries, methods, config.seed, config.explanation.batch_size)
        pairs, scored = part_iou(*arguments), evaluate(*arguments).only("specificity", "auroc")
        merged = {method: scored.by_method[method] | pairs.by_method[method] for method in pairs.by_method}
        both = dataclasses.replace(scored, by_method=merged)
        rows += rows_of(both, test_set, {"user": queries.user}, REGIONS)
    return Table(rows, inputs.remarks(test_set))


def claims(table: Table) -> list[Claim]:
    """What [SCOUT] says of figure 4, against what any map would reach at that size."""
    ours = next(row.cell.method for row in table.rows if row.cell.method.rule is Rule.DISCRIMINANT)
    stated = []
    for user in ("beginner", "advanced"):
        for size in (0.1, 0.2):
            text = (
                f"At regions of {size:.0%} the pair shows the same parts more often than random maps do ({user} user)."
            )
            number, headline = f"PIoU at {size:.0%}, discriminant minus random map", size == 0.1 and user == "beginner"
            named = {"region": size, "number": number, "labels": {"user": user}}
            published = "PIoU about 0.5 (VGG16, region of 10 %)" if headline else ""
            named |= {"headline": headline, "published": published}
            stated.append(better(text, Source.SCOUT_FIGURE_4, ours, RANDOM, "piou", **named))
    return stated


def draw(table: Table) -> dict:
    """PIoU over region size."""
    return {"piou": plots.curves(table, "piou")}


if __name__ == "__main__":
    runner.main(__file__)
