"""Which attribution of the difficulty is best: gradient, integrated gradients, second order, or no map at all?

python experiments/deliberative_attribution.py dataset=synthetic_birds model=small_cnn
"""

from functools import partial

import deliberations
import figures
import running
from claims import Claim
from table import Table

from galore.attribution import gradient_x_activation, integrated_gradients, second_order
from galore.evaluation import rules

TITLE = "Attribution of the difficulty in deliberative explanations"
METHODS = {
    "gradient": gradient_x_activation,
    "integrated gradients": partial(integrated_gradients, steps=20),
    "second order": partial(second_order, absolute_curvature=True),
}


def run(cfg) -> Table:
    """One row per attribution and score (hesitancy, and hardness where there is a predictor)."""
    return deliberations.table(cfg, difficulty_attributions=METHODS, scores=("softmax", "easiness"))


def claims(table: Table) -> list[Claim]:
    """Second order is best, with the score that is not self-referential most of all."""
    made = []
    for score in ("hesitancy", "hardness"):
        for other in ("gradient", "integrated gradients"):
            text = f"Second-order attribution of the {score} beats {other}."
            pair = (f"{score}, second order", f"{score}, {other}")
            made.append(deliberations.better(table, text, "GALORE; Wang and Vasconcelos, NeurIPS 2019", *pair))
        text = f"Second-order attribution of the {score} improves on no difficulty map."
        made.append(deliberations.better(table, text, "GALORE", f"{score}, second order", rules.NO_DIFFICULTY))
    return made


def draw(table: Table) -> dict:
    """The AUROC of all attributions, and the curves."""
    return {"auroc": figures.dots(table, "auroc")} | figures.region_curves(table)


if __name__ == "__main__":
    running.main(__file__)
