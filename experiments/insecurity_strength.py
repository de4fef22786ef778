"""Are strong insecurities more often right? Pearson correlation of an insecurity's strength with its precision.

    python experiments/insecurity_strength.py dataset=synthetic_birds model=small_cnn

A figure of GALORE.

Cost: 6 s on two cores. Expect correlations of 0.26 to 0.34 on invented birds.
"""

import numpy as np

from galore.evaluation.evaluate import Scores, evaluate
from galore.evaluation.methods import Score
from galore.evaluation.metrics import FRACTIONS
from galore.experiment import inputs, insecurities, plots, runner
from galore.experiment.claims import Claim, Source
from galore.experiment.config import Config
from galore.experiment.insecurities import difficulty
from galore.experiment.table import Cell, Table, rows_of
from galore.statistics import jackknife_pseudovalues

TITLE = "Strength and precision of insecurities"
OPTIONS = insecurities.OPTIONS
REGION = 0.1
MEASURE = "correlation of strength and precision"


def run(config: Config) -> Table:
    """One row per difficulty score: the AUROC of its maps, and the correlation over all insecurities of all images."""
    test_set = inputs.test_set(config, needs_parts=True)
    hard, methods = insecurities.hard_images(config, test_set), insecurities.methods(config, test_set)
    scored = evaluate(test_set, hard, methods, config.seed, config.explanation.batch_size)
    correlations = {}
    for method, each in scored.insecurities.items():
        precision = each["precision"][..., FRACTIONS.index(REGION)]
        correlations[method] = {MEASURE: jackknife_pseudovalues(_pearson, each["strength"], precision)}
    rows = rows_of(scored.only("auroc"), test_set) + rows_of(Scores(hard, correlations), test_set)
    return Table(rows, inputs.remarks(test_set))


def claims(table: Table) -> list[Claim]:
    """Strength is worth something."""
    number, missing = f"Pearson correlation at regions of {REGION:.0%}", "there is no hardness predictor"
    return [
        Claim(
            f"Stronger insecurities have a higher precision ({score.difficulty}).",
            Source.GALORE,
            number,
            Cell(difficulty(score), MEASURE),
            missing,
        )
        for score in Score
    ]


def draw(table: Table) -> dict:
    """The correlations."""
    words = f"Pearson correlation of strength and precision, regions of {REGION:.0%}"
    return {"correlation": plots.dots(table, MEASURE, chance=0.0, words=words)}


def _pearson(strength: np.ndarray, precision: np.ndarray) -> float:
    """Over the insecurities [images, K] for which both are known."""
    known = ~(np.isnan(strength) | np.isnan(precision))
    x, y = strength[known].astype(float), precision[known].astype(float)
    if len(x) < 3 or np.ptp(x) == 0 or np.ptp(y) == 0:
        return float("nan")
    return float(np.corrcoef(x, y)[0, 1])


if __name__ == "__main__":
    runner.main(__file__)
