"""What the explanations are made of: frozen dataclasses, pytrees; `*B` is the batch of images."""

import dataclasses

import jax
from jaxtyping import Array, Bool, Float, Int


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Attributive:
    """What supports a class. `maps` [B, h, w] = a(h_classes)."""

    maps: Float[Array, "*B h w"]
    classes: Int[Array, "*B"]
    logits: Float[Array, "*B C"]


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


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Counterfactual:
    """Why the prediction and not the counter class: the same question put to both images.

    `query` = D(x; y, c) on the image asked about, `counter` = D(x_c; c, y) on an image of the counter class.
    """

    query: Discriminant
    counter: Discriminant


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Deliberative:
    """Where the network hesitates and between which classes: insecurities, the strongest first.

    Attributes:
        maps: a(h_a) * a(h_b) * a(difficulty) per pair.
        pairs: the two classes of each insecurity.
        strengths: the mean of the map over its region, the `fraction` of the map's cells with the largest values.
        occurs: whether the pair is among the `keep` largest class attributions at some location; pairs that are not
            come last and count as no insecurity.
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
