"""The exhaustive-search rows of `counterfactual_vs_search`: one edit, hence one unit of the map on both images."""

import functools
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from table import Row

from galore.evaluation import metrics, search
from galore.evaluation.questions import Questions
from galore.evaluation.subject import Parts, Subject, in_batches

NAME = "exhaustive search"
EVERY_CANDIDATE = "exhaustive search, the head run on every candidate"


class Timed(NamedTuple):
    """Something to time, and how many images it works on."""

    run: Callable[[], Any]
    images: int


def rows(subject: Subject, asked: Questions, fraction: float, batch_size: int) -> tuple[Row, ...]:
    """The scores of the cells that the first edit exchanges.

    Args:
        subject: with parts.
        asked: the questions.
        fraction: of the image that a region covers, one of `metrics.FRACTIONS`.
        batch_size: images at once.
    """
    notes = subject.annotations
    assert isinstance(notes, Parts)
    pictures, place = np.unique(asked.counter_rows, return_inverse=True)
    features = in_batches(
        lambda net, predictor, x, notes: jax.vmap(net)(x)[0], subject, pictures, batch_size=batch_size
    )

    def cells(net: Any, predictor: Any, images: Any, notes: Any, y: Any, c: Any, other: Any, *, chunk: int):
        F = jax.vmap(net)(images)[0]
        first_edit = functools.partial(search.exhaustive, net, chunk=chunk)
        found = jax.lax.map(lambda s: first_edit(s[0], s[1], s[2], predicted=s[3]).cells[0], (F, other, c, y))
        return jax.nn.one_hot(found, F.shape[1] * F.shape[2]).reshape(len(F), 2, *F.shape[1:3])

    def find(*, chunk: int) -> np.ndarray:
        arguments = (asked.predicted, asked.counter, features[place])
        function = functools.partial(cells, chunk=chunk)
        return in_batches(function, subject, asked.rows, *arguments, batch_size=batch_size)

    maps = jnp.asarray(search.halving(find, chunk=1024))
    rank = jax.jit(jax.vmap(lambda m, p: metrics.ranks(m, p, subject.size)))
    query, counter = (
        rank(maps[:, k], jnp.asarray(notes.points[r])) for k, r in enumerate((asked.rows, asked.counter_rows))
    )
    truth = jnp.asarray(subject.discriminant[asked.predicted, asked.counter])
    visible, counter_visible = (jnp.asarray(notes.visible[r], bool) for r in (asked.rows, asked.counter_rows))
    curves = metrics.precision_recall(query, truth, visible, subject.size, (fraction,))
    common = metrics.part_iou(query, counter, visible, counter_visible, subject.size, (fraction,))
    scores = {
        "auroc": metrics.auroc(query, truth, visible),
        "recall": curves.recall[:, 0],
        "precision": curves.precision[:, 0],
        "PIoU": common[:, 0],
    }
    made = []
    for measure, values in scores.items():
        spread = np.full((1, len(subject)), np.nan)
        spread[0, asked.rows] = np.asarray(values)
        made.append(Row({"user": asked.user, "method": NAME}, measure, spread, asked.left_out))
    return tuple(made)


def timed(subject: Subject, images: int, shortcuts: bool = True) -> Timed:
    """The search for the first edit of some pairs, both forward passes included, ready to be timed.

    Args:
        subject: the network and its images.
        images: how many pairs at once.
        shortcuts: whether the head's structure may be used; without, the head runs on every candidate.
    """
    x = jnp.asarray(subject.inputs(np.arange(min(images, len(subject)))))
    counters = jnp.asarray((subject.predicted[: len(x)] + 1) % subject.logits.shape[1])

    @jax.jit
    def pairs(net, images, counter_images, counters):
        F, other = jax.vmap(net)(images)[0], jax.vmap(net)(counter_images)[0]
        return jax.lax.map(lambda s: search.exhaustive(net, *s, shortcuts=shortcuts).cells, (F, other, counters))

    return Timed(lambda: pairs(subject.net, x, x[::-1], counters), len(x))


def images_per_second(works: dict[str, Timed], repeats: int) -> dict[str, np.ndarray]:
    """How many images a second each work does, once compiled; they take turns, so that all see the same machine."""
    for work in works.values():
        jax.block_until_ready(work.run())
    rates: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(repeats):
        for name, work in works.items():
            start = time.perf_counter()
            jax.block_until_ready(work.run())
            rates[name].append(work.images / (time.perf_counter() - start))
    return {name: np.array(some) for name, some in rates.items()}
