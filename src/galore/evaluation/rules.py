"""The maps that are compared: ways to put a(h_y), a(h_c) and a(s) together, under the names that tables give them.

Each function returns what `galore.evaluation.judging` asks for. The margin a(h_y - h_c) is the simplest rival, which
the papers did not try; attributions are linear in the score, Grad-CAM aside, so that it is a difference of raw maps.
"""

import functools
from collections import OrderedDict

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from galore import explain
from galore.attribution import gradient_x_activation
from galore.confidence import Confidence, Predictor, certainty, softmax_score
from galore.errors import InputError
from galore.evaluation.judging import DeliberativeMethods, DiscriminantMethods, Insecurities, Maps
from galore.network import Network
from galore.scores import Attribution, Choices, attribute, score_maps

ATTRIBUTIVE = "a"
WITHOUT_SCORE = "a * comp(b)"
MARGIN = "margin"
NO_DIFFICULTY = "none"
UNFLOORED = explain.Signs(class_floor=None)
"""Class maps stay signed, so that the margin is exact; the authors' floor is applied to them afterwards."""


def discriminant(score: str) -> str:
    """The name of the discriminant map with a confidence score."""
    return f"{WITHOUT_SCORE} * s, {score}"


def margin(score: str) -> str:
    """The name of the margin map times the map of a confidence score."""
    return f"{MARGIN} * s, {score}"


def confidences(predictor: Predictor | None) -> dict[str, Confidence | Predictor]:
    """The confidence scores that there are, by name."""
    own: dict[str, Confidence | Predictor] = {"softmax": softmax_score, "certainty": certainty}
    return own | ({"easiness": predictor} if predictor is not None else {})


def all_discriminant(attribution: Attribution = gradient_x_activation) -> DiscriminantMethods:
    """Every rule with every confidence score: what the discriminant map gains from each of its factors."""

    def one(
        net: Network, predictor: Predictor | None, image: Array, y: Array, c: Array
    ) -> dict[str, Float[Array, "h w"]]:
        for_predicted, for_counter, factors = _factors(net, predictor, image, y, c, attribution)
        a, margin_map = floored(for_predicted), for_predicted - for_counter
        without_score = a * explain.complement(floored(for_counter))
        # In order, which jax keeps of this kind of dictionary alone.
        maps = OrderedDict({ATTRIBUTIVE: a, WITHOUT_SCORE: without_score})
        maps |= {discriminant(name): without_score * factor for name, factor in factors.items()}
        maps[MARGIN] = margin_map
        maps |= {margin(name): floored(margin_map) * factor for name, factor in factors.items()}
        return maps

    def methods(net: Network, predictor: Predictor | None, images: Array, y: Array, c: Array) -> Maps:
        return jax.vmap(lambda *example: one(net, predictor, *example))(images, y, c)

    return methods


def _factors(
    net: Network, predictor: Predictor | None, image: Array, y: Array, c: Array, attribution: Attribution
) -> tuple[Float[Array, "h w"], Float[Array, "h w"], dict[str, Float[Array, "h w"]]]:
    """The signed maps of both classes and the map of every confidence score, by one linearisation of the head."""
    F, _ = net(image)
    own = {name: score for name, score in confidences(None).items() if not isinstance(score, Predictor)}

    def scores(activation: Array) -> Array:
        logits = net.head(net.params, activation).astype(jnp.float32)
        return jnp.stack([logits[y], logits[c], *(score(logits) for score in own.values())])

    positive = [False, False] + [True] * len(own)
    maps = attribute(attribution, scores, F, positive, image, lambda x: net.features(net.params, x))
    factors = dict(zip(own, maps[2:]))
    if predictor is not None:
        choices = Choices(attribution, predictor, None, UNFLOORED, explain.logits_as_scores)
        factors["easiness"] = score_maps(net, image, F, jnp.stack([y, c]), choices).confidence
    return maps[0], maps[1], factors


def default_score(predictor: Predictor | None) -> str:
    """The papers' best score, easiness, where there is a predictor; else softmax."""
    return "easiness" if predictor is not None else "softmax"


def best_discriminant(
    attribution: Attribution = gradient_x_activation, score: str | None = None
) -> DiscriminantMethods:
    """The attributive map, the papers' discriminant map, and the margin.

    Args:
        attribution: of the classes and the confidence.
        score: "softmax", "certainty" or "easiness"; None: the papers' choice, see `default_score`.
    """

    def methods(net: Network, predictor: Predictor | None, images: Array, y: Array, c: Array) -> Maps:
        name = score or default_score(predictor)
        if name not in confidences(predictor):
            raise InputError(f"the score {name!r} needs a hardness predictor; train one with the network")
        confidence = confidences(predictor)[name]
        found = explain.discriminant(net, images, y, c, attribution=attribution, confidence=confidence, signs=UNFLOORED)
        for_predicted, for_counter = floored(found.predicted_maps), floored(found.counter_maps)
        return {
            ATTRIBUTIVE: for_predicted,
            discriminant(name): for_predicted * explain.complement(for_counter) * found.confidence_maps,
            MARGIN: found.predicted_maps - found.counter_maps,
        }

    return methods


def mirrored_too(methods: DiscriminantMethods) -> DiscriminantMethods:
    """The mean of each map and of the mirrored image's map, mirrored back, so that noise of one side averages out."""

    def both(net: Network, predictor: Predictor | None, images: Array, y: Array, c: Array) -> Maps:
        straight = methods(net, predictor, images, y, c)
        mirrored = methods(net, predictor, images[:, :, ::-1], y, c)
        return {name: (map_ + mirrored[name][:, :, ::-1]) / 2 for name, map_ in straight.items()}

    return both


def attributions(methods: dict[str, Attribution]) -> DiscriminantMethods:
    """The discriminant map, and the attributive one, by each attribution function."""

    def maps(net: Network, predictor: Predictor | None, images: Array, y: Array, c: Array) -> Maps:
        made: Maps = {}
        score = confidences(predictor)[default_score(predictor)]
        for name, attribution in methods.items():
            found = explain.discriminant(net, images, y, c, attribution=attribution, confidence=score)
            made[f"{WITHOUT_SCORE} * s, {name}"] = found.maps
            made[f"{ATTRIBUTIVE}, {name}"] = found.predicted_maps
        return made

    return maps


def deliberations(
    attribution: Attribution = gradient_x_activation,
    difficulty_attributions: dict[str, Attribution | None] | None = None,
    scores: tuple[str, ...] = ("softmax", "certainty", "easiness"),
    top: int = 5,
    keep: int = 3,
) -> DeliberativeMethods:
    """Insecurities by difficulty score and by the attribution of the difficulty; "none" is without difficulty map.

    Args:
        attribution: of the classes.
        difficulty_attributions: of the difficulty, by name; None: the same as of the classes.
        scores: which confidence scores; their complements are the hesitancy, the entropy and the hardness.
        top, keep: as in `galore.explain.deliberative`.
    """
    difficulty_attributions = difficulty_attributions or {"": None}

    def methods(net: Network, predictor: Predictor | None, images: Array, shared: Array) -> dict[str, Insecurities]:
        ask = functools.partial(explain.deliberative, net, images, top, keep=keep, attribution=attribution)
        made = {NO_DIFFICULTY: _insecurities(ask(confidence_attribution=_constant), shared)}
        for score, confidence in confidences(predictor).items():
            if score not in scores:
                continue
            for name, of_difficulty in difficulty_attributions.items():
                label = f"{DIFFICULTIES[score]}, {name}" if name else DIFFICULTIES[score]
                found = ask(confidence=confidence, confidence_attribution=of_difficulty)
                made[label] = _insecurities(found, shared)
        return made

    return methods


DIFFICULTIES = {"softmax": "hesitancy", "certainty": "entropy", "easiness": "hardness"}
"""The difficulty scores, complements of the confidence scores."""


def floored(map: Float[Array, "*n"]) -> Float[Array, "*n"]:
    """The authors' sign rule for class maps: negative values become 1e-7."""
    return jnp.where(map < 0, explain.AUTHORS.class_floor or 0.0, map)


def _constant(score: object, F: Float[Array, "h w d"]) -> Float[Array, "h w"]:
    return jnp.ones(F.shape[:2], jnp.float32)


def _insecurities(found: explain.Deliberative, shared: Array) -> Insecurities:
    truth = shared[found.pairs[..., 0], found.pairs[..., 1]]
    return Insecurities(found.maps, truth, found.occurs, found.strengths, found.pairs)
