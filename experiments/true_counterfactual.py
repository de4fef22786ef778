"""Does the region hold the part whose replacement flips the decision? On invented birds the answer is known.

    python experiments/true_counterfactual.py dataset=synthetic_birds model=small_cnn

The part that differs is replaced in the picture itself. "moved": how much of the way to the counter class the decision
goes when the region's pixels are taken from that picture; the oracle takes the pixels that changed.
"""

import figures
import running
import subjects
from claims import Claim
from table import Table, rows_of

from galore.errors import InputError
from galore.evaluation import judging, rules, true_counterfactuals

TITLE = "True counterfactuals: the part replaced in the picture"
SIZES = (0.05, 0.1)
RIVALS = {
    rules.ATTRIBUTIVE: "the attributive map",
    "random map": "a random map",
    "centred Gaussian": "a centred Gaussian",
    rules.MARGIN: "the margin map",
}
MEASURES = {"auroc": "AUROC", "moved at 0.05": "share of the way to the counter class, 5 % of the pixels"}
MOVED = "share of the way to the counter class, with 5 % of the pixels from the true counterfactual"


def run(cfg) -> Table:
    """One row per map."""
    flock = subjects.flock(cfg)
    if flock is None:
        raise InputError(f"{cfg.dataset.name} cannot be drawn again; true counterfactuals need dataset=synthetic_birds")
    subject = subjects.subject(cfg)
    edits = true_counterfactuals.flipping(subject, flock, cfg.explanation.edited_images, cfg.seed)
    asked, batch_size = edits.questions, cfg.explanation.batch_size
    methods = rules.all_discriminant(subjects.attribution(cfg))
    found = judging.judge_discriminant(subject, asked, methods, cfg.seed, batch_size, truth=edits.parts)
    moved = true_counterfactuals.judge(subject, edits, methods, cfg.seed, SIZES, batch_size)
    rows = ()
    for name in found:
        kept = {"auroc": found[name]["auroc"], "recall": found[name]["recall"]}
        options = {"left_out": asked.left_out, "fractions": SIZES}
        rows += rows_of({name: kept | moved[name]}, asked.rows, len(subject), **options)
    return Table(tuple(row for row in rows if not row.is_curve), subjects.remarks(subject))


def claims(table: Table) -> list[Claim]:
    """Ours: regions of discriminant maps hold what the decision hangs on."""
    best = rules.discriminant("softmax")
    made = []
    texts = {
        "auroc": "The discriminant map points at the part that flips the decision better than {}.",
        "moved at 0.05": "Editing the pixels that the discriminant map names moves the decision more than by {}.",
    }
    for measure, text in texts.items():
        for other, name in RIVALS.items():
            estimate = table.difference(measure, {"method": best}, {"method": other})
            number = f"{MEASURES[measure]}, discriminant minus {other}"
            made.append(Claim(text.format(name), "ours", number, estimate))
    return made


def draw(table: Table) -> dict:
    """The AUROC, and how far the decision moves."""
    return {
        "auroc": figures.dots(table, "auroc"),
        "moved": figures.dots(table, "moved at 0.05", chance=None, words=MOVED),
    }


if __name__ == "__main__":
    running.main(__file__)
