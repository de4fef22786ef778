"""How well maps and regions agree with annotated parts and objects; every threshold of a curve from one ranking.

A part lies in the region "largest fraction t of the map's pixels" (`galore.regions.largest_fraction`) exactly where
enough pixels are strictly smaller than the pixel under the part. So one count per part, its *rank*, answers the
question for every t: maps are looked at once (`ranks`, `pixel_scores`), and all curves follow from small arrays.

Definitions: Wang & Vasconcelos, SCOUT, CVPR 2020, and GALORE, TPAMI 2023. Numbers that an image cannot have (no
ground-truth part is visible, no part lies in the region) are NaN, so that callers can count them. Everything but
`pixel_scores` is jax, batched by leading axes, and works under `jax.jit` and `jax.vmap`.
"""

import functools
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Num, UInt32

from galore.regions import order_keys, upsample

FRACTIONS = (0.005, *(percent / 100 for percent in range(1, 100)))
"""The 100 region sizes of the papers' curves: 0.5 %, 1 %, 2 %, ..., 99 % of the image."""

Fractions = tuple[float, ...]

_STRIPES = 64


class PrecisionRecall(NamedTuple):
    """Per region size T; NaN where an image does not count for the number."""

    precision: Float[Array, "*n T"]
    recall: Float[Array, "*n T"]


def ranks(maps: Float[Array, "*maps h w"], points: Float[Array, "P 2"], size: tuple[int, int]) -> Int[Array, "*maps P"]:
    """How many pixels of the upsampled maps are strictly smaller than the pixel under each point.

    Args:
        maps: of one image, [..., h, w].
        points: x, y in pixels of the network's input; pixel i covers [i, i + 1). Points outside count as on the edge.
        size: (height, width) of the network's input.

    Returns:
        Counts from 0 to height * width - 1, int32; 0 where the map is NaN.
    """
    pixels = upsample(maps, size)
    columns = jnp.clip(jnp.floor(points[:, 0]).astype(jnp.int32), 0, size[1] - 1)
    rows = jnp.clip(jnp.floor(points[:, 1]).astype(jnp.int32), 0, size[0] - 1)
    flat = pixels.reshape(*pixels.shape[:-2], -1)
    return _count_smaller(flat, pixels[..., rows, columns])


def in_regions(
    ranks: Int[Array, "*#n P"], size: tuple[int, int], fractions: Fractions = FRACTIONS
) -> Bool[Array, "*n T P"]:
    """Whether each part lies in the region of each size; exactly what `regions.largest_fraction` contains.

    Args:
        ranks: from `ranks`, [..., P].
        size: (height, width) of the network's input.
        fractions: T region sizes between 0 and 1.

    Returns:
        [..., T, P].
    """
    return ranks[..., None, :] > jnp.asarray(_smallest_rank(size[0] * size[1], fractions))[:, None]


def precision_recall(
    ranks: Int[Array, "*#n P"],
    truth: Bool[Array, "*#n P"],
    visible: Bool[Array, "*#n P"],
    size: tuple[int, int],
    fractions: Fractions = FRACTIONS,
) -> PrecisionRecall:
    """recall = |r & G| / |G| and precision = |r & G| / |r & P| of the parts in regions r of every size.

    Args:
        ranks: from `ranks`, [..., P].
        truth: which parts are ground truth; G are those that are visible.
        visible: which parts are visible, P.
        size: (height, width) of the network's input.
        fractions: T region sizes between 0 and 1.

    Returns:
        Precision and recall, [..., T]. Both are NaN where no ground-truth part is visible; precision also where no
        visible part lies in the region.
    """
    relevant = truth & visible
    inside = in_regions(ranks, size, fractions)
    hits = _count(inside & relevant[..., None, :])
    total = _count(relevant)[..., None]
    precision = hits / _nan_if_zero(jnp.where(total > 0, _count(inside & visible[..., None, :]), 0))
    return PrecisionRecall(precision, hits / _nan_if_zero(total))


def auroc(ranks: Num[Array, "*#n P"], truth: Bool[Array, "*#n P"], visible: Bool[Array, "*#n P"]) -> Float[Array, "*n"]:
    """How often a map is larger at a ground-truth part than at another visible part; ties count half, chance is 0.5.

    The area under the ROC curve of the map's values as a detector of ground-truth parts, per image. It needs no
    threshold, and the share of parts that are ground truth does not move it.

    Args:
        ranks: from `ranks`, [..., P], or whatever orders the parts as the map does.
        truth: which parts are ground truth.
        visible: which parts are visible.

    Returns:
        [...]; NaN where the visible parts are all ground truth, or none of them.
    """
    first, second = ranks[..., :, None], ranks[..., None, :]
    wins = (first > second) + 0.5 * (first == second)
    pairs = (truth & visible)[..., :, None] & (~truth & visible)[..., None, :]
    count = jnp.sum(pairs, axis=(-2, -1), dtype=jnp.float32)
    return jnp.sum(wins * pairs, axis=(-2, -1)) / _nan_if_zero(count)


def pointing_game(
    maps: Float[Array, "*#n h w"], objects: Bool[Array, "*#n H W"], tolerance: float = 15.0
) -> Float[Array, "*n"]:
    """1 where the largest value of the upsampled map lies on the object or near it, else 0; the accuracy is the mean.

    Zhang et al., "Top-down Neural Attention by Excitation Backprop", ECCV 2016.

    Args:
        maps: [..., h, w].
        objects: the pixels of all objects of the class, in the network's input.
        tolerance: how many pixels away from the object still count.

    Returns:
        [...]; NaN where there is no object or the map is NaN. A constant map points at nothing, which is a miss.
    """
    size = (objects.shape[-2], objects.shape[-1])
    pixels = upsample(maps, size)
    flat = pixels.reshape(*pixels.shape[:-2], -1)
    row, column = jnp.divmod(jnp.argmax(flat, axis=-1)[..., None, None], size[1])
    squared = (jnp.arange(size[0])[:, None] - row) ** 2 + (jnp.arange(size[1]) - column) ** 2
    hit = jnp.any(objects & (squared <= tolerance**2), axis=(-2, -1)) & (jnp.ptp(flat, axis=-1) > 0)
    counts = jnp.any(objects, axis=(-2, -1)) & ~jnp.any(jnp.isnan(flat), axis=-1)
    return jnp.where(counts, hit.astype(jnp.float32), jnp.nan)


def specificity(
    values: Float[Array, "*n C P"], truth: Bool[Array, "*n C P"], visible: Bool[Array, "*n P"]
) -> Float[Array, "*n"]:
    """Whether a map moves to the parts that tell *this* counter class apart, when the same image is asked about many.

    The map's values for each counter class are ranked among the visible parts (ties get their mean rank). For each part
    that is discriminant for some counter classes and not for others: the AUROC, over the classes, of its rank against
    "is discriminant"; the mean over parts. Whatever ignores the counter class scores exactly 0.5, for any truth, so
    that position, size and base rates cannot flatter it. Ours; the papers judge by precision and recall.

    Args:
        values: of one image's maps at its parts (or the means over its objects), for every class asked about.
        truth: which parts are discriminant for each class.
        visible: which parts the image shows.

    Returns:
        [...]; NaN where no visible part is discriminant for some classes and not for others, or a value is NaN.
    """
    return _specificity(values.astype(jnp.float32), truth, visible.astype(bool))


@functools.partial(jnp.vectorize, signature="(c,p),(c,p),(p)->()")
def _specificity(
    values: Float[Array, "C P"], truth: Bool[Array, "C P"], visible: Bool[Array, " P"]
) -> Float[Array, ""]:
    smaller, equal = values[:, :, None] > values[:, None, :], values[:, :, None] == values[:, None, :]
    doubled_rank = jnp.sum((2 * smaller + equal) * visible, axis=-1)
    # A rank is one of few numbers, so that counting the classes at each of them replaces comparing all with all; the
    # counts are scattered, which is a tenth of the work of comparing every rank with every level.
    levels, parts = 2 * values.shape[1] + 1, jnp.arange(values.shape[1])
    counts = jnp.zeros((len(parts), 2, levels), jnp.int32).at[parts, truth.astype(jnp.int32), doubled_rank].add(1)
    negative, positive = counts[:, 0].astype(jnp.float32), counts[:, 1].astype(jnp.float32)
    below = jnp.cumsum(negative, axis=-1) - negative / 2
    pairs = positive.sum(-1) * negative.sum(-1)
    both = visible & (pairs > 0)
    wins = jnp.sum(positive * below, axis=-1) / jnp.where(both, pairs, 1.0)
    mean = jnp.sum(wins * both) / _nan_if_zero(_count(both))
    return jnp.where(jnp.any(jnp.isnan(values) & visible), jnp.nan, mean)


def part_iou(
    ranks: Int[Array, "*#n P"],
    counter_ranks: Int[Array, "*#n P"],
    visible: Bool[Array, "*#n P"],
    counter_visible: Bool[Array, "*#n P"],
    size: tuple[int, int],
    fractions: Fractions = FRACTIONS,
    *,
    every_image: bool = False,
) -> Float[Array, "*n T"]:
    """PIoU: intersection over union of the *sets of parts* in the query's and in the counter image's region.

    Args:
        ranks: of the query image's map, [..., P].
        counter_ranks: of the counter image's map.
        visible: which parts the query image shows.
        counter_visible: which parts the counter image shows; only parts visible in both count.
        size: (height, width) of the network's input.
        fractions: T region sizes between 0 and 1.
        every_image: count an image where only one of the two regions holds such a part as 0. The authors' code leaves
            it out, which makes numbers at small regions several times as large.

    Returns:
        [..., T]; NaN where one of the regions (with `every_image`: both) holds no such part.
    """
    both = (visible & counter_visible)[..., None, :]
    query, counter = in_regions(ranks, size, fractions) & both, in_regions(counter_ranks, size, fractions) & both
    common, union = _count(query & counter), _count(query | counter)
    counts = union > 0 if every_image else jnp.any(query, axis=-1) & jnp.any(counter, axis=-1)
    return common / _nan_if_zero(jnp.where(counts, union, 0))


def precision_at_recalls(
    precision: Float[np.ndarray, "*n T"], recall: Float[np.ndarray, "*n T"], recalls: tuple[float, ...]
) -> Float[np.ndarray, "*n"]:
    """The mean precision of a curve over the region size, read where its recall is each of the given ones.

    Between two region sizes the curve is a straight line; beyond its ends it stays as it is there. The papers compare
    curves, not region sizes: a map's precision at equal recall.

    Args:
        precision, recall: of regions of rising size; NaN where nothing counts. Recall must not fall.
        recalls: between 0 and 1.
    """
    flat = zip(precision.reshape(-1, precision.shape[-1]), recall.reshape(-1, recall.shape[-1]))
    means = [_read_curve(p, r, recalls) for p, r in flat]
    return np.array(means).reshape(precision.shape[:-1])


def equal_recall_by_image(
    precision: Float[np.ndarray, "n T"], recall: Float[np.ndarray, "n T"], recalls: tuple[float, ...]
) -> Float[np.ndarray, " n"]:
    """Each image's share in the precision at equal recall of the mean curves: jackknife pseudo-values.

    The papers' curves are means over images, at each region size over those that count there. One value an image lets
    such a number be averaged, paired and put in an interval like any mean (Tukey, 1958).

    Args:
        precision, recall: of every image; NaN where it does not count.
        recalls: see `precision_at_recalls`.

    Returns:
        [n], whose mean is that of the mean curves; NaN for images without any recall.
    """
    there = ~np.isnan(recall).all(axis=-1)
    curves = [_whole_and_left_out(some[there]) for some in (precision, recall)]
    count = int(there.sum())
    result = np.full(len(recall), np.nan)
    if count > 1:
        whole, without = (precision_at_recalls(p, r, recalls) for p, r in zip(*curves))
        # The curve is no smooth function of its images, so that the jackknife's correction of bias is noise (precisions
        # above 1 for a few dozen images): the pseudo-values keep their spread, and the number of the mean curves.
        pseudo = count * whole - (count - 1) * without
        result[there] = pseudo - pseudo.mean() + whole
    return result


def _whole_and_left_out(values: Float[np.ndarray, "n T"]) -> tuple[Float[np.ndarray, " T"], Float[np.ndarray, "n T"]]:
    """The mean over images at each region size, and the means without each of them."""
    counted, filled = ~np.isnan(values), np.nan_to_num(values)
    counts, sums = counted.sum(axis=0), filled.sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        return sums / counts, (sums - filled) / (counts - counted)


def _read_curve(
    precision: Float[np.ndarray, " T"], recall: Float[np.ndarray, " T"], recalls: tuple[float, ...]
) -> float:
    known = ~(np.isnan(precision) | np.isnan(recall))
    if not known.any():
        return float("nan")
    rising = np.maximum.accumulate(recall[known])
    return float(np.mean(np.interp(recalls, rising, precision[known])))


class PixelScores(NamedTuple):
    """How often a map is larger at a true pixel than at another one, ties counting half, the scenes' counterpart of
    `auroc`; and intersection over union with the true pixels of regions of every size (the metric of ADE20K)."""

    auroc: Float[np.ndarray, "*n"]
    iou: Float[np.ndarray, "*n T"]


def pixel_keys(map: Float[Array, "h w"], size: tuple[int, int]) -> UInt32[Array, " N"]:
    """Whole numbers in the order of an upsampled map's pixels, equal where these are, for `pixel_scores`."""
    return order_keys(upsample(map, size)).reshape(-1)


def pixel_scores(
    keys: UInt32[np.ndarray, "*n N"], true: Bool[np.ndarray, "*n N"], fractions: Fractions = FRACTIONS
) -> PixelScores:
    """Scores maps at true pixels, exactly; in numpy, which sorts in a tenth of the time that XLA takes on CPUs.

    Args:
        keys: of the maps' pixels, from `pixel_keys`.
        true: the union of the ground-truth objects' pixels, in the same order.
        fractions: T region sizes between 0 and 1.

    Returns:
        float32; NaN where no pixel is true, the AUROC also where all are.
    """
    count, places = keys.shape[-1], _smallest_rank(keys.shape[-1], fractions)
    scored = [_scores_of_one(*one, places) for one in zip(keys.reshape(-1, count), true.reshape(-1, count))]
    auroc, iou = (np.array(values, np.float32) for values in zip(*scored))
    return PixelScores(auroc.reshape(keys.shape[:-1]), iou.reshape(*keys.shape[:-1], len(fractions)))


def _scores_of_one(
    keys: UInt32[np.ndarray, " N"], true: Bool[np.ndarray, " N"], places: Int[np.ndarray, " T"]
) -> tuple[float, Float[np.ndarray, " T"]]:
    # One number for a pixel and whether it is true: of equal pixels those come first that are not.
    pairs = np.sort(keys.astype(np.uint64) << np.uint64(1) | true)
    keys, true = pairs >> np.uint64(1), (pairs & np.uint64(1)).astype(bool)
    upto = np.cumsum(true)
    others = np.arange(1, len(true) + 1) - upto
    positives, negatives = int(upto[-1]), int(others[-1])
    if not positives:
        return np.nan, np.full(len(places), np.nan)
    # Mann-Whitney: of the others those that are smaller count twice, those that are equal once.
    starts = np.append(True, keys[1:] != keys[:-1])
    smaller = np.maximum.accumulate(np.where(starts, others - ~true, 0))
    wins = int(np.sum((others + smaller)[true]))
    # A region holds what is strictly larger than the pixel at its quantile.
    outside = np.searchsorted(keys, keys[places], side="right")
    hits = positives - upto[outside - 1]
    auroc = wins / (2 * positives * negatives) if negatives else np.nan
    return auroc, hits / (len(true) - outside + positives - hits)


def _smallest_rank(pixels: int, fractions: Fractions) -> Int[np.ndarray, " T"]:
    """The position of the quantile in the sorted pixels, rounded as `jax.numpy.quantile` rounds it (float32)."""
    quantiles = np.float32(1) - np.asarray(fractions, np.float32)
    return np.floor(quantiles * np.float32(pixels - 1)).astype(np.int32)


def _count_smaller(pixels: Float[Array, "*maps N"], values: Float[Array, "*maps P"]) -> Int[Array, "*maps P"]:
    """How many of the pixels are strictly smaller than each value.

    The sum over `_STRIPES` stripes is written out, so that XLA makes one vectorised loop of it and only the short rest
    is a reduction: five times faster on CPUs than one reduction over all pixels.
    """
    missing = -pixels.shape[-1] % _STRIPES
    padded = jnp.pad(pixels, [(0, 0)] * (pixels.ndim - 1) + [(0, missing)], constant_values=jnp.inf)
    stripes = padded.reshape(*pixels.shape[:-1], 1, _STRIPES, -1)
    partial = sum((stripes[..., k, :] < values[..., None]).astype(jnp.int32) for k in range(_STRIPES))
    return jnp.sum(partial, axis=-1, dtype=jnp.int32)


def _count(values: Bool[Array, "*#n P"]) -> Float[Array, "*n"]:
    return jnp.sum(values, axis=-1, dtype=jnp.float32)


def _nan_if_zero(values: Array) -> Float[Array, "*n"]:
    return jnp.where(values == 0, jnp.nan, values.astype(jnp.float32))
