"""The second derivative of a score along the activation of each single location, exactly, without a Hessian."""

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from galore.head_structure import DenseFirst, SumFirst, structure, sums_over_locations
from galore.precision import at_least_float32

Score = Callable[[Float[Array, "h w d"]], Float[Array, ""] | Float[Array, " K"]]


def location_curvature(
    score: Score, F: Float[Array, "h w d"], chunk: int = 256
) -> Float[Array, "h w"] | Float[Array, "K h w"]:
    """f_ij' H_ij f_ij at every location: the second derivative of the score along F masked to (i, j).

    Where the head begins with a global average or a dense layer (`galore.head_structure`), the direction of a location
    is carried through that beginning at the price of its own entries; from there on, as everywhere in other heads, two
    nested directional derivatives in forward mode give the quadratic form.

    Args:
        score: one number, or K numbers, as a function of the activation.
        F: the activation, [h, w, d].
        chunk: locations at once; bounds the memory.

    Returns:
        The map [h, w], or the maps [K, h, w], float32.
    """
    height, width, depth = F.shape
    head = structure(score, F)
    if isinstance(head, SumFirst):
        cells = F.reshape(-1, depth)
        point, first = head.project(sums_over_locations(F)), jax.vmap(head.project)(cells)
        curvature = _mapped(lambda t: _second_derivative(lambda e: head.after(point + e * t), F.dtype), first, chunk)
    elif isinstance(head, DenseFirst) and head.is_piecewise_linear:
        point, first = _through_dense(head, F)
        curvature = _mapped(lambda t: _second_derivative(lambda e: head.after(point + e * t), F.dtype), first, chunk)
    else:
        masks = jnp.eye(height * width, dtype=bool).reshape(-1, height, width, 1)
        curvature = _mapped(
            lambda mask: _second_derivative(lambda e: score(F + e * jnp.where(mask, F, 0)), F.dtype), masks, chunk
        )
    by_location = jnp.moveaxis(curvature, 0, -1).astype(at_least_float32(curvature))
    return by_location.reshape(*by_location.shape[:-1], height, width)


def _second_derivative(path: Callable[[Array], Array], dtype: jnp.dtype) -> Array:
    """Of a function of one number, at zero."""
    zero, one = jnp.zeros((), dtype), jnp.ones((), dtype)
    return jax.jvp(lambda e: jax.jvp(path, (e,), (one,))[1], (zero,), (one,))[1]


def _mapped(function: Callable, xs: Array | tuple[Array, ...], chunk: int) -> Array:
    count = len(jax.tree.leaves(xs)[0])
    return jax.vmap(function)(xs) if count <= chunk else jax.lax.map(function, xs, batch_size=chunk)


def _through_dense(head: DenseFirst, F: Float[Array, "h w d"]) -> tuple[Float[Array, " m"], Float[Array, "hw m"]]:
    """Behind the dense layer: the value, and its derivative along every location.

    Locations that reach no common entry share one pass through what lies before the dense layer: each reads its own
    entries of the result. Locations with the same entries share one reading of the weights' rows.
    """
    colours = _colours(head)
    place = jnp.asarray(colours).reshape(*F.shape[:2], 1)

    def derivative(colour: Array) -> Array:
        return jax.jvp(head.before, (F,), (jnp.where(place == colour, F, 0),))[1]

    by_weights = partial(jnp.matmul, precision=head.precision)
    of_colour = jax.vmap(derivative)(jnp.arange(colours.max() + 1))
    groups = _sharing_entries(head)
    entries, valid = head.affected[groups[:, 0]], head.valid[groups[:, 0]]

    def products(group: tuple[Array, Array, Array]) -> Array:
        colour, columns, counts = group
        return by_weights(jnp.where(counts, of_colour[colour[:, None], columns], 0), head.weights[columns])

    grouped = jax.lax.map(products, jax.tree.map(jnp.asarray, (colours[groups], entries, valid)))
    by_location = grouped.reshape(groups.size, -1)[np.argsort(groups.reshape(-1))]
    return by_weights(head.before(F), head.weights), by_location


def _colours(head: DenseFirst) -> Int[np.ndarray, " hw"]:
    """Numbers for the locations, few of them, such that two of the same number reach no common entry."""
    reached = np.zeros((len(head.affected), head.weights.shape[0]), np.float32)
    rows, columns = np.nonzero(head.valid)
    reached[rows, head.affected[rows, columns]] = 1
    meets = reached @ reached.T > 0
    colours = np.full(len(reached), -1)
    for location in range(len(reached)):
        taken = set(colours[meets[location]].tolist())
        colours[location] = next(colour for colour in range(len(reached)) if colour not in taken)
    return colours


def _sharing_entries(head: DenseFirst) -> Int[np.ndarray, "groups members"]:
    """The locations in groups of equal size, of which all members have the same entries."""
    table = np.where(head.valid, head.affected, -1)
    _, group = np.unique(table, axis=0, return_inverse=True)
    sizes = np.bincount(group.reshape(-1))
    if (sizes != sizes[0]).any():
        return np.arange(len(table))[:, None]
    return np.argsort(group.reshape(-1), kind="stable").reshape(len(sizes), -1)
