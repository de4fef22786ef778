"""Which map answers the question "why not c?" rather than show where the object is?

    python experiments/answering.py dataset=synthetic_birds model=small_cnn

Ours. The same image is asked about every other class: does the map move to the parts that tell this class apart
(specificity)? Compared are maps of two classes, the absence of the counter class standardised over all classes at each
cell, and what is fitted to 30 training images a class: part tables (`galore.part_tables`) and counterparts
(`galore.counterparts`), as they are and standardised over all classes. Where data can be drawn again, the same maps are
held against what the decision hangs on: "flipped", the AUROC at the parts (objects) whose replacement, together, flips
it, and "flipped against look-alike", against those alone that look otherwise in vain.

Cost: two minutes on one core, one on invented scenes. Expect, on invented birds, a specificity of 0.50 for
a * comp(b) * s, 0.54 for the margin, 0.56 for the absence standardised over classes and for part tables, 0.57 for
counterparts standardised over classes; and that counterparts as they are find best what flips the decision (0.92), the
margin after them (0.89).
"""

from galore import program

program.guard(__name__)

import numpy as np
import scipy.stats

from galore.evaluation import interventions, queries
from galore.evaluation.evaluate import Scores, evaluate
from galore.evaluation.interventions import Interventions
from galore.evaluation.methods import ANSWERING, BASELINES, Method, Rule, Score
from galore.evaluation.test_set import TestSet
from galore.experiment import inputs, plots, runner
from galore.experiment.claims import Claim, Source, better
from galore.experiment.config import Config
from galore.experiment.table import Table, rows_of

TITLE = "Answering: does the map follow the question?"
OPTIONS = ("attribution", "explanation.edited_images", "explanation.batch_size")
RULES = (Rule.ATTRIBUTIVE, Rule.DISCRIMINANT, Rule.MARGIN, Rule.ABSENCE, *ANSWERING)
DISCRIMINANT, MARGIN = Method(Rule.DISCRIMINANT, Score.SOFTMAX), Method(Rule.MARGIN)
SPECIFICITY, FLIPPED, LOOK_ALIKE = "specificity", "flipped", "flipped against look-alike"
CALLED = {
    SPECIFICITY: "follows the question better",
    FLIPPED: "finds what flips the decision better",
    LOOK_ALIKE: "tells what flips the decision from look-alikes better",
}
PAIRS = (*((Method(rule), MARGIN) for rule in ANSWERING), (MARGIN, DISCRIMINANT))
WORDS = {FLIPPED: "AUROC at what flips the decision", LOOK_ALIKE: "AUROC, what flips the decision against look-alikes"}


def run(config: Config) -> Table:
    """One row per map and measure."""
    test_set = inputs.with_part_tables(config, inputs.test_set(config))
    batch_size = config.explanation.batch_size
    with_score = {Rule.DISCRIMINANT: Score.SOFTMAX}
    methods = tuple(Method(rule, with_score.get(rule), config.attribution) for rule in RULES)
    user_queries = queries.beginner(test_set, config.seed)
    scored = evaluate(test_set, user_queries, methods, config.seed, batch_size).only(SPECIFICITY, "auroc")
    table = Table(rows_of(scored, test_set), inputs.remarks(test_set))
    asked = _interventions(config, test_set)
    if asked is None:
        return table
    agreed = interventions.agreement(test_set, asked, methods, config.seed, batch_size)
    return table + Table(rows_of(agreed, test_set), (_counts(config, asked), _correlation(config, scored, agreed)))


def claims(table: Table) -> list[Claim]:
    """Ours: what is compared over all classes answers better than two classes' maps do."""
    stated = []
    for measure, said in CALLED.items():
        if not table.select(measure):
            continue
        for first, second in PAIRS:
            text = f"The map {first.words!r} {said} than {second.words!r}."
            stated.append(better(text, Source.OURS, first, second, measure))
    return stated


def draw(table: Table) -> dict:
    """The specificity, and what flips the decision."""
    flips = {
        name.replace(" ", "_"): plots.dots(table, name, chance=0.5, words=words)
        for name, words in WORDS.items()
        if table.select(name)
    }
    return plots.auroc(table) | flips


def _interventions(config: Config, test_set: TestSet) -> Interventions | None:
    """Queries whose answer is known from the picture; None where the data cannot be drawn again."""
    images, birds = config.explanation.edited_images, inputs.birds_of(config)
    if birds is not None:
        return interventions.of_birds(test_set, birds, images, config.seed)
    scenes = inputs.scenes_of(config)
    return None if scenes is None else interventions.of_scenes(test_set, *scenes, images, config.seed)


def _counts(config: Config, asked: Interventions) -> str:
    by_units = np.bincount(asked.units).tolist()
    together = ", ".join(f"{count} by {units}" for units, count in enumerate(by_units) if count)
    alike = int(asked.look_alike.any(axis=1).sum())
    return f"Decisions flipped, seed {config.seed}: {together} at once; {alike} of these images have look-alikes."


def _correlation(config: Config, scored: Scores, agreed: Scores) -> str:
    """Over the network's maps: does the number that needs no second picture predict the one that does?"""
    own = [method for method in scored.by_method if method not in BASELINES]
    specific, flipped = (
        [float(np.nanmean(scores.by_method[method][measure])) for method in own]
        for scores, measure in ((scored, SPECIFICITY), (agreed, FLIPPED))
    )
    rho = scipy.stats.spearmanr(specific, flipped)[0]
    return f"Spearman's correlation of specificity and {FLIPPED!r} over {len(own)} maps, seed {config.seed}: {rho:.2f}."


if __name__ == "__main__":
    runner.main(__file__)
