"""Discriminant maps against exhaustive search for counterfactual regions: SCOUT, table 1.

    python experiments/counterfactual_vs_search.py dataset=synthetic_birds model=small_cnn

Recall, precision and PIoU of regions of one unit of the map, and images explained per second. All methods give regions
of the same size.
"""

import functools

import figures
import jax
import jax.numpy as jnp
import numpy as np
import running
import searching
import subjects
from claims import Claim
from table import Row, Table, spread

from galore import explain
from galore.evaluation import judging, metrics, questions, rules
from galore.evaluation.statistics import paired_difference

TITLE = "Discriminant maps against exhaustive search"
SPEED = "images per second"
REPEATS = 7
FASTER = 50


def run(cfg) -> Table:
    """One row per user and method."""
    subject = subjects.subject(cfg, needs_parts=True)
    image = jnp.asarray(subject.inputs(np.arange(1))[0])
    height, width, _ = jax.eval_shape(lambda net, x: net(x)[0], subject.net, image).shape
    unit = min(metrics.FRACTIONS, key=lambda fraction: abs(fraction - 1 / (height * width)))
    at = metrics.FRACTIONS.index(unit)
    rows: tuple[Row, ...] = ()
    methods = rules.best_discriminant(subjects.attribution(cfg), cfg.confidence.score)
    for asked in questions.users(subject, cfg.seed):
        found = judging.judge_discriminant(subject, asked, methods, cfg.seed, cfg.explanation.batch_size)
        pairs = judging.part_iou(subject, asked, methods, cfg.seed, cfg.explanation.batch_size)
        for name in found:
            scores = {"auroc": found[name]["auroc"]}
            scores |= {key: found[name][key][:, at] for key in ("recall", "precision")}
            scores["PIoU"] = pairs[name]["piou"][:, at]
            labels = {"user": asked.user, "method": name}
            for measure, values in scores.items():
                rows += (Row(labels, measure, spread(values, asked.rows, len(subject))[None], asked.left_out),)
        rows += searching.rows(subject, asked, unit, cfg.explanation.batch_size)
    name = rules.discriminant(cfg.confidence.score or rules.default_score(subject.predictor))
    works = {
        name: _timed(subject, subjects.attribution(cfg), cfg.explanation.batch_size),
        searching.NAME: searching.timed(subject, cfg.explanation.batch_size),
        searching.EVERY_CANDIDATE: searching.timed(subject, 1, shortcuts=False),
    }
    for method, rates in searching.images_per_second(works, REPEATS).items():
        rows += (Row({"user": "beginner", "method": method}, SPEED, rates[None]),)
    remark = (
        f"Regions have one unit of the {height} x {width} map, {unit:.1%} of the image. Images per second are of "
        "pairs, forward passes included, on the machine of the run. Both searches find the same edits: one uses "
        "the head's structure, the other is the one that SCOUT was compared with, in batches."
    )
    return Table(rows, (*subjects.remarks(subject), remark))


def claims(table: Table) -> list[Claim]:
    """The headline of [SCOUT]: faster by far, and better."""
    made = []
    name = next(row.labels["method"] for row in table.rows if row.labels["method"].startswith("a * "))
    for user in ("beginner", "advanced"):
        for measure in ("recall", "precision", "PIoU"):
            pair = ({"user": user, "method": name}, {"user": user, "method": searching.NAME})
            text = f"Discriminant maps have a better {measure} than exhaustive search ({user} user)."
            estimate = table.difference(measure, *pair)
            made.append(Claim(text, "SCOUT, table 1", f"{measure}, difference", estimate))
    pair = ({"user": "beginner", "method": name}, {"user": "beginner", "method": searching.NAME})
    text = "Discriminant maps are faster than exhaustive search."
    number = "images per second, difference"
    made.append(Claim(text, "SCOUT, table 1", number, table.difference(SPEED, *pair)))
    fast, slow = table.find(SPEED, **pair[0]), table.find(SPEED, user="beginner", method=searching.EVERY_CANDIDATE)
    if fast is not None and slow is not None:
        text = "Discriminant maps are 50 times faster than the search that runs the head on every candidate."
        number = f"images per second, discriminant minus {FASTER} times the search's"
        gain = paired_difference(fast.values, FASTER * slow.values)
        made.append(Claim(text, "SCOUT, section 5", number, gain))
    return made


def draw(table: Table) -> dict:
    """What table 1 shows, the AUROC first."""
    drawn = {"auroc": figures.dots(table, "auroc")}
    return drawn | {name: figures.dots(table, name, chance=None) for name in ("recall", "precision", "PIoU")}


def _timed(subject, attribution, images: int) -> searching.Timed:
    """Pairs of discriminant maps, both forward passes included, ready to be timed."""
    rows = np.arange(min(images, len(subject)))
    x = jnp.asarray(subject.inputs(rows))
    counters = jnp.asarray((subject.predicted[rows] + 1) % subject.logits.shape[1])
    pair = jax.jit(functools.partial(explain.counterfactual, attribution=attribution))
    return searching.Timed(lambda: pair(subject.net, x, counters, x), len(rows))


if __name__ == "__main__":
    running.main(__file__)
