"""Difficult images, and where the network hesitates in each between its class and another (NeurIPS 2019)."""

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from galore import explain, representation
from galore.confidence import Confidence, Predictor, certainty, softmax_score
from galore.data.dataset import PartDataset, SceneDataset
from galore.network import Network
from galore.teach import network_maps
from galore.training import checkpoint, header

SCORES: Mapping[str, Confidence | Predictor] = {"softmax": softmax_score, "certainty": certainty}
"""Confidence scores; the difficulty is their complement."""


@dataclasses.dataclass(frozen=True)
class HardImage:
    """A difficult image with its strongest insecurity for each score.

    Attributes:
        index: in the data set.
        truth: its class, a position in the data set's class names.
        others: by score, the other class of the insecurity.
        maps: by score, the insecurity's map [h, w].
    """

    index: int
    truth: int
    others: dict[str, int]
    maps: dict[str, Float[np.ndarray, "h w"]]

    __repr__ = representation.fields


def scores_of(model: str) -> dict[str, Confidence | Predictor]:
    """A model's confidence scores: the two of its logits, and easiness if it was trained with hardness."""
    if not header.is_checkpoint(model) or header.read_description(model).predictor_layer is None:
        return dict(SCORES)
    return dict(SCORES) | {"easiness": checkpoint.load_predictor(model)}


def hardest(logits: Float[np.ndarray, "n C"], dataset: PartDataset | SceneDataset, count: int) -> Int[np.ndarray, " k"]:
    """The least confident images, those that the network was not trained on first.

    Args:
        logits: of every image of the data set.
        dataset: tells which images are of the training.
        count: how many; at most half of the data set, so that examples are left.

    Returns:
        Positions in the data set, the hardest first.
    """
    confidence = np.asarray(softmax_score(jnp.asarray(logits)))
    order = np.lexsort((confidence, dataset.is_training))
    return order[: min(count, len(dataset) // 2)]


def with_insecurities(
    net: Network,
    dataset: PartDataset | SceneDataset,
    logit: Int[np.ndarray, " classes"],
    indices: Int[np.ndarray, " k"],
    scores: Mapping[str, Confidence | Predictor],
) -> list[HardImage]:
    """The images that have, for every score, an insecurity between their own class and another of the data set.

    Args:
        net: the network.
        dataset: with the images.
        logit: which logit belongs to each class of the data set.
        indices: of the images to look at.
        scores: the confidence scores whose insecurities are looked for.

    Returns:
        The images, in the order of the indices.
    """
    if len(indices) == 0:
        return []
    by_logit = {int(value): position for position, value in enumerate(logit)}
    paths = [dataset.image_path(int(i)) for i in indices]

    def deliberate(images: Array, _: Any) -> dict[str, tuple[Array, Array, Array]]:
        answers = {name: _deliberative(score)(net, images) for name, score in scores.items()}
        return {name: (answer.maps, answer.pairs, answer.occurs) for name, answer in answers.items()}

    answers = network_maps.over_photos(net, paths, deliberate)
    images = []
    for k, index in enumerate(indices):
        truth = int(dataset.labels[index])
        strongest = {
            name: _strongest(tuple(values[k] for values in answers[name]), int(logit[truth]), by_logit)
            for name in scores
        }
        known = {name: pair for name, pair in strongest.items() if pair is not None}
        if len(known) == len(scores):
            others = {name: other for name, (other, _) in known.items()}
            images.append(HardImage(int(index), truth, others, {name: map_ for name, (_, map_) in known.items()}))
    return images


@functools.cache
def _deliberative(confidence: Confidence | Predictor) -> Callable[[Network, Array], Any]:
    """Compiled once for each score."""
    return jax.jit(
        lambda net, images: explain.deliberative(
            net, images, attribution=network_maps.ATTRIBUTION, confidence=confidence
        )
    )


def _strongest(answer: tuple[Any, Any, Any], truth: int, by_logit: dict[int, int]) -> tuple[int, Any] | None:
    """The other class (a position in the data set) and the map of the strongest insecurity of the true class."""
    for map_, (a, b), occurs in zip(*answer):
        other = int(b) if int(a) == truth else int(a) if int(b) == truth else None
        if occurs and other in by_logit and map_.max() > map_.min():
            return by_logit[other], map_
    return None
