"""Maps of many methods, judged on the same images in one pass over them.

A method is a name and the maps that it makes; what they should point at is the truth of each map. A counterfactual
question has one map and one truth per image, a deliberative explanation one of each per insecurity.
"""

import functools
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Shaped

from galore.confidence import Predictor
from galore.evaluation import metrics
from galore.evaluation.questions import Questions
from galore.evaluation.subject import Measures, Parts, Subject, in_batches
from galore.network import Network

Maps = dict[str, Float[Array, "B h w"]]
DiscriminantMethods = Callable[[Network, Predictor | None, Array, Array, Array], Maps]
"""(net, predictor, images, predicted, counter) -> maps by the name of the method."""


class Insecurities(NamedTuple):
    """K maps per image, what each should point at, which of them the explanation contains, and their two classes."""

    maps: Float[Array, "B K h w"]
    truth: Bool[Array, "B K P"]
    chosen: Bool[Array, "B K"]
    strengths: Float[Array, "B K"]
    pairs: Int[Array, "B K 2"]


DeliberativeMethods = Callable[[Network, Predictor | None, Array, Array], dict[str, Insecurities]]
"""(net, predictor, images, shared[C, C, P]) -> insecurities by the name of the method."""

Judged = dict[str, dict[str, Shaped[np.ndarray, "k ..."]]]
"""method -> measure -> one number, or one curve, per question. Methods keep their order, baselines come last: hence the
ordered dictionaries below, whose order jax keeps."""


def judge_discriminant(
    subject: Subject,
    questions: Questions,
    methods: DiscriminantMethods,
    seed: int,
    batch_size: int = 16,
    truth: Bool[np.ndarray, "k P"] | None = None,
) -> Judged:
    """Scores each method's maps at what tells the two classes apart, and the four baselines beside them.

    Args:
        subject: the network and its images.
        questions: what is asked about them.
        methods: the maps to compare.
        seed: of the random baselines.
        batch_size: images at once.
        truth: what the maps should point at; None: what tells the two classes apart.
    """

    if truth is None:
        truth = subject.discriminant[questions.predicted, questions.counter]
    keys = jax.random.split(jax.random.key(seed), len(truth))
    arguments = (questions.predicted, questions.counter, truth, keys)
    return in_batches(_discriminant_batch(methods), subject, questions.rows, *arguments, batch_size=batch_size)


def judge_deliberative(
    subject: Subject, rows: np.ndarray, methods: DeliberativeMethods, seed: int, batch_size: int = 8
) -> tuple[Judged, dict[str, dict[str, np.ndarray]]]:
    """Scores each method's insecurities at what their two classes share, averaged over those of an image.

    Returns:
        The scores per image, and per method the "precision" at every region size [k, K, T] and the "strength" [k, K]
        of each insecurity (NaN where it is not chosen).
    """
    shared = np.broadcast_to(subject.shared, (len(rows), *subject.shared.shape))
    keys = jax.random.split(jax.random.key(seed), len(rows))
    means, each = in_batches(_deliberative_batch(methods), subject, rows, keys, shared, batch_size=batch_size)
    return means, each


def part_iou(
    subject: Subject, questions: Questions, methods: DiscriminantMethods, seed: int, batch_size: int = 16
) -> Judged:
    """PIoU of each method's region on the query with its region on the counter image, classes exchanged.

    The baselines are there too; the oracle points at the parts that tell the classes apart.

    Raises:
        TypeError: the annotations are no parts.
    """
    annotations = subject.annotations
    if not isinstance(annotations, Parts):
        raise TypeError("part_iou needs a subject with parts")

    truth = subject.discriminant[questions.predicted, questions.counter]
    keys = jax.random.split(jax.random.key(seed), 2 * len(truth))
    sides = (
        (questions.rows, questions.predicted, questions.counter, truth, keys[::2]),
        (questions.counter_rows, questions.counter, questions.predicted, truth, keys[1::2]),
    )
    query, counter = (in_batches(_rank_batch(methods), subject, *side, batch_size=batch_size) for side in sides)
    here, there = (jnp.asarray(annotations.visible[rows], bool) for rows in (questions.rows, questions.counter_rows))
    curves = {
        name: metrics.part_iou(jnp.asarray(query[name]), jnp.asarray(counter[name]), here, there, subject.size)
        for name in query
    }
    return {name: {"piou": np.asarray(curve)} for name, curve in curves.items()}


# Each batch function is made once for its methods, so that jax compiles it once for all users and both images.


@functools.lru_cache(maxsize=8)
def _discriminant_batch(methods: DiscriminantMethods) -> Callable[..., Any]:
    def batch(net: Network, predictor: Any, images: Array, notes: Any, y: Array, c: Array, truth: Array, keys: Array):
        maps = methods(net, predictor, images, y, c)
        maps |= baseline_maps(notes, keys, truth, maps)
        # One image at a time, so that its pixels stay in the cache.
        scores = jax.lax.map(lambda one: _score_all(*one), (notes, maps, truth))
        return OrderedDict((name, scores[name]) for name in maps)

    return batch


@functools.lru_cache(maxsize=8)
def _rank_batch(methods: DiscriminantMethods) -> Callable[..., Any]:
    def batch(net: Network, predictor: Any, images: Array, notes: Any, y: Array, c: Array, truth: Array, keys: Array):
        maps = methods(net, predictor, images, y, c)
        maps |= baseline_maps(notes, keys, truth, maps)
        one = lambda n, m: _each_shape(lambda x: metrics.ranks(x, n.points, n.size), m)  # noqa: E731
        ranked = jax.lax.map(lambda x: one(*x), (notes, maps))
        return OrderedDict((name, ranked[name]) for name in maps)

    return batch


@functools.lru_cache(maxsize=8)
def _deliberative_batch(methods: DeliberativeMethods) -> Callable[..., Any]:
    def batch(net: Network, predictor: Any, images: Array, notes: Any, keys: Array, shared: Array):
        found = methods(net, predictor, images, shared[0])
        first = next(iter(found.values()))
        shape = (first.maps.shape[2], first.maps.shape[3])
        maps, truth = (jnp.stack([some[k] for some in found.values()], axis=1) for k in (0, 1))
        scores = jax.vmap(lambda n, m, t: jax.vmap(lambda *x: _score_each(n, *x))(m, t))(notes, maps, truth)
        judged = {name: jax.tree.map(lambda x, k=k: x[:, k], scores) for k, name in enumerate(found)}
        others = jax.vmap(lambda n, k, t: _score_baselines(n, k, t, shape))(notes, keys, first.truth)
        chosen = {name: some.chosen for name, some in found.items()} | dict.fromkeys(others, first.chosen)
        means = OrderedDict(
            (name, jax.tree.map(lambda x, c=chosen[name]: _mean_of(x, c), every))
            for name, every in (judged | others).items()
        )
        each = OrderedDict()
        for name, some in found.items():
            each[name] = {"strength": jnp.where(some.chosen, some.strengths, jnp.nan)}
            if "precision" in judged[name]:
                each[name]["precision"] = judged[name]["precision"]
        return means, each

    return batch


def baseline_maps(notes: Any, keys: Array, truth: Array, maps: dict[str, Array]) -> dict[str, Array]:
    """The baselines of a batch, the random one at the resolution of the other maps."""
    shape = next(iter(maps.values())).shape[1:]
    return dict(jax.vmap(lambda n, k, t: n.baselines(k, t, shape))(notes, keys, truth))


def _each_shape(function: Callable[[Array], Any], maps: dict[str, Float[Array, "..."]]) -> dict[str, Any]:
    """The function of every map, mapped over those of one shape at once: two programs to compile instead of a dozen."""
    made: dict[str, Any] = {}
    for shape in dict.fromkeys(map_.shape for map_ in maps.values()):
        names = [name for name, map_ in maps.items() if map_.shape == shape]
        results = jax.vmap(function)(jnp.stack([maps[name] for name in names]))
        made |= {name: jax.tree.map(lambda x, k=k: x[k], results) for k, name in enumerate(names)}
    return {name: made[name] for name in maps}


def _score_all(notes: Any, maps: dict[str, Array], truth: Array) -> dict[str, Measures]:
    return _each_shape(lambda map_: notes.score(map_, truth), maps)


def _score_each(notes: Any, maps: Float[Array, "K h w"], truth: Bool[Array, "K P"]) -> Measures:
    return jax.vmap(notes.score)(maps, truth)


def _score_baselines(notes: Any, key: Array, truth: Bool[Array, "K P"], shape: tuple[int, int]) -> dict[str, Measures]:
    """Only the oracle depends on the truth; the others are looked at once."""
    every = jax.vmap(lambda t: notes.baselines(key, t, shape)["oracle"])(truth)
    once = notes.baselines(key, truth[0], shape)
    scored = {}
    for name in ("random map", "centred Gaussian", "whole object"):
        if isinstance(notes, Parts):
            ranks = metrics.ranks(once[name], notes.points, notes.size)
            scored[name] = jax.vmap(lambda t, r=ranks: notes.score_ranks(r, t))(truth)
        else:
            scored[name] = jax.vmap(lambda t, m=once[name]: notes.score(m, t))(truth)
    return scored | {"oracle": _score_each(notes, every, truth)}


def _mean_of(values: Float[Array, "B K ..."], chosen: Bool[Array, "B K"]) -> Float[Array, "B ..."]:
    """The mean over an image's chosen maps that count."""
    return jnp.nanmean(jnp.where(chosen.reshape(chosen.shape + (1,) * (values.ndim - 2)), values, jnp.nan), axis=1)
