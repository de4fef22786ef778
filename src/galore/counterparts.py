"""What a cell would look like if the image were of another class: what a margin's evidence is measured against.

A cell without the directions that tell classes, z, says which part it is, how it stands and how it is lit. A linear
regression for each class continues it: class c would show W_c [z, 1] there. A map by gradient x activation measures
evidence against an activation of zero, which no image has; measured against the counterpart instead,

    map(y, c) at a cell = gradient of h_y - h_c at F . (F - W_c [z, 1])

is how far the margin would fall if this cell looked as class c does. What both classes show alike says nothing, however
much the head makes of it. Labels of about 30 images a class are all that it needs. docs/answering.md says what it is
worth. `galore.explain.by_counterparts` gives the maps of a batch, `galore counterparts` fits to a folder of photos.
"""

import dataclasses
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key, Num

from galore import fitted_file, part_tables, representation
from galore.attribution import shared_or_whole_gradient
from galore.errors import InputError
from galore.network import Network

RIDGE, CLASS_RIDGE = 0.01, 0.2
"""Of the mean square of a direction, for the regression over all classes and for what each class adds to it; a tenth
and ten times as much move the AUROC at what flips decisions by less than .005 at the last layer of a small network."""
FEWEST = 2
"""Classes."""
KIND = fitted_file.Kind("counterparts", "galore counterparts", "galore.counterparts/1")


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Counterparts:
    """What `fit` found: a cell f, as class `classes[k]` would show it, is [(f - mean) @ projection, 1] @ weights[k].

    `classes` are as the network counts them, in rising order.
    """

    mean: Float[Array, "*B d"]
    projection: Float[Array, "*B d e"]
    weights: Float[Array, "*B C g d"]
    classes: Int[Array, "*B C"]

    __repr__ = representation.fields


def fit(F: Num[np.ndarray, "n h w d"], labels: Int[np.ndarray, " m"], key: Key[Array, ""]) -> Counterparts:
    """A ridge regression over the cells of all classes, and one for what each class adds to it.

    Args:
        F: activations of the images at the cut.
        labels: their classes, as the network counts them; some of its classes are enough.
        key: of the cells that are drawn to find the directions.

    Raises:
        InputError: another number of labels than of images, fewer than two classes, or activations that are not finite.
    """
    part_tables.check(F, labels, FEWEST)
    classes, labels = np.unique(labels, return_inverse=True)
    cells = np.asarray(F, np.float32).reshape(len(F), -1, F.shape[-1])
    rng = np.random.default_rng(np.asarray(jax.random.key_data(key)))
    mean, projection = part_tables.without_classes(cells, labels, rng)
    narrow = projection @ _row_space(projection)
    flat, X = cells.reshape(-1, F.shape[-1]), _with_one((cells - mean) @ narrow)
    ridge = partial(_ridge, directions=projection.shape[1] + 1)
    common = ridge(X.reshape(len(flat), -1), flat, RIDGE)
    weights = []
    for c in range(len(classes)):
        of_class = X[labels == c].reshape(-1, X.shape[-1])
        rest = cells[labels == c].reshape(-1, F.shape[-1]) - of_class @ common
        weights.append(common + ridge(of_class, rest, CLASS_RIDGE))
    arrays = mean, narrow, np.stack(weights).astype(np.float32), classes.astype(np.int32)
    return Counterparts(*map(jnp.asarray, arrays))


def expected(
    counterparts: Counterparts, F: Float[Array, "h w d"], counter: Int[Array, ""] | int
) -> Float[Array, "h w d"]:
    """The activation as an image of class `counter`, one of `counterparts.classes`, would have it there."""
    return _explanatory(counterparts, F) @ counterparts.weights[jnp.argmax(counterparts.classes == counter)]


def maps(
    counterparts: Counterparts,
    logits: Callable[[Float[Array, "h w d"]], Float[Array, " C"]],
    F: Float[Array, "h w d"],
    predicted: Int[Array, ""] | int,
    counters: Int[Array, " K"] | None = None,
) -> Float[Array, "K h w"]:
    """For each counter class, how far h_y - h_c would fall to first order if a cell looked as that class does.

    Where the head begins with a mean over the cells, no cell's counterpart is made: only what the head sees of it.

    Args:
        counterparts: of the same network and layer.
        logits: of an activation at the cut, such as `net.logits`.
        F: the activation of one image.
        predicted: the class y, any of the network's.
        counters: the classes c; None: all `counterparts.classes`, in their order.

    Returns:
        A map for each; NaN where the counterparts do not have the class.

    Raises:
        InputError: the counterparts are of activations with another number of channels.
    """
    if F.shape[-1] != counterparts.mean.shape[-1]:
        channels = f"{F.shape[-1]} channels and the counterparts are of {counterparts.mean.shape[-1]}"
        raise InputError(f"the activation has {channels}: expected those of the same network and layer")
    X, weights, is_known = _explanatory(counterparts, F), counterparts.weights, None
    if counters is None:
        counters = counterparts.classes
    else:
        is_class = counterparts.classes == counters[:, None]
        weights, is_known = weights[jnp.argmax(is_class, axis=1)], is_class.any(axis=1)

    # Where heads are linear, the counter classes' gradients are the same for all images of a batch, and found once.
    slope = lambda classes: shared_or_whole_gradient(lambda G: logits(G)[classes], F)  # noqa: E731
    gradient = slope(jnp.asarray(predicted)[None]) - slope(counters)
    at = "kd" if gradient.ndim == 2 else "khwd"
    evidence = jnp.einsum(f"{at},hwd->khw", gradient, F, precision="highest")
    # The weights first: most of the time goes into reading them, and with them last twice as much.
    seen = jax.vmap(partial(jnp.tensordot, axes=(-1, -1), precision="highest"))(weights, gradient)
    expected_evidence = jnp.einsum(f"kg{at[1:-1]},hwg->khw", seen, X, precision="highest")
    found = (evidence - expected_evidence).astype(jnp.float32)
    return found if is_known is None else jnp.where(is_known[:, None, None], found, jnp.nan)


def save(path: str | Path, counterparts: Counterparts, net: Network) -> None:
    """Writes counterparts into an .npz file, as `galore.part_tables.save` does tables.

    Args:
        path: of the file.
        counterparts: of activations of the network at its cut.
        net: the network.

    Raises:
        InputError: the place cannot be written.
    """
    fitted_file.save(path, KIND, vars(counterparts), net)


def load(path: str | Path, net: Network) -> Counterparts:
    """Reads counterparts that `save` wrote.

    Args:
        path: of the file, which somebody else may have made.
        net: the network that will use them; with other parameters, or cut elsewhere, its cells mean something else.

    Raises:
        InputError: no such file, a damaged or hostile one, or counterparts of another network.
    """
    return fitted_file.load(path, KIND, _read, net)


def _read(arrays: Mapping[str, np.ndarray]) -> Counterparts:
    """The counterparts in an archive.

    Raises:
        KeyError, ValueError: it holds others.
    """
    of = partial(fitted_file.numbers, arrays)
    classes, mean = fitted_file.classes(arrays, FEWEST), of("mean", None)
    projection = of("projection", len(mean), None)
    weights = of("weights", classes.size, projection.shape[1] + 1, len(mean))
    return Counterparts(mean, projection, weights, classes)


def _explanatory(counterparts: Counterparts, F: Float[Array, "h w d"]) -> Float[Array, "h w g"]:
    """What the regressions start from: cells without the directions that tell classes, and 1."""
    z = (F.astype(jnp.float32) - counterparts.mean) @ counterparts.projection
    return jnp.concatenate([z, jnp.ones((*z.shape[:-1], 1), z.dtype)], axis=-1)


def _with_one(z: Float[np.ndarray, "*n e"]) -> Float[np.ndarray, "*n g"]:
    return np.concatenate([z, np.ones((*z.shape[:-1], 1), z.dtype)], axis=-1)


def _row_space(projection: Float[np.ndarray, "d e"]) -> Float[np.ndarray, "e r"]:
    """Directions at right angles in which all rows lie, fewer than e by those taken out: regressions on them are the
    same, with half the weights where there are many classes."""
    _, sizes, rows = np.linalg.svd(projection, full_matrices=False)
    return rows[sizes > 1e-3 * sizes[0]].T


def _ridge(
    X: Float[np.ndarray, "m g"], targets: Float[np.ndarray, "m d"], share: float, directions: int
) -> Float[np.ndarray, "g d"]:
    """The regression's weights; the penalty is `share` of the mean square over so many directions, empty ones too."""
    gram = (X.T @ X).astype(np.float64)
    gram += (share * np.trace(gram) / directions + 1e-12) * np.eye(len(gram))
    return np.linalg.solve(gram, X.T @ targets).astype(np.float32)
