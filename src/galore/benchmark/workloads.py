"""What is timed: a forward pass, every explanation, and counterfactual search in its fast and its naive form."""

import functools
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from galore import attribution, explain, part_tables
from galore.benchmark.timing import FORWARD, Workload, compiled
from galore.errors import InputError
from galore.evaluation import search
from galore.network import Network
from galore.stream.device import all_devices, divided, placed

STEPS, TOP, SAMPLED_CANDIDATES = 50, 5, 100
COMPARED = 200
"""Classes of the part tables, or all where there are fewer."""
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


def _part_tables(net: tuple[Network, part_tables.PartTables], images: Array, counters: Array) -> Any:
    return explain.by_part_tables(net[0], images, net[1], None, counters).maps


def _tables(channels: int, classes: int) -> part_tables.PartTables:
    """Tables of the sizes that `part_tables.fit` gives, of noise."""
    compared, places = min(classes, COMPARED), min(channels, part_tables.DIMENSIONS)
    normal = lambda *shape: jax.random.normal(jax.random.key(0), shape)  # noqa: E731
    clusterings = tuple(
        part_tables.Clustering(normal(parts, places), jnp.float32(1), normal(compared, compared, parts))
        for parts in part_tables.PARTS
        for _ in range(part_tables.STARTS)
    )
    return part_tables.PartTables(normal(channels), normal(channels, places), clusterings, jnp.arange(compared))


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
    "standardised": lambda net, x, c: explain.standardised(net, x, None, c).maps,
    "counterfactual pair": _pair,
    "exhaustive search, first edit": _search,
}
PART_TABLES = "part tables"
"""Takes tables besides."""
ALONE, LOOP = "exhaustive search alone", "exhaustive search by a loop"
"""Without the forward passes, so that the two can be compared."""


def names() -> tuple[str, ...]:
    """Every workload that can be asked for."""
    return (*WORKLOADS, PART_TABLES, ALONE, LOOP)


def build(net: Network, names: list[str], batch: int, dtype: str, seed: int = 0, size: int = 224) -> list[Workload]:
    """Compiles the workloads for one network, batch size and dtype, on all devices.

    Args:
        net: the network, float32.
        names: of the workloads; the forward pass is always among them.
        batch: images at once, divided among the devices.
        dtype: "float32" or "bfloat16".
        seed: of the images, which are noise: their content does not change the cost.
        size: of the images in pixels.

    Raises:
        InputError: an unknown workload, or a batch that the devices cannot share equally.
    """
    known = (*WORKLOADS, PART_TABLES, ALONE, LOOP)
    unknown = [name for name in names if name not in known]
    if unknown:
        raise InputError(f"unknown work {unknown[0]!r}, expected one of: {'; '.join(known)}")
    mesh, net = all_devices(), net.astype(jnp.dtype(dtype))
    if batch < 1 or batch % mesh.size:
        raise InputError(f"a batch of {batch} cannot be shared equally by {mesh.size} devices")
    images = jax.random.normal(jax.random.key(seed), (batch, size, size, 3), jnp.dtype(dtype))
    classes = jax.eval_shape(lambda net, x: net(x)[1], net, images[0]).shape[-1]
    counters = jnp.arange(batch) % classes
    arguments = placed(mesh, net, images, counters)
    workloads = [
        compiled(name, divided(WORKLOADS[name], mesh, 2), arguments, batch)
        for name in {FORWARD: None, **dict.fromkeys(names)}
        if name in WORKLOADS
    ]
    if PART_TABLES in names:
        (with_tables,) = placed(mesh, (net, _tables(jax.eval_shape(net.activation, images[0]).shape[-1], classes)))
        workloads.append(compiled(PART_TABLES, divided(_part_tables, mesh, 2), (with_tables, *arguments[1:]), batch))
    if ALONE in names:
        pairs = jax.jit(divided(_forward_twice, mesh, 2))(*arguments)
        workloads.append(compiled(ALONE, divided(_search_pairs, mesh, 3), (arguments[0], *pairs), batch))
    return workloads + ([_loop(net, images, counters)] if LOOP in names else [])


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
    return Workload(LOOP, call, len(images), time.perf_counter() - start, None, repeats)


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
        "standardised": "the maps of all classes, compared at each cell",
        PART_TABLES: f"against all classes of the tables, at most {COMPARED}",
        "counterfactual pair": "two images, three maps each",
        "exhaustive search, first edit": "two images, every pair of cells, exact",
        ALONE: "the same, the forward passes left out",
        LOOP: f"one head evaluation a pair, extrapolated from {SAMPLED_CANDIDATES}",
    }.get(name, "")
