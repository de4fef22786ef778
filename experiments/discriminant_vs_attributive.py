"""Do discriminant maps find the parts that tell two classes apart better than attributive maps? SCOUT, figure 3.

    python experiments/discriminant_vs_attributive.py dataset=synthetic_birds model=small_cnn

Beginner and advanced users; softmax, certainty and easiness scores; the margin a(h_y - h_c) beside them. On scenes
the regions are compared with the pixels of the objects that only the predicted class has.
"""

import figures
import running
import subjects
from claims import Claim
from table import Table, rows_of

from galore.evaluation import judging, questions, rules
from galore.evaluation.statistics import paired_difference

TITLE = "Discriminant against attributive maps"
SCORES = ("softmax", "certainty", "easiness")


def run(cfg) -> Table:
    """One row per user and map."""
    subject = subjects.subject(cfg)
    methods = rules.all_discriminant(subjects.attribution(cfg))
    rows = ()
    for asked in questions.users(subject, cfg.seed):
        judged = judging.judge_discriminant(subject, asked, methods, cfg.seed, cfg.explanation.batch_size)
        rows += rows_of(judged, asked.rows, len(subject), left_out=asked.left_out, user=asked.user)
    return Table(rows, subjects.remarks(subject))


def claims(table: Table) -> list[Claim]:
    """What [SCOUT] says of figure 3, and what our rival does."""

    def better(text: str, source: str, first: str, second: str, user: str) -> Claim:
        labels = ({"user": user, "method": first}, {"user": user, "method": second})
        why = "there is no such map here"
        return Claim(text, source, f"AUROC, {first} minus {second}", table.difference("auroc", *labels), why)

    made = []
    for user in ("beginner", "advanced"):
        for score in SCORES:
            text = f"Discriminant maps beat attributive ones ({user} user, {score})."
            made.append(better(text, "SCOUT, figure 3", rules.discriminant(score), rules.ATTRIBUTIVE, user))
        for score in SCORES[:2]:
            text = f"Easiness is the best score: better than {score} ({user} user)."
            pair = (rules.discriminant("easiness"), rules.discriminant(score))
            made.append(better(text, "SCOUT, figure 3", *pair, user))
        text = f"The discriminant map beats the plain margin ({user} user)."
        made.append(better(text, "ours", rules.discriminant("softmax"), rules.MARGIN, user))
        text = f"The discriminant map beats a centred Gaussian ({user} user)."
        made.append(better(text, "ours", rules.discriminant("softmax"), "centred Gaussian", user))
    made.append(_gain_is_larger(table))
    return made


def draw(table: Table) -> dict:
    """The AUROC of all maps, and the curves of the figure."""
    return {"auroc": figures.dots(table, "auroc")} | figures.region_curves(table)


def _gain_is_larger(table: Table) -> Claim:
    """Gains of the two users, compared on the images that both ask about."""
    gains = {}
    for user in ("beginner", "advanced"):
        found = [
            table.find("auroc", user=user, method=method)
            for method in (rules.discriminant("softmax"), rules.ATTRIBUTIVE)
        ]
        gains[user] = None if None in found else found[0].values - found[1].values  # type: ignore[union-attr]
    text, source = "Gains are larger for advanced users.", "SCOUT, section 5"
    number = "gain of AUROC by the discriminant map, advanced minus beginner, same images"
    if gains["beginner"] is None or gains["advanced"] is None:
        return Claim(text, source, number, None, "there is no student")
    return Claim(text, source, number, paired_difference(gains["advanced"], gains["beginner"]))


if __name__ == "__main__":
    running.main(__file__)
