"""What is timed: a forward pass, every explanation, a training step, counterfactual search, fast and naive."""

import functools
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array, Float, Int

from galore import attribution, confidence, counterparts, explain, part_tables
from galore.benchmark.timing import FORWARD, Made, Workload, compiled
from galore.errors import InputError
from galore.evaluation import search
from galore.network import Network
from galore.score_maps import map_options, score_maps
from galore.stream.device import divided, placed
from galore.training import loop, losses

STEPS, TOP, SAMPLED_CANDIDATES = 50, 5, 100
COMPARED = 200
"""Classes of part tables and counterparts, or all where there are fewer."""
Call = Callable[[Network, Float[Array, "B H W c"], Int[Array, " B"]], Any]

_second_order = partial(attribution.second_order, absolute_curvature=True)
_integrated = partial(attribution.integrated_gradients, steps=STEPS)


def _forward(net: Network, images: Array, counters: Array) -> Any:
    return jax.vmap(net)(images)[1]


def _forward_twice(net: Network, images: Array, counters: Array) -> tuple[Array, Array, Array]:
    F, _ = jax.vmap(net)(jnp.concatenate([images, images[::-1]]))
    return F[: len(images)], F[len(images) :], counters


def _search_pairs(net: Network, F: Array, others: Array, counters: Array) -> Any:
    return jax.lax.map(lambda pair: search.exhaustive(net, *pair), (F, others, counters))


def _search(net: Network, images: Array, counters: Array) -> Any:
    return _search_pairs(net, *_forward_twice(net, images, counters))


def _pair(net: Network, images: Array, counters: Array) -> Any:
    pair = explain.counterfactual(net, images, counters, images[::-1])
    return pair.query.maps, pair.counter.maps


def _every_class(net: Network, images: Array, counters: Array) -> Any:
    options = map_options(attribution.gradient_x_activation, None, explain.AUTHORS, explain.logits_as_scores)

    def one(image: Array) -> Any:
        F, logits = net(image)
        return score_maps(net, image, F, jnp.arange(len(logits)), (confidence.softmax_score,), options)

    return jax.vmap(one)(images)


def _of_noise(*shape: int) -> Array:
    return jax.random.normal(jax.random.key(0), shape)


def _tables(channels: int, classes: int) -> part_tables.PartTables:
    """Of the sizes that `part_tables.fit` gives."""
    places = min(channels, part_tables.DIMENSIONS)
    clusterings = tuple(
        part_tables.Clustering(_of_noise(parts, places), jnp.float32(1), _of_noise(classes, classes, parts))
        for parts in part_tables.PARTS
        for _ in range(part_tables.STARTS)
    )
    projection = _of_noise(channels, places)
    return part_tables.PartTables(_of_noise(channels), projection, clusterings, jnp.arange(classes))


def _counterparts(channels: int, classes: int) -> counterparts.Counterparts:
    """Of the sizes that `counterparts.fit` gives."""
    directions = min(channels, part_tables.DIMENSIONS)
    places = directions - min(classes - 1, directions // 2)
    weights = _of_noise(classes, places + 1, channels)
    return counterparts.Counterparts(_of_noise(channels), _of_noise(channels, places), weights, jnp.arange(classes))


WORKLOADS: dict[str, Call] = {
    FORWARD: _forward,
    "attributive": lambda net, x, c: explain.attributive(net, x).maps,
    "discriminant": lambda net, x, c: explain.discriminant(net, x, None, c).maps,
    "deliberative": lambda net, x, c: explain.deliberative(net, x, top=TOP).maps,
    "second order": lambda net, x, c: explain.discriminant(net, x, None, c, confidence_attribution=_second_order).maps,
    "integrated gradients": lambda net, x, c: explain.attributive(net, x, attribution=_integrated).maps,
    "discriminant, integrated gradients": lambda net, x, c: (
        explain.discriminant(net, x, None, c, attribution=_integrated).maps
    ),
    "grad-cam": lambda net, x, c: explain.attributive(net, x, attribution=attribution.grad_cam).maps,
    "maps of every class": _every_class,
    "standardised": lambda net, x, c: explain.standardised(net, x, None, c).maps,
    "counterfactual pair": _pair,
    "exhaustive search, first edit": _search,
}
FITTED: dict[str, tuple[Callable[[int, int], Any], Callable[..., Any]]] = {
    "part tables": (_tables, explain.by_part_tables),
    "counterparts": (_counterparts, explain.by_counterparts),
    "counterparts, standardised": (_counterparts, partial(explain.by_counterparts, standardised=True)),
}
"""What takes something besides that was fitted to other images, and that."""
ALONE, LOOP = "exhaustive search alone", "exhaustive search by a loop"
"""Without the forward passes, so that the two can be compared."""
TRAINING, REFERENCE = "training step", "reference"
"""The reference is the same in every record: by it one sees how fast the machine was at that time."""


def names() -> tuple[str, ...]:
    """Every workload that can be asked for."""
    return (*WORKLOADS, *FITTED, TRAINING, ALONE, LOOP)


def build(net: Network, names: Sequence[str], batch: int, dtype: str, seed: int = 0, size: int = 224) -> list[Workload]:
    """Compiles the workloads for one network, batch size and dtype, on all devices.

    Args:
        net, names, batch, dtype, seed, size: see `makers`.

    Raises:
        InputError: as `makers`.
    """
    return [make() for make in makers(net, names, batch, dtype, seed, size).values()]


def makers(
    net: Network,
    names: Sequence[str],
    batch: int,
    dtype: str,
    seed: int = 0,
    size: int = 224,
    where: Sequence[Any] | None = None,
) -> dict[str, Callable[[], Workload]]:
    """What compiles each workload, by its name, so that one that fails does not take the others along.

    Args:
        net: the network, float32.
        names: of the workloads; the forward pass is always among them, and comes first.
        batch: images at once, divided among the devices.
        dtype: "float32" or "bfloat16".
        seed: of the images, which are noise: their content does not change the cost.
        size: of the images in pixels.
        where: the devices; None: all, those of other processes too.

    Raises:
        InputError: an unknown workload, or a batch that the devices cannot share equally.
    """
    check_names(names)
    mesh = mesh_of(jax.devices() if where is None else where)
    if batch < 1 or batch % mesh.size:
        raise InputError(f"a batch of {batch} cannot be shared equally by {mesh.size} devices")
    net = net.astype(jnp.dtype(dtype))
    images = np.random.default_rng(seed).normal(size=(batch, size, size, 3)).astype(jnp.dtype(dtype))
    classes = jax.eval_shape(lambda net, x: net(x)[1], net, images[0]).shape[-1]
    counters = (np.arange(batch) % classes).astype(np.int32)
    # Made once, when the first of them needs it, which may be more than there is room for.
    arguments = functools.cache(lambda: placed(mesh, net, images, counters))

    def shared(name: str) -> Workload:
        call = WORKLOADS[name]
        return compiled(name, divided(call, mesh, 2), arguments(), batch, counted=call)

    def alone() -> Workload:
        pairs = jax.jit(divided(_forward_twice, mesh, 2))(*arguments())
        return compiled(ALONE, divided(_search_pairs, mesh, 3), (arguments()[0], *pairs), batch, counted=_search_pairs)

    def with_fitted(name: str) -> Workload:
        made, ask = FITTED[name]
        call = lambda both, images, counters: ask(both[0], images, both[1], None, counters).maps  # noqa: E731
        channels = jax.eval_shape(net.activation, images[0]).shape[-1]
        (both,) = placed(mesh, (net, made(channels, min(classes, COMPARED))))
        return compiled(name, divided(call, mesh, 2), (both, *arguments()[1:]), batch, counted=call)

    others = {
        **{name: partial(with_fitted, name) for name in FITTED},
        TRAINING: lambda: _training(mesh, *arguments()),
        ALONE: alone,
        LOOP: lambda: _loop(net, jnp.asarray(images), jnp.asarray(counters)),
    }
    wanted = [FORWARD, *dict.fromkeys(name for name in names if name != FORWARD)]
    return {name: others.get(name) or partial(shared, name) for name in wanted}


def check_names(works: Sequence[str]) -> None:
    """Refuses works that are not known.

    Raises:
        InputError: with those that are.
    """
    known = names()
    unknown = [name for name in works if name not in known]
    if unknown:
        raise InputError(f"unknown work {unknown[0]!r}, expected one of: {'; '.join(known)}")


def mesh_of(devices: Sequence[Any]) -> Mesh:
    """Devices in one row, as `stream.device` divides batches among them."""
    return jax.make_mesh((len(devices),), ("images",), devices=tuple(devices), axis_types=(AxisType.Auto,))


def reference() -> Workload:
    """A matrix product and a sum over more numbers than a cache holds, on one device of this process."""

    def work(held: tuple[Array, Array]) -> tuple[tuple[Array, Array]]:
        square, column = held
        return ((square @ square, column + 1),)

    return compiled(REFERENCE, work, ((jnp.full((512, 512), 1 / 512), jnp.ones(2**23)),), 1, carries=True)


def _training(mesh: Mesh, net: Network, images: Array, counters: Array) -> Workload:
    """One step of stochastic gradient descent; the devices share the batch and add up their gradients."""
    leaves, structure = jax.tree.flatten(net)
    given = {str(number): leaf for number, leaf in enumerate(leaves)}
    trained = tuple(name for name, leaf in given.items() if jnp.issubdtype(leaf.dtype, jnp.floating))

    def loss(params: Any, batch: Any, key: Any) -> Any:
        whole = jax.tree.unflatten(structure, [params[name] for name in given])
        logits = jax.vmap(whole)(batch["image"])[1].astype(jnp.float32)
        return losses.cross_entropy(logits, batch["label"], 0.0).mean(), ({}, {})

    # The weights are random, and none of the many steps may spoil them.
    optimiser = optax.sgd(1e-9, momentum=0.9)
    step = loop.make_step(loss, optimiser, seed=0)
    # Each step takes the memory of the state before it, so that the network's own must not be given.
    copied = jax.tree.map(lambda leaf: jnp.array(leaf, copy=True), loop.initial_state(given, trained, optimiser))
    state = jax.device_put(copied, NamedSharding(mesh, PartitionSpec()))
    batch = {"image": images, "label": counters}
    return compiled(TRAINING, step, (state, batch), len(images), counted=step, carries=True)


def _loop(net: Network, images: Array, counters: Array) -> Workload:
    """A Python loop over candidates on one device, one head evaluation each: some are timed, and multiplied to all."""
    start = time.perf_counter()
    F, others, _ = jax.block_until_ready(jax.jit(_forward_twice)(net, images[:1], counters[:1]))
    query, cells = F[0], others[0].reshape(-1, F.shape[-1])
    log_probability = jax.jit(lambda net, F, c: jax.nn.log_softmax(net.head(net.params, F).astype(jnp.float32))[c])
    replace = jax.jit(lambda F, cell, row, column: F.at[row, column].set(cell))
    width, candidates = query.shape[1], query.shape[0] * query.shape[1] * len(cells)

    def call() -> float:
        best = -jnp.inf
        for k in range(SAMPLED_CANDIDATES):
            edited = replace(query, cells[k % len(cells)], k // width % len(query), k % width)
            best = max(best, float(log_probability(net, edited, counters[0])))
        return float(best)

    call()
    repeats = len(images) * candidates / SAMPLED_CANDIDATES
    return Workload(LOOP, call, len(images), Made(compile_s=time.perf_counter() - start), repeats)


@functools.cache
def description(name: str) -> str:
    """What a workload does, in a few words."""
    return {
        FORWARD: "logits alone",
        "attributive": "gradient x activation of the prediction",
        "discriminant": "three maps: prediction, counter class, confidence",
        "deliberative": f"all pairs of the top {TOP} and the difficulty",
        "second order": "discriminant, the confidence by exact second order",
        "integrated gradients": f"of the prediction, activation path, {STEPS} steps",
        "discriminant, integrated gradients": f"three maps, {STEPS} steps each",
        "grad-cam": "Grad-CAM of the prediction",
        "maps of every class": "one map for each class, and of the confidence",
        TRAINING: "cross-entropy, its gradient, SGD with momentum; as in use, BatchNorm does not count anew",
        "standardised": "the maps of all classes, compared at each cell",
        "part tables": f"against all classes of the tables, at most {COMPARED}",
        "counterparts": f"against one of at most {COMPARED} classes",
        "counterparts, standardised": f"against all of them, at most {COMPARED}",
        "counterfactual pair": "two images, three maps each",
        "exhaustive search, first edit": "two images, every pair of cells, exact",
        ALONE: "the same, the forward passes left out",
        LOOP: f"one head evaluation a pair, extrapolated from {SAMPLED_CANDIDATES}",
    }.get(name, "")
