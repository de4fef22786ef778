"""Semantically consistent search: cells are exchanged for cells that mean the same.

Vandenhende et al., "Making Heads or Tails: Towards Semantically Consistent Visual Counterfactuals", ECCV 2022.
The search of `galore.evaluation.search`, with three additions: the cells of several distractor images compete, only
the pairs that resemble each other most are candidates, and the score of a pair (i, j) is

    log p(c | edited) + weight * log softmax_j( cos(u_i, u_j) / temperature ),

with u the features that judge the resemblance. Theirs are self-supervised ones; any network's activations of the same
map size serve. The default numbers are those of their released configuration.
"""

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from galore.errors import InputError
from galore.evaluation.search import Edits, Outcome, check, greedy, head_of
from galore.evaluation.search_candidates import all_pairs
from galore.network import Network


def semantic(
    net: Network,
    F: Float[Array, "h w d"],
    distractors: Float[Array, "N H W D"],
    counter: int | Int[Array, ""],
    features: Float[Array, "a b u"],
    distractor_features: Float[Array, "M A B u"],
    *,
    predicted: int | Int[Array, ""] | None = None,
    edits: int = 1,
    weight: float = 0.4,
    temperature: float = 0.1,
    candidates: float = 0.1,
    chunk: int = 1024,
    shortcuts: bool = True,
) -> Edits:
    """The best replacement among those that resemble, again and again, until the prediction is the counter class.

    Args:
        net: the network; only its head is used.
        F: the query's activation, [h, w, d].
        distractors: the activations of images of the counter class, [N, h, w, d].
        counter: the counter class c.
        features: what judges the resemblance of the query's cells, [h, w, u].
        distractor_features: the same for the distractors, [N, h, w, u].
        predicted, edits, chunk, shortcuts: as in `search.exhaustive`.
        weight: of the resemblance against the log probability.
        temperature: of the softmax over the distractors' cells.
        candidates: the fraction of the pairs that is tried, the most similar ones, in (0, 1].

    Returns:
        The edits, in order; a distractor's cell counts on from image to image.

    Raises:
        InputError: what `search.exhaustive` raises, features on another map than the activations, or a fraction of
            candidates outside (0, 1].
    """
    check(F, distractors, counter, predicted, edits, chunk)
    if features.shape[:2] != F.shape[:2] or distractor_features.shape[:3] != distractors.shape[:3]:
        raise InputError(
            f"features of shape {features.shape} and {distractor_features.shape} for activations of shape {F.shape} "
            f"and {distractors.shape}: expected the same map and as many images"
        )
    if not 0 < candidates <= 1:
        raise InputError(f"candidates={candidates}: expected a fraction above 0 and at most 1")
    similarity = cell_similarity(features, distractor_features)
    bonus = weight * jax.nn.log_softmax(similarity / temperature, axis=-1).reshape(-1)
    pairs = all_pairs(*similarity.shape)
    if candidates < 1:
        _, kept = jax.lax.top_k(similarity.reshape(-1), max(math.floor(candidates * similarity.size), 1))
        pairs, bonus = pairs[kept], bonus[kept]
    cells = distractors.reshape(-1, distractors.shape[-1])
    return greedy(head_of(net), F, cells, counter, pairs, bonus, predicted, edits, chunk, shortcuts)


def cell_similarity(
    features: Float[Array, "h w u"], distractor_features: Float[Array, "N h w u"]
) -> Float[Array, "hw Nhw"]:
    """The cosine between every cell of the query and every cell of the distractors."""

    def unit(x: Array) -> Array:
        flat = x.reshape(-1, x.shape[-1]).astype(jnp.float32)
        return flat / jnp.maximum(jnp.linalg.norm(flat, axis=-1, keepdims=True), 1e-12)

    return unit(features) @ unit(distractor_features).T


class EditMetrics(NamedTuple):
    """Averages over searches.

    Attributes:
        near_keypoint: how often an edited cell holds a keypoint, query's and distractor's counted half each.
        same_keypoint: how often both cells hold one and the same keypoint.
        edits: the mean number of edits of the searches that flipped the prediction.
        success_rate: searches that flipped the prediction.
        outcomes: how many searches ended in each way.
    """

    near_keypoint: float
    same_keypoint: float
    edits: float
    success_rate: float
    outcomes: dict[str, int]


def edit_metrics(
    found: Edits,
    keypoints: Bool[np.ndarray, "S h w K"],
    distractor_keypoints: Bool[np.ndarray, "S N h w K"],
    *,
    first_only: bool = False,
) -> EditMetrics:
    """Near-KP, Same-KP, the number of edits and the success rate, over S searches.

    Args:
        found: the edits of S searches, stacked.
        keypoints: which keypoints lie in each cell of the query, see `keypoint_cells`.
        distractor_keypoints: the same for each search's distractors.
        first_only: count the first edit of each search alone.

    Returns:
        The averages; NaN where there was no edit at all.
    """
    cells, count, outcome = (np.asarray(x) for x in (found.cells, found.count, found.outcome))
    parts = keypoints.shape[-1]
    query, distractor = keypoints.reshape(len(cells), -1, parts), distractor_keypoints.reshape(len(cells), -1, parts)
    limit = np.minimum(count, 1) if first_only else count
    search, number = np.nonzero(np.arange(cells.shape[1]) < limit[:, None])
    ours = query[search, cells[search, number, 0]]
    theirs = distractor[search, cells[search, number, 1]]
    near = 0.5 * (ours.any(-1).astype(float) + theirs.any(-1))
    flipped = outcome == Outcome.FLIPPED
    return EditMetrics(
        near_keypoint=_mean(near),
        same_keypoint=_mean((ours & theirs).any(-1)),
        edits=_mean(count[flipped]),
        success_rate=_mean(flipped),
        outcomes={kind.name.lower(): int((outcome == kind).sum()) for kind in Outcome},
    )


def keypoint_cells(
    points: Float[np.ndarray, "S K 2"], visible: Bool[np.ndarray, "S K"], cells: tuple[int, int], size: tuple[int, int]
) -> Bool[np.ndarray, "S h w K"]:
    """Which keypoints lie in which cell of the map.

    Args:
        points: (x, y) in pixels of the network's input.
        visible: which count.
        cells: (h, w) of the map.
        size: (height, width) of the input in pixels.
    """
    column, row = np.floor(points * np.array([cells[1] / size[1], cells[0] / size[0]])).astype(int).transpose(2, 0, 1)
    inside = visible & (column >= 0) & (column < cells[1]) & (row >= 0) & (row < cells[0])
    held = np.zeros((len(points), *cells, points.shape[1]), bool)
    image, part = np.nonzero(inside)
    held[image, row[inside], column[inside], part] = True
    return held


def _mean(values: Any) -> float:
    return float(np.mean(values)) if np.size(values) else math.nan
