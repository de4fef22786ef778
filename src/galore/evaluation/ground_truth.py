"""Which parts or objects tell two classes apart, and which they share: what explanations are judged against.

Birds (CUB-200-2011). Every part owns groups of attributes (`AttributeTable`). A group's percentages of a class become a
distribution p by a softmax; the distance of two classes on a part is the mean over its groups of a divergence of p and
q. Over all classes a and b and all parts, a = b and both orders included, the 20 % smallest distances are shared parts,
the others discriminant ones (Wang and Vasconcelos, "A Generalized Explanation Framework", TPAMI 2023; SCOUT, CVPR 2020;
the threshold as their code takes it).

Scenes (ADE20K). An object's frequency in a scene class is its attribute; see `discriminant_objects`, `shared_objects`.
"""

import enum
from collections.abc import Callable

import numpy as np
from jaxtyping import Bool, Float
from scipy.special import rel_entr

from galore.data.dataset import PartDataset, SceneDataset
from galore.errors import InputError


class AttributeTable(enum.Enum):
    """Which groups of CUB's 312 attributes describe which part: the authors have used two tables.

    `SCOUT` is that of SCOUT (CVPR 2020) and of their released deliberative code, `NEURIPS` that of the deliberative
    experiments (NeurIPS 2019). They agree on 79 % of all (class, class, part).
    """

    SCOUT = "scout"
    NEURIPS = "neurips"

    @property
    def title(self) -> str:
        """As tables show it."""
        return {AttributeTable.SCOUT: "SCOUT's table", AttributeTable.NEURIPS: "NeurIPS table"}[self]

    @property
    def phrase(self) -> str:
        """As sentences name it."""
        return self.title if self is AttributeTable.SCOUT else f"the {self.title}"

    @property
    def other(self) -> "AttributeTable":
        """The one that stands beside it."""
        return AttributeTable.NEURIPS if self is AttributeTable.SCOUT else AttributeTable.SCOUT

    @property
    def groups(self) -> dict[str, tuple[str, ...]]:
        """The groups of attributes (without "has_") that each part owns."""
        return PART_GROUPS if self is AttributeTable.NEURIPS else _SCOUT_GROUPS


PART_GROUPS: dict[str, tuple[str, ...]] = {
    "back": ("back_color", "back_pattern"),
    "beak": ("bill_shape", "bill_length", "bill_color"),
    "belly": ("belly_color", "belly_pattern"),
    "breast": ("breast_pattern", "breast_color"),
    "crown": ("crown_color",),
    "forehead": ("forehead_color",),
    "left eye": ("eye_color",),
    "left leg": ("leg_color",),
    "left wing": ("wing_color", "wing_shape", "wing_pattern"),
    "nape": ("nape_color",),
    "right eye": ("eye_color",),
    "right leg": ("leg_color",),
    "right wing": ("wing_color", "wing_shape", "wing_pattern"),
    "tail": ("tail_shape", "upper_tail_color", "under_tail_color", "tail_pattern"),
    "throat": ("throat_color",),
}
"""The NeurIPS table: a group belongs to the part that it names, and left and right share it."""

_MORE_IN_SCOUT = {
    "crown": ("head_pattern", "forehead_color"),
    "forehead": ("head_pattern",),
    "left eye": ("head_pattern",),
    "right eye": ("head_pattern",),
    "throat": ("head_pattern",),
}
_SCOUT_GROUPS = {part: (*groups, *_MORE_IN_SCOUT.get(part, ())) for part, groups in PART_GROUPS.items()}

Divergence = Callable[[Float[np.ndarray, "c k"]], Float[np.ndarray, "c c"]]
"""From one distribution over k values for each class to the divergence of every pair of classes."""


def jensen_shannon(p: Float[np.ndarray, "c k"]) -> Float[np.ndarray, "c c"]:
    """sum p log(2p / (p + q)) + q log(2q / (p + q)): the formula of the authors' code, from 0 to 2 log 2."""
    total = p[:, None] + p
    one_way = rel_entr(2 * p[:, None], total).sum(axis=-1) / 2
    return one_way + one_way.T


def exponential_kl(p: Float[np.ndarray, "c k"]) -> Float[np.ndarray, "c c"]:
    """exp(KL(p || q) + KL(q || p)): the formula of the paper's text, from 1; needs p > 0."""
    cross = p @ np.log(p).T
    entropy = np.diag(cross)
    divergence = (entropy[:, None] + entropy[None, :]) - (cross + cross.T)
    return np.exp(np.maximum(divergence, 0))


def part_distances(
    class_attributes: Float[np.ndarray, "c a"],
    attribute_names: tuple[str, ...],
    part_names: tuple[str, ...],
    divergence: Divergence = jensen_shannon,
    temperature: float = 1.0,
    part_groups: dict[str, tuple[str, ...]] = PART_GROUPS,
) -> Float[np.ndarray, "c c p"]:
    """How differently two classes look at each part.

    Args:
        class_attributes: percentages in [0, 100].
        attribute_names: "has_GROUP::VALUE".
        part_names: the parts, each a key of `part_groups`, or without attributes.
        divergence: of two distributions; `jensen_shannon` (the code) or `exponential_kl` (the text).
        temperature: what the percentages are divided by before the softmax.
        part_groups: the groups that each part owns.

    Returns:
        The mean divergence over the part's groups (float64), symmetric; NaN for a part without attributes.
    """
    columns: dict[str, list[int]] = {}
    for position, name in enumerate(attribute_names):
        columns.setdefault(name.partition("::")[0].removeprefix("has_"), []).append(position)
    owned = {part: [group for group in part_groups.get(part, ()) if group in columns] for part in part_names}
    by_group = {
        group: divergence(_softmax(class_attributes[:, columns[group]] / temperature))
        for group in {group for groups in owned.values() for group in groups}
    }
    count = len(class_attributes)
    distances = np.full((count, count, len(part_names)), np.nan)
    for position, part in enumerate(part_names):
        if owned[part]:
            distances[:, :, position] = sum(by_group[group] for group in owned[part]) / len(owned[part])
    return distances


def discriminant_parts(
    dataset: PartDataset,
    table: AttributeTable | str = AttributeTable.SCOUT,
    divergence: Divergence | str = jensen_shannon,
    *,
    shared: float = 0.2,
) -> Bool[np.ndarray, "c c p"]:
    """The parts that tell class a from class b: those that are not shared by the same table (`shared_parts`).

    A part without attributes is never discriminant, nor is any part of a class against itself.

    Args:
        dataset: its class attributes are used, no image is read.
        table: which attributes belong to which part, an `AttributeTable` or its name, "scout" or "neurips".
        divergence: `jensen_shannon` or "code", the authors' code; `exponential_kl` or "text", their papers; or yours.
        shared: how many of all (class, class, part) are shared, in (0, 1).

    Returns:
        [a, b, part], symmetric in a and b.

    Raises:
        InputError: no such table or formula, the share is outside (0, 1), or no part has attributes.
    """
    distances, threshold = _distances_and_threshold(dataset, table, divergence, shared)
    return distances > threshold


def shared_parts(
    dataset: PartDataset,
    table: AttributeTable | str = AttributeTable.NEURIPS,
    divergence: Divergence | str = jensen_shannon,
    *,
    shared: float = 0.2,
) -> Bool[np.ndarray, "c c p"]:
    """The parts on which class a looks like class b: distances up to a threshold over every class of the data set.

    The threshold is the value at position int(shared * n) of all n distances in ascending order, a = b and both orders
    included, as in the authors' code; distances equal to it count. It is taken over all classes
    (`all_class_attributes`), whichever are selected, and the result is cut out for the selected ones.

    Args:
        dataset, table, divergence, shared: as `discriminant_parts`.

    Returns:
        [a, b, part], symmetric in a and b; a class shares all parts that have attributes with itself.

    Raises:
        InputError: as `discriminant_parts`.
    """
    distances, threshold = _distances_and_threshold(dataset, table, divergence, shared)
    return distances <= threshold


def divergence_named(name: str) -> Divergence:
    """The formula of the authors' code ("code") or of the papers' text ("text").

    Raises:
        InputError: there is no such formula.
    """
    if name not in _DIVERGENCES:
        raise InputError(f"divergence {name!r}: no such formula, there are {' and '.join(_DIVERGENCES)}")
    return _DIVERGENCES[name]


def table_named(name: str) -> AttributeTable:
    """The table of attributes with a name.

    Raises:
        InputError: there is no such table.
    """
    names = [table.value for table in AttributeTable]
    if name not in names:
        raise InputError(f"attribute table {name!r}: no such table, there are {' and '.join(names)}")
    return AttributeTable(name)


def object_frequencies(present: Bool[np.ndarray, "n o"], dataset: SceneDataset) -> Float[np.ndarray, "c o"]:
    """The share of a scene class's images in which an object occurs.

    Args:
        present: which objects occur in each image, from `galore.data.ade20k.objects_present(dataset)`.
        dataset: whose labels are counted, all images of it; the papers count training images only, a subset.

    Returns:
        Frequencies in [0, 1], float64; NaN for a class without an image, of which nothing is known: 15 of ADE20K's
        1,055 classes have validation images alone.

    Raises:
        InputError: there is no image.
    """
    counts = np.bincount(dataset.labels, minlength=len(dataset.class_names))
    if not len(dataset):
        raise InputError(f"{dataset.name} has no training image to count objects in")
    occurrences = np.zeros((len(counts), present.shape[1]))
    np.add.at(occurrences, dataset.labels, present)
    return np.where(counts[:, None], occurrences / np.maximum(counts, 1)[:, None], np.nan)


def discriminant_objects(frequencies: Float[np.ndarray, "c o"]) -> Bool[np.ndarray, "c c o"]:
    """The objects that occur in images of class a and never in class b; not symmetric, all False for a = b, and for a
    class of which nothing is known (NaN).

    For ADE20K's 1,055 classes and 150 objects the result takes 167 MB.
    """
    occurs, never = frequencies > 0, frequencies == 0
    return occurs[:, None, :] & never[None, :, :]


def shared_objects(
    frequencies: Float[np.ndarray, "c o"], minimum: float = 0.3, fraction: float = 0.01
) -> Bool[np.ndarray, "c c o"]:
    """The objects that are frequent in both classes.

    An object is shared by a and b where it occurs in at least `minimum` of the images of each, and the mean of its
    two frequencies is among the largest `fraction` of all (class, class, object), a = b and both orders included.
    Means equal to the threshold count, so that ties (every class with one image has frequencies of 1) can make them
    more.

    Args:
        frequencies: from `object_frequencies`, of training images.
        minimum: the smallest frequency in each class.
        fraction: the share of the largest means.

    Returns:
        [a, b, object], symmetric; True for a = b wherever the condition holds.

    Raises:
        InputError: the fraction is outside (0, 1), or there are fewer than two classes.
    """
    _check_fraction(fraction)
    if len(frequencies) < 2:
        raise InputError("shared objects need at least two classes")
    values, frequent = frequencies.astype(np.float32), frequencies >= minimum
    # What is shared has a mean of the minimum or more: smaller means are counted, not kept.
    by_object = ((column[:, None] + column) / 2 for column in values.T)
    means = np.sort(np.concatenate([some[some >= np.float32(minimum)] for some in by_object]))
    wanted = max(1, int(fraction * len(values) ** 2 * values.shape[1]))
    threshold = means[-wanted] if wanted <= len(means) else 0.0
    shared = frequent[:, None, :] & frequent[None, :, :]
    for a, row in enumerate(values):
        shared[a] &= (row + values) / 2 >= threshold
    return shared


def _distances_and_threshold(
    dataset: PartDataset, table: AttributeTable | str, divergence: Divergence | str, shared: float
) -> tuple[Float[np.ndarray, "c c p"], float]:
    """Distances of the selected classes, and the threshold over all pairs of classes of the data set."""
    _check_fraction(shared)
    groups = (table_named(table) if isinstance(table, str) else table).groups
    divergence = divergence_named(divergence) if isinstance(divergence, str) else divergence
    if dataset.all_class_attributes is None:
        population, selected = dataset.class_attributes, np.arange(len(dataset.class_names))
    else:
        population, selected = dataset.all_class_attributes, np.array(dataset.class_numbers) - 1
    distances = part_distances(population, dataset.attribute_names, dataset.part_names, divergence, part_groups=groups)
    triples = np.sort(distances[~np.isnan(distances)])
    if triples.size == 0 or len(population) < 2:
        raise InputError(f"{dataset.name}: no pair of classes has a part with attributes, expected two classes or more")
    return distances[np.ix_(selected, selected)], float(triples[int(shared * triples.size)])


def _check_fraction(fraction: float) -> None:
    if not 0 < fraction < 1:
        raise InputError(f"a share of {fraction} of all triples: expected a number between 0 and 1")


def _softmax(values: Float[np.ndarray, "c k"]) -> Float[np.ndarray, "c k"]:
    shifted = np.exp(values.astype(np.float64) - values.max(axis=1, keepdims=True))
    return shifted / shifted.sum(axis=1, keepdims=True)


_DIVERGENCES: dict[str, Divergence] = {"code": jensen_shannon, "text": exponential_kl}
