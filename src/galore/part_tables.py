"""Which parts of an image tell two classes apart, where nobody named the parts: tables made of a few images a class.

The cells of the images of all classes are clustered, once the directions that tell classes are taken out, so that a
cluster is a part (whose wing it may be) and no species. Each class then has a mean appearance of each part, and the
distance of two classes' means, in units of the spread within, says how much the part tells them apart. A new image
only says where its parts are:

    map(y, c) at a cell = sum over parts k of membership_k(cell) * table[y, c, k]

standardised over c, summed over several clusterings, standardised again. It is the difference of two *classes*, placed
on this image's parts; whether this very image shows it, the map does not ask. docs/answering.md says what it is worth.
"""

import dataclasses
import warnings
from collections.abc import Iterable

import jax
import jax.numpy as jnp
import numpy as np
import scipy.cluster.vq
from jaxtyping import Array, Float, Int, Key, Num

from galore import representation
from galore.errors import InputError
from galore.explain import standardised_maps

# All of these were tried on species 1-16 of CUB and kept for 17-25; none moves the result by more than .01.
PARTS = (8, 12, 16, 24)
"""How many parts a clustering has: the sum over several numbers is steadier than any of them."""
STARTS = 3
"""Clusterings for each number of parts, from different starts: single ones vary by .01 to .02 of specificity."""
DIMENSIONS = 96
"""Principal components of the cells; the rest is noise."""
SHARPNESS = 6.0
"""How fast a cell's membership falls with its distance, in units of the median distance; 3 to 24 do as well."""
SHRINKAGE = 50.0
"""Cells of the mean of all classes that are added to each class's, lest a part that it seldom shows looks unusual."""
RIDGE = 0.1
"""Of the mean variance, added to the scatter that whitens appearances; .03 to .3 do as well."""
FLOOR = 1e-3
"""Of the largest variance, added to every component's, so that no noise is blown up."""
SAMPLED, CLUSTERED, ROUNDS, EVERY = 60_000, 20_000, 12, 5
"""Cells for the components and for a clustering, its rounds, and every how many images the scatter is taken of."""


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Clustering:
    """One way to cut images into K parts.

    Attributes:
        centres: of the parts, among cells without what tells classes.
        scale: the median distance of a cell to them.
        table: squared distances of two classes' mean appearances of each part, in units of the spread within.
    """

    centres: Float[Array, "*B K e"]
    scale: Float[Array, "*B"]
    table: Float[Array, "*B C C K"]

    __repr__ = representation.fields


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class PartTables:
    """What `fit` found: a cell f has the place (f - mean) @ projection, where `clusterings` have their centres."""

    mean: Float[Array, "*B d"]
    projection: Float[Array, "*B d e"]
    clusterings: tuple[Clustering, ...]

    __repr__ = representation.fields


def fit(F: Num[np.ndarray, "n h w d"], labels: Int[np.ndarray, " m"], key: Key[Array, ""]) -> PartTables:
    """Finds parts and compares the classes part by part. Labels alone are needed, about 30 images a class.

    Args:
        F: activations of the images at the cut.
        labels: their classes, 0 to C - 1.
        key: of the cells that are drawn.

    Raises:
        InputError: another number of labels than of images, a class without an image, fewer than two classes, or fewer
            cells than parts.
    """
    classes = _checked(F, labels)
    rng = np.random.default_rng(np.asarray(jax.random.key_data(key)))
    cells = np.asarray(F, np.float32).reshape(len(F), -1, F.shape[-1])
    mean, vectors, spread = _components(_drawn(cells.reshape(-1, F.shape[-1]), SAMPLED, rng))
    Z = (cells - mean) @ vectors
    free = _without_classes(np.stack([Z[labels == c].mean((0, 1)) for c in range(classes)]), spread)
    X = Z @ free
    unit = X.std() or np.float32(1)
    X /= unit
    clusterings = [
        _clustering(X, Z, labels, _centres(X.reshape(-1, X.shape[-1]), parts, rng))
        for parts in PARTS
        for _ in range(STARTS)
    ]
    return PartTables(jnp.asarray(mean), jnp.asarray(vectors @ free / unit), tuple(clusterings))


def maps(tables: PartTables, F: Float[Array, "h w d"], predicted: Int[Array, ""] | int) -> Float[Array, "C h w"]:
    """For every counter class c, where the image shows parts by which `predicted` and c differ more than usual.

    Args:
        tables: of the same network and layer.
        F: the activation of one image at the cut.
        predicted: the class y.

    Returns:
        Standardised over the classes at each cell; that of c = y means nothing.
    """
    X = (F.astype(jnp.float32) - tables.mean) @ tables.projection

    def by(some: Clustering) -> Float[Array, "C h w"]:
        memberships = _memberships(_distances(X, some.centres), some.scale)
        return standardised_maps(jnp.einsum("hwk,ck->chw", memberships, some.table[predicted]))

    return standardised_maps(_sum(by(some) for some in tables.clusterings))


def _checked(F: np.ndarray, labels: np.ndarray) -> int:
    """How many classes there are."""
    if len(labels) != len(F):
        raise InputError(f"{len(labels)} labels of {len(F)} images: expected as many")
    counts = np.bincount(labels) if len(labels) else np.zeros(0, int)
    if len(counts) < 2 or not counts.all():
        missing = np.flatnonzero(counts == 0)
        raise InputError(
            f"class {missing[0]} has no image to compare parts with" if len(missing) else "parts need two classes"
        )
    if F[..., 0].size < max(PARTS):
        raise InputError(f"{F[..., 0].size} cells of all images: expected at least {max(PARTS)}, one for each part")
    return len(counts)


def without_classes(
    cells: Float[np.ndarray, "n m d"], labels: Int[np.ndarray, " n"], rng: np.random.Generator
) -> tuple[Float[np.ndarray, " d"], Float[np.ndarray, "d e"]]:
    """(mean, projection): (cells - mean) @ projection has unit spread, and nothing that tells the classes' means."""
    mean, vectors, spread = _components(_drawn(cells.reshape(-1, cells.shape[-1]), SAMPLED, rng))
    by_class = [cells[labels == c].mean((0, 1)) - mean for c in range(labels.max() + 1)]
    projection = vectors @ _without_classes(np.stack(by_class) @ vectors, spread)
    return mean, projection / (((cells - mean) @ projection).std() or np.float32(1))


def _components(
    cells: Float[np.ndarray, "m d"],
) -> tuple[Float[np.ndarray, " d"], Float[np.ndarray, "d e"], Float[np.ndarray, " e"]]:
    """The mean of cells, their principal components and the spread along these."""
    mean = cells.mean(0)
    values, vectors = np.linalg.eigh(np.atleast_2d(np.cov((cells - mean).T)))
    values, vectors = values[::-1][:DIMENSIONS], vectors[:, ::-1][:, :DIMENSIONS].astype(np.float32)
    return mean, vectors, np.sqrt(np.maximum(values, 0) + FLOOR * values[0] + 1e-30).astype(np.float32)


def _without_classes(means: Float[np.ndarray, "C e"], spread: Float[np.ndarray, " e"]) -> Float[np.ndarray, "e e"]:
    """The projection along the directions of the classes' mean images, in units of the spread.

    What is left is what differs within images. Of many classes, only the strongest half of all directions goes.
    """
    scaled = means / spread
    directions, _, _ = np.linalg.svd((scaled - scaled.mean(0)).T, full_matrices=False)
    directions = directions[:, : min(len(means) - 1, len(spread) // 2)]
    return (np.eye(len(spread), dtype=np.float32) - directions @ directions.T) * spread / spread[:, None]


def _centres(X: Float[np.ndarray, "m e"], parts: int, rng: np.random.Generator) -> Float[np.ndarray, "K e"]:
    some = _drawn(X, CLUSTERED, rng)
    with warnings.catch_warnings(action="ignore"):  # a part that no cell belongs to does no harm
        return scipy.cluster.vq.kmeans2(some, _drawn(some, parts, rng), iter=ROUNDS, minit="matrix")[0]


def _clustering(
    X: Float[np.ndarray, "n m e"],
    Z: Float[np.ndarray, "n m e"],
    labels: Int[np.ndarray, " n"],
    centres: Float[np.ndarray, "K e"],
) -> Clustering:
    distances = _distances(jnp.asarray(X), jnp.asarray(centres))
    scale = jnp.maximum(jnp.median(distances), 1e-12)
    table = _table(np.asarray(_memberships(distances, scale)), Z, labels)
    return Clustering(jnp.asarray(centres, jnp.float32), scale, jnp.asarray(table, jnp.float32))


def _table(
    memberships: Float[np.ndarray, "n m K"], Z: Float[np.ndarray, "n m e"], labels: Int[np.ndarray, " n"]
) -> Float[np.ndarray, "C C K"]:
    """How far two classes' mean appearances of each part lie apart, whitened by the scatter within both."""
    parts, dimensions = memberships.shape[-1], Z.shape[-1]
    sums, counts = np.zeros((labels.max() + 1, parts, dimensions)), np.zeros((labels.max() + 1, parts, 1))
    for label, r, z in zip(labels, memberships, Z):
        sums[label] += r.T @ z
        counts[label, :, 0] += r.sum(0)
    of_all = sums.sum(0) / (counts.sum(0) + 1e-6)
    means = (sums + SHRINKAGE * of_all) / (counts + SHRINKAGE)
    rest = np.concatenate([Z[i] - memberships[i] @ means[labels[i]] for i in range(0, len(Z), EVERY)])
    scatter = np.atleast_2d(np.cov(rest.T))
    scatter += (RIDGE * np.trace(scatter) / dimensions + 1e-12) * np.eye(dimensions)
    white = means @ np.linalg.cholesky(np.linalg.inv(scatter))
    return ((white[:, None] - white[None]) ** 2).sum(-1)


def _distances(X: Float[Array, "*n e"], centres: Float[Array, "K e"]) -> Float[Array, "*n K"]:
    """Squared distances to the centres, less that to the nearest."""
    squared = jnp.sum(X**2, axis=-1, keepdims=True) - 2 * X @ centres.T + jnp.sum(centres**2, axis=-1)
    return squared - jnp.min(squared, axis=-1, keepdims=True)


def _memberships(distances: Float[Array, "*n K"], scale: Float[Array, ""]) -> Float[Array, "*n K"]:
    return jax.nn.softmax(-SHARPNESS * distances / scale, axis=-1)


def _drawn(values: Float[np.ndarray, "m e"], count: int, rng: np.random.Generator) -> Float[np.ndarray, "k e"]:
    return values if len(values) <= count else values[rng.choice(len(values), count, replace=False)]


def _sum(maps: Iterable[Array]) -> Array:
    return sum(maps, jnp.float32(0))
