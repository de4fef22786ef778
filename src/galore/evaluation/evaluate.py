"""The one way from images to numbers: `evaluate(test_set, queries, methods, seed) -> Scores`.

The maps of many methods are scored on the same images in one pass over them, the baselines beside them. A
counterfactual query has one map and one truth per image, a deliberative one has one of each per insecurity.
"""

import dataclasses
import functools
import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Key, PyTree, Shaped

from galore import batching, explain
from galore.confidence import Predictor
from galore.counterparts import Counterparts
from galore.errors import InputError
from galore.evaluation import metrics
from galore.evaluation.ground_truth import AttributeTable
from galore.evaluation.methods import BASELINES, ORACLE, Method, counterfactual_maps, deliberative_maps
from galore.evaluation.queries import HardImages, Queries
from galore.evaluation.test_set import Annotations, Measures, Parts, TestSet, judged
from galore.network import Network
from galore.part_tables import PartTables

RECALL = 0.5
RECALLS = tuple(percent / 100 for percent in range(10, 100, 10))
"""Where precision is read at equal recall: at one recall, and along the whole curve."""
SCENE_REGIONS = (0.1, 0.3, 0.5, 0.7, 0.9)
"""The region sizes whose IoUs the authors average on scenes."""


PRECISION_AT_RECALL, AREA, MEAN_IOU = "precision at recall 0.5", "area under precision-recall", "mean iou"
"""What the papers' curves come down to, beside "specificity" and "auroc", which are ours."""


class Model(NamedTuple):
    """What an evaluation runs, the same for every batch; ground truth by table of attributes, the chosen one first."""

    net: Network
    predictor: Predictor | None
    discriminant: Bool[Array, "A C C P"]
    shared: Bool[Array, "A C C P"]
    tables: PartTables | None = None
    counterparts: Counterparts | None = None


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
        insecurities: of deliberative methods, of each insecurity of an image, NaN where it does not occur: "strength"
            [k, K], "strengths" [k, K, T] of regions of each size, and on parts "precision" [k, K, A, T] by each table
            of attributes, the chosen one first.
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

    def of(self, methods: Sequence[Method]) -> "Scores":
        """The same of some methods."""
        own, other, each = (
            {method: values for method, values in some.items() if method in methods}
            for some in (self.by_method, self.by_other_table, self.insecurities)
        )
        return dataclasses.replace(self, by_method=own, by_other_table=other, insecurities=each)

    def only(self, *measures: str) -> "Scores":
        """The same without other measures."""
        kept, other = (
            {method: {name: values[name] for name in measures if name in values} for method, values in some.items()}
            for some in (self.by_method, self.by_other_table)
        )
        return dataclasses.replace(self, by_method=kept, by_other_table=other)


def evaluate(
    test_set: TestSet,
    queries: Queries | HardImages,
    methods: Sequence[Method],
    seed: int,
    batch_size: int = 16,
    *,
    every_class: bool = True,
) -> Scores:
    """Scores each method's maps at the truth of the queries, and those of the four baselines.

    Args:
        test_set: the network and its images.
        queries: why-not queries, whose maps should point at `queries.truth`; or hard images, whose insecurities should
            point at what their two classes share, averaged over those of an image.
        methods: counterfactual or deliberative ones, as the queries.
        seed: of the random baselines.
        batch_size: images at once.
        every_class: ask about every other class as well, for the specificity; the classes share one linearisation.

    Raises:
        InputError: no query, or a method needs a predictor or part tables, and there are none.
    """
    for method in methods:
        if (score := method.score_with(test_set.predictor)) is not None:
            score.confidence(test_set.predictor)
    if isinstance(queries, Queries):
        program = _counterfactual_program(tuple(methods), every_class)
        table = None if test_set.other is None or queries.other_truth is None else test_set.other.discriminant_table
        by_table = [queries.truth] if table is None else [queries.truth, queries.other_truth]
        truths = np.stack(by_table, axis=1)  # type: ignore[arg-type]
        values = over_batches(program, test_set, queries, seed, batch_size, truths)
        return _scores(queries, (*methods, *BASELINES), values, table)
    program = _deliberative_program(tuple(methods), queries.top, queries.keep)
    values, each = over_batches(program, test_set, queries, seed, batch_size)
    table = None if test_set.other is None else test_set.other.shared_table
    scores = _scores(queries, (*methods, *BASELINES), values, table)
    return dataclasses.replace(scores, insecurities=dict(zip(methods, each)))


def _scores(
    queries: Queries | HardImages,
    methods: tuple[Method, ...],
    values: Sequence[Mapping[str, Shaped[np.ndarray, "k A ..."]]],
    table: AttributeTable | None,
) -> Scores:
    """Scores of measures by table of attributes, the chosen one first."""

    def at(place: int) -> dict[Method, dict[str, np.ndarray]]:
        by = zip(methods, values)
        return {method: _summarised({name: some[:, place] for name, some in one.items()}) for method, one in by}

    return Scores(queries, at(0), by_other_table={} if table is None else at(1), other_table=table)


def _summarised(measures: dict[str, Shaped[np.ndarray, "k ..."]]) -> dict[str, Shaped[np.ndarray, "k ..."]]:
    """With the numbers by which the papers' curves are compared: precision at equal recall, the IoUs' mean."""
    if "precision" in measures:
        curves = (measures["precision"], measures["recall"])
        at_recall = metrics.equal_recall_by_image(*curves, (RECALL,))
        area = metrics.equal_recall_by_image(*curves, RECALLS)
        measures = {PRECISION_AT_RECALL: at_recall, AREA: area} | measures
    if "iou" in measures:
        places = [metrics.FRACTIONS.index(region) for region in SCENE_REGIONS]
        measures = {MEAN_IOU: measures["iou"][:, places].mean(axis=1)} | measures
    return measures


def part_iou(test_set: TestSet, queries: Queries, methods: Sequence[Method], seed: int, batch_size: int = 16) -> Scores:
    """PIoU of each method's region on the query with its region on the counter image, classes exchanged.

    "piou" by the authors' rule and "piou, every image" by ours (`metrics.part_iou`). The baselines are there too; the
    oracle points at the parts that tell the classes apart.

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
    by_method = {
        method: {
            name: part_iou_of_ranks(test_set, queries, *both, every_image=every_image)
            for name, every_image in (("piou", False), ("piou, every image", True))
        }
        for method, *both in zip((*methods, *BASELINES), here, there)
    }
    return Scores(queries, by_method)


def part_iou_of_ranks(
    test_set: TestSet,
    queries: Queries,
    ranks: Int[np.ndarray, "k P"],
    counter_ranks: Int[np.ndarray, "k P"],
    fractions: metrics.Fractions = metrics.FRACTIONS,
    *,
    every_image: bool = False,
) -> Float[np.ndarray, "k T"]:
    """PIoU of two maps per query whose ranks at the parts (`metrics.ranks`) are known."""
    parts = test_set.annotations
    if not isinstance(parts, Parts):
        raise TypeError("PIoU needs a test set with parts")
    visible, counter_visible = (jnp.asarray(parts.visible[rows], bool) for rows in (queries.rows, queries.counter_rows))
    given = (jnp.asarray(ranks), jnp.asarray(counter_ranks), visible, counter_visible, parts.size, fractions)
    return np.asarray(metrics.part_iou(*given, every_image=every_image))


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
    other = test_set.other
    truths = [test_set] if other is None else [test_set, other]
    discriminant, shared = (jnp.stack([getattr(t, name) for t in truths]) for name in ("discriminant", "shared"))
    model = Model(test_set.net, test_set.predictor, discriminant, shared, test_set.tables, test_set.counterparts)

    def batch_of(positions: Int[np.ndarray, " b"]) -> tuple[Any, ...]:
        rows = queries.rows[positions]
        annotations = jax.tree.map(lambda leaf: leaf[rows], test_set.annotations)
        batch: Any = ImageBatch(test_set.inputs(rows), annotations, keys[positions])
        if isinstance(queries, Queries):
            about = (queries.predicted, queries.counter, queries.truth)
            batch = Batch(*batch, *(array[positions] for array in about))
        return batch, *(array[positions] for array in extra)

    what = f"{queries.user} user" if isinstance(queries, Queries) else "hard images"
    return batching.run(lambda given: program(model, *given), batch_of, count, batch_size, what)


def with_baselines(maps: Sequence[Float[Array, "B h w"]], batch: Batch) -> list[Float[Array, "B ..."]]:
    """The maps of a batch and those of `BASELINES`, the random one at the resolution of the others."""
    shape = (maps[0].shape[1], maps[0].shape[2])
    baselines = jax.vmap(lambda a, key, truth: a.baselines(key, truth, shape))
    return [*maps, *baselines(batch.annotations, batch.keys, batch.truth)]


def maps_of(methods: Sequence[Method], model: Model, batch: Batch) -> list[Float[Array, "B h w"]]:
    """The maps of counterfactual methods for a batch."""
    return [maps[:, 0] for maps in _maps_against(methods, model, batch, batch.counter[:, None])]


def _maps_against(
    methods: Sequence[Method], model: Model, batch: Batch, counters: Int[Array, "B K"]
) -> list[Float[Array, "B K h w"]]:
    asked = (batch.images, batch.predicted, counters)
    return counterfactual_maps(methods, model.net, model.predictor, *asked, model.tables, model.counterparts)


@functools.lru_cache(maxsize=8)
def _counterfactual_program(methods: tuple[Method, ...], every_class: bool) -> Callable[..., list[Measures]]:
    """(model, batch, truths [B, A, P]) -> for each method and baseline measures [B, A, ...]."""

    @jax.jit
    def program(model: Model, batch: Batch, truths: Bool[Array, "B A P"]) -> list[Measures]:
        if not every_class:
            maps = maps_of(methods, model, batch)
            return _scored_by_image(batch, maps, truths)
        # Every class but the predicted one, in order.
        others = jnp.arange(model.discriminant.shape[1] - 1)
        others = others + (others >= batch.predicted[:, None])
        against = _maps_against(methods, model, batch, others)
        asked = batch.counter - (batch.counter > batch.predicted)
        measures = _scored_by_image(batch, [maps[jnp.arange(len(maps)), asked] for maps in against], truths)
        specific = lambda a, maps, y, c: _specificities(a, maps, model.discriminant[:, y, c])  # noqa: E731
        asked_about = (batch.annotations, against, batch.predicted, others)
        for one, values in zip(measures, jax.lax.map(lambda each: specific(*each), asked_about)):
            one["specificity"] = values
        return measures

    return lambda *given: [judged(one) for one in program(*given)]


def _scored_by_image(batch: Batch, maps: list[Float[Array, "B h w"]], truths: Bool[Array, "B A P"]) -> list[Measures]:
    """The measures of the maps and of the baselines, by each truth of an image."""
    shape = (maps[0].shape[1], maps[0].shape[2])

    def score(annotations: Annotations, maps: list[Array], truths: Array, key: Array) -> list[Measures]:
        own = _by_shape(lambda map_: jax.vmap(lambda truth: annotations.score(map_, truth))(truths), maps)
        return own + _score_baselines(annotations, key, truths, shape)

    # One image at a time, so that its pixels stay in the cache.
    return jax.lax.map(lambda one: score(*one), (batch.annotations, maps, truths, batch.keys))


def _specificities(
    annotations: Annotations, maps: Sequence[Float[Array, "K h w"]], truths: Bool[Array, "A K P"]
) -> list[Float[Array, " A"]]:
    """Of the maps of one image against every other class, and of the baselines: what sees no class, and an oracle."""
    present = annotations.present

    def specificity(values: Float[Array, "K P"]) -> Float[Array, " A"]:
        return jax.vmap(lambda truth: metrics.specificity(values, truth, present))(truths)

    own = [specificity(annotations.read(one)) for one in maps]
    blind = specificity(jnp.zeros(truths.shape[1:]))
    best = jax.vmap(lambda truth: metrics.specificity(truth.astype(jnp.float32), truth, present))(truths)
    return own + [best if method == ORACLE else blind for method in BASELINES]


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
    """(model, batch) -> for each method and baseline measures [B, A, ...], the means over an image's insecurities; and
    for each method its insecurities."""

    @jax.jit
    def program(model: Model, batch: ImageBatch) -> tuple[list[Measures], list[Array], list[dict[str, Array]]]:
        explained = [deliberative_maps(m, model.net, model.predictor, batch.images, top, keep) for m in methods]
        # Truth by table of attributes comes last but one, so that a map is looked at once for all tables.
        truths = [jnp.moveaxis(model.shared[:, one.pairs[..., 0], one.pairs[..., 1]], 0, 2) for one in explained]
        maps, truth = jnp.stack([one.maps for one in explained], axis=1), jnp.stack(truths, axis=1)
        scores = jax.vmap(lambda a, m, t: jax.vmap(lambda *pair: _score_each(a, *pair))(m, t))
        values = scores(batch.annotations, maps, truth)
        by_method = [jax.tree.map(lambda leaf, k=k: leaf[:, k], values) for k in range(len(methods))]
        shape = (maps.shape[3], maps.shape[4])
        others = jax.vmap(lambda a, key, t: _baselines_of_pairs(a, key, t, shape))
        every = [*by_method, *others(batch.annotations, batch.keys, truths[0])]
        occurs = [one.occurs for one in explained] + [explained[0].occurs] * len(BASELINES)
        return every, occurs, [_described(one, measures) for one, measures in zip(explained, by_method)]

    @jax.jit
    def means(every: list[Measures], occurs: list[Array]) -> list[Measures]:
        return [jax.tree.map(lambda leaf, o=o: _mean_where(leaf, o), some) for some, o in zip(every, occurs)]

    def scored(*given: Any) -> tuple[list[Measures], list[dict[str, Array]]]:
        every, occurs, each = program(*given)
        return means([judged(one) for one in every], occurs), each

    return scored


def _described(one: explain.Deliberative, measures: Measures) -> dict[str, Array]:
    """The strength of each insecurity, over its region and over those of every size, and its precision."""
    cells = jnp.sort(one.maps.reshape(*one.maps.shape[:2], -1), axis=-1, descending=True)
    counts = np.ceil(np.array(metrics.FRACTIONS) * cells.shape[-1]).astype(int)
    strengths = jnp.cumsum(cells, axis=-1)[..., counts - 1] / counts
    there = jnp.where(one.occurs, 1.0, jnp.nan)
    described = {"strength": one.strengths * there, "strengths": strengths * there[..., None]}
    return described | ({"precision": measures["precision"]} if "precision" in measures else {})


def _by_shape(function: Callable[[Array], Any], maps: Sequence[Float[Array, "..."]]) -> list[Any]:
    """The function of every map, mapped over those of one shape at once: two programs to compile instead of a dozen."""
    results: dict[int, Any] = {}
    for shape in dict.fromkeys(map_.shape for map_ in maps):
        places = [place for place, map_ in enumerate(maps) if map_.shape == shape]
        values = jax.vmap(function)(jnp.stack([maps[place] for place in places]))
        results |= {place: jax.tree.map(lambda leaf, k=k: leaf[k], values) for k, place in enumerate(places)}
    return [results[place] for place in range(len(maps))]


def _score_each(annotations: Annotations, maps: Float[Array, "K h w"], truths: Bool[Array, "K A P"]) -> Measures:
    return jax.vmap(lambda map_, some: jax.vmap(lambda truth: annotations.score(map_, truth))(some))(maps, truths)


def _baselines_of_pairs(
    annotations: Annotations, key: Key[Array, ""], truths: Bool[Array, "K A P"], shape: tuple[int, int]
) -> list[Measures]:
    """The measures of the baselines, by pair of classes and by table of attributes."""
    pairs, tables, parts = truths.shape
    scored = _score_baselines(annotations, key, truths.reshape(-1, parts), shape)
    return jax.tree.map(lambda leaf: leaf.reshape(pairs, tables, *leaf.shape[1:]), scored)


def _score_baselines(
    annotations: Annotations, key: Key[Array, ""], truth: Bool[Array, "K P"], shape: tuple[int, int]
) -> list[Measures]:
    """Only the oracle depends on the truth; the others are looked at once."""
    scored = []
    for place, map_ in enumerate(annotations.baselines(key, truth[0], shape)):
        if BASELINES[place] == ORACLE:
            one = lambda t, k=place: annotations.score(annotations.baselines(key, t, shape)[k], t)  # noqa: E731
            scored.append(jax.vmap(one)(truth))
        elif isinstance(annotations, Parts):
            ranks = metrics.ranks(map_, annotations.points, annotations.size)
            scored.append(jax.vmap(lambda t, r=ranks: annotations.score_ranks(r, t))(truth))
        else:
            scored.append(jax.vmap(lambda t, m=map_: annotations.score(m, t))(truth))
    return scored


def _mean_where(values: Float[Array, "B K ..."], occurs: Bool[Array, "B K"]) -> Float[Array, "B ..."]:
    """The mean over an image's insecurities that occur and count."""
    return jnp.nanmean(jnp.where(occurs.reshape(occurs.shape + (1,) * (values.ndim - 2)), values, jnp.nan), axis=1)
