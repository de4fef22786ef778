"""Which parts of an image tell two classes apart, where nobody named the parts: tables made of a few images a class.

The cells of the images of all classes are clustered, once the directions that tell classes are taken out, so that a
cluster is a part (whose wing it may be) and no species. Each class then has a mean appearance of each part, and the
distance of two classes' means, in units of the spread within, says how much the part tells them apart. A new image
only says where its parts are:

    map(y, c) at a cell = sum over parts k of membership_k(cell) * table[y, c, k]

standardised over c, summed over several clusterings, standardised again. It is the difference of two *classes*, placed
on this image's parts; whether this very image shows it, the map does not ask. docs/answering.md says what it is worth.

`galore.explain.by_part_tables` gives the maps of a batch, `galore part-tables` makes the tables of a folder of photos.
"""

import dataclasses
import warnings
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key, Num

from galore import fitted_file, representation
from galore.errors import InputError
from galore.network import Network
from galore.score_maps import standardised_maps

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
FEWEST = 3
"""Classes: of two, standardised over the classes, every cell says the same."""
KIND = fitted_file.Kind("part tables", "galore part-tables", "galore.part_tables/1")


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
    """What `fit` found: a cell f has the place (f - mean) @ projection, where `clusterings` have their centres.

    `classes` are those that were compared, as the network counts them, in the order of the tables.
    """

    mean: Float[Array, "*B d"]
    projection: Float[Array, "*B d e"]
    clusterings: tuple[Clustering, ...]
    classes: Int[Array, "*B C"]

    __repr__ = representation.fields


def fit(F: Num[np.ndarray, "n h w d"], labels: Int[np.ndarray, " m"], key: Key[Array, ""]) -> PartTables:
    """Finds parts and compares the classes part by part. Labels alone are needed, about 30 images a class.

    Args:
        F: activations of the images at the cut.
        labels: their classes, as the network counts them; some of its classes are enough.
        key: of the cells that are drawn.

    Raises:
        InputError: another number of labels than of images, fewer than three classes, fewer cells than parts, or
            activations that are not finite.
    """
    check(F, labels, FEWEST)
    if F[..., 0].size < max(PARTS):
        raise InputError(f"{F[..., 0].size} cells of all images: expected at least {max(PARTS)}, one for each part")
    classes, labels = np.unique(labels, return_inverse=True)
    rng = np.random.default_rng(np.asarray(jax.random.key_data(key)))
    cells = np.asarray(F, np.float32).reshape(len(F), -1, F.shape[-1])
    mean, vectors, spread = _components(_drawn(cells.reshape(-1, F.shape[-1]), SAMPLED, rng))
    Z = (cells - mean) @ vectors
    free = _without_classes(np.stack([Z[labels == c].mean((0, 1)) for c in range(len(classes))]), spread)
    X = Z @ free
    unit = X.std() or np.float32(1)
    X /= unit
    clusterings = [
        _clustering(X, Z, labels, _centres(X.reshape(-1, X.shape[-1]), parts, rng))
        for parts in PARTS
        for _ in range(STARTS)
    ]
    projection, of_network = jnp.asarray(vectors @ free / unit), jnp.asarray(classes.astype(np.int32))
    return PartTables(jnp.asarray(mean), projection, tuple(clusterings), of_network)


def maps(tables: PartTables, F: Float[Array, "h w d"], predicted: Int[Array, ""] | int) -> Float[Array, "C h w"]:
    """For every counter class c, where the image shows parts by which `predicted` and c differ more than usual.

    Args:
        tables: of the same network and layer.
        F: the activation of one image at the cut.
        predicted: the class y, one of `tables.classes`.

    Returns:
        In the order of `tables.classes`, standardised over them at each cell; that of c = y means nothing.

    Raises:
        InputError: the tables are of activations with another number of channels.
    """
    if F.shape[-1] != tables.mean.shape[-1]:
        channels = f"{F.shape[-1]} channels and the part tables are of {tables.mean.shape[-1]}"
        raise InputError(f"the activation has {channels}: expected those of the same network and layer")
    X, y = (F.astype(jnp.float32) - tables.mean) @ tables.projection, jnp.argmax(tables.classes == predicted)

    def by(some: Clustering) -> Float[Array, "C h w"]:
        memberships = _memberships(_distances(X, some.centres), some.scale)
        return standardised_maps(jnp.einsum("hwk,ck->chw", memberships, some.table[y]))

    return standardised_maps(_sum(by(some) for some in tables.clusterings))


def save(path: str | Path, tables: PartTables, net: Network) -> None:
    """Writes tables into an .npz file, whole or not at all, with what tells whose they are.

    Args:
        path: of the file.
        tables: of activations of the network at its cut.
        net: the network.

    Raises:
        InputError: the place cannot be written.
    """
    arrays = {"mean": tables.mean, "projection": tables.projection, "classes": tables.classes}
    for number, one in enumerate(tables.clusterings):
        arrays |= {f"{number} {name}": values for name, values in vars(one).items()}
    fitted_file.save(path, KIND, arrays, net)


def load(path: str | Path, net: Network) -> PartTables:
    """Reads tables that `save` wrote.

    Args:
        path: of the file, which somebody else may have made.
        net: the network that will use them; with other parameters, or cut elsewhere, its cells mean something else.

    Raises:
        InputError: no such file, a damaged or hostile one, or tables of another network.
    """
    return fitted_file.load(path, KIND, _read, net)


def _read(arrays: Mapping[str, np.ndarray]) -> PartTables:
    """The tables in an archive.

    Raises:
        KeyError, ValueError: it holds others.
    """
    of = partial(fitted_file.numbers, arrays)
    classes, mean = fitted_file.classes(arrays, FEWEST), of("mean", None)
    count, projection = classes.size, of("projection", len(mean), None)
    clusterings = []
    for number in range(sum(name.endswith(" centres") for name in arrays)):
        centres, scale = of(f"{number} centres", None, projection.shape[1]), of(f"{number} scale")
        if scale <= 0:
            raise ValueError(f"scale of {scale}")
        clusterings.append(Clustering(centres, scale, of(f"{number} table", count, count, len(centres))))
    if not clusterings:
        raise ValueError("no clustering")
    return PartTables(mean, projection, tuple(clusterings), classes)


def check(F: Num[np.ndarray, "n h w d"], labels: Int[np.ndarray, " m"], fewest: int) -> None:
    """Refuses what nothing can be fitted to.

    Raises:
        InputError: another number of labels than of images, fewer classes, or activations that are not finite.
    """
    if len(labels) != len(F):
        raise InputError(f"{len(labels)} labels of {len(F)} images: expected as many")
    if (classes := len(np.unique(labels))) < fewest:
        raise InputError(f"images of {classes} classes: expected at least {fewest}, to compare them")
    if not np.isfinite(F).all():
        raise InputError("the activations are not finite, so there is nothing to compare")


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
    from scipy.cluster import vq  # a tenth of a second, and few callers need it

    some = _drawn(X, CLUSTERED, rng)
    with warnings.catch_warnings(action="ignore"):  # a part that no cell belongs to does no harm
        return vq.kmeans2(some, _drawn(some, parts, rng), iter=ROUNDS, minit="matrix")[0]


def _clustering(
    X: Float[np.ndarray, "n m e"],
    Z: Float[np.ndarray, "n m e"],
    labels: Int[np.ndarray, " n"],
    centres: Float[np.ndarray, "K e"],
) -> Clustering:
    scale, memberships = _scaled(X, centres)
    table = _table(np.asarray(memberships), Z, labels)
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


@jax.jit
def _scaled(X: Float[Array, "n m e"], centres: Float[Array, "K e"]) -> tuple[Float[Array, ""], Float[Array, "n m K"]]:
    """The median distance of a cell to the centres, and the memberships by it."""
    distances = _distances(X, centres)
    scale = jnp.maximum(jnp.median(distances), 1e-12)
    return scale, _memberships(distances, scale)


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
