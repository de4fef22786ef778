"""Do discriminant maps find the parts that tell two classes apart better than attributive maps? SCOUT, figure 3.

    python experiments/discriminant_vs_attributive.py dataset=synthetic_birds model=small_cnn

Beginner and advanced users; softmax, certainty and easiness scores; the margin a(h_y - h_c) beside them. On scenes
the regions are compared with the pixels of the objects that only the predicted class has.

Cost: 25 s on two cores. Expect, for the advanced user on invented birds, an AUROC of 0.63 for a and 0.72 for
a * comp(b) * s, softmax.
"""

from galore.evaluation import queries
from galore.evaluation.evaluate import evaluate
from galore.evaluation.methods import GAUSSIAN, Method, Rule, Score, all_rules, scores
from galore.experiment import inputs, plots, runner
from galore.experiment.claims import Claim, Difference, Source, better
from galore.experiment.config import Config
from galore.experiment.table import Cell, Table, rows_of

TITLE = "Discriminant against attributive maps"
OPTIONS = ("attribution", "explanation.batch_size")
ATTRIBUTIVE, MARGIN = Method(Rule.ATTRIBUTIVE), Method(Rule.MARGIN)
DISCRIMINANT = {score: Method(Rule.DISCRIMINANT, score) for score in Score}
SOFTMAX, CERTAINTY, EASINESS = DISCRIMINANT.values()
SCOUT, OURS = Source.SCOUT_FIGURE_3, Source.OURS
COMPARISONS = (
    *(
        (f"Discriminant maps beat attributive ones ({{}} user, {score.value}).", SCOUT, method, ATTRIBUTIVE)
        for score, method in DISCRIMINANT.items()
    ),
    ("Easiness is the best score: better than softmax ({} user).", SCOUT, EASINESS, SOFTMAX),
    ("Easiness is the best score: better than certainty ({} user).", SCOUT, EASINESS, CERTAINTY),
    ("The discriminant map beats the plain margin ({} user).", OURS, SOFTMAX, MARGIN),
    ("The discriminant map beats a centred Gaussian ({} user).", OURS, SOFTMAX, GAUSSIAN),
)
"""Claims about each user: what is said, by whom, of which map against which other one."""


def run(config: Config) -> Table:
    """One row per user and map."""
    test_set = inputs.test_set(config)
    methods = all_rules(config.attribution, scores(test_set.predictor))
    rows = ()
    for user_queries in queries.users(test_set, config.seed):
        scored = evaluate(test_set, user_queries, methods, config.seed, config.explanation.batch_size)
        rows += rows_of(scored, test_set, {"user": user_queries.user})
    return Table(rows, inputs.remarks(test_set))


def claims(table: Table) -> list[Claim]:
    """What [SCOUT] says of figure 3, and what our rival does."""
    compared = [
        better(text.format(user), source, first, second, otherwise="there is no such map here", labels={"user": user})
        for user in ("beginner", "advanced")
        for text, source, first, second in COMPARISONS
    ]
    number = "gain of AUROC by the discriminant map, advanced minus beginner, same images"
    gain = Difference(_gain("advanced"), _gain("beginner"))
    missing = "" if "advanced" in table.labels("user") else "there is no student"
    return [*compared, Claim("Gains are larger for advanced users.", Source.SCOUT_SECTION_5, number, gain, missing)]


def _gain(user: str) -> Difference:
    """Of the two users, compared on the images that both ask about."""
    labels = (("user", user),)
    return Difference(*(Cell(method, "auroc", labels=labels) for method in (SOFTMAX, ATTRIBUTIVE)))


draw = plots.auroc_and_curves

if __name__ == "__main__":
    runner.main(__file__)
