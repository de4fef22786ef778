"""How many cells of another image flip the decision, and do the cells show the same parts?

    python experiments/counterfactual_edits.py dataset=synthetic_birds model=small_cnn

Cells of the image's map are replaced by cells of an image of the counter class until the network predicts that class:
by exhaustive search, by semantic search, in the order that two maps name, and in a random order.
"""

from galore import program

program.guard(__name__)

import dataclasses

from galore.data.dataset import PartDataset
from galore.evaluation import edits
from galore.evaluation.edits import EXHAUSTIVE, SEMANTIC
from galore.evaluation.evaluate import Scores
from galore.evaluation.methods import RANDOM, Method, Rule, main_rules
from galore.experiment import inputs, plots, runner, search_baseline
from galore.experiment.claims import Claim, Source, better
from galore.experiment.config import Config
from galore.experiment.table import Table, rows_of

TITLE = "Edits that flip the decision: both searches, and maps as an order of edits"
OPTIONS = ("attribution", "confidence", "explanation.edited_images", "explanation.batch_size")
BUDGET = 0.2
SEARCHES = {
    "Same-KP": ("exchanges cells that hold the same part more often than", "36.5 % against 8.8 % (VGG16)"),
    "Near-KP": ("exchanges cells that hold any part more often than", "72.0 % against 57.6 % (VGG16)"),
    "edits": ("flips the decision with fewer edits than", "3.8 against 5.4 (VGG16)"),
}
"""What Vandenhende et al. say of semantic and of exhaustive search, and measured."""


def run(config: Config) -> Table:
    """One row per user and method."""
    test_set, batch_size = inputs.test_set(config, needs_parts=True), config.explanation.batch_size
    birds, shape = inputs.dataset(config.dataset), search_baseline.map_shape(test_set)
    assert isinstance(birds, PartDataset)
    judge = search_baseline.earliest_on_the_map(config, test_set)
    known = edits.activations(test_set, judge.features, batch_size)
    methods, rows = main_rules(config.attribution, config.score_with(test_set.predictor)), ()
    for user_queries in inputs.users(config, test_set):
        asked = edits.with_right_counter_images(test_set, user_queries)
        asked = asked.sample(config.explanation.edited_images, config.seed)
        found = edits.flips(test_set, asked, methods, known, config.seed, batch_size)
        scored = {method: edits.score(test_set, asked, some, birds.part_names, shape) for method, some in found.items()}
        rows += rows_of(Scores(asked, scored), test_set, {"user": asked.user}, (BUDGET,))
    remark = (
        f"The map has {shape[0]} x {shape[1]} cells. Near-KP: share of edited cells that hold a part, those of the "
        "image and of the counter image; Same-KP: share of edits whose two cells hold the same part, left and right "
        "taken together; over all edits of decisions that were flipped, as published. Edits: how many until the "
        f"decision flips. Decisions flipped at {BUDGET:g}: share that flips while at most {BUDGET:.0%} of the cells "
        f"are edited. Semantic search chooses from up to {edits.DISTRACTORS} counter images, the others from one; "
        f"layer {judge.layer} of the network judges which cells resemble each other, its authors take a "
        "self-supervised network."
    )
    return Table(rows, (*inputs.remarks(test_set), remark))


def claims(table: Table) -> list[Claim]:
    """Of semantic against exhaustive search, as its authors say; and ours, of maps as an order of edits."""
    ours = next(row.cell.method for row in table.rows if row.cell.method.rule is Rule.DISCRIMINANT)
    attributive = dataclasses.replace(ours, rule=Rule.ATTRIBUTIVE, score=None)
    stated = []
    for user in ("beginner", "advanced"):
        for measure, (does, published) in SEARCHES.items():
            text = f"Semantic search {does} exhaustive search ({user} user; Vandenhende et al., ECCV 2022)."
            stated.append(_claim(text, SEMANTIC, EXHAUSTIVE, measure, user, published))
        for other, name in ((RANDOM, "a random order"), (attributive, "attributive maps"), (EXHAUSTIVE, "the search")):
            text = (
                f"Discriminant maps as an order of edits flip the decision with fewer edits than {name} ({user} user)."
            )
            stated.append(_claim(text, ours, other, "edits", user))
        text = (
            f"Discriminant maps exchange cells that hold the same part more often than exhaustive search ({user} user)."
        )
        stated.append(_claim(text, ours, EXHAUSTIVE, "Same-KP", user))
    return stated


def draw(table: Table) -> dict:
    """How many decisions flip with how many edits; whether the cells hold the same part, or any."""
    axes = ("cells edited at most, % of the map", "share of decisions flipped")
    return {
        "decisions_flipped": plots.curves(table, "decisions flipped", axes),
        "same_keypoint": plots.dots(
            table, "Same-KP", None, "Same-KP: share of edits whose two cells hold the same part"
        ),
        "near_keypoint": plots.dots(table, "Near-KP", None, "Near-KP: share of edited cells that hold a part"),
        "edits": plots.dots(table, "edits", None, "edits until the decision flips"),
    }


def _claim(text: str, first: Method, second: Method, measure: str, user: str, published: str = "") -> Claim:
    """That the first has more of a measure; or fewer edits."""
    number = f"{measure}, {first.label} minus {second.label}"
    labels = {"user": user}
    stated = better(text, Source.OURS, first, second, measure, number=number, labels=labels, published=published)
    return dataclasses.replace(stated, is_reversed=measure == "edits")


if __name__ == "__main__":
    runner.main(__file__)
