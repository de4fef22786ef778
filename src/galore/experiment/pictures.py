"""Pictures of explanations on test images, with the parts or objects that they should point at."""

import textwrap
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from galore import class_names, explain, plotting
from galore.attribution import Attribution
from galore.data.dataset import PartDataset, SceneDataset
from galore.evaluation.ground_truth import AttributeTable
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
    figure, axes = _grid(len(rows))
    for line, row, counter_row, k in zip(axes, rows, counter_rows, range(len(rows))):
        y, c = int(user_queries.predicted[shown][k]), int(user_queries.counter[shown][k])
        here, there = test_set.discriminant[y, c], test_set.discriminant[c, y]
        _show(line[0], test_set, row, None, here, f"{test_set.class_names[y]}")
        _show(line[1], test_set, row, explained.query.maps[k], here, f"why not {test_set.class_names[c]}?")
        _show(line[2], test_set, counter_row, None, there, f"{test_set.class_names[c]}")
        _show(line[3], test_set, counter_row, explained.counter.maps[k], there, "what it has instead")
    figure.supxlabel(_caption(test_set, "tell the two classes apart"), fontsize=8)
    return figure


class Pairs(NamedTuple):
    """The regions of one method on some queries and on their counter images.

    Attributes:
        title: of the method.
        captions: what the region of the query says, and that of the counter image; `{y}` and `{c}` are the classes.
        legend: what the method shows, in a sentence.
        query, counter: the regions.
    """

    title: str
    captions: tuple[str, str]
    legend: str
    query: Bool[np.ndarray, "k H W"]
    counter: Bool[np.ndarray, "k H W"]


def side_by_side(
    test_set: TestSet, shown: Queries, methods: Sequence[Pairs], dataset: PartDataset | SceneDataset
) -> Figure:
    """Each query with its region and its counter image with its region, by one method beside the other.

    Below them, what tells the two classes apart in words, see `differences`.

    Args:
        test_set: whose images are shown.
        shown: the queries.
        methods: whose regions are compared.
        dataset: of the test set, for the names of its parts or objects.
    """
    names = dataset.part_names if isinstance(dataset, PartDataset) else dataset.object_names
    across = 2 * len(methods)
    figure = plt.figure(figsize=(3.1 * across, 4.6 * len(shown.rows) + 0.5), layout="constrained")
    # Question, pictures and differences of each query below one another.
    grid = figure.add_gridspec(3 * len(shown.rows), across, height_ratios=(1, 12, 1) * len(shown.rows))
    for k, pair in enumerate(zip(shown.predicted, shown.counter)):
        y, c = (class_names.label(int(one), test_set.class_names) for one in pair)
        question, below = (figure.add_subplot(grid[3 * k + place, :]) for place in (0, 2))
        _write(question, f"Why {y} and not {c}?", fontsize=13, fontweight="bold")
        for place, method in enumerate(methods):
            two = ((shown.rows[k], method.query[k], pair), (shown.counter_rows[k], method.counter[k], pair[::-1]))
            for column, ((row, region, classes), caption) in enumerate(zip(two, method.captions), 2 * place):
                axis, truth = figure.add_subplot(grid[3 * k + 1, column]), test_set.discriminant[classes]
                _show_region(axis, test_set, int(row), region, truth, f"{method.title}:\n{caption.format(y=y, c=c)}")
                axis.set_xlabel(_held(test_set, int(row), region, truth, names), fontsize=9)
        said = differences(test_set, dataset, int(pair[0]), int(pair[1]))
        _write(below, "\n".join(textwrap.fill(line, 38 * across) for line in said), fontsize=10)
    figure.supxlabel(_legend(test_set, methods), fontsize=9, color="0.3")
    return figure


def differences(test_set: TestSet, dataset: PartDataset | SceneDataset, y: int, c: int, count: int = 3) -> list[str]:
    """What differs most between two classes, in words.

    Of birds, the attributes of parts whose percentages differ most, with the commonest value of each class; of
    scenes, the objects that only one of the two classes has, the commonest first (share of its test images).
    """
    names = [class_names.label(one, test_set.class_names) for one in (y, c)]
    if isinstance(dataset, PartDataset):
        said = "; ".join(_differing_attributes(dataset, y, c)[:count])
        return [f"{names[0]} against {names[1]}: {said or 'no attribute differs'}."]
    lines = []
    for name, one, other in ((names[0], y, c), (names[1], c, y)):
        shares = _shares_of_objects(test_set, one) * test_set.discriminant[one, other]
        most = [place for place in np.argsort(-shares, kind="stable")[:count] if shares[place] > 0]
        said = ", ".join(
            f"{_first_word(dataset.object_names[place])} ({100 * shares[place]:.0f}\N{NO-BREAK SPACE}%)"
            for place in most
        )
        lines.append(f"Only {name} has: {said or 'nothing'}.")
    return lines


def _differing_attributes(dataset: PartDataset, y: int, c: int) -> list[str]:
    """ "wing color: black (82 %) against yellow (64 %)", the largest difference first; none where both look alike."""
    groups = dict.fromkeys(group for owned in AttributeTable.SCOUT.groups.values() for group in owned)
    columns = {group: [] for group in groups}
    for place, name in enumerate(dataset.attribute_names):
        group, _, value = name.partition("::")
        if (group := group.removeprefix("has_")) in columns:
            columns[group].append((place, value.replace("_", " ")))
    found = []
    for group, some in columns.items():
        if not some:
            continue
        places, values = zip(*some)
        ours, theirs = (dataset.class_attributes[one, list(places)] for one in (y, c))
        best, other = int(ours.argmax()), int(theirs.argmax())
        if best != other:
            two = (f"{values[k]} ({share[k]:.0f}\N{NO-BREAK SPACE}%)" for k, share in ((best, ours), (other, theirs)))
            found.append((float(np.abs(ours - theirs).sum()), f"{group.replace('_', ' ')}: {' against '.join(two)}"))
    return [text for _, text in sorted(found, key=lambda one: -one[0])]


def _shares_of_objects(test_set: TestSet, label: int) -> np.ndarray:
    """In which share of the test images of a class each object occurs."""
    annotations, objects = test_set.annotations, test_set.discriminant.shape[-1]
    assert not isinstance(annotations, Parts)
    masks = annotations.mask[test_set.labels == label]
    there = [np.bincount(mask.reshape(-1), minlength=objects + 1)[1:] > 0 for mask in masks]
    return np.mean(there, axis=0) if there else np.zeros(objects)


def _held(test_set: TestSet, row: int, region: np.ndarray, truth: np.ndarray, names: Sequence[str]) -> str:
    """Which parts lie in a region, or what most of its pixels show."""
    if not region.any():
        return "no region: the map is the same everywhere"
    annotations = test_set.annotations
    if not isinstance(annotations, Parts):
        counts = np.bincount(annotations.mask[row][region], minlength=len(names) + 1)[1:]
        most = [place for place in np.argsort(-counts, kind="stable")[:2] if counts[place]]
        return f"shows {' and '.join(_first_word(names[int(place)]) for place in most) or 'no object'}"
    height, width = region.shape
    x, y = annotations.points[row].astype(int).T.clip(0, [[width - 1], [height - 1]])
    inside = region[y, x] & annotations.visible[row].astype(bool)
    telling, alike = ([names[int(k)] for k in np.flatnonzero(inside & some)] for some in (truth, ~truth))
    said = [
        f"{what}: {', '.join(some)}" for what, some in (("what differs", telling), ("alike in both", alike)) if some
    ]
    return "\n".join(textwrap.fill(line, 44) for line in said) or "no visible part"


def _first_word(name: str) -> str:
    """The first of an object's names: "wall" of "wall, brick wall"."""
    return name.partition(",")[0].partition(";")[0]


def _legend(test_set: TestSet, methods: Sequence[Pairs]) -> str:
    said = ["Bright, in the white outline: the region, and below it what it holds.", *(one.legend for one in methods)]
    if isinstance(test_set.annotations, Parts):
        said.append("Yellow dots: visible parts that tell the two classes apart; rings: parts that look alike in both.")
        said.append("Percentages: how often people saw the attribute on birds of the class.")
    else:
        said.append("Yellow line, where there is one: around the objects that only this class has.")
        said.append("Percentages: of the test images of the class.")
    return textwrap.fill(" ".join(said), 76 * len(methods))


def _write(axis: Axes, text: str, **font: Any) -> None:
    """Text in place of a picture, so that nothing else lies there."""
    axis.set_axis_off()
    axis.text(0.5, 0.5, text, ha="center", va="center", **font)


def _show_region(axis: Axes, test_set: TestSet, row: int, region: np.ndarray, truth: np.ndarray, title: str) -> None:
    """The photo in colour, darker outside the region, with the parts or objects that tell the classes apart."""
    photo = test_set.images[row].astype(np.float32) / 255
    height, width = test_set.size
    axis.imshow(np.where(region[..., None], photo, 0.55 * photo), extent=(0, width, height, 0))
    if region.any() and not region.all():
        x, y = np.arange(width) + 0.5, np.arange(height) + 0.5
        axis.contour(x, y, region, levels=[0.5], colors="white", linewidths=1.5)
    _mark(axis, test_set, row, truth)
    axis.set_title("\n".join(textwrap.fill(line, 34) for line in title.splitlines()), fontsize=9.5)
    axis.set(xlim=(0, width), ylim=(height, 0), xticks=[], yticks=[])
    axis.spines[:].set_visible(False)


def insecurities(test_set: TestSet, rows: np.ndarray, attribution: Attribution) -> Figure:
    """Each row: the image and its three strongest insecurities."""
    hesitation = explain.deliberative(test_set.net, jnp.asarray(test_set.inputs(rows)), attribution=attribution)
    figure, axes = _grid(len(rows))
    for k, (line, row) in enumerate(zip(axes, rows)):
        _show(line[0], test_set, row, None, None, test_set.class_names[int(test_set.predicted[row])])
        for axis, (a, b), map_ in zip(line[1:], np.asarray(hesitation.pairs[k]), hesitation.maps[k]):
            _show(
                axis,
                test_set,
                row,
                map_,
                test_set.shared[a, b],
                f"{test_set.class_names[a]} or {test_set.class_names[b]}?",
            )
    figure.supxlabel(_caption(test_set, "the two classes have in common"), fontsize=8)
    return figure


def _grid(rows: int) -> tuple[Figure, np.ndarray]:
    """Axes for rows of four pictures, as wide as a page."""
    size = plotting.PAGE, rows * (plotting.PAGE / 4 + 0.25) + 0.3
    return plt.subplots(rows, 4, figsize=size, squeeze=False, layout="constrained")


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
    axis.set_title(textwrap.fill(title.replace("_", " "), 26), fontsize=plotting.FONT)
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
