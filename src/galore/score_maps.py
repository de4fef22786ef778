"""The maps of scores, of which every explanation is made: a(h_y) of a class, a(s) of a confidence, a(h_y - h_c).

All scores of one image share one linearisation of the head.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from galore import arguments
from galore.attribution import Attribution, attribute, gradient_x_activation
from galore.confidence import Confidence, Predictor
from galore.errors import InputError
from galore.network import Network
from galore.precision import at_least_float32

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


def floored(maps: Float[Array, "*batch h w"], signs: Signs = AUTHORS) -> Float[Array, "*batch h w"]:
    """Class maps under the sign rule: negative values become `signs.class_floor`."""
    return maps if signs.class_floor is None else jnp.where(maps < 0, signs.class_floor, maps)


def standardised_maps(maps: Float[Array, "*batch C h w"]) -> Float[Array, "*batch C h w"]:
    """Less the mean over the C classes at each cell, in units of their standard deviation; 0 where all are equal."""
    centred = maps - jnp.mean(maps, axis=-3, keepdims=True)
    return centred / (jnp.sqrt(jnp.mean(centred**2, axis=-3, keepdims=True)) + 1e-9)


def logits_as_scores(logits: Float[Array, " C"]) -> Float[Array, " C"]:
    """The class scores of the papers' code: the logits themselves."""
    return logits


class MapOptions(NamedTuple):
    """How scores become maps; see the docstring of the module for each."""

    attribution: Attribution = gradient_x_activation
    confidence_attribution: Attribution | None = None
    signs: Signs = AUTHORS
    class_scores: ClassScores = logits_as_scores


def map_options(attribution: Any, confidence_attribution: Any, signs: Any, class_scores: ClassScores) -> MapOptions:
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
    there = exists(classes, _count(net, F))
    class_maps = jnp.where(there[:, None, None], floored(maps[: len(classes)], signs), jnp.nan)
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
        value = _number(score_of(G))
        value = value.astype(at_least_float32(value))
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


def _logits(net: Network, F: Array) -> Float[Array, " C"]:
    logits = net.logits(F)
    return logits.astype(at_least_float32(logits))


def _count(net: Network, F: Array) -> int:
    return jax.eval_shape(net.logits, F).shape[-1]


def exists(classes: Int[Array, "*n"], count: int) -> Bool[Array, "*n"]:
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


def margin(
    net: Network,
    image: Float[Array, "H W c"] | None,
    F: Float[Array, "h w d"],
    predicted: Int[Array, ""],
    counter: Int[Array, ""],
    options: MapOptions,
) -> tuple[Float[Array, "h w"], Float[Array, ""]]:
    """a(h_y - h_c) of one example, signed, and h_y - h_c; NaN where a class does not exist."""
    located, placed = net.locations(F)

    def score(activation: Array) -> Array:
        of_classes = _class_scores(_logits(net, placed(activation)), options)
        return (of_classes[predicted] - of_classes[counter])[None]

    (map_,) = _attributed(options.attribution, score, located, [False], image, net)
    exist = exists(jnp.stack([predicted, counter]), _count(net, F)).all()
    return jnp.where(exist, map_, jnp.nan), jnp.where(exist, score(located)[0], jnp.nan)
