"""Do discriminant maps find the parts that tell two classes apart better than attributive maps? SCOUT, figure 3.

    python experiments/discriminant_vs_attributive.py dataset=synthetic_birds model=small_cnn

Beginner and advanced users; softmax, certainty and easiness scores; the margin a(h_y - h_c) beside them. The paper
judges by precision at equal recall; ours beside it are the specificity, which only the question can move, and the AUROC
within an image. On scenes regions are compared with the pixels of the objects that only the predicted class has.

Cost: 25 s on two cores. Expect, on invented birds, a specificity of 0.50 for a * comp(b) * s and 0.54 for the margin,
and for the advanced user a precision that is 0.2 above that of a.
"""

from galore import program

program.guard(__name__)

from galore.evaluation.evaluate import AREA, MEAN_IOU, PRECISION_AT_RECALL, evaluate
from galore.evaluation.methods import GAUSSIAN, Method, Rule, Score, all_rules, scores
from galore.experiment import inputs, plots, runner
from galore.experiment.claims import Claim, Difference, Source, better
from galore.experiment.config import Config
from galore.experiment.table import Cell, Table, rows_of

TITLE = "Discriminant against attributive maps"
OPTIONS = ("attribution", "explanation.batch_size", "explanation.counter_images")
ATTRIBUTIVE, MARGIN = Method(Rule.ATTRIBUTIVE), Method(Rule.MARGIN)
DISCRIMINANT = {score: Method(Rule.DISCRIMINANT, score) for score in Score}
SOFTMAX, CERTAINTY, EASINESS = DISCRIMINANT.values()
USERS = ("beginner", "advanced")
PAPER = (
    *(
        (f"Discriminant maps beat attributive ones ({{}} user, {score.value}).", method, ATTRIBUTIVE)
        for score, method in DISCRIMINANT.items()
    ),
    ("Easiness is the best score: better than softmax ({} user).", EASINESS, SOFTMAX),
    ("Easiness is the best score: better than certainty ({} user).", EASINESS, CERTAINTY),
)
"""SCOUT's claims about each user: what is said of which map against which other one."""
SPECIFIC = (
    ("The discriminant map answers the question: its specificity is above one half.", SOFTMAX, ATTRIBUTIVE),
    ("The plain margin answers the question: its specificity is above one half.", MARGIN, ATTRIBUTIVE),
    ("The discriminant map answers the question better than the plain margin.", SOFTMAX, MARGIN),
)
"""Ours, about the specificity; that of the attributive map is one half by construction."""
WITHIN = (
    ("The discriminant map beats the plain margin within an image ({} user).", SOFTMAX, MARGIN),
    ("The discriminant map beats a centred Gaussian within an image ({} user).", SOFTMAX, GAUSSIAN),
)


def run(config: Config) -> Table:
    """One row per user and map."""
    test_set = inputs.test_set(config)
    methods = all_rules(config.attribution, scores(test_set.predictor))
    rows = ()
    for queries in inputs.users(config, test_set):
        scored = evaluate(test_set, queries, methods, config.seed, config.explanation.batch_size)
        rows += rows_of(scored, test_set, {"user": queries.user})
    return Table(rows, inputs.remarks(test_set))


def claims(table: Table) -> list[Claim]:
    """What SCOUT says of figure 3, by precision at equal recall (on scenes: IoU), and what we add."""
    measure = PRECISION_AT_RECALL if table.select(PRECISION_AT_RECALL) else MEAN_IOU
    missing = "there is no such map here"
    stated = []
    for user in USERS:
        labels = {"user": user}
        for text, first, second in PAPER:
            pair = (first, second, measure)
            named = {"otherwise": missing, "labels": labels, "headline": (first, second) == (EASINESS, ATTRIBUTIVE)}
            stated.append(better(text.format(user), Source.SCOUT_FIGURE_3, *pair, **named))
        for text, first, second in WITHIN:
            pair = (first, second, "auroc")
            stated.append(better(text.format(user), Source.OURS, *pair, otherwise=missing, labels=labels))
    gain = Difference(_gain("advanced", measure), _gain("beginner", measure))
    number = f"gain of {measure} by the discriminant map, advanced minus beginner, same images"
    missing = "" if "advanced" in table.labels("user") else "there is no student"
    text = "Gains are larger for advanced users."
    stated.append(Claim(text, Source.SCOUT_SECTION_5, number, gain, missing, headline=True))
    labels = {"user": USERS[0]}
    for text, first, second in SPECIFIC:
        stated.append(better(text, Source.OURS, first, second, "specificity", labels=labels))
    return stated


def _gain(user: str, measure: str) -> Difference:
    """Of the two users, compared on the images that both ask about."""
    labels = (("user", user),)
    return Difference(Cell(SOFTMAX, measure, labels=labels), Cell(ATTRIBUTIVE, measure, labels=labels))


def draw(table: Table) -> dict:
    """The specificity, the paper's measure, and its curves."""
    measure = AREA if table.select(AREA) else MEAN_IOU
    named = {"specificity": "specificity", "primary": measure, "auroc": "auroc"}
    chance = {"primary": None}
    dots = {name: plots.dots(table, one, chance=chance.get(name, 0.5)) for name, one in named.items()}
    return dots | plots.region_curves(table)


if __name__ == "__main__":
    runner.main(__file__)
