"""The three explanations: algebra on attribution maps (Wang & Vasconcelos, GALORE, TPAMI 2023).

    attributive      what supports the prediction?                 a(h_y)
    deliberative     where does the network hesitate?              a(h_a) * a(h_b) * a(1 - s), for pairs (a, b)
    counterfactual   why y and not c?                              D(x; y, c) and D(x_c; c, y), where
                                                                   D(x; y, c) = a(h_y) * complement(a(h_c)) * a(s)

Every function takes a batch of images and is pure; jit it at your own boundary, with the functions bound:
`jax.jit(functools.partial(galore.explain.deliberative, top=5))(net, images)`. All scores of one image share one
linearisation of the head. Memory grows with the batch; bound it by a loop over batches or `jax.lax.map(batch_size=)`.

Whoever has the activations F at the cut already gives them as `activations=`, and None for the images: the head alone
runs then, and a `Network` without features will do.

Options that all functions share:
    attribution: `(score, F) -> map`, one of `galore.attribution` or your own, see `galore.attribution.Attribution`.
    confidence: `logits -> s`, one of `galore.confidence`, or a `galore.confidence.Predictor`.
    confidence_attribution: the attribution of the confidence or difficulty alone; None: the same as `attribution`.
    signs: the sign rules, see `Signs`.
    class_scores: `logits -> h`, what is attributed for a class: the logits, as in the papers' code (default), or
        `jax.nn.softmax`, as in their text.
"""

import dataclasses
import math
from collections.abc import Callable, Sequence
from itertools import combinations
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Bool, Float, Int

from galore import representation
from galore.attribution import Attribution, attribute, gradient_x_activation
from galore.confidence import Confidence, Predictor, softmax_score
from galore.errors import InputError
from galore.network import Network

ClassScores = Callable[[Float[Array, " C"]], Float[Array, " C"]]


class Signs(NamedTuple):
    """What becomes of negative attributions; the default is the papers' code, `RAW` leaves everything as it is.

    Attributes:
        class_floor: negative values of a class map become this; None: they stay. See `floored`.
        positive_confidence_gradient: the gradient of a confidence or difficulty is clipped at zero before it meets the
            activation. An attribution function that does not request `positive_gradient` has its map clipped instead;
            for Grad-CAM, whose map is nowhere negative, that changes nothing, as in the papers' code.
    """

    class_floor: float | None = 1e-7
    positive_confidence_gradient: bool = True


AUTHORS = Signs()
RAW = Signs(class_floor=None, positive_confidence_gradient=False)


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Attributive:
    """What supports a class. `maps` [B, h, w] = a(h_classes)."""

    maps: Float[Array, "*B h w"]
    classes: Int[Array, "*B"]
    logits: Float[Array, "*B C"]

    __repr__ = representation.fields


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Discriminant:
    """What speaks for `predicted`, not for `counter`, where the network is sure.

    `maps` [B, h, w] = `predicted_maps` * complement(`counter_maps`) * `confidence_maps`; `confidence` is s(x).
    """

    maps: Float[Array, "*B h w"]
    predicted_maps: Float[Array, "*B h w"]
    counter_maps: Float[Array, "*B h w"]
    confidence_maps: Float[Array, "*B h w"]
    predicted: Int[Array, "*B"]
    counter: Int[Array, "*B"]
    confidence: Float[Array, "*B"]
    logits: Float[Array, "*B C"]

    __repr__ = representation.fields


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Counterfactual:
    """Why the prediction and not the counter class: the same question put to both images.

    `query` = D(x; y, c) on the image asked about, `counter` = D(x_c; c, y) on an image of the counter class.
    """

    query: Discriminant
    counter: Discriminant

    __repr__ = representation.fields


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Deliberative:
    """Where the network hesitates and between which classes: insecurities, the strongest first.

    Attributes:
        maps: a(h_a) * a(h_b) * a(difficulty) per pair.
        pairs: the two classes of each insecurity.
        strengths: the mean of the map over its region, the `fraction` of the map's cells with the largest values.
        occurs: whether the pair is among the `keep` largest class attributions at some location; pairs that are not,
            or whose class is ruled out (a logit of -inf), come last and count as no insecurity.
        classes: the candidates, by falling logit.
        class_maps: a(h) of each candidate.
        difficulty_maps: a(1 - s).
        difficulty: 1 - s(x), in [0, 1].
        logits: of the whole network.
    """

    maps: Float[Array, "*B P h w"]
    pairs: Int[Array, "*B P 2"]
    strengths: Float[Array, "*B P"]
    occurs: Bool[Array, "*B P"]
    classes: Int[Array, "*B T"]
    class_maps: Float[Array, "*B T h w"]
    difficulty_maps: Float[Array, "*B h w"]
    difficulty: Float[Array, "*B"]
    logits: Float[Array, "*B C"]

    __repr__ = representation.fields


def complement(maps: Float[Array, "*batch h w"]) -> Float[Array, "*batch h w"]:
    """max(m) - m per map: large where the map is small."""
    return jnp.max(maps, axis=(-2, -1), keepdims=True) - maps


def floored(maps: Float[Array, "*batch h w"], signs: Signs = AUTHORS) -> Float[Array, "*batch h w"]:
    """Class maps under the sign rule: negative values become `signs.class_floor`."""
    return maps if signs.class_floor is None else jnp.where(maps < 0, signs.class_floor, maps)


def discriminant_map(
    predicted_map: Float[Array, "*batch h w"],
    counter_map: Float[Array, "*batch h w"],
    confidence_map: Float[Array, "*batch h w"] | None = None,
) -> Float[Array, "*batch h w"]:
    """D(x; y, c) = a(h_y) * complement(a(h_c)) * a(s), of class maps under the sign rule; None leaves a(s) out."""
    product = predicted_map * complement(counter_map)
    return product if confidence_map is None else product * confidence_map


def margin_map(
    predicted_map: Float[Array, "*batch h w"], counter_map: Float[Array, "*batch h w"]
) -> Float[Array, "*batch h w"]:
    """a(h_y - h_c) = a(h_y) - a(h_c), of signed class maps; exact for attributions that are linear in the score."""
    return predicted_map - counter_map


def insecurity_map(
    first_map: Float[Array, "*#batch h w"],
    second_map: Float[Array, "*#batch h w"],
    difficulty_map: Float[Array, "*#batch h w"],
) -> Float[Array, "*batch h w"]:
    """a(h_a) * a(h_b) * a(1 - s), of class maps under the sign rule."""
    return first_map * second_map * difficulty_map


def logits_as_scores(logits: Float[Array, " C"]) -> Float[Array, " C"]:
    """The class scores of the papers' code: the logits themselves."""
    return logits


def attributive(
    net: Network,
    images: Float[Array, "B H W c"] | None,
    classes: Any = None,
    *,
    activations: Float[Array, "B h w d"] | None = None,
    attribution: Attribution = gradient_x_activation,
    signs: Signs = AUTHORS,
    class_scores: ClassScores = logits_as_scores,
) -> Attributive:
    """What supports the prediction, or any other class: a(h_y).

    Args:
        net: the network.
        images: its inputs, [B, H, W, c]; None where the activations are given.
        classes: class indices, one or B of them; None: the predicted ones.
        activations: of the images at the cut, [B, h, w, d]; None: the network's features make them.
        attribution, signs, class_scores: see the module's docstring.

    Returns:
        Maps [B, h, w], the classes and the logits.

    Raises:
        InputError: images or activations without a batch axis, or class indices outside the network's.
    """
    options = MapOptions(attribution, None, signs, class_scores)
    classes = _class_indices(net, images, activations, classes, "classes")

    def one(example: _Example, y: Array | None) -> Attributive:
        F, logits = _forward(net, example)
        y = jnp.argmax(logits) if y is None else y
        maps = score_maps(net, example.image, F, y[None], (), options)
        return Attributive(maps.classes[0], y, logits)

    return jax.vmap(one)(_Example(images, activations), classes)


def discriminant(
    net: Network,
    images: Float[Array, "B H W c"] | None,
    predicted: Any,
    counter: Any = None,
    *,
    activations: Float[Array, "B h w d"] | None = None,
    attribution: Attribution = gradient_x_activation,
    confidence: Confidence | Predictor = softmax_score,
    confidence_attribution: Attribution | None = None,
    signs: Signs = AUTHORS,
    class_scores: ClassScores = logits_as_scores,
) -> Discriminant:
    """What in the image speaks for one class and not for another: D(x; y, c) = a(h_y) * complement(a(h_c)) * a(s).

    Args:
        net: the network.
        images: its inputs, [B, H, W, c]; None where the activations are given.
        predicted: the classes y to speak for, one or B indices; None: the predicted ones.
        counter: the classes c to speak against, one or B indices; None: the most probable ones that are not y.
        activations: of the images at the cut, [B, h, w, d]; None: the network's features make them.
        attribution, confidence, confidence_attribution, signs, class_scores: see the module's docstring.

    Returns:
        Maps [B, h, w] with the three factors, the classes, the confidence and the logits.

    Raises:
        InputError: images or activations without a batch axis, or class indices outside the network's.
    """
    predicted = _class_indices(net, images, activations, predicted, "predicted")
    counter = _class_indices(net, images, activations, counter, "counter")
    options = MapOptions(attribution, confidence_attribution, signs, class_scores)
    one = lambda x, y, c: _discriminant(net, x, y, c, confidence, options)  # noqa: E731
    return jax.vmap(one)(_Example(images, activations), predicted, counter)


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
    counters = _class_indices(net, images, None, counters, "counters")
    options = MapOptions(attribution, confidence_attribution, signs, class_scores)

    def one(image: Array, counter_image: Array, c: Array) -> Counterfactual:
        query = _discriminant(net, _Example(image), None, c, confidence, options)
        counter = _discriminant(net, _Example(counter_image), c, query.predicted, confidence, options)
        return Counterfactual(query, counter)

    return jax.vmap(one)(images, counter_images, counters)


def deliberative(
    net: Network,
    images: Float[Array, "B H W c"] | None,
    top: int = 5,
    *,
    activations: Float[Array, "B h w d"] | None = None,
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
        images: its inputs, [B, H, W, c]; None where the activations are given.
        top: how many candidate classes; T = min(top, C), P = T (T - 1) / 2 pairs.
        activations: of the images at the cut, [B, h, w, d]; None: the network's features make them.
        keep: a pair occurs where both its classes are among this many largest class attributions.
        fraction: the part of the map's cells that makes the region over which the strength is the mean, in (0, 1].
        attribution, confidence, confidence_attribution, signs, class_scores: see the module's docstring. The papers'
            second order is `confidence_attribution=partial(second_order, absolute_curvature=True)`.

    Returns:
        Per image P insecurities in order, and what they were made of.

    Raises:
        InputError: images or activations without a batch axis, fewer than two candidates, or a fraction outside (0, 1].
    """
    if top < 2 or keep < 2:
        raise InputError(f"top={top}, keep={keep}: an insecurity lies between two classes, expected at least 2")
    if not 0 < fraction <= 1:
        raise InputError(f"fraction={fraction}: expected a number above 0 and at most 1")
    _class_indices(net, images, activations, None, "classes")
    options = MapOptions(attribution, confidence_attribution, signs, class_scores)
    one = lambda example: _deliberative(net, example, top, keep, fraction, confidence, options)  # noqa: E731
    return jax.vmap(one)(_Example(images, activations))


class MapOptions(NamedTuple):
    """How scores become maps; see the docstring of the module for each."""

    attribution: Attribution = gradient_x_activation
    confidence_attribution: Attribution | None = None
    signs: Signs = AUTHORS
    class_scores: ClassScores = logits_as_scores


class ScoreMaps(NamedTuple):
    """The maps of K class scores and of S confidence or difficulty scores, and the values of the latter."""

    classes: Float[Array, "K h w"]
    confidences: tuple[Float[Array, "h w"], ...]
    values: tuple[Float[Array, ""], ...]


def score_maps(
    net: Network,
    image: Float[Array, "H W c"] | None,
    F: Float[Array, "h w d"],
    classes: Int[Array, " K"],
    confidences: Sequence[Confidence | Predictor],
    options: MapOptions,
    *,
    difficulty: bool = False,
) -> ScoreMaps:
    """a(h_y) for each class and a(s) for each confidence score of one example: what every explanation is made of.

    Class scores and the confidences that are functions of the logits share one linearisation of the head, unless the
    confidences have an attribution of their own.

    Args:
        net: the network.
        image: its input, for attributions that follow a path of images and for predictors with features of their own.
        F: the activation at the cut.
        classes: whose scores are attributed.
        confidences: the scores s.
        options: how.
        difficulty: attribute 1 - s in place of s.
    """
    signs = options.signs
    with_classes = [s for s in confidences if options.confidence_attribution is None and not isinstance(s, Predictor)]

    def of_logits(logits: Array) -> list[Array]:
        values = [_number(s(logits)) for s in with_classes]
        return [1 - value if difficulty else value for value in values]

    def scores(activation: Array) -> Array:
        logits = _logits(net, activation)
        of_classes = options.class_scores(logits)
        if jnp.shape(of_classes) != logits.shape:
            raise InputError(f"class_scores give shape {jnp.shape(of_classes)}, expected one per logit, {logits.shape}")
        return jnp.concatenate([of_classes[classes], *of_logits(logits)])

    clipped = [False] * len(classes) + [signs.positive_confidence_gradient] * len(with_classes)
    maps = attribute(options.attribution, scores, F, clipped, image, net.activation)
    if maps.ndim != 3:
        raise InputError(f"the attribution gives maps of shape {maps.shape[1:]}, expected [h, w] for each score")
    shared = iter(zip(maps[len(classes) :], scores(F)[len(classes) :]))
    # An index that no class has can be seen only here where it is traced; it gets no other class's map.
    exists = (classes >= 0) & (classes < _count(net, F))
    class_maps = jnp.where(exists[:, None, None], floored(maps[: len(classes)], signs), jnp.nan)
    pairs = []
    for confidence in confidences:
        is_shared = any(confidence is one for one in with_classes)
        pairs.append(next(shared) if is_shared else _alone(net, image, F, confidence, options, difficulty))
    sized = (m if m.shape == maps.shape[1:] else jax.image.resize(m, maps.shape[1:], "linear") for m, _ in pairs)
    return ScoreMaps(class_maps, tuple(sized), tuple(value for _, value in pairs))


def _alone(
    net: Network,
    image: Array | None,
    F: Array,
    confidence: Confidence | Predictor,
    options: MapOptions,
    difficulty: bool,
) -> tuple[Float[Array, "h w"], Float[Array, ""]]:
    """The map and the value of a confidence that has activations, or an attribution, of its own."""
    activation, features = F, net.activation
    if isinstance(confidence, Predictor):
        score_of = lambda G: confidence.head(confidence.params, G)  # noqa: E731
        if (own := confidence.features) is not None:
            features = lambda x: own(confidence.params, x)  # noqa: E731
            if image is None:
                raise InputError("the predictor has features of its own: give images, not activations alone")
            activation = features(image)
    else:
        score_of = lambda G: confidence(_logits(net, G))  # noqa: E731

    def score(G: Array) -> Array:
        value = _number(score_of(G)).astype(jnp.float32)
        return 1 - value if difficulty else value

    attribution = options.confidence_attribution or options.attribution
    clipped = [options.signs.positive_confidence_gradient]
    (confidence_map,) = attribute(attribution, score, activation, clipped, image, features)
    return confidence_map, score(activation)[0]


def _number(score: Any) -> Float[Array, "1"]:
    """The value of a confidence, as a vector."""
    shape = getattr(score, "shape", () if isinstance(score, float | int) else None)
    if shape is None or math.prod(shape) != 1:
        found = f"a {type(score).__name__}" if shape is None else f"shape {shape}"
        raise InputError(f"the confidence gives {found}, expected one number")
    return jnp.reshape(score, 1)


class _Example(NamedTuple):
    """An image, its activation at the cut, or both."""

    image: Array | None = None
    activation: Array | None = None


def _forward(net: Network, example: _Example) -> tuple[Float[Array, "h w d"], Float[Array, " C"]]:
    if example.activation is None:
        return net(example.image)  # pyright: ignore[reportArgumentType]
    return example.activation, net.logits(example.activation)


def _logits(net: Network, F: Array) -> Float[Array, " C"]:
    return net.logits(F).astype(jnp.float32)


def _count(net: Network, F: Array) -> int:
    return jax.eval_shape(net.logits, F).shape[-1]


def _discriminant(
    net: Network,
    example: _Example,
    predicted: Array | None,
    counter: Array | None,
    confidence: Confidence | Predictor,
    options: MapOptions,
) -> Discriminant:
    F, logits = _forward(net, example)
    predicted = jnp.argmax(logits) if predicted is None else predicted
    if counter is None:
        counter = jnp.argmax(jnp.where(jnp.arange(len(logits)) == predicted, -jnp.inf, logits))
    maps = score_maps(net, example.image, F, jnp.stack([predicted, counter]), (confidence,), options)
    return Discriminant(
        maps=discriminant_map(*maps.classes, *maps.confidences),
        predicted_maps=maps.classes[0],
        counter_maps=maps.classes[1],
        confidence_maps=maps.confidences[0],
        predicted=predicted,
        counter=counter,
        confidence=maps.values[0],
        logits=logits,
    )


def _deliberative(
    net: Network,
    example: _Example,
    top: int,
    keep: int,
    fraction: float,
    confidence: Confidence | Predictor,
    options: MapOptions,
) -> Deliberative:
    F, logits = _forward(net, example)
    _, classes = jax.lax.top_k(logits, min(top, logits.shape[-1]))
    scores = score_maps(net, example.image, F, classes, (confidence,), options, difficulty=True)
    pairs = np.array(list(combinations(range(len(classes)), 2)))
    maps = insecurity_map(scores.classes[pairs[:, 0]], scores.classes[pairs[:, 1]], scores.confidences[0])
    # A class that is ruled out is no candidate, however many were asked for, and its map may be no number.
    possible = logits[classes] > -jnp.inf
    occurs = _occurring(jnp.where(possible[:, None, None], scores.classes, -jnp.inf), pairs, keep)
    strengths, occurs = _strengths(maps, fraction), occurs & possible[pairs].all(axis=-1)
    order = jnp.argsort(jnp.where(occurs, strengths, -jnp.inf), descending=True)
    return Deliberative(
        maps=maps[order],
        pairs=classes[pairs][order],
        strengths=strengths[order],
        occurs=occurs[order],
        classes=classes,
        class_maps=scores.classes,
        difficulty_maps=scores.confidences[0],
        difficulty=scores.values[0],
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


def _class_indices(
    net: Network, images: Array | None, activations: Array | None, classes: Any, name: str
) -> Int[Array, " B"] | None:
    """The classes as one index per example, checked where their values are known."""
    examples = images if activations is None else activations
    what = "images" if activations is None else "activations"
    if examples is None:
        raise InputError("neither images nor activations are given: expected one of the two")
    if getattr(examples, "ndim", 0) != 4:
        found = f"shape {examples.shape}" if hasattr(examples, "shape") else f"type {type(examples).__name__}"
        raise InputError(f"{what} of {found}: expected [B, H, W, c]; for one of them, {what}[None]")
    if activations is not None and not jnp.issubdtype(activations.dtype, jnp.floating):
        raise InputError(f"activations of type {activations.dtype}: expected floating-point numbers")
    if images is not None and len(images) != len(examples):
        raise InputError(f"{len(images)} images and {len(examples)} activations: expected as many")
    if classes is None:
        return None
    known = not any(isinstance(leaf, Tracer) for leaf in jax.tree.leaves(classes))
    indices = np.asarray(classes) if known else jnp.asarray(classes)
    if not jnp.issubdtype(indices.dtype, jnp.integer):
        raise InputError(f"{name} of type {indices.dtype}: expected class indices, integers")
    if indices.shape not in ((), (1,), examples.shape[:1]):
        raise InputError(f"{name} of shape {indices.shape}: expected one index, or one per image ({len(examples)})")
    if known:
        one = _Example(images, activations)
        logits = jax.eval_shape(lambda net, x: _forward(net, jax.tree.map(lambda leaf: leaf[0], x))[1], net, one)
        wrong = [int(index) for index in np.ravel(indices) if not 0 <= index < logits.shape[-1]]
        if wrong:
            raise InputError(f"{name} {wrong[0]}: the network has classes 0 to {logits.shape[-1] - 1}")
    return jnp.broadcast_to(jnp.asarray(indices, jnp.int32), examples.shape[:1])
