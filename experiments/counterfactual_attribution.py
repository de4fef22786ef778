"""Which attribution function makes the best discriminant maps: gradient, Grad-CAM or integrated gradients?

    python experiments/counterfactual_attribution.py dataset=synthetic_birds model=small_cnn

Several `explanation.checkpoints` compare networks as well.
"""

import dataclasses
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
    """One row per network, user and attribution."""
    table, methods = Table(()), rules.attributions(METHODS)
    for checkpoint, label in subjects.networks(cfg).items():
        subject = subjects.subject(cfg, checkpoint=checkpoint if label else None)
        rows = ()
        for asked in questions.users(subject, cfg.seed):
            judged = judging.judge_discriminant(subject, asked, methods, cfg.seed, cfg.explanation.batch_size)
            made = rows_of(judged, asked.rows, len(subject), left_out=asked.left_out, user=asked.user)
            rows += tuple(dataclasses.replace(row, labels=label | row.labels) for row in made)
        table += Table(rows, subjects.remarks(subject))
    return table


def claims(table: Table) -> list[Claim]:
    """The papers' default needs no better attribution."""
    made = []
    for network in dict.fromkeys(row.labels.get("network", "") for row in table.rows):
        label = {"network": network} if network else {}
        for user in ("beginner", "advanced"):
            for other in ("Grad-CAM", "integrated gradients"):
                pair = [{**label, "user": user, "method": f"a * comp(b) * s, {name}"} for name in ("gradient", other)]
                who = f"{user} user, {network}" if network else f"{user} user"
                text = f"Gradient attribution is better than {other} ({who})."
                estimate = table.difference("auroc", *pair)
                made.append(Claim(text, "GALORE", f"AUROC, gradient minus {other}", estimate, "there is no student"))
    return made


def draw(table: Table) -> dict:
    """The AUROC of all attributions, and the curves."""
    return {"auroc": figures.dots(table, "auroc")} | figures.region_curves(table)


if __name__ == "__main__":
    running.main(__file__)
