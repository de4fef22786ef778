"""A function of an activation as a list of equations, of which any stretch can be run; and kinds of operations."""

import contextlib
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jax.extend import core
from jaxtyping import Array

MOVES = frozenset(
    {"reshape", "transpose", "squeeze", "broadcast_in_dim", "slice", "rev", "copy", "convert_element_type"}
)
CALLS = frozenset({"jit", "pjit", "closed_call", "custom_jvp_call", "custom_vjp_call"})
COMPARISONS = frozenset({"max", "min", "select_n", "ge", "gt", "le", "lt", "eq", "ne", "and", "or", "not", "xor"})
REDUCTIONS = frozenset({"reduce_max", "reduce_min", "reduce_sum"})
WINDOWS = frozenset({"reduce_window_max", "reduce_window_sum"})
STRAIGHT = COMPARISONS | REDUCTIONS | WINDOWS | frozenset({"add", "sub", "neg", "abs"})
SMOOTH = frozenset(
    {"exp", "log", "log1p", "expm1", "tanh", "logistic", "erf", "sqrt", "rsqrt", "square", "pow", "integer_pow"}
)
ELEMENTWISE = (
    COMPARISONS
    | SMOOTH
    | frozenset({"add", "sub", "mul", "div", "neg", "abs", "sign", "clamp", "is_finite", "stop_gradient"})
)


class Program:
    """A function of F as a list of equations, with the values of all that does not depend on F."""

    def __init__(self, function: Callable[[Array], Any], F: Array):
        closed, shape = jax.make_jaxpr(function, return_shape=True)(jax.ShapeDtypeStruct(F.shape, F.dtype))
        self.jaxpr = closed.jaxpr
        self.input = self.jaxpr.invars[0]
        self.tree = jax.tree.structure(shape)
        self.constants: dict[Any, Any] = dict(zip(self.jaxpr.constvars, closed.consts, strict=True))
        self.varying = {self.input}
        for equation in self.jaxpr.eqns:
            if any(map(self.depends, equation.invars)):
                self.varying.update(equation.outvars)
            else:
                self.constants.update(self._constants_of(equation))

    def _constants_of(self, equation: Any) -> dict[Any, Any]:
        """What does not depend on F is known now, even while tracing, unless it depends on traced parameters."""
        traced = any(is_variable(v) and isinstance(self.constants[v], Tracer) for v in equation.invars)
        with contextlib.nullcontext() if traced else jax.ensure_compile_time_eval():
            return evaluate(equation, self.constants)

    def depends(self, variable: Any) -> bool:
        return is_variable(variable) and variable in self.varying

    def dependent(self, after: int = -1, before: int | None = None) -> list[tuple[int, Any]]:
        """The numbered equations that depend on F."""
        numbered = list(enumerate(self.jaxpr.eqns))[after + 1 : before]
        return [(number, equation) for number, equation in numbered if any(map(self.depends, equation.invars))]

    def is_bottleneck(self, number: int, variable: core.Var) -> bool:
        """Whether all that follows an equation sees F through this variable alone."""
        later = {output for _, equation in self.dependent(after=number) for output in equation.outvars} | {variable}
        used = [v for _, equation in self.dependent(after=number) for v in equation.invars] + list(self.jaxpr.outvars)
        return all(v in later for v in used if self.depends(v))

    def value(self, variable: Any) -> Array:
        return jnp.asarray(self.constants[variable] if is_variable(variable) else variable.val)

    def run(
        self, variable: core.Var, value: Array, start: int, stop: int | None = None, result: core.Var | None = None
    ) -> Any:
        """The equations from start to stop with one variable given: another variable, or what the function returns."""
        values = self.constants | {variable: value}
        for equation in self.jaxpr.eqns[start:stop]:
            if any(map(self.depends, equation.invars)):
                values |= evaluate(equation, values)
        if result is not None:
            return values[result]
        outputs = [values[v] if is_variable(v) else v.val for v in self.jaxpr.outvars]
        return jax.tree.unflatten(self.tree, outputs)


def evaluate(equation: Any, values: Mapping[Any, Any]) -> dict[Any, Any]:
    given = [values[v] if is_variable(v) else v.val for v in equation.invars]
    return dict(zip(equation.outvars, bind(equation.primitive, equation.params, given), strict=True))


def bind(primitive: Any, parameters: Mapping[str, Any], given: list[Any]) -> list[Any]:
    """The results of an operation of a traced program."""
    # Before jax 0.10 the functions among the parameters came apart.
    bound = primitive.get_bind_params(parameters)
    functions, options = bound if isinstance(bound, tuple) else ((), bound)
    results = primitive.bind(*functions, *given, **options)
    return results if primitive.multiple_results else [results]


def moved(equation: Any, entries: np.ndarray, leading: int = 0) -> np.ndarray:
    """An operation that only rearranges, applied to a table with some leading axes more than F has."""
    name, given = equation.primitive.name, equation.params
    front = entries.shape[:leading]
    if name == "reshape":
        return entries.reshape(*front, *given["new_sizes"])
    if name == "squeeze":
        return entries.squeeze(tuple(axis + leading for axis in given["dimensions"]))
    if name == "transpose":
        return entries.transpose(*range(leading), *(axis + leading for axis in given["permutation"]))
    if name == "rev":
        return np.flip(entries, tuple(axis + leading for axis in given["dimensions"]))
    if name == "slice":
        strides = given["strides"] or (1,) * len(given["start_indices"])
        cuts = zip(given["start_indices"], given["limit_indices"], strides)
        return entries[(slice(None),) * leading + tuple(slice(*cut) for cut in cuts)]
    if name == "broadcast_in_dim":
        old = dict(zip(given["broadcast_dimensions"], entries.shape[leading:]))
        widened = entries.reshape(*front, *(old.get(axis, 1) for axis in range(len(given["shape"]))))
        return np.broadcast_to(widened, (*front, *given["shape"]))
    return entries


def is_scaling(equation: Any, depends: Callable[[Any], bool]) -> bool:
    """A product or a quotient with something that does not depend on F."""
    name, (left, *right) = equation.primitive.name, equation.invars
    if name == "mul":
        return not (depends(left) and depends(right[0]))
    return name == "div" and not depends(right[0])


def is_affine(equation: Any, depends: Callable[[Any], bool]) -> bool:
    """An operation of which sums and multiples of affine functions of F come out as such."""
    name = equation.primitive.name
    if name == "dot_general":
        return sum(map(depends, equation.invars)) == 1
    return name in MOVES or name in ("add", "sub", "neg") or is_scaling(equation, depends)


def is_piecewise_linear(equation: Any, depends: Callable[[Any], bool]) -> bool:
    name = equation.primitive.name
    if name not in CALLS:
        return name in STRAIGHT or name in MOVES or is_scaling(equation, depends)
    body = inner(equation).jaxpr
    varying = {formal for formal, actual in zip(body.invars, equation.invars, strict=True) if depends(actual)}
    for step in body.eqns:
        if any(is_variable(v) and v in varying for v in step.invars):
            varying.update(step.outvars)
    inside = lambda variable: is_variable(variable) and variable in varying  # noqa: E731
    return all(is_piecewise_linear(step, inside) for step in body.eqns if any(map(inside, step.invars)))


def inner(equation: Any) -> Any:
    return equation.params["call_jaxpr"] if "call_jaxpr" in equation.params else equation.params["jaxpr"]


def as_variable(value: Array, variable: Any) -> Array:
    """A value in the shape and dtype that a variable of the program has."""
    return value.reshape(variable.aval.shape).astype(variable.aval.dtype)


def is_variable(variable: Any) -> bool:
    return not isinstance(variable, core.Literal)
