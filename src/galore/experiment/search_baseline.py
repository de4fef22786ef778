"""Exhaustive search on a test set: where its first edit points, and how fast it is beside discriminant maps."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from galore import explain
from galore.attribution import Attribution
from galore.benchmark.timing import Workload, interleaved
from galore.evaluation import metrics, search
from galore.evaluation.evaluate import Batch, Model, over_batches
from galore.evaluation.queries import Queries
from galore.evaluation.test_set import Parts, TestSet
from galore.experiment import inputs
from galore.experiment.config import Config
from galore.network import Network
from galore.training import architectures, checkpoint

ABOVE_ZERO = 1.0
"""The region of a cell in SCOUT's comparison: every pixel above zero of a map that is 1 in the cell and 0 elsewhere,
enlarged bilinearly. That is its largest 100 %, strictly above the lowest value: four cells large, less at the edges."""


def first_edits(test_set: TestSet, queries: Queries, batch_size: int) -> Int[np.ndarray, "k 2"]:
    """The cell of each query that the first edit replaces, and the cell of its counter image that it puts there.

    Returns:
        Row * width + column in the network's map.
    """
    counter_images, place = np.unique(queries.counter_rows, return_inverse=True)
    activations = test_set.run(test_set.images[counter_images], batch_size)[0][place]

    def edits(*, chunk: int) -> np.ndarray:
        return over_batches(_first_edits(chunk), test_set, queries, 0, batch_size, activations)

    return search.halving(edits, chunk=1024)


def score_cells(
    test_set: TestSet,
    queries: Queries,
    cells: Int[np.ndarray, "k 2"],
    truth: Bool[np.ndarray, "k P"],
    region: float = ABOVE_ZERO,
) -> dict[str, Float[np.ndarray, " k"]]:
    """The scores of the two cells that an edit exchanges, as regions; no search, so that one serves several truths.

    Args:
        test_set: with parts, or with masks of objects.
        queries: whose images and counter images the cells are of.
        cells: from `first_edits`.
        truth: which parts or objects the region of each query should hold.
        region: `ABOVE_ZERO`, the region that SCOUT compares with; or the largest fraction of the cell's map: one cell's
            share of the image gives regions as large as those of other maps.

    Returns:
        With parts "auroc", "recall", "precision", "piou" as the authors count it, and "piou, every image"; with masks
        "auroc" and "iou". NaN where a query does not count.
    """
    maps = cell_maps(cells, map_shape(test_set))
    return score_regions(test_set, queries, maps[:, 0], maps[:, 1], truth, region)


def score_regions(
    test_set: TestSet,
    queries: Queries,
    maps: Float[Array, "k h w"],
    counter_maps: Float[Array, "k H W"],
    truth: Bool[np.ndarray, "k P"],
    region: float,
) -> dict[str, Float[np.ndarray, " k"]]:
    """As `score_cells`, of the largest fraction `region` of any maps of the queries and of their counter images."""
    if not isinstance(test_set.annotations, Parts):
        return _score_masks(test_set, queries, maps, truth, region)
    here, there = (_rows(test_set.annotations, rows) for rows in (queries.rows, queries.counter_rows))
    ranks, counter_ranks = _ranks(maps, here), _ranks(counter_maps, there)
    visible, counter_visible = (jnp.asarray(some.visible, bool) for some in (here, there))
    size, at = test_set.size, (region,)
    curves = metrics.precision_recall(ranks, jnp.asarray(truth), visible, size, at)
    pairs = (ranks, counter_ranks, visible, counter_visible, size, at)
    measures = {
        "auroc": metrics.auroc(ranks, jnp.asarray(truth), visible),
        "recall": curves.recall[:, 0],
        "precision": curves.precision[:, 0],
        "piou": metrics.part_iou(*pairs)[:, 0],
        "piou, every image": metrics.part_iou(*pairs, every_image=True)[:, 0],
    }
    return {name: np.asarray(values) for name, values in measures.items()}


def cell_maps(cells: Int[np.ndarray, "*k"], shape: tuple[int, int]) -> Float[Array, "*k h w"]:
    """Maps that are 1 in a cell and 0 elsewhere."""
    return jax.nn.one_hot(cells, shape[0] * shape[1]).reshape(*np.shape(cells), *shape)


def map_shape(test_set: TestSet, net: Network | None = None) -> tuple[int, int]:
    """(height, width) of the network's map, or of another one's for the same images."""
    image = jnp.asarray(test_set.inputs(np.arange(1))[0])
    height, width, _ = jax.eval_shape((net or test_set.net).activation, image).shape
    return height, width


def earliest_on_the_map(config: Config, test_set: TestSet) -> Network:
    """The explained network, cut at its first layer whose map is as large as the explained one.

    Semantic search needs features that say which cells resemble each other. Its authors take the first block of the
    last stage of a self-supervised ResNet-50; later layers say less of the cell and more of the whole image.
    """
    opened = checkpoint.read(inputs.run_folder(config, config.checkpoint))
    layers = architectures.module(opened.description.network, len(opened.description.class_names)).layers()
    return next(net for net in map(opened.network, layers) if map_shape(test_set, net) == map_shape(test_set))


@jax.jit
def _ranks(maps: Float[Array, "k h w"], parts: Parts) -> Int[Array, "k P"]:
    """One image at a time, so that its pixels stay in the cache."""
    return jax.lax.map(lambda one: metrics.ranks(one[0], one[1], parts.size), (maps, parts.points))


def _score_masks(
    test_set: TestSet, queries: Queries, maps: Float[Array, "k h w"], truth: Bool[np.ndarray, "k P"], region: float
) -> dict[str, Float[np.ndarray, " k"]]:
    pixels_of = jax.jit(lambda map_, scene, truth: scene.score(map_, truth))
    given = (maps, _rows(test_set.annotations, queries.rows), jnp.asarray(truth))
    each = (pixels_of(*jax.tree.map(lambda leaf, k=k: leaf[k], given)) for k in range(len(maps)))
    found = [metrics.pixel_scores(np.asarray(one["keys"]), np.asarray(one["true"]), (region,)) for one in each]
    return {"auroc": np.array([one.auroc for one in found]), "iou": np.array([one.iou[0] for one in found])}


def _rows(annotations: Any, rows: Int[np.ndarray, " k"]) -> Any:
    """The annotations of some images."""
    return jax.tree.map(lambda leaf: jnp.asarray(leaf[rows]), annotations)


def _first_edits(chunk: int) -> Callable[..., Any]:
    """(model, batch, activations of the counter images) -> the edited cells [B, 2]."""

    @jax.jit
    def program(model: Model, batch: Batch, others: Any) -> Any:
        F = jax.vmap(model.net)(batch.images)[0]
        first = functools.partial(search.exhaustive, model.net, chunk=chunk)
        pairs = (F, others, batch.counter, batch.predicted)
        return jax.lax.map(lambda pair: first(*pair[:3], predicted=pair[3]).cells[0], pairs)

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
