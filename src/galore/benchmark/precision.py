"""How far maps lie from those that float64 gives on the CPU: what a faster precision costs."""

import dataclasses
import functools
import math
from collections.abc import Callable, Mapping, Sequence
from itertools import combinations
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from galore import attribution, confidence, explain
from galore.explain import MapOptions
from galore.network import Keyed, Network
from galore.precision import Precision, Product, with_products

IMAGES, TOP = 2, 5
WIDEST = 8
"""The standard deviation that logits may have: those of trained networks have less, and those of random weights any.
Where they lie hundreds apart, the most probable class has the probability 1 in every precision, and its map is zero."""


class Asked(NamedTuple):
    """The most probable classes of each image in float64, about which every precision is asked, so that the maps that
    are compared answer one question."""

    classes: Int[Any, "B T"]

    @property
    def pair(self) -> tuple[Any, Any]:
        return self.classes[:, 0], self.classes[:, 1]


Answer = Callable[[Network, Float[Array, "B H W c"], Asked], Float[Array, "B ..."]]

_second_order = functools.partial(attribution.second_order, absolute_curvature=True)


def _forward(net: Network, images: Array, asked: Asked) -> Array:
    return jax.vmap(net)(images)[1]


def _insecurities(net: Network, images: Array, asked: Asked) -> Array:
    """All pairs in one order, whatever their strengths."""
    first, second = np.array(list(combinations(range(asked.classes.shape[1]), 2))).T

    def one(image: Array, classes: Array) -> Array:
        F = net.activation(image)
        maps = explain.score_maps(net, image, F, classes, (confidence.softmax_score,), MapOptions(), difficulty=True)
        return explain.insecurity_map(maps.classes[first], maps.classes[second], maps.confidences[0])

    return jax.vmap(one)(images, asked.classes)


def _attributive(**options: Any) -> Answer:
    return lambda net, images, asked: explain.attributive(net, images, asked.pair[0], **options).maps


def _discriminant(**options: Any) -> Answer:
    return lambda net, images, asked: explain.discriminant(net, images, *asked.pair, **options).maps


ANSWERS: dict[str, Answer] = {
    "forward": _forward,
    "attributive": _attributive(),
    "discriminant": _discriminant(),
    "deliberative": _insecurities,
    "second order": _discriminant(confidence_attribution=_second_order),
    "integrated gradients": _attributive(attribution=attribution.integrated_gradients),
    "discriminant, integrated gradients": _discriminant(attribution=attribution.integrated_gradients),
    "grad-cam": _attributive(attribution=attribution.grad_cam),
}
"""By the names of `workloads.WORKLOADS`; of the forward pass the logits."""


class Reference(NamedTuple):
    """What float64 says on the CPU of some images, the same for every precision."""

    net: Network
    images: Float[np.ndarray, "B H W 3"]
    asked: Asked
    answers: dict[str, Float[np.ndarray, "B ..."]]


def noise(size: int, seed: int = 0) -> Float[np.ndarray, "B H W 3"]:
    """Images of so many pixels a side."""
    return np.random.default_rng(seed).normal(size=(IMAGES, size, size, 3)).astype(np.float32)


def reference(net: Network, works: Sequence[str], images: Float[np.ndarray, "B H W 3"]) -> Reference:
    """The answers in float64, from float32's parameters and images.

    Args:
        net: float32.
        works: of which those in `ANSWERS` are computed.
        images: prepared, float32.
    """
    with jax.enable_x64(True), jax.default_device(jax.local_devices(backend="cpu")[0]):
        exact = jax.device_get(net)
        exact, exact_images = exact.astype(np.float64), jnp.asarray(images, jnp.float64)
        logits = jax.jit(jax.vmap(lambda net, image: net(image)[1], in_axes=(None, 0)))(exact, exact_images)
        exact, net = (_with_narrow_logits(each, logits) for each in (exact, net))
        asked = Asked(np.asarray(jax.lax.top_k(logits, min(TOP, logits.shape[1]))[1]).astype(np.int32))
        answers = _numbers(jax.jit(_together(works, asked))(exact, exact_images))
    return Reference(net, images, asked, answers)


def _with_narrow_logits(net: Network, logits: Float[Array, "B C"]) -> Network:
    """The network with logits that are divided by a power of two, which rounds nothing, where they are wider."""
    times_too_wide = max(1.0, float(np.std(logits, axis=1).max()) / WIDEST)
    if times_too_wide == 1:
        return net
    head, factor = net.head, 0.5 ** math.ceil(math.log2(times_too_wide))
    return dataclasses.replace(net, head=Keyed(lambda p, F: factor * head(p, F), ("logits times", factor, head)))


def errors(given: Reference, precision: Precision, products: Mapping[str, Product] | None = None) -> dict[str, float]:
    """The largest error of any cell, relative to the largest value of its image's maps, the worst image; by work.

    Args:
        given: what is right.
        precision: of the network.
        products: what takes the place of this device's products in the whole explanation, see
            `galore.precision.with_products`; as another device would compute them.
    """
    ask = _together(list(given.answers), given.asked)
    found = jax.jit(with_products(ask, products) if products else ask)(
        given.net.with_precision(precision), jnp.asarray(given.images)
    )
    return {work: _error(maps, given.answers[work]) for work, maps in _numbers(found).items()}


def _together(works: Sequence[str], asked: Asked) -> Callable[[Network, Array], dict[str, Array]]:
    """One program, in which the works share the features."""
    chosen = {work: ANSWERS[work] for work in works if work in ANSWERS}
    return lambda net, images: {work: answer(net, images, asked) for work, answer in chosen.items()}


def _numbers(found: Mapping[str, Array]) -> dict[str, np.ndarray]:
    return {work: np.asarray(maps, np.float64) for work, maps in found.items()}


def _error(found: Float[np.ndarray, "B ..."], exact: Float[np.ndarray, "B ..."]) -> float:
    found, exact = (values.reshape(len(values), -1) for values in (found, exact))
    largest = np.abs(exact).max(axis=1)
    return float((np.abs(found - exact).max(axis=1) / np.where(largest > 0, largest, np.nan)).max())
