"""What a head does first with its activation, found in its jaxpr: exact shortcuts for changes at one location.

Most classifiers begin their head in one of two ways, and both make it cheap to know what a change at a *single*
location does to everything behind:

    SumFirst    head(F) = after(project(sum over the locations of F))   global average pooling, then a dense layer
    DenseFirst  head(F) = after(before(F) @ weights)                    pooling windows, flattening, a dense layer

The analysis reads the operations that the head performs, not its numbers: what it finds is exact by construction,
for any function, and it finds nothing (None) where it meets an operation that it has no rule for.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.core import Tracer
from jax.extend import core
from jaxtyping import Array, Bool, Float, Int

from galore.head_program import (
    CALLS,
    ELEMENTWISE,
    MOVES,
    REDUCTIONS,
    WINDOWS,
    Program,
    as_variable,
    inner,
    is_affine,
    is_piecewise_linear,
    is_scaling,
    is_variable,
    moved,
)
from galore.precision import at_least_float32

MOST_ENTRIES = 2**28
"""Dependence tables beyond this size (locations times entries of F) are not made; the structure counts as unknown."""


class SumFirst(NamedTuple):
    """head(F) = after(project(sum over the locations of F)); `project` is linear.

    Attributes:
        project: [d] -> z[m]; the dense layer behind the pooling, without its bias, or the identity.
        after: z[m] -> whatever the head returns.
        is_affine: whether `after` is certain to be, as adding a bias is.
    """

    project: Callable[[Float[Array, " d"]], Float[Array, " m"]]
    after: Callable[[Float[Array, " m"]], Any]
    is_affine: bool


class DenseFirst(NamedTuple):
    """head(F) = after(before(F) @ weights), where a location of F reaches few entries of `before(F)`.

    Attributes:
        before: F[h, w, d] -> x[n]; pooling and flattening, without parameters.
        weights: [n, m], those of the dense layer; its bias belongs to `after`.
        affected: the entries of x that each location can change, as many columns as the busiest location needs.
        valid: which of the columns of `affected` count.
        after: z[m] -> whatever the head returns.
        is_piecewise_linear: whether `before` is certain to be, as pooling is.
        precision: of the product, as `jax.numpy.matmul` takes it.
    """

    before: Callable[[Float[Array, "h w d"]], Float[Array, " n"]]
    weights: Float[Array, "n m"]
    affected: Int[np.ndarray, "hw c"]
    valid: Bool[np.ndarray, "hw c"]
    after: Callable[[Float[Array, " m"]], Any]
    is_piecewise_linear: bool
    precision: Any


def sums_over_locations(F: Float[Array, "h w d"]) -> Float[Array, " d"]:
    """What a `SumFirst` head sees, in float32 at least: in float16 the sum of a large map is infinite."""
    return F.sum((0, 1), dtype=at_least_float32(F))


def structure(head: Callable[[Array], Any], F: Float[Array, "h w d"]) -> SumFirst | DenseFirst | None:
    """How a function of an activation begins.

    Args:
        head: F[h, w, d] -> anything; a network's head with its parameters filled in, or a score.
        F: an activation, for its shape and dtype alone.

    Returns:
        The structure, whose functions close over the head's parameters, or None where none is recognised.
    """
    program = Program(head, F)
    return _sum_first(program, F) or _dense_first(program, F)


def _sum_first(program: Program, F: Array) -> SumFirst | None:
    """The first thing that happens to F, apart from being moved about, is a sum over all locations."""
    locations, channels = F.shape[0] * F.shape[1], F.shape[2]
    places = {program.input: np.arange(F.size).reshape(F.shape)}
    for number, equation in program.dependent():
        sources = [variable for variable in equation.invars if program.depends(variable)]
        name = equation.primitive.name
        if len(sources) != 1 or sources[0] not in places:
            return None
        if name in MOVES:
            places[equation.outvars[0]] = moved(equation, places[sources[0]])
            continue
        axes, scale = _summed_axes(equation, program)
        summed = None if axes is None else _summed_channels(places[sources[0]], axes, locations, channels)
        if summed is None or not program.is_bottleneck(number, equation.outvars[0]):
            return None
        return _behind_the_sum(program, number, equation.outvars[0], summed, scale)
    return None


def _summed_axes(equation: Any, program: Program) -> tuple[Sequence[int] | None, float]:
    """The axes that an operation sums over, and its factor: a sum, or a product with a vector of one known number."""
    if equation.primitive.name == "reduce_sum":
        return [int(axis) for axis in equation.params["axes"]], 1.0
    if equation.primitive.name != "dot_general":
        return None, 1.0
    side = 0 if program.depends(equation.invars[0]) else 1
    contracted, batched = equation.params["dimension_numbers"]
    vector = program.value(equation.invars[1 - side])
    if (
        batched[0]
        or isinstance(vector, Tracer)
        or vector.size != np.prod([vector.shape[a] for a in contracted[1 - side]])
    ):
        return None, 1.0
    values = np.asarray(vector, np.float64).reshape(-1)
    return (contracted[side], float(values[0])) if (values == values[0]).all() else (None, 1.0)


def _summed_channels(places: np.ndarray, axes: Sequence[int], locations: int, channels: int) -> np.ndarray | None:
    """Which channel each output of the sum is, where each is the sum of one channel over all locations."""
    kept = [axis for axis in range(places.ndim) if axis not in axes]
    groups = places.transpose(*kept, *axes).reshape(int(np.prod([places.shape[axis] for axis in kept])), -1)
    if groups.shape[1] != locations:
        return None
    same_channel = (groups % channels == groups[:, :1] % channels).all()
    every_location = (np.sort(groups // channels, axis=1) == np.arange(locations)).all()
    return groups[:, 0] % channels if same_channel and every_location else None


def _behind_the_sum(program: Program, number: int, total: core.Var, summed: np.ndarray, scale: float) -> SumFirst:
    """Takes the dense layer behind the sum into `project`, where only linear operations lie between."""
    end, last = number, total
    for later, equation in program.dependent(after=number):
        name = equation.primitive.name
        if name not in MOVES and not is_scaling(equation, program.depends) and name != "dot_general":
            break
        if name == "dot_general" and (
            sum(map(program.depends, equation.invars)) != 1 or not program.is_bottleneck(later, equation.outvars[0])
        ):
            break
        if name == "dot_general":
            end, last = later, equation.outvars[0]
            break

    def project(sums: Float[Array, " d"]) -> Float[Array, " m"]:
        given = as_variable(sums[summed] * scale, total)
        return program.run(total, given, number + 1, end + 1, last).reshape(-1)

    def after(z: Float[Array, " m"]) -> Any:
        return program.run(last, as_variable(z, last), end + 1)

    affine = all(is_affine(equation, program.depends) for _, equation in program.dependent(after=end))
    return SumFirst(project, after, affine)


def _dense_first(program: Program, F: Array) -> DenseFirst | None:
    """F is pooled or rearranged without parameters, then contracted as a whole with a matrix."""
    first = next(((n, e) for n, e in program.dependent() if e.primitive.name == "dot_general"), None)
    if first is None or F.shape[0] * F.shape[1] * F.size > MOST_ENTRIES:
        return None
    number, product = first
    if sum(map(program.depends, product.invars)) != 1 or not program.is_bottleneck(number, product.outvars[0]):
        return None
    side = 0 if program.depends(product.invars[0]) else 1
    x, matrix = product.invars[side], product.invars[1 - side]
    contracted, batched = product.params["dimension_numbers"]
    kept = [axis for axis in range(len(x.aval.shape)) if axis not in contracted[side]]
    if batched[0] or any(x.aval.shape[axis] != 1 for axis in kept):
        return None
    reached = _dependence(program, number, x, F)
    if reached is None:
        return None

    order = (*kept, *contracted[side])
    output = product.outvars[0]

    def before(activation: Float[Array, "h w d"]) -> Float[Array, " n"]:
        return program.run(program.input, activation, 0, number, x).transpose(order).reshape(-1)

    def after(z: Float[Array, " m"]) -> Any:
        return program.run(output, as_variable(z, output), number + 1)

    weights = program.value(matrix)
    columns = [axis for axis in range(weights.ndim) if axis not in contracted[1 - side]]
    weights = weights.transpose(*contracted[1 - side], *columns).reshape(int(np.prod(x.aval.shape)), -1)
    reached = reached.transpose(0, *(axis + 1 for axis in order)).reshape(len(reached), -1)
    affected, valid = _as_columns(reached)
    straight = all(is_piecewise_linear(equation, program.depends) for _, equation in program.dependent(before=number))
    return DenseFirst(before, weights, affected, valid, after, straight, product.params["precision"])


def _as_columns(reached: Bool[np.ndarray, "hw n"]) -> tuple[Int[np.ndarray, "hw c"], Bool[np.ndarray, "hw c"]]:
    counts = reached.sum(1)
    valid = np.arange(max(int(counts.max()), 1)) < counts[:, None]
    affected = np.zeros(valid.shape, np.int32)
    affected[valid] = np.nonzero(reached)[1]
    return affected, valid


def _dependence(program: Program, number: int, target: core.Var, F: Array) -> np.ndarray | None:
    """Which entries of a variable depend on which location: [locations, *shape], or None where there is no rule."""
    height, width, _ = F.shape
    ours = np.eye(height * width, dtype=bool).reshape(-1, height, width, 1)
    known = {program.input: np.broadcast_to(ours, (height * width, *F.shape))}
    for _, equation in program.dependent(before=number):
        if not _spread(equation, known, program.depends):
            return None
    return known.get(target)


def _spread(equation: Any, known: dict[Any, Any], depends: Callable[[Any], bool]) -> bool:
    """Adds the dependence of an operation's outputs; False where there is no rule for it."""
    name, output = equation.primitive.name, equation.outvars[0]
    sources = [variable for variable in equation.invars if is_variable(variable) and variable in known]
    if not sources:
        return not any(map(depends, equation.invars))
    shapes = {known[variable].shape[1:] for variable in sources}
    if name in CALLS:
        return _spread_through_call(equation, known)
    if name in MOVES and len(sources) == 1:
        known[output] = moved(equation, known[sources[0]], leading=1)
    elif name in ELEMENTWISE and shapes == {output.aval.shape}:
        known[output] = np.logical_or.reduce([known[variable] for variable in sources])
    elif name in REDUCTIONS:
        known[output] = known[sources[0]].any(tuple(axis + 1 for axis in equation.params["axes"]))
    elif name in WINDOWS:
        with jax.ensure_compile_time_eval():
            window = lambda mask: equation.primitive.bind(mask, **equation.params)  # noqa: E731
            known[output] = np.asarray(jax.vmap(window)(known[sources[0]].astype(np.float32))) > 0
    else:
        return False
    return True


def _spread_through_call(equation: Any, known: dict[Any, Any]) -> bool:
    inside_program = inner(equation)
    inside = {
        formal: known[actual]
        for formal, actual in zip(inside_program.jaxpr.invars, equation.invars, strict=True)
        if is_variable(actual) and actual in known
    }
    if not all(_spread(step, inside, inside.__contains__) for step in inside_program.jaxpr.eqns):
        return False
    for formal, actual in zip(inside_program.jaxpr.outvars, equation.outvars, strict=True):
        if is_variable(formal) and formal in inside:
            known[actual] = inside[formal]
    return True
