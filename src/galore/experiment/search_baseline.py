"""Exhaustive search on a test set: where its first edit points, and how fast it is beside discriminant maps."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from galore import explain
from galore.attribution import Attribution
from galore.benchmark.timing import Workload, interleaved
from galore.evaluation import metrics, search
from galore.evaluation.evaluate import Batch, Model, over_batches, part_iou_of_ranks
from galore.evaluation.queries import Queries
from galore.evaluation.test_set import Parts, TestSet


def score_first_edits(test_set: TestSet, user_queries: Queries, unit: float, batch_size: int) -> dict[str, np.ndarray]:
    """The scores of the cells that the first edit exchanges, as regions of one unit of the map.

    Args:
        test_set: with parts.
        user_queries: whose images exchange cells with their counter images.
        unit: the fraction of the image that a cell covers.
        batch_size: images at once.

    Returns:
        "auroc", "recall", "precision" and "PIoU" of each query.
    """
    parts = test_set.annotations
    assert isinstance(parts, Parts)
    counter_images, place = np.unique(user_queries.counter_rows, return_inverse=True)
    activations = test_set.run(test_set.images[counter_images], batch_size)[0][place]

    def edits(*, chunk: int) -> np.ndarray:
        return over_batches(_first_edits(chunk), test_set, user_queries, 0, batch_size, activations)

    maps = jnp.asarray(search.halving(edits, chunk=1024))
    rank = jax.jit(jax.vmap(lambda map_, points: metrics.ranks(map_, points, test_set.size)))
    ranks, counter_ranks = (
        rank(maps[:, k], jnp.asarray(parts.points[rows]))
        for k, rows in enumerate((user_queries.rows, user_queries.counter_rows))
    )
    truth, visible = jnp.asarray(user_queries.truth), jnp.asarray(parts.visible[user_queries.rows], bool)
    curves = metrics.precision_recall(ranks, truth, visible, test_set.size, (unit,))
    common = part_iou_of_ranks(test_set, user_queries, ranks, counter_ranks, (unit,))
    measures = {"auroc": metrics.auroc(ranks, truth, visible), "recall": curves.recall[:, 0]}
    return {**measures, "precision": curves.precision[:, 0], "PIoU": common[:, 0]}  # type: ignore[return-value]


def _first_edits(chunk: int) -> Callable[..., Any]:
    """(model, batch, activations of the counter images) -> the edited cells as maps [B, 2, h, w]."""

    @jax.jit
    def program(model: Model, batch: Batch, others: Any) -> Any:
        F = jax.vmap(model.net)(batch.images)[0]
        first = functools.partial(search.exhaustive, model.net, chunk=chunk)
        pairs = (F, others, batch.counter, batch.predicted)
        cells = jax.lax.map(lambda pair: first(*pair[:3], predicted=pair[3]).cells[0], pairs)
        return jax.nn.one_hot(cells, F.shape[1] * F.shape[2]).reshape(len(F), 2, *F.shape[1:3])

    return program


def images_per_second(
    test_set: TestSet, attribution: Attribution, batch_size: int, rounds: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """How many images of pairs a second, once compiled, in each of some rounds; both forward passes included.

    Returns:
        Of discriminant maps, of the search, and of the search that runs the head on every candidate; [rounds] each.
    """
    images = jnp.asarray(test_set.inputs(np.arange(min(batch_size, len(test_set)))))
    counters = jnp.asarray((test_set.predicted[: len(images)] + 1) % test_set.logits.shape[1])

    @functools.partial(jax.jit, static_argnames="shortcuts")
    def search_pairs(net: Any, images: Any, counters: Any, shortcuts: bool) -> Any:
        F, others = jax.vmap(net)(images)[0], jax.vmap(net)(images[::-1])[0]
        return jax.lax.map(lambda pair: search.exhaustive(net, *pair, shortcuts=shortcuts).cells, (F, others, counters))

    pair = jax.jit(functools.partial(explain.counterfactual, attribution=attribution))
    net, first, its_counter = test_set.net, images[:1], counters[:1]
    calls = (
        (lambda: pair(net, images, counters, images), len(images)),
        (lambda: search_pairs(net, images, counters, shortcuts=True), len(images)),
        (lambda: search_pairs(net, first, its_counter, shortcuts=False), 1),
    )
    works = [Workload("", lambda call=call: jax.block_until_ready(call()), count) for call, count in calls]
    seconds = interleaved(works, rounds)
    maps, fast, by_head = (count / seconds[:, k] for k, (_, count) in enumerate(calls))
    return maps, fast, by_head
