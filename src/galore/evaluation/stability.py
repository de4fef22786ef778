"""Are explanations stable? Insecurities of an image and of the image shifted, by the shared parts that their regions
hold; maps of why-not queries, by their rank correlation.

An image is shifted as in GALORE: the network's input is cut out of a wider image at another place, so that no edge is
repeated and what leaves on one side makes room for what was hidden on the other.
"""

import dataclasses
import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Key

from galore import explain
from galore.data import loader
from galore.data.dataset import PartDataset
from galore.data.geometry import Transform
from galore.data.preprocessing import Preprocessing
from galore.evaluation import faithfulness, metrics
from galore.evaluation.evaluate import Batch, ImageBatch, Model, Scores, maps_of, over_batches
from galore.evaluation.methods import BASELINES, ORACLE, Method, deliberative_maps
from galore.evaluation.queries import HardImages, Queries
from galore.evaluation.test_set import Parts, TestSet
from galore.regions import upsample

MARGIN = 5
"""Shifts are drawn from -MARGIN to MARGIN - 1 pixels, in x and in y."""
IOU, MEAN_IOU = "IoU of shared parts", "mean IoU of shared parts"
CORRELATION = "correlation with the shifted image's map"


def with_margin(test_set: TestSet, dataset: PartDataset, rows: Int[np.ndarray, " k"]) -> TestSet:
    """Some images with `MARGIN` more pixels on each side than the network takes, their parts in the same pixels.

    Args:
        test_set: of which network and images.
        dataset: the images of the test set, in its order.
        rows: which of them.

    Returns:
        The test set of these images alone.
    """
    assert test_set.net.preprocessing is not None
    preprocessing = preprocessing_with_margin(test_set.net.preprocessing)
    wider = lambda _, height, width: _widened(preprocessing.transform(height, width))  # noqa: E731
    source = loader.Transformed(loader.Files(dataset.subset(rows)), wider)
    (arrays,) = loader.batches(source, len(rows))
    parts = Parts(
        arrays["points"].astype(np.float32),
        arrays["visible"],
        arrays["box"].astype(np.float32),
        arrays["image"].shape[1:3],
    )
    per_image = {name: getattr(test_set, name)[rows] for name in ("labels", "logits", "image_ids")}
    student = None if test_set.student is None else test_set.student[rows]
    return dataclasses.replace(test_set, images=arrays["image"], annotations=parts, student=student, **per_image)


def preprocessing_with_margin(preprocessing: Preprocessing) -> Preprocessing:
    """The same, where it leaves `MARGIN` pixels around its square; else with a square of 7/8 of the short side.

    The papers cut 224 of 256 pixels. A square of less than 70 pixels gets the margin itself.
    """
    needed = preprocessing.crop + 2 * MARGIN
    if preprocessing.resize >= needed:
        return preprocessing
    return dataclasses.replace(preprocessing, resize=max(needed, round(preprocessing.crop * 8 / 7)))


def _widened(transform: Transform) -> Transform:
    """A transform with `MARGIN` more pixels of its result on each side."""
    x0, y0, x1, y1 = transform.box
    across, down = MARGIN * (x1 - x0) / transform.width, MARGIN * (y1 - y0) / transform.height
    return dataclasses.replace(
        transform,
        box=(x0 - across, y0 - down, x1 + across, y1 + down),
        height=transform.height + 2 * MARGIN,
        width=transform.width + 2 * MARGIN,
    )


def draw_shifts(count: int, seed: int) -> Int[np.ndarray, "count 2"]:
    """How far the square moves in x and y for each image, in pixels."""
    return np.random.default_rng(seed).integers(-MARGIN, MARGIN, (count, 2))


def part_iou_under_shift(
    wide: TestSet, hard: HardImages, methods: Sequence[Method], seed: int, batch_size: int
) -> Scores:
    """The IoU of the shared parts in the regions of each method's insecurities before and after the image is shifted.

    Insecurities are matched by their two classes, and the parts are those that the classes share and that both images
    show. A pair that the shifted image does not have does not count, and neither does one where both regions hold no
    such part; where only one of them does, the IoU is 0.

    Args:
        wide: the hard images, from `with_margin`.
        hard: which images those are.
        methods: deliberative ones.
        seed: of the shifts and the random baselines.
        batch_size: images at once.

    Returns:
        For each method and baseline the IoU at every region size, and its mean over them; also of the parts that the
        classes share by the other table of attributes, where there is one.
    """
    shifts = draw_shifts(len(hard.rows), seed)
    here = hard._replace(rows=np.arange(len(hard.rows)))
    by_table = over_batches(_program(tuple(methods), hard.top, hard.keep), wide, here, seed, batch_size, shifts)
    measured = [
        {method: _measures(curve) for method, curve in zip((*methods, *BASELINES), curves)} for curves in by_table
    ]
    if wide.other is None:
        return Scores(hard, measured[0])
    return Scores(hard, measured[0], by_other_table=measured[1], other_table=wide.other.shared_table)


def correlation_under_shift(
    wide: TestSet, queries: Queries, methods: Sequence[Method], seed: int, batch_size: int
) -> Scores:
    """Spearman's correlation of the maps before and after the image is shifted, over the pixels that both views show.

    Args:
        wide: the images of the queries in their order, from `with_margin`.
        queries: about images of the test set that `wide` was made of.
        methods: counterfactual ones.
        seed: of the shifts.
        batch_size: images at once.
    """

    @jax.jit
    def program(model: Model, batch: Batch, shifts: Int[Array, "B 2"]) -> list[dict[str, Array]]:
        cut = jax.vmap(functools.partial(_cut, size=_within(wide.size)))
        before, after = (
            maps_of(methods, model, batch._replace(images=cut(batch.images, s))) for s in (0 * shifts, shifts)
        )
        alike = jax.vmap(functools.partial(_correlation, size=_within(wide.size)))
        return [{CORRELATION: alike(*both, shifts)} for both in zip(before, after)]

    here = queries._replace(rows=np.arange(len(queries.rows)))
    values = over_batches(program, wide, here, seed, batch_size, draw_shifts(len(here.rows), seed))
    return Scores(queries, dict(zip(methods, values)))


def _correlation(
    before: Float[Array, "h w"], after: Float[Array, "h w"], shift: Int[Array, "2"], size: tuple[int, int]
) -> Float[Array, ""]:
    shared = _within(size)
    first, second = (_cut(upsample(m, size)[..., None], s, shared) for m, s in ((before, 0 * shift), (after, -shift)))
    return faithfulness.rank_correlation(first[..., 0], second[..., 0])


def _within(size: tuple[int, int]) -> tuple[int, int]:
    """Without the margin on both sides."""
    return size[0] - 2 * MARGIN, size[1] - 2 * MARGIN


def _cut(wide: Float[Array, "H W c"], shift: Int[Array, "2"], size: tuple[int, int]) -> Float[Array, "h w c"]:
    """What lies `shift` pixels (x, y) off the middle."""
    corner = shift + MARGIN
    return jax.lax.dynamic_slice(wide, (corner[1], corner[0], 0), (*size, wide.shape[2]))


def _measures(curves: Float[np.ndarray, "k T"]) -> dict[str, np.ndarray]:
    counted = (~np.isnan(curves)).sum(1)
    means = np.where(counted > 0, np.nansum(curves, 1) / np.maximum(counted, 1), np.nan)
    return {IOU: curves, MEAN_IOU: means}


@functools.lru_cache(maxsize=8)
def _program(methods: tuple[Method, ...], top: int, keep: int) -> Any:
    """(model, batch of wide images, shifts) -> by each table of attributes, of each method and baseline [B, T]."""

    @jax.jit
    def program(model: Model, batch: ImageBatch, shifts: Int[Array, "B 2"]) -> list[list[Float[Array, "B T"]]]:
        wide, annotations = _twice((batch.images, batch.annotations))
        images, parts = jax.vmap(_view)(wide, annotations, _both(0 * shifts, shifts))
        explained = [deliberative_maps(m, model.net, model.predictor, images, top, keep) for m in methods]
        maps = jnp.stack([one.maps for one in explained], axis=1)
        ranks = jax.vmap(lambda some, parts: metrics.ranks(some, parts.points, parts.size))(maps, parts)
        keys = jax.vmap(jax.random.split, out_axes=1)(batch.keys).reshape(-1)
        of_baselines = jax.vmap(functools.partial(_baseline_ranks, shape=(maps.shape[3], maps.shape[4])))
        mean_iou = jax.vmap(functools.partial(_mean_iou, size=parts.size))

        def by_table(shared: Bool[Array, "C C P"]) -> list[Float[Array, "B T"]]:
            match = jax.vmap(functools.partial(_match, shared=shared))
            matches = [match(*_halves(one), *_halves(parts)) for one in explained]
            # Maps that know nothing are asked about the first method's insecurities, in their order before the shift.
            in_order = matches[0]._replace(place=jnp.broadcast_to(jnp.arange(maps.shape[2]), matches[0].place.shape))
            others = of_baselines(parts, keys, _twice(in_order.counting))
            curves = [mean_iou(*_halves(ranks[:, place]), match) for place, match in enumerate(matches)]
            return curves + [mean_iou(*_halves(some), in_order) for some in others]

        return [by_table(shared) for shared in model.shared]

    return program


def _both(first: Array, second: Array) -> Array:
    """The images as they are, then the shifted ones."""
    return jnp.concatenate([first, second])


def _twice(some: Any) -> Any:
    return jax.tree.map(lambda leaf: _both(leaf, leaf), some)


def _halves(both: Any) -> tuple[Any, Any]:
    half = len(jax.tree.leaves(both)[0]) // 2
    return jax.tree.map(lambda leaf: leaf[:half], both), jax.tree.map(lambda leaf: leaf[half:], both)


def _view(image: Float[Array, "H W c"], parts: Parts, shift: Int[Array, "2"]) -> tuple[Float[Array, "h w c"], Parts]:
    """What the network sees of a wide image when its square lies `shift` pixels (x, y) off the centre."""
    height, width = _within(parts.size)
    corner = shift + MARGIN
    points = parts.points - corner
    inside = ((points >= 0) & (points < jnp.array([width, height]))).all(-1)
    box = parts.box - jnp.concatenate([corner, jnp.zeros_like(corner)])
    return _cut(image, shift, (height, width)), Parts(points, parts.visible.astype(bool) & inside, box, (height, width))


class _Match(NamedTuple):
    """Of each insecurity before the shift: where it stands after it, if it is there, and the parts that count."""

    place: Int[Array, "*B K"]
    found: Bool[Array, "*B K"]
    counting: Bool[Array, "*B K P"]


def _match(
    before: explain.Deliberative, after: explain.Deliberative, here: Parts, there: Parts, shared: Bool[Array, "C C P"]
) -> _Match:
    first, second = jnp.sort(before.pairs, axis=-1), jnp.sort(after.pairs, axis=-1)
    same = (first[:, None] == second[None, :]).all(-1) & before.occurs[:, None] & after.occurs[None, :]
    counting = shared[first[:, 0], first[:, 1]] & here.visible & there.visible
    return _Match(jnp.argmax(same, axis=1), same.any(1), counting)


def _mean_iou(
    ranks: Int[Array, "K P"], moved_ranks: Int[Array, "K P"], match: _Match, size: tuple[int, int]
) -> Float[Array, " T"]:
    """The mean over the insecurities that are there before and after the shift."""
    ious = metrics.part_iou(ranks, moved_ranks[match.place], match.counting, match.counting, size, every_image=True)
    return jnp.nanmean(jnp.where(match.found[:, None], ious, jnp.nan), axis=0)


def _baseline_ranks(
    parts: Parts, key: Key[Array, ""], truth: Bool[Array, "K P"], shape: tuple[int, int]
) -> list[Int[Array, "K P"]]:
    """Of each baseline, for each truth: a new random map in each view, a Gaussian that stays, a box and an oracle that
    move with the image. Only the oracle depends on the truth."""
    ranks = lambda map_: metrics.ranks(map_, parts.points, parts.size)  # noqa: E731
    once = [jnp.broadcast_to(ranks(map_), truth.shape) for map_ in parts.baselines(key, truth[0], shape)]
    place = BASELINES.index(ORACLE)
    once[place] = jax.vmap(lambda some: ranks(parts.baselines(key, some, shape)[place]))(truth)
    return once
