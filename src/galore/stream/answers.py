"""What a stream asks of every image: functions of a batch that return named columns, one row an image.

Each has "maps", the class "predicted" and the "difficulty" 1 - s, by which images are ranked. Any function of that form
can be streamed; bind the options with `functools.partial`.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from galore import explain
from galore.confidence import Confidence, softmax_score
from galore.counterparts import Counterparts
from galore.network import Network
from galore.part_tables import PartTables

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
    net: Network, images: Float[Array, "B H W c"] | None, *, counter: int | None = None, **options: Any
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


def margin(
    net: Network,
    images: Float[Array, "B H W c"] | None,
    *,
    counter: int | None = None,
    confidence: Confidence = softmax_score,
    **options: Any,
) -> Columns:
    """What moves the prediction away from another class.

    Args:
        net: the network.
        images: its inputs.
        counter: as in `discriminant`.
        confidence: as in `attributive`.
        options: see `galore.explain.margin`.

    Returns:
        maps [B, h, w], predicted [B], counter [B], difficulty [B].
    """
    return _of_two(explain.margin(net, images, None, counter, **options), confidence)


def standardised(
    net: Network,
    images: Float[Array, "B H W c"] | None,
    *,
    counter: int | None = None,
    confidence: Confidence = softmax_score,
    **options: Any,
) -> Columns:
    """What speaks less for another class than for all others: as `margin`, see `galore.explain.standardised`."""
    return _of_two(explain.standardised(net, images, None, counter, **options), confidence)


def by_part_tables(
    net: Network,
    images: Float[Array, "B H W c"] | None,
    *,
    tables: PartTables,
    counter: int | None = None,
    confidence: Confidence = softmax_score,
    **options: Any,
) -> Columns:
    """By which parts the prediction and another class differ.

    Args:
        net: the network.
        images: its inputs.
        tables: of this network at this cut.
        counter: as in `discriminant`.
        confidence: as in `attributive`.
        options: see `galore.explain.by_part_tables`.

    Returns:
        maps [B, h, w], predicted [B], counter [B], difficulty [B], and whether the tables have both classes, known [B].
    """
    answer = explain.by_part_tables(net, images, tables, None, counter, **options)
    has = lambda classes: jnp.isin(classes, tables.classes)  # noqa: E731
    return _of_two(answer, confidence) | {"known": has(answer.predicted) & has(answer.counter)}


def by_counterparts(
    net: Network,
    images: Float[Array, "B H W c"] | None,
    *,
    fitted: Counterparts,
    counter: int | None = None,
    confidence: Confidence = softmax_score,
    **options: Any,
) -> Columns:
    """What the prediction would lose to another class if a cell looked as it does there: as `by_part_tables`, but known
    [B] where there are counterparts in the counter class; see `galore.explain.by_counterparts`."""
    answer = explain.by_counterparts(net, images, fitted, None, counter, **options)
    return _of_two(answer, confidence) | {"known": jnp.isin(answer.counter, fitted.classes)}


def _of_two(
    answer: explain.Margin | explain.Standardised | explain.ByPartTables | explain.ByCounterparts,
    confidence: Confidence,
) -> Columns:
    difficulty = 1 - jax.vmap(confidence)(answer.logits)
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
    why_not: Callable[..., Columns] | None = None,
    top: int = 5,
    fraction: float = 0.1,
    **options: Any,
) -> Columns:
    """Why not the other class, and where the network hesitates, by one forward pass.

    Args:
        net: the network.
        images: its inputs.
        counter: as in `discriminant`.
        why_not: `margin`, `standardised`, `by_part_tables` or `by_counterparts` with their options, in place of
            `discriminant`.
        top, fraction: as in `galore.explain.deliberative`.
        options: of the hesitation, and of `discriminant`.

    Returns:
        The columns of `why_not`, and of `deliberative` all but the maps.
    """
    F = jax.vmap(net.activation)(images)
    hesitation = explain.deliberative(net, None, top, activations=F, fraction=fraction, **options)
    of_two = partial(discriminant, counter=counter, **options) if why_not is None else why_not
    return of_two(net, None, activations=F) | {
        "pairs": hesitation.pairs,
        "strengths": hesitation.strengths,
        "occurs": hesitation.occurs,
        "difficulty": hesitation.difficulty,
    }
