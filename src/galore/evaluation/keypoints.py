"""Whether a search's edits are about parts: Near-KP, Same-KP, the number of edits, and how often it succeeds.

Goyal et al., "Counterfactual Visual Explanations", ICML 2019, judge edits by annotated keypoints. They count as in
the released code of Vandenhende et al., "Making Heads or Tails: Towards Semantically Consistent Visual
Counterfactuals", ECCV 2022.
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from galore.evaluation.search import Edits, Outcome


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
    searches: Edits,
    keypoints: Bool[np.ndarray, "S h w K"],
    distractor_keypoints: Bool[np.ndarray, "S N h w K"],
    *,
    first_only: bool = False,
) -> EditMetrics:
    """Near-KP, Same-KP, the number of edits and the success rate, over S searches.

    Args:
        searches: the edits of S searches, stacked.
        keypoints: which keypoints lie in each cell of the query, see `keypoint_cells`.
        distractor_keypoints: the same for each search's distractors.
        first_only: count the first edit of each search alone.

    Returns:
        The averages; NaN where there was no edit at all.
    """
    near, same = keypoint_hits(searches, keypoints, distractor_keypoints)
    if first_only:
        near, same = near[:, :1], same[:, :1]
    count, outcome = np.asarray(searches.count), np.asarray(searches.outcome)
    flipped = outcome == Outcome.FLIPPED
    return EditMetrics(
        near_keypoint=_mean(near[~np.isnan(near)]),
        same_keypoint=_mean(same[~np.isnan(same)]),
        edits=_mean(count[flipped]),
        success_rate=_mean(flipped),
        outcomes={kind.name.lower(): int((outcome == kind).sum()) for kind in Outcome},
    )


def keypoint_hits(
    searches: Edits, keypoints: Bool[np.ndarray, "S h w K"], distractor_keypoints: Bool[np.ndarray, "S N h w K"]
) -> tuple[Float[np.ndarray, "S E"], Float[np.ndarray, "S E"]]:
    """Near-KP and Same-KP of each edit, as the released code of Vandenhende et al. counts them.

    Args:
        searches: the edits of S searches, stacked.
        keypoints: which keypoints lie in each cell of the query, see `keypoint_cells`; theirs make one of left and
            right, see `merged_sides`.
        distractor_keypoints: the same for each search's distractors.

    Returns:
        Near: a half for the query's cell where it holds a keypoint, and a half for the distractor's. Same: 1 where both
        hold one and the same. NaN where no edit was made.
    """
    cells, parts = np.asarray(searches.cells), keypoints.shape[-1]
    ours, theirs = (
        np.take_along_axis(some.reshape(len(cells), -1, parts), np.maximum(cells[:, :, k, None], 0), axis=1)
        for k, some in enumerate((keypoints, distractor_keypoints))
    )
    is_made = np.arange(cells.shape[1]) < np.asarray(searches.count)[:, None]
    near = 0.5 * (ours.any(-1).astype(float) + theirs.any(-1))
    return np.where(is_made, near, np.nan), np.where(is_made, (ours & theirs).any(-1), np.nan)


def share_of_edits(hits: Float[np.ndarray, "S E"]) -> Float[np.ndarray, " S"]:
    """One value per search whose mean is that of all edits of all searches, so that it has an interval like any mean.

    The published averages are over edits, and searches have more or fewer of them: a ratio R of two means. Its
    linearisation (Woodruff, 1971) gives a search with hits x in n edits the value R + (x - R n) / mean(n), whose mean
    is R and whose spread is that of R.

    Args:
        hits: of each edit, see `keypoint_hits`; NaN where none was made.

    Returns:
        [S]; NaN for a search without an edit.
    """
    count, total = (~np.isnan(hits)).sum(axis=1), np.nansum(hits, axis=1)
    if not count.any():
        return np.full(len(hits), np.nan)
    share = total.sum() / count.sum()
    return np.where(count > 0, share + (total - share * count) / count[count > 0].mean(), np.nan)


def merged_sides(keypoints: Bool[np.ndarray, "*cells K"], part_names: Sequence[str]) -> Bool[np.ndarray, "*cells G"]:
    """Keypoints with one of the left and the right eye, leg and wing, as Vandenhende et al. count CUB's: 12 of 15.

    Args:
        keypoints: see `keypoint_cells`.
        part_names: of the keypoints.
    """
    sideless = [name.removeprefix("left ").removeprefix("right ") for name in part_names]
    return np.stack([keypoints[..., [s == one for s in sideless]].any(-1) for one in dict.fromkeys(sideless)], axis=-1)


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
    cells_with = np.zeros((len(points), *cells, points.shape[1]), bool)
    image, part = np.nonzero(inside)
    cells_with[image, row[inside], column[inside], part] = True
    return cells_with


def _mean(values: Any) -> float:
    return float(np.mean(values)) if np.size(values) else math.nan
