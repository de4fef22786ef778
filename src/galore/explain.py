"""The three explanations: algebra on attribution maps (Wang & Vasconcelos, GALORE, TPAMI 2023).

    attributive      what supports the prediction?                 a(h_y)
    deliberative     where does the network hesitate?              a(h_a) * a(h_b) * a(1 - s), for pairs (a, b)
    counterfactual   why y and not c?                              D(x; y, c) and D(x_c; c, y), where
                                                                   D(x; y, c) = a(h_y) * complement(a(h_c)) * a(s)

Every function takes a batch of images and is pure; jit it at your own boundary, with the functions bound:
`jax.jit(functools.partial(galore.explain.deliberative, top=5))(net, images)`. All scores of one image share one
linearisation of the head. Memory grows with the batch; bound it by a loop over batches or `jax.lax.map(batch_size=)`.

Choices that all functions share:
    attribution: `(score, F) -> map`, one of `galore.attribution` or your own. A function may ask, by parameter name,
        for more: `image` and `features` (image -> F), or `positive_gradient`; one that takes `positive_gradient` is
        given all scores as one vector, any other is called once per score.
    confidence: `logits -> s`, one of `galore.confidence`, or a `galore.confidence.Predictor`.
    confidence_attribution: the attribution of the confidence or difficulty alone; None: the same as `attribution`.
    signs: the sign rules, see `Signs`.
    class_scores: `logits -> h`, what is attributed for a class: the logits, as in the papers' code (default), or
        `jax.nn.softmax`, as in their text.
"""

import math
from itertools import combinations
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Bool, Float, Int

from galore.attribution import gradient_x_activation
from galore.confidence import Confidence, Predictor, softmax_score
from galore.errors import InputError
from galore.explanations import Attributive, Counterfactual, Deliberative, Discriminant
from galore.network import Network
from galore.scores import AUTHORS, RAW, Attribution, Choices, ClassScores, Signs, class_maps, score_maps

__all__ = [
    "AUTHORS",
    "RAW",
    "Attributive",
    "Counterfactual",
    "Deliberative",
    "Discriminant",
    "Signs",
    "attributive",
    "complement",
    "counterfactual",
    "deliberative",
    "discriminant",
    "logits_as_scores",
]


def logits_as_scores(logits: Float[Array, " C"]) -> Float[Array, " C"]:
    """The class scores of the papers' code: the logits themselves."""
    return logits


def attributive(
    net: Network,
    images: Float[Array, "B H W c"],
    classes: Any = None,
    *,
    attribution: Attribution = gradient_x_activation,
    signs: Signs = AUTHORS,
    class_scores: ClassScores = logits_as_scores,
) -> Attributive:
    """What supports the prediction, or any other class: a(h_y).

    Args:
        net: the network.
        images: its inputs, [B, H, W, c].
        classes: class indices, one or B of them; None: the predicted ones.
        attribution, signs, class_scores: see the module's docstring.

    Returns:
        Maps [B, h, w], the classes and the logits.

    Raises:
        InputError: images without a batch axis, or class indices outside the network's.
    """
    classes = _class_indices(net, images, classes, "classes")

    def one(image: Array, chosen: Array | None) -> Attributive:
        F, logits = net(image)
        chosen = jnp.argmax(logits) if chosen is None else chosen
        (map_,) = class_maps(net, image, F, chosen[None], attribution, signs, class_scores)
        return Attributive(map_, chosen, logits)

    return jax.vmap(one)(images, classes)


def discriminant(
    net: Network,
    images: Float[Array, "B H W c"],
    predicted: Any,
    counter: Any = None,
    *,
    attribution: Attribution = gradient_x_activation,
    confidence: Confidence | Predictor = softmax_score,
    confidence_attribution: Attribution | None = None,
    signs: Signs = AUTHORS,
    class_scores: ClassScores = logits_as_scores,
) -> Discriminant:
    """What in the image speaks for one class and not for another: D(x; y, c) = a(h_y) * complement(a(h_c)) * a(s).

    Args:
        net: the network.
        images: its inputs, [B, H, W, c].
        predicted: the classes y to speak for, one or B indices; None: the predicted ones.
        counter: the classes c to speak against, one or B indices; None: the most probable ones that are not y.
        attribution, confidence, confidence_attribution, signs, class_scores: see the module's docstring.

    Returns:
        Maps [B, h, w] with the three factors, the classes, the confidence and the logits.

    Raises:
        InputError: images without a batch axis, or class indices outside the network's.
    """
    predicted = _class_indices(net, images, predicted, "predicted")
    counter = _class_indices(net, images, counter, "counter")
    choices = Choices(attribution, confidence, confidence_attribution, signs, class_scores)
    return jax.vmap(lambda x, y, c: _discriminant(net, x, y, c, choices))(images, predicted, counter)


def counterfactual(
    net: Network,
    images: Float[Array, "B H W c"],
    counters: Any,
    counter_images: Float[Array, "B H W c"],
    *,
    attribution: Attribution = gradient_x_activation,
    confidence: Confidence | Predictor = softmax_score,
    confidence_attribution: Attribution | None = None,
    signs: Signs = AUTHORS,
    class_scores: ClassScores = logits_as_scores,
) -> Counterfactual:
    """Why the prediction y and not c: the pair (D(x; y, c), D(x_c; c, y)).

    Args:
        net: the network.
        images: the images x asked about, [B, H, W, c].
        counters: the counter classes c, one or B indices.
        counter_images: an image of class c for each, [B, H, W, c].
        attribution, confidence, confidence_attribution, signs, class_scores: see the module's docstring.

    Returns:
        Both discriminant explanations; `query` speaks for the prediction, `counter` for the counter class.

    Raises:
        InputError: images without a batch axis, batches of different sizes, or class indices outside the network's.
    """
    if counter_images.shape[:1] != images.shape[:1]:
        raise InputError(f"{len(images)} images and {len(counter_images)} counter images: expected as many")
    counters = _class_indices(net, images, counters, "counters")

    choices = Choices(attribution, confidence, confidence_attribution, signs, class_scores)

    def one(image: Array, counter_image: Array, c: Array) -> Counterfactual:
        query = _discriminant(net, image, None, c, choices)
        return Counterfactual(query, _discriminant(net, counter_image, c, query.predicted, choices))

    return jax.vmap(one)(images, counter_images, counters)


def deliberative(
    net: Network,
    images: Float[Array, "B H W c"],
    top: int = 5,
    *,
    keep: int = 3,
    fraction: float = 0.1,
    attribution: Attribution = gradient_x_activation,
    confidence: Confidence | Predictor = softmax_score,
    confidence_attribution: Attribution | None = None,
    signs: Signs = AUTHORS,
    class_scores: ClassScores = logits_as_scores,
) -> Deliberative:
    """Where the network hesitates: insecurities (region, a, b), all pairs of the top classes, the strongest first.

    Args:
        net: the network.
        images: its inputs, [B, H, W, c].
        top: how many candidate classes; T = min(top, C), P = T (T - 1) / 2 pairs.
        keep: a pair occurs where both its classes are among this many largest class attributions.
        fraction: the part of the map's cells that makes the region over which the strength is the mean, in (0, 1].
        attribution, confidence, confidence_attribution, signs, class_scores: see the module's docstring. The papers'
            second order is `confidence_attribution=partial(second_order, absolute_curvature=True)`.

    Returns:
        Per image P insecurities in order, and what they were made of.

    Raises:
        InputError: images without a batch axis, fewer than two candidates, or a fraction outside (0, 1].
    """
    if top < 2 or keep < 2:
        raise InputError(f"top={top}, keep={keep}: an insecurity lies between two classes, expected at least 2")
    if not 0 < fraction <= 1:
        raise InputError(f"fraction={fraction}: expected a number above 0 and at most 1")
    _class_indices(net, images, None, "classes")

    choices = Choices(attribution, confidence, confidence_attribution, signs, class_scores)
    return jax.vmap(lambda image: _deliberative(net, image, top, keep, fraction, choices))(images)


def complement(maps: Float[Array, "*batch h w"]) -> Float[Array, "*batch h w"]:
    """max(m) - m per map: large where the map is small."""
    return jnp.max(maps, axis=(-2, -1), keepdims=True) - maps


def _discriminant(
    net: Network, image: Array, predicted: Array | None, counter: Array | None, choices: Choices
) -> Discriminant:
    F, logits = net(image)
    predicted = jnp.argmax(logits) if predicted is None else predicted
    if counter is None:
        counter = jnp.argmax(jnp.where(jnp.arange(len(logits)) == predicted, -jnp.inf, logits))
    maps = score_maps(net, image, F, jnp.stack([predicted, counter]), choices)
    for_predicted, for_counter = maps.classes
    return Discriminant(
        maps=for_predicted * complement(for_counter) * maps.confidence,
        predicted_maps=for_predicted,
        counter_maps=for_counter,
        confidence_maps=maps.confidence,
        predicted=predicted,
        counter=counter,
        confidence=maps.value,
        logits=logits,
    )


def _deliberative(net: Network, image: Array, top: int, keep: int, fraction: float, choices: Choices) -> Deliberative:
    F, logits = net(image)
    _, classes = jax.lax.top_k(logits, min(top, logits.shape[-1]))
    scores = score_maps(net, image, F, classes, choices, difficulty=True)
    pairs = np.array(list(combinations(range(len(classes)), 2)))
    maps = scores.classes[pairs[:, 0]] * scores.classes[pairs[:, 1]] * scores.confidence
    strengths, occurs = _strengths(maps, fraction), _occurring(scores.classes, pairs, keep)
    order = jnp.argsort(jnp.where(occurs, strengths, -jnp.inf), descending=True)
    return Deliberative(
        maps=maps[order],
        pairs=classes[pairs][order],
        strengths=strengths[order],
        occurs=occurs[order],
        classes=classes,
        class_maps=scores.classes,
        difficulty_maps=scores.confidence,
        difficulty=scores.value,
        logits=logits,
    )


def _strengths(maps: Float[Array, "P h w"], fraction: float) -> Float[Array, " P"]:
    """The mean of each map over the cells with its largest values."""
    values = maps.reshape(len(maps), -1)
    count = math.ceil(fraction * values.shape[-1])
    return jnp.mean(jax.lax.top_k(values, count)[0], axis=-1)


def _occurring(class_maps: Float[Array, "T h w"], pairs: Int[np.ndarray, "P 2"], keep: int) -> Bool[Array, " P"]:
    """Which pairs are together among the `keep` largest class attributions at some location."""
    candidates = len(class_maps)
    by_location = class_maps.reshape(candidates, -1).T
    _, largest = jax.lax.top_k(by_location, min(keep, candidates))
    kept = jnp.any(largest[:, :, None] == jnp.arange(candidates), axis=1)
    return jnp.any(kept[:, pairs[:, 0]] & kept[:, pairs[:, 1]], axis=0)


def _class_indices(net: Network, images: Array, classes: Any, name: str) -> Int[Array, " B"] | None:
    """The classes as one index per image, checked where their values are known."""
    if images.ndim != 4:
        raise InputError(f"images of shape {images.shape}: expected [B, H, W, c]; for one image, images[None]")
    if classes is None:
        return None
    known = not isinstance(classes, Tracer)
    indices = jnp.asarray(classes)
    if not jnp.issubdtype(indices.dtype, jnp.integer):
        raise InputError(f"{name} of type {indices.dtype}: expected class indices, integers")
    if indices.shape not in ((), (1,), images.shape[:1]):
        raise InputError(f"{name} of shape {indices.shape}: expected one index, or one per image ({len(images)})")
    if known:
        count = jax.eval_shape(lambda n, x: n(x)[1], net, images[0]).shape[-1]
        wrong = [int(index) for index in np.ravel(classes) if not 0 <= index < count]
        if wrong:
            raise InputError(f"{name} {wrong[0]}: the network has classes 0 to {count - 1}")
    return jnp.broadcast_to(indices, images.shape[:1])
