"""Does the region hold the part whose replacement flips the decision? On invented birds the answer is known.

    python experiments/true_counterfactual.py dataset=synthetic_birds model=small_cnn

Ours. The part that differs is replaced in the picture itself. "moved": how much of the way to the counter class the
decision goes when the region's pixels are taken from that picture; the oracle takes the pixels that changed.

Cost: 50 s on two cores. Expect an AUROC of 0.88 for a * comp(b) * s, softmax, 0.83 for a and 0.90 for the margin.
"""

from galore import program

program.guard(__name__)

from galore.errors import InputError
from galore.evaluation import true_counterfactuals
from galore.evaluation.evaluate import Scores, evaluate
from galore.evaluation.methods import GAUSSIAN, RANDOM, Method, Rule, Score, all_rules, scores
from galore.experiment import inputs, plots, runner
from galore.experiment.claims import Claim, Source, better
from galore.experiment.config import Config
from galore.experiment.table import Table, rows_of

TITLE = "True counterfactuals: the part replaced in the picture"
OPTIONS = ("attribution", "explanation.edited_images", "explanation.batch_size")
REGIONS = (0.05, 0.1)
DISCRIMINANT = Method(Rule.DISCRIMINANT, Score.SOFTMAX)
RIVALS = {
    Method(Rule.ATTRIBUTIVE): "the attributive map",
    RANDOM: "a random map",
    GAUSSIAN: "a centred Gaussian",
    Method(Rule.MARGIN): "the margin map",
}
MOVED = "share of the way to the counter class, with 5 % of the pixels from the true counterfactual"


def run(config: Config) -> Table:
    """One row per map."""
    birds = inputs.birds_of(config)
    if birds is None:
        name = config.dataset.name
        raise InputError(f"{name} cannot be drawn again; true counterfactuals need dataset=synthetic_birds")
    test_set, batch_size = inputs.test_set(config), config.explanation.batch_size
    flips = true_counterfactuals.find_flips(test_set, birds, config.explanation.edited_images, config.seed)
    methods = all_rules(config.attribution, scores(test_set.predictor))
    scored = evaluate(test_set, flips.queries, methods, config.seed, batch_size, every_class=False).only(
        "auroc", "recall"
    )
    moves = true_counterfactuals.decision_moves(test_set, flips, methods, config.seed, REGIONS, batch_size)
    rows = ()
    for method in scored.by_method:
        for some in (scored, moves):
            one = Scores(flips.queries, {method: some.by_method[method]}, fractions=some.fractions)
            rows += rows_of(one, test_set, regions=REGIONS)
    return Table(tuple(row for row in rows if not row.is_curve), inputs.remarks(test_set))


def claims(table: Table) -> list[Claim]:
    """Ours: regions of discriminant maps hold what the decision hangs on."""
    points = "The discriminant map points at the part that flips the decision better than {}."
    moves = "Editing the pixels that the discriminant map names moves the decision more than by {}."
    stated = []
    for text, number, measure, region in (
        (points, "AUROC", "auroc", None),
        (moves, "share of the way to the counter class, 5 % of the pixels", "moved", 0.05),
    ):
        for other, name in RIVALS.items():
            pair, minus = (DISCRIMINANT, other), f"{number}, discriminant minus {other.label}"
            stated.append(better(text.format(name), Source.OURS, *pair, measure, region=region, number=minus))
    return stated


def draw(table: Table) -> dict:
    """The AUROC, and how far the decision moves."""
    return plots.auroc(table) | {"moved": plots.dots(table, "moved", chance=None, words=MOVED, region=0.05)}


if __name__ == "__main__":
    runner.main(__file__)
