"""Do the query's region and the counter image's region hold the same parts? PIoU by region size: SCOUT, figure 4.

python experiments/part_iou_vs_region.py dataset=synthetic_birds model=small_cnn
"""

import figures
import running
import subjects
from claims import Claim
from table import Table, rows_of

from galore.evaluation import judging, questions, rules

TITLE = "Parts that query and counter image have in common, by region size"
SIZES = (0.02, 0.05, 0.1, 0.2)


def run(cfg) -> Table:
    """One row per user and map, one column per region size."""
    subject = subjects.subject(cfg, needs_parts=True)
    methods = rules.best_discriminant(subjects.attribution(cfg), cfg.confidence.score)
    rows = ()
    for asked in questions.users(subject, cfg.seed):
        pair = judging.part_iou(subject, asked, methods, cfg.seed, cfg.explanation.batch_size)
        found = judging.judge_discriminant(subject, asked, methods, cfg.seed, cfg.explanation.batch_size)
        merged = {name: {"auroc": found[name]["auroc"]} | pair[name] for name in pair}
        options = {"left_out": asked.left_out, "fractions": SIZES}
        rows += rows_of(merged, asked.rows, len(subject), user=asked.user, **options)
    return Table(rows, subjects.remarks(subject))


def claims(table: Table) -> list[Claim]:
    """What [SCOUT] says of figure 4, against what any map would reach at that size."""
    made = []
    for user in ("beginner", "advanced"):
        for size in (0.1, 0.2):
            method = next((row.labels["method"] for row in table.rows if row.labels["method"].startswith("a * ")), "")
            labels = ({"user": user, "method": method}, {"user": user, "method": "random map"})
            text = (
                f"At regions of {size:.0%} the pair shows the same parts more often than random maps do ({user} user)."
            )
            number = f"PIoU at {size:.0%}, discriminant minus random map"
            made.append(Claim(text, "SCOUT, figure 4", number, table.difference(f"piou at {size:.3g}", *labels)))
    return made


def draw(table: Table) -> dict:
    """PIoU over region size."""
    return {"piou": figures.curves(table, "piou")}


if __name__ == "__main__":
    running.main(__file__)
