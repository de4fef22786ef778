"""What a stream asks of every image: functions of a batch that return named columns, one row an image.

Each has "maps", the class "predicted" and the "difficulty" 1 - s, by which images are ranked. Any function of that form
can be streamed; bind the choices with `functools.partial`.
"""

from typing import Any

import jax
from jaxtyping import Array, Float

from galore import explain
from galore.confidence import Confidence, softmax_score
from galore.network import Network

Columns = dict[str, Array]


def attributive(
    net: Network, images: Float[Array, "B H W c"], *, confidence: Confidence = softmax_score, **choices: Any
) -> Columns:
    """What supports the prediction.

    Args:
        net: the network.
        images: its inputs.
        confidence: `logits -> s`, for the ranking alone.
        choices: see `galore.explain.attributive`.

    Returns:
        maps [B, h, w], predicted [B], difficulty [B].
    """
    found = explain.attributive(net, images, **choices)
    difficulty = 1 - jax.vmap(confidence)(found.logits)
    return {"maps": found.maps, "predicted": found.classes, "difficulty": difficulty}


def discriminant(
    net: Network, images: Float[Array, "B H W c"], *, counter: int | None = None, **choices: Any
) -> Columns:
    """What speaks for the prediction and not for another class.

    Args:
        net: the network.
        images: its inputs.
        counter: the other class, the same for all images; None: each image's runner-up.
        choices: see `galore.explain.discriminant`.

    Returns:
        maps [B, h, w], predicted [B], counter [B], difficulty [B].
    """
    found = explain.discriminant(net, images, None, counter, **choices)
    difficulty = 1 - found.confidence
    return {"maps": found.maps, "predicted": found.predicted, "counter": found.counter, "difficulty": difficulty}


def deliberative(net: Network, images: Float[Array, "B H W c"], **choices: Any) -> Columns:
    """Where the network hesitates and between which classes, the strongest insecurity first.

    Args:
        net: the network.
        images: its inputs.
        choices: see `galore.explain.deliberative`.

    Returns:
        maps [B, P, h, w], pairs [B, P, 2], strengths [B, P], occurs [B, P], predicted [B], difficulty [B].
    """
    found = explain.deliberative(net, images, **choices)
    return {
        "maps": found.maps,
        "pairs": found.pairs,
        "strengths": found.strengths,
        "occurs": found.occurs,
        "predicted": found.classes[:, 0],
        "difficulty": found.difficulty,
    }
