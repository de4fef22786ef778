"""Pictures of explanations on test images, with the parts or objects that they should point at."""

import jax.numpy as jnp
import numpy as np
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from galore import explain
from galore.attribution import Attribution
from galore.evaluation.queries import Queries
from galore.evaluation.test_set import Parts, TestSet
from galore.regions import largest_fraction, upsample

REGION = 0.1


def counterfactual_pairs(
    test_set: TestSet, user_queries: Queries, shown: np.ndarray, attribution: Attribution
) -> Figure:
    """Each row: the query image, its region; the counter image, its region."""
    rows, counter_rows = user_queries.rows[shown], user_queries.counter_rows[shown]
    explained = explain.counterfactual(
        test_set.net,
        jnp.asarray(test_set.inputs(rows)),
        jnp.asarray(user_queries.counter[shown]),
        jnp.asarray(test_set.inputs(counter_rows)),
        attribution=attribution,
    )
    figure, axes = plt.subplots(len(rows), 4, figsize=(10, 2.7 * len(rows)), squeeze=False, layout="constrained")
    for line, row, counter_row, k in zip(axes, rows, counter_rows, range(len(rows))):
        y, c = int(user_queries.predicted[shown][k]), int(user_queries.counter[shown][k])
        here, there = test_set.discriminant[y, c], test_set.discriminant[c, y]
        _show(line[0], test_set, row, None, here, f"{test_set.class_names[y]}")
        _show(line[1], test_set, row, explained.query.maps[k], here, f"why not {test_set.class_names[c]}?")
        _show(line[2], test_set, counter_row, None, there, f"{test_set.class_names[c]}")
        _show(line[3], test_set, counter_row, explained.counter.maps[k], there, "what it has instead")
    figure.supxlabel(_caption(test_set, "tell the two classes apart"), fontsize=8)
    return figure


def insecurities(test_set: TestSet, rows: np.ndarray, attribution: Attribution) -> Figure:
    """Each row: the image and its three strongest insecurities."""
    hesitation = explain.deliberative(test_set.net, jnp.asarray(test_set.inputs(rows)), attribution=attribution)
    figure, axes = plt.subplots(len(rows), 4, figsize=(10, 2.7 * len(rows)), squeeze=False, layout="constrained")
    for k, (line, row) in enumerate(zip(axes, rows)):
        _show(line[0], test_set, row, None, None, test_set.class_names[int(test_set.predicted[row])])
        for axis, (a, b), map_ in zip(line[1:], np.asarray(hesitation.pairs[k]), hesitation.maps[k]):
            _show(
                axis,
                test_set,
                row,
                map_,
                test_set.shared[a, b],
                f"{test_set.class_names[a]} or\n{test_set.class_names[b]}?",
            )
    figure.supxlabel(_caption(test_set, "the two classes have in common"), fontsize=8)
    return figure


def _caption(test_set: TestSet, truth: str) -> str:
    lit = f"Lit: the largest {REGION:.0%} of the map."
    if not isinstance(test_set.annotations, Parts):
        return f"{lit} Outlined: objects that {truth}."
    return f"{lit} Filled dots: visible parts that {truth}; open: the other ones."


def _show(axis, test_set: TestSet, row: int, map_, truth, title: str) -> None:
    """The image, lit where the region is, with what the map should point at: see `_caption`."""
    picture = test_set.images[row].astype(np.float32) / 255
    if map_ is not None:
        lit = np.asarray(largest_fraction(map_, REGION, test_set.size))
        lit = lit & (np.asarray(upsample(map_, test_set.size)) > 0)
        picture = np.where(lit[..., None], picture, picture * 0.35)
    height, width = test_set.size
    axis.imshow(picture, extent=(0, width, height, 0))
    if truth is not None:
        _mark(axis, test_set, row, truth)
    axis.set_title(title.replace("_", " "), fontsize=8)
    axis.set(xlim=(0, width), ylim=(height, 0))
    axis.set_axis_off()


def _mark(axis, test_set: TestSet, row: int, truth) -> None:
    """Ground-truth parts as filled dots and other visible parts as open ones, or the outlines of true objects."""
    annotations, colour = test_set.annotations, "#ffcc00"
    if not isinstance(annotations, Parts):
        true_pixels = np.append(False, truth)[annotations.mask[row]]
        if true_pixels.any() and not true_pixels.all():
            # A mask's pixel k covers [k, k + 1).
            x, y = np.arange(true_pixels.shape[1]) + 0.5, np.arange(true_pixels.shape[0]) + 0.5
            axis.contour(x, y, true_pixels, levels=[0.5], colors=colour, linewidths=1)
        return
    points, visible = annotations.points[row], annotations.visible[row].astype(bool)
    for chosen, fill in ((visible & truth, colour), (visible & ~truth, "none")):
        axis.scatter(points[chosen, 0], points[chosen, 1], s=14, facecolors=fill, edgecolors=colour, linewidths=0.8)
