"""Are insecurities stable? Those of an image and of the image shifted, by the parts that their regions hold."""

import functools
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from galore import explain
from galore.evaluation import metrics
from galore.evaluation.evaluate import ImageBatch, Model, Scores, over_batches
from galore.evaluation.methods import BASELINES, ORACLE, Method, deliberative_maps
from galore.evaluation.queries import HardImages
from galore.evaluation.test_set import Parts, TestSet

IOU = "IoU of parts"


def part_iou_under_shift(
    test_set: TestSet,
    hard: HardImages,
    methods: Sequence[Method],
    shifts: Sequence[int],
    region: float,
    seed: int,
    batch_size: int,
) -> list[Scores]:
    """The IoU of the parts in the regions of each method's insecurities before and after the image moves to the right.

    Pixels that a shift brings in repeat the edge. Insecurities are matched by their two classes; a pair that the
    shifted image does not have does not count, and neither does one that holds no part in either.

    Args:
        test_set: with parts.
        hard: the images.
        methods: deliberative ones.
        shifts: in pixels.
        region: the fraction of the image that a region covers.
        seed: of the random baselines.
        batch_size: images at once.

    Returns:
        Scores for each shift, baselines last.
    """
    program = _program(tuple(methods), hard.top, hard.keep, region)
    scored = []
    for shift in shifts:
        ious = over_batches(program, test_set, hard, seed, batch_size, np.full(len(hard.rows), shift))
        by_method = {method: {IOU: values} for method, values in zip((*methods, *BASELINES), ious)}
        scored.append(Scores(hard, by_method))
    return scored


def _program(methods: tuple[Method, ...], top: int, keep: int, region: float) -> Any:
    """(model, batch, shifts) -> the IoU for each method and baseline, [B] each."""

    @jax.jit
    def program(model: Model, batch: ImageBatch, shifts: Int[Array, " B"]) -> list[Float[Array, " B"]]:
        insecurities = functools.partial(
            deliberative_maps, net=model.net, predictor=model.predictor, top=top, keep=keep
        )
        parts: Any = batch.annotations
        moved = jax.vmap(_shifted)(batch.images, shifts)
        one = jax.vmap(functools.partial(_agreement, region=region))
        ious = []
        for method in methods:
            before, after = (insecurities(method, images=images) for images in (batch.images, moved))
            ious.append(one(before, after, parts, shifts))
        shape = (before.maps.shape[2], before.maps.shape[3])
        baselines = jax.vmap(lambda a, shift, key: _baseline_agreement(a, shift, key, shape, region))
        return ious + baselines(parts, shifts, batch.keys)

    return program


def _shifted(image: Float[Array, "H W c"], shift: Int[Array, ""]) -> Float[Array, "H W c"]:
    """The image moved to the right."""
    columns = jnp.clip(jnp.arange(image.shape[1]) - shift, 0, image.shape[1] - 1)
    return image[:, columns]


def _moved_points(parts: Parts, shift: Int[Array, ""]) -> tuple[Float[Array, "P 2"], Bool[Array, " P"]]:
    """The points after the shift, and which are visible before and after."""
    moved = parts.points + jnp.array([1.0, 0.0]) * shift
    return moved, parts.visible.astype(bool) & (moved[:, 0] < parts.size[1])


def _agreement(
    before: explain.Deliberative, after: explain.Deliberative, parts: Parts, shift: Int[Array, ""], region: float
) -> Float[Array, ""]:
    """The mean IoU of the parts in the regions of insecurities with the same two classes."""
    moved, both = _moved_points(parts, shift)
    here, there = metrics.ranks(before.maps, parts.points, parts.size), metrics.ranks(after.maps, moved, parts.size)
    iou = lambda r, q: metrics.part_iou(r, q, both, both, parts.size, (region,))[0]  # noqa: E731
    # The order of insecurities may differ before and after, so all are compared with all.
    ious = jax.vmap(lambda r: jax.vmap(lambda q: iou(r, q))(there))(here)
    first, second = jnp.sort(before.pairs, axis=-1), jnp.sort(after.pairs, axis=-1)
    same = (first[:, None] == second[None, :]).all(-1) & before.occurs[:, None] & after.occurs[None, :]
    return jnp.nanmean(jnp.where(same, ious, jnp.nan))


def _baseline_agreement(
    parts: Parts, shift: Int[Array, ""], key: Array, shape: tuple[int, int], region: float
) -> list[Float[Array, ""]]:
    """The same for maps that know nothing: a new random map each time, a Gaussian and a box that stay, an oracle that
    moves."""
    moved, both = _moved_points(parts, shift)
    first, second = jax.random.split(key)
    truth = jnp.ones(len(parts.points), bool)
    before, after = (parts.baselines(k, truth, shape) for k in (first, second))
    ious = []
    for place, method in enumerate(BASELINES):
        other, points = (before, parts.points) if method == ORACLE else (after, moved)
        here = metrics.ranks(before[place], parts.points, parts.size)
        there = metrics.ranks(other[place], points, parts.size)
        ious.append(metrics.part_iou(here, there, both, both, parts.size, (region,))[0])
    return ious
