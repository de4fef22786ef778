"""What a stream asks of every image: functions of a batch that return named columns, one row an image.

Each has "maps", the class "predicted" and the "difficulty" 1 - s, by which images are ranked. Any function of that form
can be streamed; bind the options with `functools.partial`.
"""

from typing import Any

import jax
from jaxtyping import Array, Float

from galore import explain
from galore.confidence import Confidence, softmax_score
from galore.network import Network

Columns = dict[str, Array]


def attributive(
    net: Network, images: Float[Array, "B H W c"], *, confidence: Confidence = softmax_score, **options: Any
) -> Columns:
    """What supports the prediction.

    Args:
        net: the network.
        images: its inputs.
        confidence: `logits -> s`, for the ranking alone.
        options: see `galore.explain.attributive`.

    Returns:
        maps [B, h, w], predicted [B], difficulty [B].
    """
    answer = explain.attributive(net, images, **options)
    difficulty = 1 - jax.vmap(confidence)(answer.logits)
    return {"maps": answer.maps, "predicted": answer.classes, "difficulty": difficulty}


def discriminant(
    net: Network, images: Float[Array, "B H W c"], *, counter: int | None = None, **options: Any
) -> Columns:
    """What speaks for the prediction and not for another class.

    Args:
        net: the network.
        images: its inputs.
        counter: the other class, the same for all images; None: each image's runner-up.
        options: see `galore.explain.discriminant`.

    Returns:
        maps [B, h, w], predicted [B], counter [B], difficulty [B].
    """
    answer = explain.discriminant(net, images, None, counter, **options)
    difficulty = 1 - answer.confidence
    return {"maps": answer.maps, "predicted": answer.predicted, "counter": answer.counter, "difficulty": difficulty}


def deliberative(net: Network, images: Float[Array, "B H W c"], **options: Any) -> Columns:
    """Where the network hesitates and between which classes, the strongest insecurity first.

    Args:
        net: the network.
        images: its inputs.
        options: see `galore.explain.deliberative`.

    Returns:
        maps [B, P, h, w], pairs [B, P, 2], strengths [B, P], occurs [B, P], predicted [B], difficulty [B].
    """
    answer = explain.deliberative(net, images, **options)
    return {
        "maps": answer.maps,
        "pairs": answer.pairs,
        "strengths": answer.strengths,
        "occurs": answer.occurs,
        "predicted": answer.classes[:, 0],
        "difficulty": answer.difficulty,
    }


def both(
    net: Network,
    images: Float[Array, "B H W c"],
    *,
    counter: int | None = None,
    top: int = 5,
    fraction: float = 0.1,
    **options: Any,
) -> Columns:
    """Why not the other class, and where the network hesitates, by one forward pass.

    Args:
        net: the network.
        images: its inputs.
        counter: as in `discriminant`.
        top, fraction: as in `galore.explain.deliberative`.
        options: of both explanations.

    Returns:
        The columns of `discriminant`, and of `deliberative` all but the maps.
    """
    F = jax.vmap(net.activation)(images)
    why_not = explain.discriminant(net, None, None, counter, activations=F, **options)
    hesitation = explain.deliberative(net, None, top, activations=F, fraction=fraction, **options)
    return {
        "maps": why_not.maps,
        "counter": why_not.counter,
        "pairs": hesitation.pairs,
        "strengths": hesitation.strengths,
        "occurs": hesitation.occurs,
        "predicted": why_not.predicted,
        "difficulty": hesitation.difficulty,
    }
