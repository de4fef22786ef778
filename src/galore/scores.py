"""The scores of one example and their maps, under the sign rules: one linearisation of the head serves them all."""

import inspect
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from galore.confidence import Confidence, Predictor
from galore.network import Network

Attribution = Callable[..., Array]
ClassScores = Callable[[Float[Array, " C"]], Float[Array, " C"]]


class Signs(NamedTuple):
    """What becomes of negative attributions; the default is the papers' code, `RAW` leaves everything as it is.

    Attributes:
        class_floor: negative values of a class map become this; None: they stay.
        positive_confidence_gradient: the gradient of a confidence or difficulty is clipped at zero before it meets the
            activation. An attribution function without `positive_gradient` has its map clipped instead.
    """

    class_floor: float | None = 1e-7
    positive_confidence_gradient: bool = True


AUTHORS = Signs()
RAW = Signs(class_floor=None, positive_confidence_gradient=False)


class Choices(NamedTuple):
    """How scores become maps; see the docstring of `galore.explain` for each."""

    attribution: Attribution
    confidence: Confidence | Predictor
    confidence_attribution: Attribution | None
    signs: Signs
    class_scores: ClassScores


class ScoreMaps(NamedTuple):
    """The maps of some class scores and of one confidence or difficulty, and its value."""

    classes: Float[Array, "K h w"]
    confidence: Float[Array, "h w"]
    value: Float[Array, ""]


def class_maps(
    net: Network,
    image: Float[Array, "H W c"],
    F: Float[Array, "h w d"],
    classes: Int[Array, " K"],
    attribution: Attribution,
    signs: Signs,
    class_scores: ClassScores,
) -> Float[Array, "K h w"]:
    """a(h_y) for each of the classes, floored by the sign rule."""

    def scores(activation: Array) -> Array:
        return class_scores(_logits(net, activation))[classes]

    maps = attribute(attribution, scores, F, [False] * len(classes), image, lambda x: net.features(net.params, x))
    return _floor(maps, signs)


def score_maps(
    net: Network,
    image: Float[Array, "H W c"],
    F: Float[Array, "h w d"],
    classes: Int[Array, " K"],
    choices: Choices,
    *,
    difficulty: bool = False,
) -> ScoreMaps:
    """a(h_y) for each of the classes, and a(s), or a(1 - s) where the difficulty is asked for."""
    confidence = choices.confidence
    if not isinstance(confidence, Predictor) and choices.confidence_attribution is None:
        return _shared_maps(net, image, F, classes, choices, confidence, difficulty)

    maps = class_maps(net, image, F, classes, choices.attribution, choices.signs, choices.class_scores)
    if isinstance(confidence, Predictor):
        predictor_features = confidence.features or (lambda _, x: net.features(net.params, x))
        activation = F if confidence.features is None else confidence.features(confidence.params, image)
        features = lambda x: predictor_features(confidence.params, x)  # noqa: E731
        judge = lambda G: confidence.head(confidence.params, G)  # noqa: E731
    else:
        activation, features = F, lambda x: net.features(net.params, x)
        judge = lambda G: confidence(_logits(net, G))  # noqa: E731

    def score(G: Array) -> Array:
        value = jnp.asarray(judge(G), jnp.float32).reshape(1)
        return 1 - value if difficulty else value

    attribution = choices.confidence_attribution or choices.attribution
    positive = [choices.signs.positive_confidence_gradient]
    (confidence_map,) = attribute(attribution, score, activation, positive, image, features)
    if confidence_map.shape != maps.shape[1:]:
        confidence_map = jax.image.resize(confidence_map, maps.shape[1:], "linear")
    return ScoreMaps(maps, confidence_map, score(activation)[0])


def _shared_maps(
    net: Network,
    image: Array,
    F: Array,
    classes: Array,
    choices: Choices,
    confidence: Confidence,
    difficulty: bool,
) -> ScoreMaps:
    def scores(activation: Array) -> Array:
        logits = _logits(net, activation)
        s = confidence(logits)
        return jnp.append(choices.class_scores(logits)[classes], 1 - s if difficulty else s)

    positive = [False] * len(classes) + [choices.signs.positive_confidence_gradient]
    maps = attribute(choices.attribution, scores, F, positive, image, lambda x: net.features(net.params, x))
    return ScoreMaps(_floor(maps[:-1], choices.signs), maps[-1], scores(F)[-1])


def attribute(
    attribution: Attribution,
    scores: Callable[[Array], Array],
    F: Array,
    positive: list[bool],
    image: Array,
    features: Callable[[Array], Array],
) -> Float[Array, "K h w"]:
    """The maps of K scores: all at once where the attribution takes `positive_gradient`, else one by one.

    Args:
        attribution: (scores, F) -> maps.
        scores: F -> [K].
        F: the activation, [h, w, d].
        positive: for each score, whether its gradient (or map) is clipped at zero, as of confidences.
        image: for attributions that follow a path of images.
        features: image -> F, likewise.
    """
    wanted = inspect.signature(attribution).parameters
    offered: dict[str, Any] = {"image": image, "features": features}
    extra = {name: value for name, value in offered.items() if name in wanted}
    if "positive_gradient" in wanted:
        clip = jnp.array(positive) if any(positive) else False
        return attribution(scores, F, positive_gradient=clip, **extra)
    maps = jnp.stack([attribution(lambda G, k=k: scores(G)[k], F, **extra) for k in range(len(positive))])
    return jnp.where(jnp.array(positive)[:, None, None], jax.nn.relu(maps), maps)


def _logits(net: Network, F: Array) -> Float[Array, " C"]:
    return net.head(net.params, F).astype(jnp.float32)


def _floor(maps: Float[Array, "K h w"], signs: Signs) -> Float[Array, "K h w"]:
    return maps if signs.class_floor is None else jnp.where(maps < 0, signs.class_floor, maps)
