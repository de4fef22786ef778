"""Are insecurities stable? Those of an image and of the image shifted by up to 5 pixels: IoU of the parts they hold.

    python experiments/deliberative_shift.py dataset=synthetic_birds model=small_cnn

Pixels that a shift brings in repeat the edge. Insecurities are matched by their two classes; a pair that the shifted
image does not have does not count, and neither does one that holds no part in either. The AUROC is that of the images
as they are.
"""

import functools
from collections import OrderedDict

import deliberations
import figures
import jax
import jax.numpy as jnp
import numpy as np
import running
import subjects
from claims import Claim
from table import Row, Table, only_auroc, rows_of, spread

from galore.evaluation import judging, metrics, rules
from galore.evaluation.subject import in_batches

TITLE = "Insecurities of shifted images"
SHIFTS = (1, 2, 3, 4, 5)
REGION = 0.1


def run(cfg) -> Table:
    """One row per shift and difficulty score, with the baselines."""
    subject = subjects.subject(cfg, needs_parts=True)
    rows = deliberations.hardest(cfg, subject)
    methods = rules.deliberations(subjects.attribution(cfg), top=cfg.explanation.top, keep=cfg.explanation.keep)
    keys = jax.random.split(jax.random.key(cfg.seed), len(rows))
    shared = jnp.asarray(subject.shared)

    def batch(net, predictor, images, notes, dx, keys):
        moved = jax.vmap(_shifted)(images, dx)
        before, after = (methods(net, predictor, x, shared) for x in (images, moved))
        shape = next(iter(before.values())).maps.shape[2:]
        one = jax.vmap(functools.partial(_agreement, size=subject.size))
        agreements = {name: one(before[name], after[name], notes.points, notes.visible, dx) for name in before}
        fixed = jax.vmap(lambda n, d, k: _fixed_agreement(n, d, k, shape))(notes, dx, keys)
        return OrderedDict(agreements | fixed)

    left_out = deliberations.not_judged(subject, rows)
    judged, _ = judging.judge_deliberative(subject, rows, methods, cfg.seed, cfg.explanation.batch_size)
    made = [*rows_of(only_auroc(judged), rows, len(subject), left_out=left_out, shift="0")]
    for shift in SHIFTS:
        found = in_batches(batch, subject, rows, np.full(len(rows), shift), keys, batch_size=cfg.explanation.batch_size)
        for name, values in found.items():
            labels = {"shift": str(shift), "method": name}
            made.append(Row(labels, "IoU of parts", spread(values, rows, len(subject))[None], left_out))
    return Table(tuple(made), subjects.remarks(subject))


def claims(table: Table) -> list[Claim]:
    """Insecurities move with the image, more than chance would have it."""
    made = []
    for score in ("hesitancy", "hardness"):
        for shift in ("1", "5"):
            pair = ({"method": score, "shift": shift}, {"method": "random map", "shift": shift})
            text = f"Insecurities survive a shift by {shift} px better than random maps ({score})."
            number = "IoU of parts, insecurities minus random maps"
            made.append(Claim(text, "GALORE", number, table.difference("IoU of parts", *pair), "there is no predictor"))
    return made


def draw(table: Table) -> dict:
    """The IoU over the shift."""
    return {
        "shift": figures.lines(table, "IoU of parts", "shift", ("shift, pixels", "IoU of the parts in both regions"))
    }


def _shifted(image, dx):
    """The image moved to the right by dx pixels."""
    columns = jnp.clip(jnp.arange(image.shape[1]) - dx, 0, image.shape[1] - 1)
    return image[:, columns]


def _agreement(before, after, points, visible, dx, size):
    """The mean IoU of the parts in the regions of insecurities with the same two classes."""
    moved = points + jnp.array([1.0, 0.0]) * dx
    seen = visible.astype(bool) & (moved[:, 0] < size[1])
    here, there = metrics.ranks(before.maps, points, size), metrics.ranks(after.maps, moved, size)
    # The order of insecurities may differ before and after, so all are compared with all.
    ious = jax.vmap(lambda r: jax.vmap(lambda q: metrics.part_iou(r, q, seen, seen, size, (REGION,))[0])(there))(here)
    same = _same_pair(before.pairs, after.pairs) & before.chosen[:, None] & after.chosen[None, :]
    return jnp.nanmean(jnp.where(same, ious, jnp.nan))


def _same_pair(first, second):
    first, second = jnp.sort(first, axis=-1), jnp.sort(second, axis=-1)
    return (first[:, None] == second[None, :]).all(-1)


def _fixed_agreement(notes, dx, key, shape):
    """The same for maps that know nothing: a new random map each time, a Gaussian and a box that stay or move."""
    moved = notes.points + jnp.array([1.0, 0.0]) * dx
    seen = notes.visible.astype(bool) & (moved[:, 0] < notes.size[1])
    first, second = jax.random.split(key)
    truth = jnp.ones(len(notes.points), bool)
    before = notes.baselines(first, truth, shape)
    after = notes.baselines(second, truth, shape)
    after["oracle"] = before["oracle"]
    found = {}
    for name, map_ in before.items():
        there = notes.points if name == "oracle" else moved
        pair = metrics.ranks(map_, notes.points, notes.size), metrics.ranks(after[name], there, notes.size)
        found[name] = metrics.part_iou(*pair, seen, seen, notes.size, (REGION,))[0]
    return found


if __name__ == "__main__":
    running.main(__file__)
