"""The second derivative of a score along the activation of each single location, exactly, without a Hessian."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from galore.head_program import Program, is_affine, is_piecewise_linear
from galore.head_structure import DenseFirst, SumFirst, structure, sums_over_locations
from galore.precision import at_least_float32

Score = Callable[[Float[Array, "h w d"]], Float[Array, ""] | Float[Array, " K"]]


def location_curvature(
    score: Score, F: Float[Array, "h w d"], chunk: int = 256
) -> Float[Array, "h w"] | Float[Array, "K h w"]:
    """f_ij' H_ij f_ij at every location: the second derivative of the score along F masked to (i, j).

    Where the head begins with a global average or a dense layer (`galore.head_structure`), the direction of a location
    is carried through that beginning at the price of its own entries. From there on, as everywhere in other heads, it
    is carried through all that is piecewise linear, mostly up to the logits, and behind that two nested directional
    derivatives in forward mode give the quadratic form.

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
        curvature = _along(head.after, point, first, chunk)
    elif isinstance(head, DenseFirst) and head.is_piecewise_linear:
        point, first = _through_dense(head, F)
        curvature = _along(head.after, point, first, chunk)
    else:
        masks = jnp.eye(height * width, dtype=bool).reshape(-1, height, width, 1)
        curvature = _along(score, F, masks, chunk, direction=lambda mask: jnp.where(mask, F, 0))
    by_location = jnp.moveaxis(curvature, 0, -1).astype(at_least_float32(curvature))
    return by_location.reshape(*by_location.shape[:-1], height, width)


def _along(
    function: Callable[[Array], Array],
    point: Array,
    xs: Array,
    chunk: int,
    direction: Callable[[Array], Array] = lambda x: x,
) -> Array:
    """The second derivative of a function at a point along (the direction of) each x.

    Where the function begins piecewise linearly, as layers with ReLU do, the direction goes through that once, and
    both derivatives are taken behind it.
    """
    straight, curved = _straight_then_curved(function, point)
    middle = straight(point)

    def one(x: Array) -> Array:
        along = jax.jvp(straight, (point,), (direction(x),))[1]
        return _second_derivative(lambda e: curved(middle + e * along), point.dtype)

    return _mapped(one, xs, chunk)


def _straight_then_curved(
    function: Callable[[Array], Array], point: Array
) -> tuple[Callable[[Array], Array], Callable[[Array], Array]]:
    """The function in two, of which the first is piecewise linear and as long as can be."""
    program, split = Program(function, point), None
    for number, equation in program.dependent():
        if not _is_straight(equation, program.depends):
            break
        result = equation.outvars[0]
        if jnp.issubdtype(result.aval.dtype, jnp.floating) and program.is_bottleneck(number, result):
            split = number, result
    if split is None:
        return lambda x: x, function
    number, middle = split
    return (
        lambda x: program.run(program.input, x, 0, number + 1, result=middle),
        lambda value: program.run(middle, value, number + 1),
    )


def _is_straight(equation: Any, depends: Callable[[Any], bool]) -> bool:
    is_convolution = equation.primitive.name == "conv_general_dilated" and not depends(equation.invars[1])
    return is_convolution or is_affine(equation, depends) or is_piecewise_linear(equation, depends)


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
