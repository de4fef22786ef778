"""Which attribution of the difficulty is best: gradient, integrated gradients, second order, or no map at all?

    python experiments/deliberative_attribution.py dataset=synthetic_birds model=small_cnn

The claim of GALORE and of the NeurIPS paper is for second order, with a score that is not self-referential. Integrated
gradients follow a path of images from a black one, as the authors take them; the path through activations is ours.

Cost: a minute on two cores. Expect hardly any difference between the attributions of either score on invented birds.
"""

from galore import program

program.guard(__name__)

from galore.attribution import gradient_x_activation, integrated_gradients, second_order
from galore.evaluation.methods import AttributionSetting, Rule, Score
from galore.experiment import inputs, insecurities, runner
from galore.experiment.claims import Claim, Source
from galore.experiment.config import Config
from galore.experiment.insecurities import NO_DIFFICULTY, better, cell, difficulty
from galore.experiment.table import Table

TITLE = "Attribution of the difficulty in deliberative explanations"
OPTIONS = insecurities.OPTIONS
SCORES = (Score.SOFTMAX, Score.EASINESS)
GRADIENT = AttributionSetting.of(gradient_x_activation, "gradient")
INTEGRATED = AttributionSetting.of(integrated_gradients, "integrated gradients along activations", steps=20)
SECOND_ORDER = AttributionSetting.of(second_order, "second order", absolute_curvature=True)


def run(config: Config) -> Table:
    """One row per attribution and score (hesitancy, and hardness where there is a predictor)."""
    test_set = inputs.test_set(config)
    settings = (GRADIENT, INTEGRATED, inputs.along_images(test_set), SECOND_ORDER)
    return insecurities.table(config, test_set, SCORES, settings)


def claims(table: Table) -> list[Claim]:
    """Second order is best, with the score that is not self-referential most of all."""
    there = [row.cell.method for row in table.rows if row.cell.method.rule is Rule.INSECURITY]
    settings = {method.score_attribution.name: method.score_attribution for method in there if method.score_attribution}
    stated = []
    for score in SCORES:
        best = cell(table, difficulty(score, SECOND_ORDER), score)
        for name, setting in settings.items():
            if name != SECOND_ORDER.name:
                text = f"Second-order attribution of the {score.difficulty} beats {name}."
                source = Source.OURS if name == INTEGRATED.name else Source.GALORE_AND_NEURIPS
                headline = score is Score.EASINESS and name == GRADIENT.name
                other = cell(table, difficulty(score, setting), score)
                stated.append(better(text, source, best, other, headline=headline))
        text = f"Second-order attribution of the {score.difficulty} improves on no difficulty map."
        stated.append(better(text, Source.GALORE, best, cell(table, NO_DIFFICULTY, score)))
    return stated


draw = insecurities.draw

if __name__ == "__main__":
    runner.main(__file__)
