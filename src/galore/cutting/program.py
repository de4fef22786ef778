"""A model as one flat list of operations, of which any stretch can be run: what lies before a value, what behind it.

Functions that are merely called (jit, remat) are opened, so that a value inside them can be found by its name. Loops,
branches and functions with derivatives of their own stay closed: what is named inside them cannot be cut at.
"""

import dataclasses
import functools
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.ad_checkpoint import checkpoint_name
from jax.extend import core
from jax.interpreters import batching
from jaxtyping import PyTree

from galore.head_program import bind, inner

OPENED = frozenset({"jit", "pjit", "closed_call", "core_call", "remat", "remat2", "checkpoint"})
_MARK = "layer: "


@dataclasses.dataclass(frozen=True, eq=False)
class Known:
    """An operand whose value the program itself holds."""

    value: Any


Operand = int | Known
"""A number stands for a value that the program computes or is given."""


class Step(NamedTuple):
    """One operation: what it reads, what it makes, and the names of the scopes in which it was written."""

    primitive: Any
    parameters: dict[str, Any]
    inputs: tuple[Operand, ...]
    outputs: tuple[int, ...]
    scope: str


@dataclasses.dataclass(frozen=True, eq=False)
class Program:
    """What a function `(params, image) -> results` does.

    Attributes:
        steps: in their order.
        arguments: the values that stand for the leaves of `params`.
        image: the value that stands for the image.
        results: the leaves of what is returned.
        structure: of what is returned.
        types: shape and dtype of each value.
        names: the values that carry a name, in the order in which they were made.
        closed: names inside loops and the like, with the kind of operation that they are in.
    """

    steps: tuple[Step, ...]
    arguments: tuple[int, ...]
    image: int
    results: tuple[Operand, ...]
    structure: Any
    types: Mapping[int, jax.ShapeDtypeStruct]
    names: Mapping[str, tuple[int, ...]]
    closed: Mapping[str, str]

    @functools.cached_property
    def dependent(self) -> frozenset[int]:
        """The values that depend on the image."""
        return self.reached_from({self.image})

    def reached_from(self, sources: Collection[int], without: Collection[int] = ()) -> frozenset[int]:
        """The values that depend on some others, in other ways than through `without`."""
        reached = set(sources)
        for step in self.steps:
            if not reached.isdisjoint(_values(step.inputs)):
                reached.update(set(step.outputs).difference(without))
        return frozenset(reached)

    def needed(self, targets: Collection[Operand], given: Collection[int] = ()) -> tuple[Step, ...]:
        """The steps without which the targets cannot be had, where some values are given."""
        wanted, steps = set(_values(targets)).difference(given), []
        for step in reversed(self.steps):
            if not wanted.isdisjoint(step.outputs):
                steps.append(step)
                wanted.update(set(_values(step.inputs)).difference(given))
        return tuple(reversed(steps))

    def run(self, steps: Collection[Step], values: Mapping[int, Any], targets: Collection[Operand]) -> list[Any]:
        """The targets, after some steps on given values."""
        known = dict(values)
        for step in steps:
            given = [_read(known, operand) for operand in step.inputs]
            known.update(zip(step.outputs, bind(step.primitive, step.parameters, given)))
        return [_read(known, target) for target in targets]

    def given(self, params: PyTree) -> dict[int, Any]:
        """The values of the arguments."""
        return dict(zip(self.arguments, jax.tree.leaves(params), strict=True))


def mark(value: Any, name: str) -> Any:
    """The same value, whose first floating-point array carries the name of the layer that returned it."""
    leaves, structure = jax.tree.flatten(value)
    for number, leaf in enumerate(leaves):
        if hasattr(leaf, "dtype") and jnp.issubdtype(leaf.dtype, jnp.floating):
            leaves[number] = checkpoint_name(leaf, _MARK + name)
            return jax.tree.unflatten(structure, leaves)
    return value


def type_of(leaf: Any) -> jax.ShapeDtypeStruct:
    """Shape and dtype of an array, a random key or a Python number."""
    dtype = leaf.dtype if hasattr(leaf, "dtype") else jnp.result_type(leaf)
    return jax.ShapeDtypeStruct(np.shape(leaf), dtype)


def trace(function: Callable[[PyTree, Any], Any], params: PyTree, image: jax.ShapeDtypeStruct) -> Program:
    """The program of a function, for parameters and an image of these shapes and dtypes."""
    closed, returned = jax.make_jaxpr(function, return_shape=True)(jax.tree.map(type_of, params), image)
    return _Flattening().program(closed, jax.tree.structure(returned))


class _Flattening:
    """Numbers the values of nested jaxprs and lists their equations."""

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self.types: list[jax.ShapeDtypeStruct] = []
        self.closed: dict[str, str] = {}

    def program(self, closed: Any, structure: Any) -> Program:
        inputs = [self._new(variable) for variable in closed.jaxpr.invars]
        results = self._open(closed.jaxpr, closed.consts, inputs, "")
        return Program(
            tuple(self.steps),
            tuple(inputs[:-1]),
            inputs[-1],
            tuple(results),
            structure,
            dict(enumerate(self.types)),
            _names(self.steps),
            self.closed,
        )

    def _new(self, variable: Any) -> int:
        self.types.append(jax.ShapeDtypeStruct(variable.aval.shape, variable.aval.dtype))
        return len(self.types) - 1

    def _open(self, jaxpr: Any, constants: Any, inputs: Sequence[Operand], scope: str) -> list[Operand]:
        """Lists the equations of a jaxpr; what it returns."""
        operands: dict[Any, Operand] = dict(zip(jaxpr.constvars, map(Known, constants), strict=True))
        operands |= dict(zip(jaxpr.invars, inputs, strict=True))

        def operand(variable: Any) -> Operand:
            return Known(variable.val) if isinstance(variable, core.Literal) else operands[variable]

        for equation in jaxpr.eqns:
            given = [operand(variable) for variable in equation.invars]
            inside = "/".join(filter(None, (scope, str(equation.source_info.name_stack))))
            if equation.primitive.name in OPENED:
                body, constants = _body(equation)
                operands |= zip(equation.outvars, self._open(body, constants, given, inside), strict=True)
                continue
            outputs = tuple(self._new(variable) for variable in equation.outvars)
            _batch_exported(equation)
            self.steps.append(Step(equation.primitive, equation.params, tuple(given), outputs, inside))
            self.closed |= {name: str(equation.primitive.name) for name in _names_inside(equation.params)}
            operands |= zip(equation.outvars, outputs, strict=True)
        return [operand(variable) for variable in jaxpr.outvars]


def _body(equation: Any) -> tuple[Any, Any]:
    """The jaxpr that an equation calls, and its constants."""
    jaxpr = inner(equation)
    return (jaxpr.jaxpr, jaxpr.consts) if isinstance(jaxpr, core.ClosedJaxpr) else (jaxpr, ())


def _batch_exported(equation: Any) -> None:
    """Programs that were exported cannot be mapped over images; here they are run once for each."""
    primitive = equation.primitive
    if primitive.name == "call_exported":
        batching.primitive_batchers[primitive] = functools.partial(_one_by_one, primitive)
    for jaxpr in jaxprs(equation.params):
        for inside in jaxpr.eqns:
            _batch_exported(inside)


def _one_by_one(primitive: Any, given: Any, axes: Any, **parameters: Any) -> tuple[Any, list[int]]:
    """Runs a primitive for one example after the other."""
    mapped = [jnp.moveaxis(x, axis, 0) for x, axis in zip(given, axes, strict=True) if axis is not None]

    def one(some: list[Any]) -> Any:
        rest = iter(some)
        whole = [x if axis is None else next(rest) for x, axis in zip(given, axes, strict=True)]
        return primitive.bind(*whole, **parameters)

    results = jax.lax.map(one, mapped)
    return results, [0] * len(results)


def jaxprs(parameters: Mapping[str, Any]) -> Iterator[Any]:
    """The jaxprs among an equation's parameters."""
    for value in parameters.values():
        for part in value if isinstance(value, tuple | list) else (value,):
            jaxpr = part.jaxpr if isinstance(part, core.ClosedJaxpr) else part
            if isinstance(jaxpr, core.Jaxpr):
                yield jaxpr


def _name(primitive: Any, parameters: Mapping[str, Any]) -> str | None:
    return parameters["name"] if primitive.name == "name" else None


def _names(steps: Collection[Step]) -> dict[str, tuple[int, ...]]:
    named: dict[str, tuple[int, ...]] = {}
    for step in steps:
        if (name := _name(step.primitive, step.parameters)) is not None:
            named[name.removeprefix(_MARK)] = (*named.get(name.removeprefix(_MARK), ()), *step.outputs)
    return named


def _names_inside(parameters: Mapping[str, Any]) -> Iterator[str]:
    """The names inside an equation that stays closed."""
    for jaxpr in jaxprs(parameters):
        for equation in jaxpr.eqns:
            if (name := _name(equation.primitive, equation.params)) is not None:
                yield name.removeprefix(_MARK)
            yield from _names_inside(equation.params)


def _values(operands: Collection[Operand]) -> list[int]:
    return [operand for operand in operands if isinstance(operand, int)]


def _read(known: Mapping[int, Any], operand: Operand) -> Any:
    return known[operand] if isinstance(operand, int) else operand.value
