"""Which difficulty score points at the parts that two confused classes share? GALORE, deliberative explanations.

    python experiments/deliberative_difficulty.py dataset=synthetic_birds model=small_cnn

Insecurities of the most difficult images, scored at the shared parts (objects) of their two classes.
"""

import deliberations
import figures
import running
from claims import Claim
from table import Table

from galore.evaluation import rules

TITLE = "Difficulty scores of deliberative explanations"


def run(cfg) -> Table:
    """One row per difficulty score; "none" leaves the difficulty map out."""
    return deliberations.table(cfg)


def claims(table: Table) -> list[Claim]:
    """A score that is not self-referential is best, and a difficulty map is worth its price."""
    said = "The hardness, which is not self-referential, is a better difficulty score than"
    made = [
        deliberations.better(
            table, f"{said} the {other}.", "GALORE; Wang and Vasconcelos, NeurIPS 2019", "hardness", other
        )
        for other in ("hesitancy", "entropy")
    ]
    for score in ("hesitancy", "entropy", "hardness"):
        text = f"The map of the {score} improves on the product of the two class maps."
        made.append(deliberations.better(table, text, "GALORE", score, rules.NO_DIFFICULTY))
    return [*made, deliberations.better(table, "Insecurities beat random maps.", "ours", "hesitancy", "random map")]


def draw(table: Table) -> dict:
    """The AUROC of all scores, and the curves."""
    return {"auroc": figures.dots(table, "auroc")} | figures.region_curves(table)


if __name__ == "__main__":
    running.main(__file__)
