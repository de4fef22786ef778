"""Which attribution of the difficulty is best: gradient, integrated gradients, second order, or no map at all?

    python experiments/deliberative_attribution.py dataset=synthetic_birds model=small_cnn

The claim of GALORE and of the NeurIPS paper is for second order, with a score that is not self-referential.

Cost: 20 s on two cores. Expect an AUROC of 0.57 on invented birds by every attribution of either score.
"""

from galore.attribution import gradient_x_activation, integrated_gradients, second_order
from galore.evaluation.methods import AttributionSetting, Score
from galore.experiment import inputs, insecurities, plots, runner
from galore.experiment.claims import Claim, Source, better
from galore.experiment.config import Config
from galore.experiment.insecurities import NO_DIFFICULTY, difficulty
from galore.experiment.table import Table

TITLE = "Attribution of the difficulty in deliberative explanations"
OPTIONS = insecurities.OPTIONS
SCORES = (Score.SOFTMAX, Score.EASINESS)
GRADIENT = AttributionSetting.of(gradient_x_activation, "gradient")
INTEGRATED = AttributionSetting.of(integrated_gradients, "integrated gradients", steps=20)
SECOND_ORDER = AttributionSetting.of(second_order, "second order", absolute_curvature=True)
MISSING = "one of the two is missing here"


def run(config: Config) -> Table:
    """One row per attribution and score (hesitancy, and hardness where there is a predictor)."""
    return insecurities.table(config, inputs.test_set(config), SCORES, (GRADIENT, INTEGRATED, SECOND_ORDER))


def claims(table: Table) -> list[Claim]:
    """Second order is best, with the score that is not self-referential most of all."""
    stated = []
    for score in SCORES:
        best = difficulty(score, SECOND_ORDER)
        for other in (GRADIENT, INTEGRATED):
            text = f"Second-order attribution of the {score.difficulty} beats {other.name}."
            stated.append((text, Source.GALORE_AND_NEURIPS, best, difficulty(score, other)))
        text = f"Second-order attribution of the {score.difficulty} improves on no difficulty map."
        stated.append((text, Source.GALORE, best, NO_DIFFICULTY))
    return [better(text, source, first, second, otherwise=MISSING) for text, source, first, second in stated]


draw = plots.auroc_and_curves

if __name__ == "__main__":
    runner.main(__file__)
