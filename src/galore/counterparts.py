"""What a cell would look like if the image were of another class: what a margin's evidence is measured against.

A cell without the directions that tell classes, z, says which part it is, how it stands and how it is lit. A linear
regression for each class continues it: class c would show W_c [z, 1] there. A map by gradient x activation measures
evidence against an activation of zero, which no image has; measured against the counterpart instead,

    map(y, c) at a cell = gradient of h_y - h_c at F . (F - W_c [z, 1])

is how far the margin would fall if this cell looked as class c does. What both classes show alike says nothing, however
much the head makes of it. Labels of about 30 images a class are all that it needs. docs/answering.md says what it is
worth, and `galore.explain.by_counterparts` gives the maps of a batch.
"""

import dataclasses
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key, Num

from galore import part_tables, representation
from galore.errors import InputError

RIDGE, CLASS_RIDGE = 0.01, 0.2
"""Of the mean square of a direction, for the regression over all classes and for what each class adds to it; a tenth
and ten times as much move the AUROC at what flips decisions by less than .005 at the last layer of a small network."""


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Counterparts:
    """What `fit` found: a cell f, as class c would show it, is [(f - mean) @ projection, 1] @ weights[c]."""

    mean: Float[Array, "*B d"]
    projection: Float[Array, "*B d e"]
    weights: Float[Array, "*B C g d"]

    __repr__ = representation.fields


def fit(F: Num[np.ndarray, "n h w d"], labels: Int[np.ndarray, " m"], key: Key[Array, ""]) -> Counterparts:
    """A ridge regression over the cells of all classes, and one for what each class adds to it.

    Args:
        F: activations of the images at the cut.
        labels: their classes, 0 to C - 1.
        key: of the cells that are drawn to find the directions.

    Raises:
        InputError: another number of labels than of images, a class without an image, or fewer than two classes.
    """
    counts = np.bincount(labels) if len(labels) else np.zeros(0, int)
    if len(labels) != len(F) or len(counts) < 2 or not counts.all():
        raise InputError(
            f"{len(labels)} labels of {len(F)} images, of {np.count_nonzero(counts)} out of {len(counts)} classes: "
            "expected one for each image, at least two classes, and an image of each"
        )
    cells = np.asarray(F, np.float32).reshape(len(F), -1, F.shape[-1])
    rng = np.random.default_rng(np.asarray(jax.random.key_data(key)))
    mean, projection = part_tables.without_classes(cells, labels, rng)
    flat, X = cells.reshape(-1, F.shape[-1]), _with_one((cells - mean) @ projection)
    common = _ridge(X.reshape(len(flat), -1), flat, RIDGE)
    weights = [
        common
        + _ridge(
            X[labels == c].reshape(-1, X.shape[-1]), _rest(cells[labels == c], X[labels == c], common), CLASS_RIDGE
        )
        for c in range(len(counts))
    ]
    return Counterparts(jnp.asarray(mean), jnp.asarray(projection), jnp.asarray(np.stack(weights), jnp.float32))


def expected(
    counterparts: Counterparts, F: Float[Array, "h w d"], counter: Int[Array, ""] | int
) -> Float[Array, "h w d"]:
    """The activation as an image of class `counter` would have it in the same place, pose and light."""
    z = (F.astype(jnp.float32) - counterparts.mean) @ counterparts.projection
    weights = counterparts.weights[counter]
    return z @ weights[:-1] + weights[-1]


def maps(
    counterparts: Counterparts,
    logits: Callable[[Float[Array, "h w d"]], Float[Array, " C"]],
    F: Float[Array, "h w d"],
    predicted: Int[Array, ""] | int,
    counters: Int[Array, " K"],
) -> Float[Array, "K h w"]:
    """For each counter class, how far h_y - h_c would fall to first order if a cell looked as that class does.

    Args:
        counterparts: of the same network and layer.
        logits: of an activation at the cut, such as `net.logits`.
        F: the activation of one image.
        predicted: the class y.
        counters: the classes c.

    Raises:
        InputError: the counterparts are of activations with another number of channels, or of other classes.
    """
    values, pull = jax.vjp(logits, F)
    classes, _, channels = counterparts.weights.shape
    if (len(values), F.shape[-1]) != (classes, channels):
        raise InputError(
            f"the activation has {F.shape[-1]} channels and the network {len(values)} classes, the counterparts are of "
            f"{channels} and {classes}: expected those of the same network and layer, of all its classes"
        )

    def against(c: Int[Array, ""]) -> Float[Array, "h w"]:
        one_hot = lambda k: jax.nn.one_hot(k, classes, dtype=values.dtype)  # noqa: E731
        (gradient,) = pull(one_hot(predicted) - one_hot(c))
        return jnp.sum(gradient * (F - expected(counterparts, F, c)), axis=-1, dtype=jnp.float32)

    return jax.vmap(against)(counters)


def _with_one(z: Float[np.ndarray, "*n e"]) -> Float[np.ndarray, "*n g"]:
    return np.concatenate([z, np.ones((*z.shape[:-1], 1), z.dtype)], axis=-1)


def _rest(cells: np.ndarray, X: np.ndarray, weights: np.ndarray) -> Float[np.ndarray, "m d"]:
    return (cells - X @ weights).reshape(-1, cells.shape[-1])


def _ridge(X: Float[np.ndarray, "m g"], targets: Float[np.ndarray, "m d"], share: float) -> Float[np.ndarray, "g d"]:
    """The regression's weights, with `share` of the mean square of a column as the penalty."""
    gram = (X.T @ X).astype(np.float64)
    gram += (share * np.trace(gram) / len(gram) + 1e-12) * np.eye(len(gram))
    return np.linalg.solve(gram, X.T @ targets).astype(np.float32)
