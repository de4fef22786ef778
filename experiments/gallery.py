"""Pictures for the report: insecurities and counterfactual pairs, with the parts that they should point at.

    python experiments/gallery.py dataset=synthetic_birds model=small_cnn

The images are drawn by the seed, not chosen; the table says how the maps score over all of them.
"""

import jax.numpy as jnp
import numpy as np
import running
import subjects
from claims import Claim
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from table import Table, only_auroc, rows_of

from galore import explain
from galore.evaluation import judging, questions, rules
from galore.evaluation.subject import Parts, Subject
from galore.regions import largest_fraction, upsample

TITLE = "Gallery"
COUNT = 4
REGION = 0.1


def run(cfg) -> Table:
    """The scores of the maps that are shown, and the pictures."""
    subject = subjects.subject(cfg)
    asked = questions.users(subject, cfg.seed)[-1]
    methods = rules.best_discriminant(subjects.attribution(cfg), cfg.confidence.score)
    judged = judging.judge_discriminant(subject, asked, methods, cfg.seed, cfg.explanation.batch_size)
    rows = rows_of(only_auroc(judged), asked.rows, len(subject), left_out=asked.left_out, user=asked.user)
    shown = np.random.default_rng(cfg.seed).permutation(len(asked.rows))[:COUNT]
    attribution = subjects.attribution(cfg)
    pictures = {
        "counterfactual": _counterfactuals(subject, asked, shown, attribution),
        "insecurities": _insecurities(subject, asked.rows[shown], attribution),
    }
    return Table(rows, subjects.remarks(subject), pictures)


def claims(table: Table) -> list[Claim]:
    """Pictures prove nothing."""
    return []


def draw(table: Table) -> dict:
    """The pictures."""
    return table.pictures


def _counterfactuals(subject: Subject, asked: questions.Questions, shown: np.ndarray, attribution) -> Figure:
    """Each row: the query image, its region; the counter image, its region."""
    rows, counter_rows = asked.rows[shown], asked.counter_rows[shown]
    explained = explain.counterfactual(
        subject.net,
        jnp.asarray(subject.inputs(rows)),
        jnp.asarray(asked.counter[shown]),
        jnp.asarray(subject.inputs(counter_rows)),
        attribution=attribution,
    )
    figure, axes = plt.subplots(len(rows), 4, figsize=(10, 2.7 * len(rows)), squeeze=False, layout="constrained")
    for line, row, counter_row, k in zip(axes, rows, counter_rows, range(len(rows))):
        y, c = int(asked.predicted[shown][k]), int(asked.counter[shown][k])
        here, there = subject.discriminant[y, c], subject.discriminant[c, y]
        _show(line[0], subject, row, None, here, f"{subject.class_names[y]}")
        _show(line[1], subject, row, explained.query.maps[k], here, f"why not {subject.class_names[c]}?")
        _show(line[2], subject, counter_row, None, there, f"{subject.class_names[c]}")
        _show(line[3], subject, counter_row, explained.counter.maps[k], there, "what it has instead")
    figure.supxlabel(_caption(subject, "tell the two classes apart"), fontsize=8)
    return figure


def _insecurities(subject: Subject, rows: np.ndarray, attribution) -> Figure:
    """Each row: the image and its three strongest insecurities."""
    found = explain.deliberative(subject.net, jnp.asarray(subject.inputs(rows)), attribution=attribution)
    figure, axes = plt.subplots(len(rows), 4, figsize=(10, 2.7 * len(rows)), squeeze=False, layout="constrained")
    for k, (line, row) in enumerate(zip(axes, rows)):
        _show(line[0], subject, row, None, None, subject.class_names[int(subject.predicted[row])])
        for axis, (a, b), map_ in zip(line[1:], np.asarray(found.pairs[k]), found.maps[k]):
            _show(
                axis,
                subject,
                row,
                map_,
                subject.shared[a, b],
                f"{subject.class_names[a]} or\n{subject.class_names[b]}?",
            )
    figure.supxlabel(_caption(subject, "the two classes have in common"), fontsize=8)
    return figure


def _caption(subject: Subject, truth: str) -> str:
    lit = f"Lit: the largest {REGION:.0%} of the map."
    if not isinstance(subject.annotations, Parts):
        return f"{lit} Outlined: objects that {truth}."
    return f"{lit} Filled dots: visible parts that {truth}; open: the other ones."


def _show(axis, subject: Subject, row: int, map_, truth, title: str) -> None:
    """The image, lit where the region is, with what the map should point at: see `_caption`."""
    picture = subject.images[row].astype(np.float32) / 255
    if map_ is not None:
        lit = np.asarray(largest_fraction(map_, REGION, subject.size))
        lit = lit & (np.asarray(upsample(map_, subject.size)) > 0)
        picture = np.where(lit[..., None], picture, picture * 0.35)
    height, width = subject.size
    axis.imshow(picture, extent=(0, width, height, 0))
    if truth is not None:
        _mark(axis, subject, row, truth)
    axis.set_title(title.replace("_", " "), fontsize=8)
    axis.set(xlim=(0, width), ylim=(height, 0))
    axis.set_axis_off()


def _mark(axis, subject: Subject, row: int, truth) -> None:
    """Ground-truth parts as filled dots and other visible parts as open ones, or the outlines of true objects."""
    notes, colour = subject.annotations, "#ffcc00"
    if not isinstance(notes, Parts):
        true_pixels = np.append(False, truth)[notes.mask[row]]
        if true_pixels.any() and not true_pixels.all():
            # A mask's pixel k covers [k, k + 1).
            x, y = np.arange(true_pixels.shape[1]) + 0.5, np.arange(true_pixels.shape[0]) + 0.5
            axis.contour(x, y, true_pixels, levels=[0.5], colors=colour, linewidths=1)
        return
    points, visible = notes.points[row], notes.visible[row].astype(bool)
    for chosen, fill in ((visible & truth, colour), (visible & ~truth, "none")):
        axis.scatter(points[chosen, 0], points[chosen, 1], s=14, facecolors=fill, edgecolors=colour, linewidths=0.8)


if __name__ == "__main__":
    running.main(__file__)
