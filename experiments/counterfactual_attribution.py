"""Which attribution function makes the best discriminant maps: gradient, Grad-CAM or integrated gradients?

    python experiments/counterfactual_attribution.py dataset=synthetic_birds model=small_cnn

A sweep over `model` compares networks; `collect.py` joins its tables.
"""

from functools import partial

import figures
import running
import subjects
from claims import Claim
from table import Table, rows_of

from galore.attribution import grad_cam, gradient_x_activation, integrated_gradients
from galore.evaluation import judging, questions, rules

TITLE = "Attribution functions in counterfactual explanations"
METHODS = {
    "gradient": gradient_x_activation,
    "Grad-CAM": grad_cam,
    "integrated gradients": partial(integrated_gradients, steps=20),
}


def run(cfg) -> Table:
    """One row per user and attribution."""
    subject = subjects.subject(cfg)
    rows = ()
    for asked in questions.users(subject, cfg.seed):
        judged = judging.judge_discriminant(
            subject, asked, rules.attributions(METHODS), cfg.seed, cfg.explanation.batch_size
        )
        rows += rows_of(judged, asked.rows, len(subject), left_out=asked.left_out, user=asked.user)
    return Table(rows, subjects.remarks(subject))


def claims(table: Table) -> list[Claim]:
    """The papers' default needs no better attribution."""
    made = []
    for user in ("beginner", "advanced"):
        for other in ("Grad-CAM", "integrated gradients"):
            pair = [{"user": user, "method": f"a * comp(b) * s, {name}"} for name in ("gradient", other)]
            text = f"Gradient attribution is better than {other} ({user} user)."
            estimate = table.difference("auroc", *pair)
            made.append(Claim(text, "GALORE", f"AUROC, gradient minus {other}", estimate, "there is no student"))
    return made


def draw(table: Table) -> dict:
    """The AUROC of all attributions, and the curves."""
    return {"auroc": figures.dots(table, "auroc")} | figures.region_curves(table, "user")


if __name__ == "__main__":
    running.main(__file__)
