"""Are strong insecurities more often right? Pearson correlation of an insecurity's strength with its precision.

python experiments/insecurity_strength.py dataset=synthetic_birds model=small_cnn
"""

import deliberations
import figures
import numpy as np
import running
import subjects
from claims import Claim
from table import Row, Table, only_auroc, rows_of

from galore.evaluation import judging, rules
from galore.evaluation.metrics import FRACTIONS
from galore.evaluation.statistics import jackknife_pseudovalues

TITLE = "Strength and precision of insecurities"
REGION = 0.1
MEASURE = "correlation of strength and precision"


def run(cfg) -> Table:
    """One row per difficulty score: the AUROC of its maps, and the correlation over all insecurities of all images."""
    subject = subjects.subject(cfg, needs_parts=True)
    rows = deliberations.hardest(cfg, subject)
    methods = rules.deliberations(subjects.attribution(cfg), top=cfg.explanation.top, keep=cfg.explanation.keep)
    judged, each = judging.judge_deliberative(subject, rows, methods, cfg.seed, cfg.explanation.batch_size)
    aurocs, left_out = only_auroc(judged), deliberations.not_judged(subject, rows)
    made = rows_of(aurocs, rows, len(subject), left_out=left_out)
    for name, found in each.items():
        strength, precision = found["strength"], found["precision"][..., FRACTIONS.index(REGION)]
        values = np.full((1, len(subject)), np.nan)
        values[0, rows] = jackknife_pseudovalues(_pearson, strength, precision)
        made += (Row({"method": name}, MEASURE, values, left_out),)
    return Table(made, subjects.remarks(subject))


def claims(table: Table) -> list[Claim]:
    """Strength is worth something."""
    made = []
    for score in ("hesitancy", "entropy", "hardness"):
        row = table.find(MEASURE, method=score)
        text = f"Stronger insecurities have a higher precision ({score})."
        why = "there is no hardness predictor"
        made.append(Claim(text, "GALORE", f"Pearson correlation at regions of {REGION:.0%}", row and row.estimate, why))
    return made


def draw(table: Table) -> dict:
    """The correlations."""
    return {
        "correlation": figures.dots(
            table, MEASURE, chance=0.0, words=f"Pearson correlation of strength and precision, regions of {REGION:.0%}"
        )
    }


def _pearson(strength: np.ndarray, precision: np.ndarray) -> float:
    """Over the insecurities [images, K] for which both are known."""
    known = ~(np.isnan(strength) | np.isnan(precision))
    x, y = strength[known].astype(float), precision[known].astype(float)
    if len(x) < 3 or np.ptp(x) == 0 or np.ptp(y) == 0:
        return float("nan")
    return float(np.corrcoef(x, y)[0, 1])


if __name__ == "__main__":
    running.main(__file__)
