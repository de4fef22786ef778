"""The three explanations: algebra on attribution maps (Wang & Vasconcelos, GALORE, TPAMI 2023).

    attributive      what supports the prediction?                 a(h_y)
    deliberative     where does the network hesitate?              a(h_a) * a(h_b) * a(1 - s), for pairs (a, b)
    counterfactual   why y and not c?                              D(x; y, c) and D(x_c; c, y), where
                                                                   D(x; y, c) = a(h_y) * complement(a(h_c)) * a(s)
    margin           what moves y away from c?                     a(h_y - h_c), which the papers did not try
    standardised     what lacks c more than it lacks others?       -a(h_c), standardised over all classes at each cell
    by_part_tables   by which parts do the classes y and c differ? no attribution: a table of classes, placed on parts
    by_counterparts  what would y lose to c if a cell looked as in c?  gradient of h_y - h_c times (F - counterpart)

Every function takes a batch of images and is pure; jit it at your own boundary, with the functions bound:
`jax.jit(functools.partial(galore.explain.deliberative, top=5))(net, images)`. All scores of one image share one
linearisation of the head. Memory grows with the batch; bound it by a loop over batches or `jax.lax.map(batch_size=)`.

Whoever has the activations F at the cut already gives them as `activations=`, and None for the images: the head alone
runs then, and a `Network` without features will do.

Images are what the network takes, prepared by its preprocessing where it has one: photos as `uint8`, and floats from 0
to 255 where the preprocessing gives small ones, are refused, since a photo must be resized and cut as well as scaled.
Classes are indices, or names where the network has `class_names` (`galore.class_names.find`), one for all images or a
list with one per image. Under `jit` names are Python values, bound beforehand or by `static_argnames`, and a traced
index that no class has gives maps of NaN.

Options that all functions share:
    attribution: `(score, F) -> map`, one of `galore.attribution` or its name ("grad_cam"), or your own, see
        `galore.attribution.Attribution`.
    confidence: `logits -> s`, one of `galore.confidence` or its name ("certainty"), or a `galore.confidence.Predictor`.
    confidence_attribution: the attribution of the confidence or difficulty alone; None: the same as `attribution`.
    signs: the sign rules, see `Signs`.
    class_scores: `logits -> h`, what is attributed for a class: the logits, as in the papers' code (default), or
        `jax.nn.softmax`, as in their text.
"""

import math
import numbers
from collections.abc import Callable
from functools import partial
from itertools import combinations
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from galore import arguments, counterparts, part_tables
from galore.attribution import Attribution, gradient_x_activation
from galore.confidence import Confidence, Predictor, softmax_score
from galore.counterparts import Counterparts
from galore.errors import InputError
from galore.explanation_types import (
    Attributive,
    ByCounterparts,
    ByPartTables,
    Counterfactual,
    Deliberative,
    Discriminant,
    Margin,
    Standardised,
)
from galore.network import Network
from galore.part_tables import PartTables
from galore.score_maps import (
    AUTHORS,
    RAW,
    ClassScores,
    MapOptions,
    ScoreMaps,
    Signs,
    exists,
    floored,
    logits_as_scores,
    map_options,
    score_maps,
    standardised_maps,
)
from galore.score_maps import margin as margin_of_scores

__all__ = [
    "AUTHORS",
    "RAW",
    "Attributive",
    "ByCounterparts",
    "ByPartTables",
    "Counterfactual",
    "Deliberative",
    "Discriminant",
    "MapOptions",
    "Margin",
    "ScoreMaps",
    "Signs",
    "Standardised",
    "attributive",
    "by_counterparts",
    "by_part_tables",
    "complement",
    "counterfactual",
    "deliberative",
    "discriminant",
    "discriminant_map",
    "floored",
    "insecurity_map",
    "logits_as_scores",
    "margin",
    "margin_map",
    "score_maps",
    "standardised",
    "standardised_maps",
]


def complement(maps: Float[Array, "*batch h w"]) -> Float[Array, "*batch h w"]:
    """max(m) - m per map: large where the map is small."""
    return jnp.max(maps, axis=(-2, -1), keepdims=True) - maps


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
    """a(h_y) - a(h_c), of signed class maps; what `margin` gives for attributions that are linear in the score."""
    return predicted_map - counter_map


def insecurity_map(
    first_map: Float[Array, "*#batch h w"],
    second_map: Float[Array, "*#batch h w"],
    difficulty_map: Float[Array, "*#batch h w"],
) -> Float[Array, "*batch h w"]:
    """a(h_a) * a(h_b) * a(1 - s), of class maps under the sign rule."""
    return first_map * second_map * difficulty_map


def attributive(
    net: Network,
    images: Float[Array, "B H W c"] | None,
    classes: Any = None,
    *,
    activations: Float[Array, "B h w d"] | None = None,
    attribution: Attribution | str = gradient_x_activation,
    signs: Signs = AUTHORS,
    class_scores: ClassScores = logits_as_scores,
) -> Attributive:
    """What supports the prediction, or any other class: a(h_y).

    Args:
        net: the network.
        images: its inputs, [B, H, W, c]; None where the activations are given.
        classes: one class or B of them, indices or names; None: the predicted ones.
        activations: of the images at the cut, [B, h, w, d]; None: the network's features make them.
        attribution, signs, class_scores: see the module's docstring.

    Returns:
        Maps [B, h, w], the classes and the logits.

    Raises:
        InputError: images or activations that are no batch for this network, classes that it does not have, or options
            of another kind.
    """
    options = map_options(attribution, None, signs, class_scores)
    arguments.check_examples(net, images, activations)
    classes = arguments.class_indices(net, images, activations, classes, "classes")

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
    attribution: Attribution | str = gradient_x_activation,
    confidence: Confidence | Predictor | str = softmax_score,
    confidence_attribution: Attribution | str | None = None,
    signs: Signs = AUTHORS,
    class_scores: ClassScores = logits_as_scores,
) -> Discriminant:
    """What in the image speaks for one class and not for another: D(x; y, c) = a(h_y) * complement(a(h_c)) * a(s).

    Args:
        net: the network.
        images: its inputs, [B, H, W, c]; None where the activations are given.
        predicted: the classes y to speak for, one or B indices or names; None: the predicted ones.
        counter: the classes c to speak against, likewise; None: the most probable ones that are not y.
        activations: of the images at the cut, [B, h, w, d]; None: the network's features make them.
        attribution, confidence, confidence_attribution, signs, class_scores: see the module's docstring.

    Returns:
        Maps [B, h, w] with the three factors, the classes, the confidence and the logits.

    Raises:
        InputError: images or activations that are no batch for this network, classes that it does not have, or options
            of another kind.
    """
    options = map_options(attribution, confidence_attribution, signs, class_scores)
    score = arguments.confidence(confidence)
    one = lambda x, y, c: _discriminant(net, x, y, c, score, options)  # noqa: E731
    return _of_two_classes(one, net, images, activations, predicted, counter)


def margin(
    net: Network,
    images: Float[Array, "B H W c"] | None,
    predicted: Any,
    counter: Any = None,
    *,
    activations: Float[Array, "B h w d"] | None = None,
    attribution: Attribution | str = gradient_x_activation,
    class_scores: ClassScores = logits_as_scores,
) -> Margin:
    """What in the image moves one class away from another: a(h_y - h_c), the attribution of their difference.

    The simplest rival of `discriminant`, without complement and confidence. For attributions that are linear in the
    score, all but Grad-CAM's, it is a(h_y) - a(h_c), the `margin_map` of the signed class maps; of integrated gradients
    it sums to the margin, less that of the baseline.

    Relatives: by `grad_cam` this is Finer-CAM against one class, with alpha = 1 (Zhang et al., "Finer-CAM: Spotting the
    Difference Reveals Finer Details for Visual Explanation", CVPR 2025); contrastive Grad-CAM takes the gradient of a
    loss between the two classes (Prabhushankar et al., "Contrastive Explanations in Neural Networks", ICIP 2020).

    Args:
        net: the network.
        images: its inputs, [B, H, W, c]; None where the activations are given.
        predicted: the classes y to speak for, one or B indices or names; None: the predicted ones.
        counter: the classes c to speak against, likewise; None: the most probable ones that are not y.
        activations: of the images at the cut, [B, h, w, d]; None: the network's features make them.
        attribution, class_scores: see the module's docstring.

    Returns:
        Maps [B, h, w], the classes, the margin and the logits.

    Raises:
        InputError: as `discriminant`.
    """
    options = map_options(attribution, None, RAW, class_scores)
    one = lambda x, y, c: _margin(net, x, y, c, options)  # noqa: E731
    return _of_two_classes(one, net, images, activations, predicted, counter)


def standardised(
    net: Network,
    images: Float[Array, "B H W c"] | None,
    predicted: Any = None,
    counter: Any = None,
    *,
    activations: Float[Array, "B h w d"] | None = None,
    attribution: Attribution | str = gradient_x_activation,
    class_scores: ClassScores = logits_as_scores,
) -> Standardised:
    """What in the image speaks unusually little for a class: -a(h_c), standardised over all classes at each cell.

    A cell that says little of any class is no answer to "why not c?"; one that speaks for all but c is. The map answers
    the question better than the papers' and the margin do (docs/answering.md). It needs the maps of all classes, which
    share one linearisation: with many classes it costs as many pullbacks through the head.

    Args:
        net: the network.
        images: its inputs, [B, H, W, c]; None where the activations are given.
        predicted: the classes y, one or B indices or names, which the default of `counter` leaves out and the map does
            not depend on; None: the predicted ones.
        counter: the classes c to speak against, likewise; None: the most probable ones that are not y.
        activations: of the images at the cut, [B, h, w, d]; None: the network's features make them.
        attribution, class_scores: see the module's docstring.

    Returns:
        Maps [B, h, w], the classes and the logits.

    Raises:
        InputError: as `discriminant`.
    """
    options = map_options(attribution, None, RAW, class_scores)

    def one(example: _Example, y: Array | None, c: Array | None) -> Standardised:
        F, logits = _forward(net, example)
        y, c = _asked(logits, y, c)
        maps = score_maps(net, example.image, F, jnp.arange(len(logits)), (), options).classes
        exist = exists(jnp.stack([y, c]), len(logits)).all()
        return Standardised(jnp.where(exist, standardised_maps(-maps)[c], jnp.nan), y, c, logits)

    return _of_two_classes(one, net, images, activations, predicted, counter)


def by_part_tables(
    net: Network,
    images: Float[Array, "B H W c"] | None,
    tables: PartTables,
    predicted: Any = None,
    counter: Any = None,
    *,
    activations: Float[Array, "B h w d"] | None = None,
) -> ByPartTables:
    """By which parts two classes differ: their difference, found in other images, placed on the parts of this one.

    It answers the question better than the papers' map does (docs/answering.md), and it is no attribution: neither does
    it ask whether this image shows the difference, nor whether the network's decision hangs on it.

    It needs tables of a few labelled images a class, fitted once (`galore.part_tables`, `galore part-tables`). One
    image then costs a product of its cells with each clustering's centres, whatever the number of counter classes.

    Args:
        net: the network.
        images: its inputs, [B, H, W, c]; None where the activations are given.
        tables: fitted to activations of this network at this cut.
        predicted: the classes y, one or B indices or names; None: the predicted ones.
        counter: the classes c, likewise; None: the most probable ones that are not y.
        activations: of the images at the cut, [B, h, w, d]; None: the network's features make them.

    Returns:
        Maps [B, h, w], the classes and the logits. Where the tables know no y or no c, the map is NaN.

    Raises:
        InputError: as `discriminant`; no part tables, or some of activations with another number of channels.
    """
    if not isinstance(tables, PartTables):
        raise InputError(f"tables of type {type(tables).__name__}: expected galore.part_tables.PartTables")

    def one(example: _Example, y: Array | None, c: Array | None) -> ByPartTables:
        F, logits = _forward(net, example)
        y, c = _asked(logits, y, c)
        maps = part_tables.maps(tables, net.locations(F)[0], y)
        known = (tables.classes == y).any() & (tables.classes == c).any()
        return ByPartTables(jnp.where(known, maps[jnp.argmax(tables.classes == c)], jnp.nan), y, c, logits)

    return _of_two_classes(one, net, images, activations, predicted, counter)


def by_counterparts(
    net: Network,
    images: Float[Array, "B H W c"] | None,
    fitted: Counterparts,
    predicted: Any = None,
    counter: Any = None,
    *,
    activations: Float[Array, "B h w d"] | None = None,
    standardised: bool = False,
) -> ByCounterparts:
    """What h_y - h_c would lose, to first order, if a cell looked as an image of c would have it there.

    As the margin, which measures evidence against an activation of zero; against the counterpart, what both classes
    show alike says nothing (`galore.counterparts`, fitted once to about 30 labelled images a class). Where pictures can
    be drawn again it finds what flips the decision better than the margin does (docs/answering.md).

    Args:
        net: the network.
        images: its inputs, [B, H, W, c]; None where the activations are given.
        fitted: to activations of this network at this cut.
        predicted: the classes y, one or B indices or names; None: the predicted ones.
        counter: the classes c, likewise; None: the most probable ones that are not y.
        activations: of the images at the cut, [B, h, w, d]; None: the network's features make them.
        standardised: over all classes of the counterparts at each cell, which follows the question better and finds
            what flips the decision less well; it needs the maps of all of them.

    Returns:
        Maps [B, h, w], the classes and the logits. Where there is no y, or no counterpart in c, the map is NaN.

    Raises:
        InputError: as `discriminant`; no counterparts, or those of activations with another number of channels.
    """
    if not isinstance(fitted, Counterparts):
        raise InputError(f"fitted of type {type(fitted).__name__}: expected galore.counterparts.Counterparts")

    def one(example: _Example, y: Array | None, c: Array | None) -> ByCounterparts:
        F, logits = _forward(net, example)
        y, c = _asked(logits, y, c)
        located, placed = net.locations(F)
        maps = partial(counterparts.maps, fitted, lambda G: net.logits(placed(G)), located, y)
        is_counter = fitted.classes == c
        map_ = standardised_maps(maps())[jnp.argmax(is_counter)] if standardised else maps(c[None])[0]
        known = exists(y, len(logits)) & is_counter.any()
        return ByCounterparts(jnp.where(known, map_, jnp.nan), y, c, logits)

    return _of_two_classes(one, net, images, activations, predicted, counter)


def counterfactual(
    net: Network,
    images: Float[Array, "B H W c"],
    counters: Any,
    counter_images: Float[Array, "B H W c"],
    *,
    attribution: Attribution | str = gradient_x_activation,
    confidence: Confidence | Predictor | str = softmax_score,
    confidence_attribution: Attribution | str | None = None,
    signs: Signs = AUTHORS,
    class_scores: ClassScores = logits_as_scores,
) -> Counterfactual:
    """Why the prediction y and not c: the pair (D(x; y, c), D(x_c; c, y)).

    Args:
        net: the network.
        images: the images x asked about, [B, H, W, c].
        counters: the counter classes c, one or B indices or names.
        counter_images: an image of class c for each, [B, H, W, c].
        attribution, confidence, confidence_attribution, signs, class_scores: see the module's docstring.

    Returns:
        Both discriminant explanations; `query` speaks for the prediction, `counter` for the counter class.

    Raises:
        InputError: as `discriminant`, or batches of different sizes.
    """
    options = map_options(attribution, confidence_attribution, signs, class_scores)
    score = arguments.confidence(confidence)
    arguments.check_examples(net, images)
    arguments.check_examples(net, counter_images, name="counter_images")
    if len(counter_images) != len(images):
        raise InputError(f"{len(images)} images and {len(counter_images)} counter images: expected as many")
    counters = arguments.class_indices(net, images, None, counters, "counters")

    def one(image: Array, counter_image: Array, c: Array) -> Counterfactual:
        query = _discriminant(net, _Example(image), None, c, score, options)
        counter = _discriminant(net, _Example(counter_image), c, query.predicted, score, options)
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
    attribution: Attribution | str = gradient_x_activation,
    confidence: Confidence | Predictor | str = softmax_score,
    confidence_attribution: Attribution | str | None = None,
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
        InputError: images or activations that are no batch for this network, fewer than two candidates, a fraction
            outside (0, 1], or options of another kind.
    """
    top, keep = arguments.whole_number(top, "top", 2), arguments.whole_number(keep, "keep", 2)
    if not isinstance(fraction, numbers.Real) or not 0 < fraction <= 1:
        raise InputError(f"fraction={fraction!r}: expected a number above 0 and at most 1")
    options = map_options(attribution, confidence_attribution, signs, class_scores)
    score = arguments.confidence(confidence)
    arguments.check_examples(net, images, activations)
    one = lambda example: _deliberative(net, example, top, keep, fraction, score, options)  # noqa: E731
    return jax.vmap(one)(_Example(images, activations))


class _Example(NamedTuple):
    """An image, its activation at the cut, or both."""

    image: Array | None = None
    activation: Array | None = None


def _of_two_classes(
    one: Callable[[_Example, Array | None, Array | None], Any],
    net: Network,
    images: Array | None,
    activations: Array | None,
    predicted: Any,
    counter: Any,
) -> Any:
    """`one` of each example with its classes y and c, as indices or None, once all of them are what is expected."""
    arguments.check_examples(net, images, activations)
    predicted = arguments.class_indices(net, images, activations, predicted, "predicted")
    counter = arguments.class_indices(net, images, activations, counter, "counter")
    return jax.vmap(one)(_Example(images, activations), predicted, counter)


def _forward(net: Network, example: _Example) -> tuple[Float[Array, "h w d"], Float[Array, " C"]]:
    if example.activation is None:
        return net(example.image)  # pyright: ignore[reportArgumentType]
    return example.activation, net.logits(example.activation)


def _asked(
    logits: Float[Array, " C"], predicted: Array | None, counter: Array | None
) -> tuple[Int[Array, ""], Int[Array, ""]]:
    """The classes y and c: those given, else the predicted one and the most probable one that is not y."""
    predicted = jnp.argmax(logits) if predicted is None else predicted
    if counter is None:
        counter = jnp.argmax(jnp.where(jnp.arange(len(logits)) == predicted, -jnp.inf, logits))
    return predicted, counter


def _margin(
    net: Network, example: _Example, predicted: Array | None, counter: Array | None, options: MapOptions
) -> Margin:
    F, logits = _forward(net, example)
    y, c = _asked(logits, predicted, counter)
    map_, value = margin_of_scores(net, example.image, F, y, c, options)
    return Margin(map_, y, c, value, logits)


def _discriminant(
    net: Network,
    example: _Example,
    predicted: Array | None,
    counter: Array | None,
    confidence: Confidence | Predictor,
    options: MapOptions,
) -> Discriminant:
    F, logits = _forward(net, example)
    predicted, counter = _asked(logits, predicted, counter)
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
