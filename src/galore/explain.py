"""The three explanations: algebra on attribution maps (Wang & Vasconcelos, GALORE, TPAMI 2023).

    attributive      what supports the prediction?                 a(h_y)
    deliberative     where does the network hesitate?              a(h_a) * a(h_b) * a(1 - s), for pairs (a, b)
    counterfactual   why y and not c?                              D(x; y, c) and D(x_c; c, y), where
                                                                   D(x; y, c) = a(h_y) * complement(a(h_c)) * a(s)
    margin           what moves y away from c?                     a(h_y - h_c), which the papers did not try
    standardised     what lacks c more than it lacks others?       -a(h_c), standardised over all classes at each cell

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

import dataclasses
import math
import numbers
from collections.abc import Callable, Sequence
from itertools import combinations
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from galore import arguments, representation
from galore import class_names as naming
from galore.attribution import Attribution, attribute, gradient_x_activation
from galore.confidence import Confidence, Predictor, softmax_score
from galore.errors import InputError
from galore.network import Network

ClassScores = Callable[[Float[Array, " C"]], Float[Array, " C"]]
ClassName = Callable[[Any], str]
Drawn = list[tuple[Any, Any, int, str]]
"""Maps, the batch of images that each belongs to, its place there, and its caption."""


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


def _plot(
    self: Any, images: Any = None, index: int = 0, *, class_names: Sequence[str] = (), ax: Any = None, **others: Any
) -> Any:
    """Draws the maps of one image over it, by matplotlib, outside `jit`.

    Args:
        images: what is seen below the maps, [B, H, W, c] or one of them, with 1 or 3 colours: uint8, or the network's
            inputs, which are stretched from black to white; None: nothing.
        index: which image of the batch.
        class_names: for the captions, such as `net.class_names`; numbers where there are none.
        ax: axes in which the first map alone is drawn.
        others: `counter_images` of a `Counterfactual`.

    Returns:
        A figure, which a notebook shows and `savefig` writes; no window opens. The axes where they are given.

    Raises:
        InputError: an image of the batch, or images, that there are not.
    """
    from galore import plotting

    def name(index: Any) -> str:
        return naming.label(int(index), class_names) if class_names else f"class {int(index)}"

    batch = len(jax.tree.leaves(self)[0])
    if not -batch <= index < batch:
        raise InputError(f"index={index}: the explanation is of {batch} images")
    return plotting.maps(self._drawn(index, name, images, **others), ax)


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Attributive:
    """What supports a class. `maps` [B, h, w] = a(h_classes)."""

    maps: Float[Array, "*B h w"]
    classes: Int[Array, "*B"]
    logits: Float[Array, "*B C"]

    __repr__ = representation.fields
    plot = _plot

    def _drawn(self, index: int, name: ClassName, images: Any) -> Drawn:
        return [(self.maps[index], images, index, f"speaks for {name(self.classes[index])}")]


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
    plot = _plot

    def _drawn(self, index: int, name: ClassName, images: Any) -> Drawn:
        caption = f"speaks for {name(self.predicted[index])},\nnot for {name(self.counter[index])}"
        return [(self.maps[index], images, index, caption)]


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Margin:
    """What moves the score of `predicted` away from that of `counter`.

    `maps` [B, h, w] = a(h_predicted - h_counter), signed; `margin` is h_predicted - h_counter itself.
    """

    maps: Float[Array, "*B h w"]
    predicted: Int[Array, "*B"]
    counter: Int[Array, "*B"]
    margin: Float[Array, "*B"]
    logits: Float[Array, "*B C"]

    __repr__ = representation.fields
    plot = _plot

    def _drawn(self, index: int, name: ClassName, images: Any) -> Drawn:
        caption = f"speaks for {name(self.predicted[index])},\nnot for {name(self.counter[index])}"
        return [(self.maps[index], images, index, caption)]


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Standardised:
    """What speaks less for `counter` than for the other classes.

    `maps` [B, h, w] = `standardised_maps` of -a(h) of all classes, at `counter`; signed.
    """

    maps: Float[Array, "*B h w"]
    predicted: Int[Array, "*B"]
    counter: Int[Array, "*B"]
    logits: Float[Array, "*B C"]

    __repr__ = representation.fields
    plot = _plot

    def _drawn(self, index: int, name: ClassName, images: Any) -> Drawn:
        return [(self.maps[index], images, index, f"unlike {name(self.counter[index])}")]


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Counterfactual:
    """Why the prediction and not the counter class: the same question put to both images.

    `query` = D(x; y, c) on the image asked about, `counter` = D(x_c; c, y) on an image of the counter class.
    """

    query: Discriminant
    counter: Discriminant

    __repr__ = representation.fields
    plot = _plot

    def _drawn(self, index: int, name: ClassName, images: Any, counter_images: Any = None) -> Drawn:
        return [*self.query._drawn(index, name, images), *self.counter._drawn(index, name, counter_images)]


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
    plot = _plot

    def _drawn(self, index: int, name: ClassName, images: Any) -> Drawn:
        """The strongest insecurities; of those that do not occur the strongest alone."""
        count = min(max(int(self.occurs[index].sum()), 1), 3)
        captions = [f"{name(a)}\nor {name(b)}?" for a, b in np.asarray(self.pairs[index, :count])]
        return [(map_, images, index, caption) for map_, caption in zip(self.maps[index], captions)]


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
    """a(h_y) - a(h_c), of signed class maps; what `margin` gives for attributions that are linear in the score."""
    return predicted_map - counter_map


def standardised_maps(maps: Float[Array, "*batch C h w"]) -> Float[Array, "*batch C h w"]:
    """Less the mean over the C classes at each cell, in units of their standard deviation; 0 where all are equal."""
    centred = maps - jnp.mean(maps, axis=-3, keepdims=True)
    return centred / (jnp.sqrt(jnp.mean(centred**2, axis=-3, keepdims=True)) + 1e-9)


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
    options = _map_options(attribution, None, signs, class_scores)
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
    options = _map_options(attribution, confidence_attribution, signs, class_scores)
    score = arguments.confidence(confidence)
    arguments.check_examples(net, images, activations)
    predicted = arguments.class_indices(net, images, activations, predicted, "predicted")
    counter = arguments.class_indices(net, images, activations, counter, "counter")
    one = lambda x, y, c: _discriminant(net, x, y, c, score, options)  # noqa: E731
    return jax.vmap(one)(_Example(images, activations), predicted, counter)


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
    options = _map_options(attribution, None, RAW, class_scores)
    arguments.check_examples(net, images, activations)
    predicted = arguments.class_indices(net, images, activations, predicted, "predicted")
    counter = arguments.class_indices(net, images, activations, counter, "counter")
    one = lambda x, y, c: _margin(net, x, y, c, options)  # noqa: E731
    return jax.vmap(one)(_Example(images, activations), predicted, counter)


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
    options = _map_options(attribution, None, RAW, class_scores)
    arguments.check_examples(net, images, activations)
    predicted = arguments.class_indices(net, images, activations, predicted, "predicted")
    counter = arguments.class_indices(net, images, activations, counter, "counter")

    def one(example: _Example, y: Array | None, c: Array | None) -> Standardised:
        F, logits = _forward(net, example)
        y, c = _asked(logits, y, c)
        maps = score_maps(net, example.image, F, jnp.arange(len(logits)), (), options).classes
        exist = _exists(jnp.stack([y, c]), len(logits)).all()
        return Standardised(jnp.where(exist, standardised_maps(-maps)[c], jnp.nan), y, c, logits)

    return jax.vmap(one)(_Example(images, activations), predicted, counter)


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
    options = _map_options(attribution, confidence_attribution, signs, class_scores)
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
    options = _map_options(attribution, confidence_attribution, signs, class_scores)
    score = arguments.confidence(confidence)
    arguments.check_examples(net, images, activations)
    one = lambda example: _deliberative(net, example, top, keep, fraction, score, options)  # noqa: E731
    return jax.vmap(one)(_Example(images, activations))


class MapOptions(NamedTuple):
    """How scores become maps; see the docstring of the module for each."""

    attribution: Attribution = gradient_x_activation
    confidence_attribution: Attribution | None = None
    signs: Signs = AUTHORS
    class_scores: ClassScores = logits_as_scores


def _map_options(attribution: Any, confidence_attribution: Any, signs: Any, class_scores: ClassScores) -> MapOptions:
    """The options as they were given, names resolved; the one place where functions may be names."""
    if not isinstance(signs, Signs):
        raise InputError(f"signs of type {type(signs).__name__}: expected galore.explain.Signs, such as AUTHORS or RAW")
    if not callable(class_scores):
        raise InputError(
            f"class_scores of type {type(class_scores).__name__}: expected a function logits -> scores, such as "
            "jax.nn.softmax"
        )
    own = confidence_attribution
    return MapOptions(
        arguments.attribution(attribution),
        None if own is None else arguments.attribution(own, "confidence_attribution"),
        signs,
        class_scores,
    )


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
    located, placed = net.locations(F)
    with_classes = [s for s in confidences if options.confidence_attribution is None and not isinstance(s, Predictor)]

    def of_logits(logits: Array) -> list[Array]:
        values = [_number(s(logits)) for s in with_classes]
        return [1 - value if difficulty else value for value in values]

    def scores(activation: Array) -> Array:
        logits = _logits(net, placed(activation))
        return jnp.concatenate([_class_scores(logits, options)[classes], *of_logits(logits)])

    clipped = [False] * len(classes) + [signs.positive_confidence_gradient] * len(with_classes)
    maps = _attributed(options.attribution, scores, located, clipped, image, net)
    shared = iter(zip(maps[len(classes) :], scores(located)[len(classes) :]))
    exists = _exists(classes, _count(net, F))
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
    (activation, placed), features = net.locations(F), _locations_of(net)
    if isinstance(confidence, Predictor):
        score_of = lambda G: confidence.head(confidence.params, placed(G))  # noqa: E731
        if (own := confidence.features) is not None:
            features = lambda x: own(confidence.params, x)  # noqa: E731
            if image is None:
                raise InputError("the predictor has features of its own: give images, not activations alone")
            activation, placed = features(image), lambda located: located
    else:
        score_of = lambda G: confidence(_logits(net, placed(G)))  # noqa: E731

    def score(G: Array) -> Array:
        value = _number(score_of(G)).astype(jnp.float32)
        return 1 - value if difficulty else value

    attribution = options.confidence_attribution or options.attribution
    clipped = [options.signs.positive_confidence_gradient]
    (confidence_map,) = attribute(attribution, score, activation, clipped, image, features)
    return confidence_map, score(activation)[0]


def _locations_of(net: Network) -> Callable[[Float[Array, "H W c"]], Float[Array, "h w d"]]:
    """The locations of an image's activation."""
    return lambda image: net.locations(net.activation(image))[0]


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


def _exists(classes: Int[Array, "*n"], count: int) -> Bool[Array, "*n"]:
    """Whether there are such classes: where an index is traced only this tells, lest it gets another class's map."""
    return (classes >= 0) & (classes < count)


def _class_scores(logits: Float[Array, " C"], options: MapOptions) -> Float[Array, " C"]:
    scores = options.class_scores(logits)
    if jnp.shape(scores) != logits.shape:
        raise InputError(f"class_scores give shape {jnp.shape(scores)}, expected one per logit, {logits.shape}")
    return scores


def _attributed(
    attribution: Attribution,
    scores: Callable[[Array], Array],
    F: Array,
    clipped: Sequence[bool],
    image: Array | None,
    net: Network,
) -> Float[Array, "K h w"]:
    maps = attribute(attribution, scores, F, clipped, image, _locations_of(net))
    if maps.ndim != 3:
        raise InputError(f"the attribution gives maps of shape {maps.shape[1:]}, expected [h, w] for each score")
    return maps


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
    located, placed = net.locations(F)

    def score(activation: Array) -> Array:
        of_classes = _class_scores(_logits(net, placed(activation)), options)
        return (of_classes[y] - of_classes[c])[None]

    (maps,) = _attributed(options.attribution, score, located, [False], example.image, net)
    exist = _exists(jnp.stack([y, c]), len(logits)).all()
    return Margin(jnp.where(exist, maps, jnp.nan), y, c, jnp.where(exist, score(located)[0], jnp.nan), logits)


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
