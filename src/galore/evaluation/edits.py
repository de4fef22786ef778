"""Decisions flipped cell by cell: exhaustive and semantic search, and maps that say in which order to exchange cells.

Cells of a query's activation are replaced by cells of images of the counter class until the network predicts that
class, as in Goyal et al. (ICML 2019) and Vandenhende et al. (ECCV 2022). A search looks for the replacement that
changes the decision most; a map names cells without looking, the largest of the query's map first, each replaced by the
cell that the counter image's map names.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from galore import batching
from galore.errors import InputError
from galore.evaluation import baselines, keypoints, metrics, search
from galore.evaluation.evaluate import Batch, Model, maps_of, over_batches
from galore.evaluation.methods import RANDOM, Method, Rule
from galore.evaluation.queries import Queries
from galore.evaluation.search import Edits, Outcome
from galore.evaluation.test_set import Parts, TestSet
from galore.network import Features

EXHAUSTIVE, SEMANTIC = Method(Rule.SEARCH), Method(Rule.SEMANTIC_SEARCH)
DISTRACTORS = 20
"""Images of the counter class whose cells semantic search chooses from, at most; as released."""


class Flips(NamedTuple):
    """What was edited.

    Attributes:
        edits: of each query, at most every cell once.
        distractors: the images of the test set whose cells the edits count, one after the other; the one counter image,
            or more.
    """

    edits: Edits
    distractors: Int[np.ndarray, "k N"]


def with_right_counter_images(test_set: TestSet, queries: Queries) -> Queries:
    """The queries whose counter image the network takes for one of the counter class: no other could flip a decision.

    Raises:
        InputError: there is none.
    """
    kept = np.flatnonzero(test_set.predicted[queries.counter_rows] == queries.counter)
    if len(kept) == 0:
        raise InputError(f"the network gets every counter image of the {queries.user} user wrong")
    return queries.take(kept, "the network gets the counter image wrong")


class Activations(NamedTuple):
    """Of all test images: what is edited, and what says which cells resemble each other, on a map of the same size."""

    edited: Float[Array, "n h w d"]
    judging: Float[Array, "n h w u"]


def activations(test_set: TestSet, judge: Features | None = None, batch_size: int = 16) -> Activations:
    """What edits need of the test images; once for all users.

    Args:
        test_set: the network and its images.
        judge: `(the network's parameters, image) -> map` of cells that resemble each other where they mean the same;
            None: the network's own activations. Vandenhende et al. take the first block of the last stage of a
            self-supervised ResNet-50.
        batch_size: images at once.
    """
    judge = judge or test_set.net.features
    assert judge is not None
    forward = jax.jit(lambda net, batch: jax.vmap(lambda x: (net.activation(x), judge(net.params, x)))(batch))
    batch_of = lambda some: test_set.inputs(some)  # noqa: E731
    run = batching.run(lambda batch: forward(test_set.net, batch), batch_of, len(test_set), batch_size, "cells")
    return Activations(*map(jnp.asarray, run))


def flips(
    test_set: TestSet,
    queries: Queries,
    methods: Sequence[Method],
    known: Activations,
    seed: int,
    batch_size: int = 16,
) -> dict[Method, Flips]:
    """The edits of both searches, of the methods' maps as orders, and of a random order, until the decision flips.

    Args:
        test_set: the network and its images.
        queries: see `with_right_counter_images`.
        methods: counterfactual ones; the maps of one image share one linearisation.
        known: see `activations`.
        seed: of the random order, of the order of equal cells, and of the distractors.
        batch_size: images at once.
    """
    rows, present = _distractors(test_set, queries, seed)

    def edits(program: Callable[..., Any], *extra: np.ndarray) -> Sequence[Edits]:
        given = (test_set, queries, seed, batch_size, queries.rows, rows, *extra)
        return over_batches(functools.partial(program, known), *given)

    exhaustive, semantic = search.halving(lambda *, chunk: edits(_searches(chunk), present), chunk=1024)
    orders = edits(_orders(tuple(methods)), test_set.inputs(queries.counter_rows))
    one = queries.counter_rows[:, None]
    by_map = {method: Flips(order, one) for method, order in zip((*methods, RANDOM), orders)}
    return {EXHAUSTIVE: Flips(exhaustive, one), SEMANTIC: Flips(semantic, rows), **by_map}


def score(
    test_set: TestSet, queries: Queries, found: Flips, part_names: Sequence[str], shape: tuple[int, int]
) -> dict[str, Float[np.ndarray, "k ..."]]:
    """How the decisions of the queries were flipped.

    Args:
        test_set: with parts.
        queries: whose edits they are.
        found: by one method.
        part_names: of the test set's parts.
        shape: of the network's map.

    Returns:
        "decisions flipped", whether edits of each share (`metrics.FRACTIONS`) of the map's cells suffice [k, T]; and of
        the decisions that were flipped with any number of edits, NaN for the others: "edits", "Near-KP", "Same-KP" (the
        means are over all edits, see `keypoints.share_of_edits`), and the last two of the first edit alone.
    """
    parts = test_set.annotations
    assert isinstance(parts, Parts)

    def keypoints_of(rows: Int[np.ndarray, " m"]) -> Bool[np.ndarray, "m h w K"]:
        cells = keypoints.keypoint_cells(parts.points[rows], parts.visible[rows].astype(bool), shape, parts.size)
        return keypoints.merged_sides(cells, part_names)

    theirs = keypoints_of(found.distractors.reshape(-1)).reshape(*found.distractors.shape, *shape, -1)
    is_flipped = found.edits.outcome == Outcome.FLIPPED
    count = np.where(is_flipped, found.edits.count, np.nan)
    near, same = (
        np.where(is_flipped[:, None], hits, np.nan)
        for hits in keypoints.keypoint_hits(found.edits, keypoints_of(queries.rows), theirs)
    )
    allowed = np.asarray(metrics.FRACTIONS) * shape[0] * shape[1]
    return {
        "Same-KP": keypoints.share_of_edits(same),
        "Near-KP": keypoints.share_of_edits(near),
        "edits": count,
        "Same-KP, first edit": same[:, 0],
        "Near-KP, first edit": near[:, 0],
        "decisions flipped": (count[:, None] <= allowed + 1e-9).astype(float),
    }


def _distractors(
    test_set: TestSet, queries: Queries, seed: int
) -> tuple[Int[np.ndarray, "k N"], Bool[np.ndarray, "k N"]]:
    """Images of the counter class that the network gets right, the counter image first, and which of them there are."""
    rng = np.random.default_rng(seed)
    is_right = test_set.predicted == test_set.labels
    by_class = {c: np.flatnonzero(is_right & (test_set.labels == c)) for c in np.unique(queries.counter)}
    width = min(DISTRACTORS, max(map(len, by_class.values())))
    rows, present = np.tile(queries.counter_rows[:, None], (1, width)), np.zeros((len(queries.rows), width), bool)
    for k, (c, first) in enumerate(zip(queries.counter, queries.counter_rows)):
        others = rng.permutation(by_class[c][by_class[c] != first])[: width - 1]
        rows[k, 1 : len(others) + 1], present[k, : len(others) + 1] = others, True
    return rows, present


@functools.lru_cache(maxsize=2)
def _searches(chunk: int) -> Callable[..., tuple[Edits, Edits]]:
    """(activations, model, batch, rows of query and distractors, which there are) -> the edits of both searches."""

    @jax.jit
    def program(known: Activations, model: Model, batch: Batch, row: Array, rows: Array, present: Array) -> Any:
        options: dict[str, Any] = {"edits": known.edited.shape[1] * known.edited.shape[2], "chunk": chunk}

        def both(row: Array, rows: Array, present: Array, y: Array, c: Array) -> tuple[Edits, Edits]:
            F, others = known.edited[row], known.edited[rows]
            judged = (known.judging[row], known.judging[rows])
            exhaustive = search.exhaustive(model.net, F, others[0], c, predicted=y, **options)
            semantic = search.semantic(model.net, F, others, c, *judged, present=present, predicted=y, **options)
            return exhaustive, semantic

        return jax.lax.map(lambda one: both(*one), (row, rows, present, batch.predicted, batch.counter))

    return program


@functools.lru_cache(maxsize=8)
def _orders(methods: tuple[Method, ...]) -> Callable[..., list[Edits]]:
    """(activations, model, batch, rows of query and distractors, counter images) -> edits by each map and at random."""

    @jax.jit
    def program(known: Activations, model: Model, batch: Batch, row: Array, rows: Array, counter_images: Array) -> Any:
        exchanged = batch._replace(images=counter_images, predicted=batch.counter, counter=batch.predicted)
        maps, counter_maps = (jnp.stack(maps_of(methods, model, one), axis=1) for one in (batch, exchanged))

        def edits(row: Array, other: Array, y: Array, c: Array, maps: Array, counter_maps: Array, key: Array) -> Edits:
            first, second, *ties = jax.random.split(key, len(methods) + 3)
            shape = (maps.shape[1], maps.shape[2])
            maps = jnp.stack([*maps, baselines.random(first, shape)])
            counter_maps = jnp.stack([*counter_maps, baselines.random(second, shape)])
            orders = jax.vmap(search.by_falling)(maps, counter_maps, jnp.stack(ties))
            images = (known.edited[row], known.edited[other])
            return jax.vmap(lambda order: search.in_order(model.net, *images, c, order, predicted=y))(orders)

        given = (row, rows[:, 0], batch.predicted, batch.counter, maps, counter_maps, batch.keys)
        found = jax.lax.map(lambda one: edits(*one), given)
        return [jax.tree.map(lambda leaf, k=k: leaf[:, k], found) for k in range(len(methods) + 1)]

    return program
