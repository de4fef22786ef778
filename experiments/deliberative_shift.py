"""Are insecurities stable? Those of an image and of the image shifted by up to 5 pixels: IoU of the parts they hold.

    python experiments/deliberative_shift.py dataset=synthetic_birds model=small_cnn

A figure of GALORE. Pixels that a shift brings in repeat the edge. Insecurities are matched by their two classes; a pair
that the shifted image does not have does not count, and neither does one that holds no part in either. The AUROC is
that of the images as they are.

Cost: 15 s on two cores. Expect an IoU of 0.76 after one pixel on invented birds.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from galore.evaluation import metrics
from galore.evaluation.evaluate import ImageBatch, Model, Scores, evaluate, over_batches
from galore.evaluation.methods import BASELINES, ORACLE, RANDOM, Method, Score, deliberative_maps
from galore.experiment import inputs, insecurities, plots, runner
from galore.experiment.claims import Claim, Source, better
from galore.experiment.config import Config
from galore.experiment.insecurities import difficulty
from galore.experiment.table import Table, rows_of

TITLE = "Insecurities of shifted images"
OPTIONS = insecurities.OPTIONS
SHIFTS = (1, 2, 3, 4, 5)
REGION = 0.1
IOU = "IoU of parts"


def run(config: Config) -> Table:
    """One row per shift and difficulty score, with the baselines."""
    test_set = inputs.test_set(config, needs_parts=True)
    hard, methods = insecurities.hard_images(config, test_set), insecurities.methods(config, test_set)
    batch_size = config.explanation.batch_size
    rows = rows_of(
        evaluate(test_set, hard, methods, config.seed, batch_size).only("auroc"), len(test_set), {"shift": "0"}
    )  # fmt: skip
    program = _agreements(methods, hard.top, hard.keep)
    for shift in SHIFTS:
        ious = over_batches(program, test_set, hard, config.seed, batch_size, np.full(len(hard.rows), shift))
        scored = Scores(hard, {method: {IOU: values} for method, values in zip((*methods, *BASELINES), ious)})
        rows += rows_of(scored, len(test_set), {"shift": str(shift)})
    return Table(rows, inputs.remarks(test_set))


def claims(table: Table) -> list[Claim]:
    """Insecurities move with the image, more than chance would have it."""
    stated = []
    for score in (Score.SOFTMAX, Score.EASINESS):
        for shift in ("1", "5"):
            text = f"Insecurities survive a shift by {shift} px better than random maps ({score.difficulty})."
            number = "IoU of parts, insecurities minus random maps"
            missing, pair = "there is no predictor", (difficulty(score), RANDOM)
            labels = {"shift": shift}
            stated.append(better(text, Source.GALORE, *pair, IOU, number=number, otherwise=missing, labels=labels))
    return stated


def draw(table: Table) -> dict:
    """The IoU over the shift."""
    return {"shift": plots.lines(table, IOU, "shift", ("shift, pixels", "IoU of the parts in both regions"))}


def _agreements(methods: tuple[Method, ...], top: int, keep: int) -> Any:
    """(model, batch, shifts) -> the IoU for each method and baseline, [B] each."""

    @jax.jit
    def program(model: Model, batch: ImageBatch, shifts: Any) -> list[Any]:
        explain = functools.partial(deliberative_maps, net=model.net, predictor=model.predictor, top=top, keep=keep)
        parts: Any = batch.annotations
        moved = jax.vmap(_shifted)(batch.images, shifts)
        one = jax.vmap(functools.partial(_agreement, size=parts.size))
        ious = []
        for method in methods:
            before, after = (explain(method, images=images) for images in (batch.images, moved))
            ious.append(one(before, after, parts.points, parts.visible, shifts))
        shape = before.maps.shape[2:]
        return ious + jax.vmap(lambda a, d, key: _baseline_agreement(a, d, key, shape))(
            parts, shifts, batch.keys
        )  # fmt: skip

    return program


def _shifted(image, shift):
    """The image moved to the right."""
    columns = jnp.clip(jnp.arange(image.shape[1]) - shift, 0, image.shape[1] - 1)
    return image[:, columns]


def _moved_points(points, visible, shift, size):
    """The points after the shift, and which are visible before and after."""
    moved = points + jnp.array([1.0, 0.0]) * shift
    return moved, visible.astype(bool) & (moved[:, 0] < size[1])


def _agreement(before, after, points, visible, shift, size):
    """The mean IoU of the parts in the regions of insecurities with the same two classes."""
    moved, both = _moved_points(points, visible, shift, size)
    here, there = metrics.ranks(before.maps, points, size), metrics.ranks(after.maps, moved, size)
    # The order of insecurities may differ before and after, so all are compared with all.
    ious = jax.vmap(lambda r: jax.vmap(lambda q: metrics.part_iou(r, q, both, both, size, (REGION,))[0])(there))(here)
    first, second = jnp.sort(before.pairs, axis=-1), jnp.sort(after.pairs, axis=-1)
    same = (first[:, None] == second[None, :]).all(-1) & before.occurs[:, None] & after.occurs[None, :]
    return jnp.nanmean(jnp.where(same, ious, jnp.nan))


def _baseline_agreement(parts, shift, key, shape):
    """The same for maps that know nothing: a new random map each time, a Gaussian and a box that stay, an oracle that
    moves."""
    moved, both = _moved_points(parts.points, parts.visible, shift, parts.size)
    first, second = jax.random.split(key)
    truth = jnp.ones(len(parts.points), bool)
    before, after = (parts.baselines(k, truth, shape) for k in (first, second))
    ious = []
    for place, method in enumerate(BASELINES):
        other, points = (before, parts.points) if method == ORACLE else (after, moved)
        here = metrics.ranks(before[place], parts.points, parts.size)
        there = metrics.ranks(other[place], points, parts.size)
        ious.append(metrics.part_iou(here, there, both, both, parts.size, (REGION,))[0])
    return ious


if __name__ == "__main__":
    runner.main(__file__)
