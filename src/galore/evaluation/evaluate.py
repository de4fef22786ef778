"""The one way from images to numbers: `evaluate(test_set, queries, methods, seed) -> Scores`.

The maps of many methods are scored on the same images in one pass over them, the baselines beside them. A
counterfactual query has one map and one truth per image, a deliberative one has one of each per insecurity.
"""

import dataclasses
import functools
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Key, PyTree, Shaped

from galore import batching
from galore.confidence import Predictor
from galore.errors import InputError
from galore.evaluation import metrics
from galore.evaluation.ground_truth import AttributeTable
from galore.evaluation.methods import BASELINES, ORACLE, Method, counterfactual_maps, deliberative_maps
from galore.evaluation.queries import HardImages, Queries
from galore.evaluation.test_set import Annotations, Measures, Parts, TestSet
from galore.network import Network


class Model(NamedTuple):
    """What an evaluation runs, the same for every batch."""

    net: Network
    predictor: Predictor | None
    shared: Bool[Array, "C C P"]


class ImageBatch(NamedTuple):
    """Some images, such as hard ones: what a program sees of them."""

    images: Any  # Float[Array, "B H W c"]
    annotations: Annotations
    keys: Key[Array, " B"]


class Batch(NamedTuple):
    """Some why-not queries: what a program sees of them."""

    images: Any  # Float[Array, "B H W c"]
    annotations: Annotations
    keys: Key[Array, " B"]
    predicted: Any  # Int[Array, " B"]
    counter: Any  # Int[Array, " B"]
    truth: Any  # Bool[Array, "B P"]


@dataclass(frozen=True, eq=False)
class Scores:
    """What an evaluation gives.

    Attributes:
        queries: what the numbers belong to.
        by_method: measure -> one number [k], or one curve [k, T], per query; the baselines come last.
        insecurities: of deliberative methods, "strength" [k, K] and "precision" [k, K, T] of each insecurity of an
            image, NaN where it does not occur.
        fractions: the region sizes of the curves.
        by_other_table: the same measures by the other table of attributes; empty: there is none.
        other_table: which one that is.
    """

    queries: Queries | HardImages
    by_method: dict[Method, dict[str, Shaped[np.ndarray, "k ..."]]]
    insecurities: dict[Method, dict[str, Float[np.ndarray, "k K ..."]]] = field(default_factory=dict)
    fractions: metrics.Fractions = metrics.FRACTIONS
    by_other_table: dict[Method, dict[str, Shaped[np.ndarray, "k ..."]]] = field(default_factory=dict)
    other_table: AttributeTable | None = None

    def __repr__(self) -> str:
        labels = ", ".join(method.label for method in self.by_method)
        text = f"Scores({len(self.queries.rows)} queries; {labels})"
        return textwrap.fill(text, 100, subsequent_indent="    ")

    def only(self, *measures: str) -> "Scores":
        """The same without other measures."""
        kept, other = (
            {method: {name: values[name] for name in measures if name in values} for method, values in some.items()}
            for some in (self.by_method, self.by_other_table)
        )
        return dataclasses.replace(self, by_method=kept, by_other_table=other)


def evaluate(
    test_set: TestSet, queries: Queries | HardImages, methods: Sequence[Method], seed: int, batch_size: int = 16
) -> Scores:
    """Scores each method's maps at the truth of the queries, and those of the four baselines.

    Args:
        test_set: the network and its images.
        queries: why-not queries, whose maps should point at `queries.truth`; or hard images, whose insecurities should
            point at what their two classes share, averaged over those of an image.
        methods: counterfactual or deliberative ones, as the queries.
        seed: of the random baselines.
        batch_size: images at once.

    Raises:
        InputError: no query, or a method needs a predictor and there is none.
    """
    for method in methods:
        if (score := method.score_with(test_set.predictor)) is not None:
            score.confidence(test_set.predictor)
    if isinstance(queries, Queries):
        program = _counterfactual_program(tuple(methods))
        values = over_batches(program, test_set, queries, seed, batch_size)
        return Scores(queries, dict(zip((*methods, *BASELINES), values)))
    program = _deliberative_program(tuple(methods), queries.top, queries.keep)
    means, each = over_batches(program, test_set, queries, seed, batch_size)
    return Scores(queries, dict(zip((*methods, *BASELINES), means)), dict(zip(methods, each)))


def part_iou(test_set: TestSet, queries: Queries, methods: Sequence[Method], seed: int, batch_size: int = 16) -> Scores:
    """PIoU of each method's region on the query with its region on the counter image, classes exchanged.

    The baselines are there too; the oracle points at the parts that tell the classes apart.

    Raises:
        TypeError: the annotations are no parts.
    """
    program = _rank_program(tuple(methods))
    keys = jax.random.split(jax.random.key(seed), 2 * len(queries.rows))
    exchanged = queries._replace(
        rows=queries.counter_rows, predicted=queries.counter, counter=queries.predicted, counter_rows=queries.rows
    )
    here = over_batches(program, test_set, queries, keys[::2], batch_size)
    there = over_batches(program, test_set, exchanged, keys[1::2], batch_size)
    curves = (part_iou_of_ranks(test_set, queries, ranks, counter_ranks) for ranks, counter_ranks in zip(here, there))
    return Scores(queries, {method: {"piou": curve} for method, curve in zip((*methods, *BASELINES), curves)})


def part_iou_of_ranks(
    test_set: TestSet,
    queries: Queries,
    ranks: Int[np.ndarray, "k P"],
    counter_ranks: Int[np.ndarray, "k P"],
    fractions: metrics.Fractions = metrics.FRACTIONS,
) -> Float[np.ndarray, "k T"]:
    """PIoU of two maps per query whose ranks at the parts (`metrics.ranks`) are known."""
    parts = test_set.annotations
    if not isinstance(parts, Parts):
        raise TypeError("PIoU needs a test set with parts")
    visible, counter_visible = (jnp.asarray(parts.visible[rows], bool) for rows in (queries.rows, queries.counter_rows))
    here, there = jnp.asarray(ranks), jnp.asarray(counter_ranks)
    return np.asarray(metrics.part_iou(here, there, visible, counter_visible, parts.size, fractions))


def over_batches(
    program: Callable[..., PyTree],
    test_set: TestSet,
    queries: Queries | HardImages,
    seed: int | Key[Array, " k"],
    batch_size: int = 16,
    *extra: Shaped[np.ndarray, "k ..."],
) -> PyTree:
    """Runs a jitted `(model, Batch or ImageBatch, *extra) -> arrays [B, ...]` over why-not queries or hard images.

    Args:
        program: jitted; what it computes of a query must not depend on the others of the batch.
        test_set: whose images are taken.
        queries: which images; an image may come several times.
        seed: of the key of each query, or these keys.
        batch_size: how many queries at once.
        extra: more arrays with one entry per query, which the program gets batch by batch.

    Returns:
        The program's results for all queries, as numpy arrays.

    Raises:
        InputError: there are no queries.
    """
    count = len(queries.rows)
    if count == 0:
        raise InputError("no image counts, so that there is nothing to evaluate")
    keys = jax.random.split(jax.random.key(seed), count) if isinstance(seed, int) else seed
    model = Model(test_set.net, test_set.predictor, jnp.asarray(test_set.shared))

    def batch_of(positions: Int[np.ndarray, " b"]) -> tuple[Any, ...]:
        rows = queries.rows[positions]
        annotations = jax.tree.map(lambda leaf: leaf[rows], test_set.annotations)
        batch: Any = ImageBatch(test_set.inputs(rows), annotations, keys[positions])
        if isinstance(queries, Queries):
            about = (queries.predicted, queries.counter, queries.truth)
            batch = Batch(*batch, *(array[positions] for array in about))
        return batch, *(array[positions] for array in extra)

    return batching.run(lambda given: program(model, *given), batch_of, count, batch_size)


def with_baselines(maps: Sequence[Float[Array, "B h w"]], batch: Batch) -> list[Float[Array, "B ..."]]:
    """The maps of a batch and those of `BASELINES`, the random one at the resolution of the others."""
    shape = (maps[0].shape[1], maps[0].shape[2])
    baselines = jax.vmap(lambda a, key, truth: a.baselines(key, truth, shape))
    return [*maps, *baselines(batch.annotations, batch.keys, batch.truth)]


def maps_of(methods: Sequence[Method], model: Model, batch: Batch) -> list[Float[Array, "B h w"]]:
    """The maps of counterfactual methods for a batch."""
    return counterfactual_maps(methods, model.net, model.predictor, batch.images, batch.predicted, batch.counter)


@functools.lru_cache(maxsize=8)
def _counterfactual_program(methods: tuple[Method, ...]) -> Callable[..., list[Measures]]:
    @jax.jit
    def program(model: Model, batch: Batch) -> list[Measures]:
        maps = with_baselines(maps_of(methods, model, batch), batch)

        def score(annotations: Annotations, maps: list[Array], truth: Array) -> list[Measures]:
            return _by_shape(lambda map_: annotations.score(map_, truth), maps)

        # One image at a time, so that its pixels stay in the cache.
        return jax.lax.map(lambda one: score(*one), (batch.annotations, maps, batch.truth))

    return program


@functools.lru_cache(maxsize=8)
def _rank_program(methods: tuple[Method, ...]) -> Callable[..., list[Array]]:
    @jax.jit
    def program(model: Model, batch: Batch) -> list[Array]:
        maps = with_baselines(maps_of(methods, model, batch), batch)

        def ranks(parts: Parts, maps: list[Array]) -> list[Array]:
            return _by_shape(lambda map_: metrics.ranks(map_, parts.points, parts.size), maps)

        return jax.lax.map(lambda one: ranks(*one), (batch.annotations, maps))

    return program


@functools.lru_cache(maxsize=8)
def _deliberative_program(methods: tuple[Method, ...], top: int, keep: int) -> Callable[..., Any]:
    @jax.jit
    def program(model: Model, batch: ImageBatch) -> tuple[list[Measures], list[dict[str, Array]]]:
        explained = [deliberative_maps(m, model.net, model.predictor, batch.images, top, keep) for m in methods]
        truths = [model.shared[one.pairs[..., 0], one.pairs[..., 1]] for one in explained]
        maps, truth = jnp.stack([one.maps for one in explained], axis=1), jnp.stack(truths, axis=1)
        scores = jax.vmap(lambda a, m, t: jax.vmap(lambda *pair: _score_each(a, *pair))(m, t))
        values = scores(batch.annotations, maps, truth)
        by_method = [jax.tree.map(lambda leaf, k=k: leaf[:, k], values) for k in range(len(methods))]
        shape = (maps.shape[3], maps.shape[4])
        baselines = jax.vmap(lambda a, key, t: _score_baselines(a, key, t, shape))
        others = baselines(batch.annotations, batch.keys, truths[0])
        occurs = [one.occurs for one in explained] + [explained[0].occurs] * len(others)
        means = [
            jax.tree.map(lambda leaf, o=occurring: _mean_where(leaf, o), every)
            for every, occurring in zip([*by_method, *others], occurs)
        ]
        each = []
        for one, every in zip(explained, by_method):
            strength = {"strength": jnp.where(one.occurs, one.strengths, jnp.nan)}
            each.append(strength | ({"precision": every["precision"]} if "precision" in every else {}))
        return means, each

    return program


def _by_shape(function: Callable[[Array], Any], maps: Sequence[Float[Array, "..."]]) -> list[Any]:
    """The function of every map, mapped over those of one shape at once: two programs to compile instead of a dozen."""
    results: dict[int, Any] = {}
    for shape in dict.fromkeys(map_.shape for map_ in maps):
        places = [place for place, map_ in enumerate(maps) if map_.shape == shape]
        values = jax.vmap(function)(jnp.stack([maps[place] for place in places]))
        results |= {place: jax.tree.map(lambda leaf, k=k: leaf[k], values) for k, place in enumerate(places)}
    return [results[place] for place in range(len(maps))]


def _score_each(annotations: Annotations, maps: Float[Array, "K h w"], truth: Bool[Array, "K P"]) -> Measures:
    return jax.vmap(annotations.score)(maps, truth)


def _score_baselines(
    annotations: Annotations, key: Key[Array, ""], truth: Bool[Array, "K P"], shape: tuple[int, int]
) -> list[Measures]:
    """Only the oracle depends on the truth; the others are looked at once."""
    scored = []
    for place, map_ in enumerate(annotations.baselines(key, truth[0], shape)):
        if BASELINES[place] == ORACLE:
            every = jax.vmap(lambda t, k=place: annotations.baselines(key, t, shape)[k])(truth)
            scored.append(_score_each(annotations, every, truth))
        elif isinstance(annotations, Parts):
            ranks = metrics.ranks(map_, annotations.points, annotations.size)
            scored.append(jax.vmap(lambda t, r=ranks: annotations.score_ranks(r, t))(truth))
        else:
            scored.append(jax.vmap(lambda t, m=map_: annotations.score(m, t))(truth))
    return scored


def _mean_where(values: Float[Array, "B K ..."], occurs: Bool[Array, "B K"]) -> Float[Array, "B ..."]:
    """The mean over an image's insecurities that occur and count."""
    return jnp.nanmean(jnp.where(occurs.reshape(occurs.shape + (1,) * (values.ndim - 2)), values, jnp.nan), axis=1)
