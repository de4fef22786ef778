"""Which difficulty score points at the parts that two confused classes share? GALORE, deliberative explanations.

    python experiments/deliberative_difficulty.py dataset=synthetic_birds model=small_cnn

Insecurities of the images that are hardest by each score, judged at the shared parts (objects) of their two classes, by
precision at equal recall (on scenes: the mean IoU of regions of 10 to 90 %).

Cost: 15 s on two cores. Expect a precision on invented birds that hardly differs between the scores, and from none.
"""

from galore import program

program.guard(__name__)

from galore.evaluation.methods import RANDOM, Score
from galore.experiment import inputs, insecurities, runner
from galore.experiment.claims import Claim, Source
from galore.experiment.config import Config
from galore.experiment.insecurities import NO_DIFFICULTY, better, cell, difficulty
from galore.experiment.table import Table

TITLE = "Difficulty scores of deliberative explanations"
OPTIONS = insecurities.OPTIONS


def run(config: Config) -> Table:
    """One row per difficulty score; "none" leaves the difficulty map out."""
    return insecurities.table(config, inputs.test_set(config))


def claims(table: Table) -> list[Claim]:
    """A score that is not self-referential is best, and a difficulty map is worth its price."""
    own = {score: cell(table, difficulty(score), score) for score in Score}
    stated = []
    for other in (Score.SOFTMAX, Score.CERTAINTY):
        text = f"The hardness, which is not self-referential, is a better difficulty score than the {other.difficulty}."
        pair, headline = (own[Score.EASINESS], own[other]), other is Score.SOFTMAX
        stated.append(better(text, Source.GALORE_AND_NEURIPS, *pair, headline=headline))
    for score in Score:
        text = f"The map of the {score.difficulty} improves on the product of the two class maps."
        pair = (own[score], cell(table, NO_DIFFICULTY, score))
        stated.append(better(text, Source.GALORE, *pair))
    for score in Score:
        text = f"Insecurities by {score.difficulty} beat random maps."
        stated.append(better(text, Source.OURS, own[score], cell(table, RANDOM, score)))
    return stated


draw = insecurities.draw

if __name__ == "__main__":
    runner.main(__file__)
