"""Which difficulty score points at the parts that two confused classes share? GALORE, deliberative explanations.

    python experiments/deliberative_difficulty.py dataset=synthetic_birds model=small_cnn

Insecurities of the most difficult images, scored at the shared parts (objects) of their two classes.

Cost: 15 s on two cores. Expect an AUROC of 0.57 on invented birds by every score, and by none.
"""

from galore.evaluation.methods import RANDOM, Score
from galore.experiment import inputs, insecurities, plots, runner
from galore.experiment.claims import Claim, Source, better
from galore.experiment.config import Config
from galore.experiment.insecurities import NO_DIFFICULTY, difficulty
from galore.experiment.table import Table

TITLE = "Difficulty scores of deliberative explanations"
OPTIONS = insecurities.OPTIONS
MISSING = "one of the two is missing here"


def run(config: Config) -> Table:
    """One row per difficulty score; "none" leaves the difficulty map out."""
    return insecurities.table(config, inputs.test_set(config))


def claims(table: Table) -> list[Claim]:
    """A score that is not self-referential is best, and a difficulty map is worth its price."""
    hesitancy, hardness = difficulty(Score.SOFTMAX), difficulty(Score.EASINESS)
    stated = []
    for other in (Score.SOFTMAX, Score.CERTAINTY):
        text = f"The hardness, which is not self-referential, is a better difficulty score than the {other.difficulty}."
        stated.append((text, Source.GALORE_AND_NEURIPS, hardness, difficulty(other)))
    for score in Score:
        text = f"The map of the {score.difficulty} improves on the product of the two class maps."
        stated.append((text, Source.GALORE, difficulty(score), NO_DIFFICULTY))
    stated.append(("Insecurities beat random maps.", Source.OURS, hesitancy, RANDOM))
    return [better(text, source, first, second, otherwise=MISSING) for text, source, first, second in stated]


draw = plots.auroc_and_curves

if __name__ == "__main__":
    runner.main(__file__)
