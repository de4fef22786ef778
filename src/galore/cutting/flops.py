"""How much a program computes and moves, counted from the shapes of its operations.

The compiler's own analysis counts the program that it made: where a convolution is taken by Winograd's method, it has
fewer multiplications than the network, and utilisation by them would compare nothing. Here the network's own operations
are counted, as they stand on an accelerator, so that a network has one count wherever it runs.

The rules are those of XLA's cost analysis: a multiplication and an addition are two; products with the zeros around an
image are left out (ResNet-50 has 7.95 GFLOP by this rule, and 8.2 in most papers, which count them); an elementwise
operation is one for each number that it makes; exponentials and roots are none. In one thing the counts differ: to XLA
the body of a loop runs once, and here it counts as often as it runs.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from galore.cutting.program import Program, Step, jaxprs, trace, type_of
from galore.head_program import ELEMENTWISE, REDUCTIONS, SMOOTH

Shape = tuple[int, ...]
ARITHMETIC = (ELEMENTWISE - SMOOTH - {"stop_gradient"}) | frozenset(
    {"square", "integer_pow", "add_any", "rem", "convert_element_type"}
)
PRODUCTS = frozenset({"dot_general", "conv_general_dilated"})


class Count(NamedTuple):
    """What a program does.

    Attributes:
        flops: floating-point operations.
        bytes: what its matrix products and convolutions read and write, as if all else were fused into them.
    """

    flops: float
    bytes: float


def count(function: Callable[..., Any], *arguments: Any) -> Count:
    """Counts the operations of a function that its results depend on; nothing is computed.

    Args:
        function: what is counted.
        arguments: arrays or their shapes, in any pytrees.
    """
    flat, structure = jax.tree.flatten(jax.tree.map(type_of, arguments))
    program = trace(lambda given, last: function(*jax.tree.unflatten(structure, [*given, last])), flat[:-1], flat[-1])
    return of_steps(program, program.needed(program.results))


def of_steps(program: Program, steps: Iterable[Step]) -> Count:
    """Counts some steps of a program."""
    total = Count(0.0, 0.0)
    for step in steps:
        inputs = [program.types[o] if isinstance(o, int) else o.value for o in step.inputs]
        outputs = [program.types[o] for o in step.outputs]
        total = _sum(total, _of_operation(step.primitive.name, step.parameters, inputs, outputs))
    return total


def _sum(first: Count, second: Count, times: int = 1) -> Count:
    return Count(first.flops + times * second.flops, first.bytes + times * second.bytes)


def _of_operation(name: str, parameters: Any, inputs: Sequence[Any], outputs: Sequence[Any]) -> Count:
    made = sum(math.prod(np.shape(output)) for output in outputs)
    if name in PRODUCTS:
        of_one = _convolution if name == "conv_general_dilated" else _matrix_product
        return Count(2 * of_one(parameters, inputs, outputs[0]), sum(map(_bytes, [*inputs, *outputs])))
    if name in ARITHMETIC:
        return Count(made, 0)
    if name in REDUCTIONS:
        return Count(math.prod(np.shape(inputs[0])) - made, 0)
    if name.startswith("reduce_window"):
        return Count(made * (math.prod(parameters["window_dimensions"]) - 1), 0)
    inside = Count(0.0, 0.0)
    for jaxpr in _run(name, parameters):
        for equation in jaxpr.eqns:
            avals = [[v.aval for v in variables] for variables in (equation.invars, equation.outvars)]
            inside = _sum(inside, _of_operation(equation.primitive.name, equation.params, *avals))
    return _sum(Count(0.0, 0.0), inside, parameters.get("length", 1) if name == "scan" else 1)


def _run(name: str, parameters: Any) -> Iterator[Any]:
    """The programs inside an operation that run: of those for one platform each, that of accelerators."""
    if name == "cond":
        # Which branch runs is known for platforms alone, of which None stands for all others.
        platforms = parameters.get("branches_platforms") or (None,) * len(parameters["branches"])
        parameters = {"branches": parameters["branches"][platforms.index(None)]}
    yield from jaxprs(parameters)


def _matrix_product(parameters: Any, inputs: Sequence[Any], output: Any) -> int:
    """How many products are added up."""
    (contracted, _), _ = parameters["dimension_numbers"]
    shape = np.shape(inputs[0])
    return math.prod(np.shape(output)) * math.prod(shape[axis] for axis in contracted)


def _convolution(parameters: Any, inputs: Sequence[Any], output: Any) -> int:
    """How many products with numbers of the image are added up; those with zeros around and between are left out."""
    numbers = parameters["dimension_numbers"]
    x, kernel, y = np.shape(inputs[0]), np.shape(inputs[1]), np.shape(output)
    products = y[numbers.out_spec[0]] * y[numbers.out_spec[1]] * kernel[numbers.rhs_spec[1]]
    for axis, (before, _) in enumerate(parameters["padding"]):
        products *= _touched(
            x[numbers.lhs_spec[2 + axis]],
            kernel[numbers.rhs_spec[2 + axis]],
            y[numbers.out_spec[2 + axis]],
            parameters["window_strides"][axis],
            before,
            parameters["lhs_dilation"][axis],
            parameters["rhs_dilation"][axis],
        )
    return products


def _touched(size: int, kernel: int, made: int, stride: int, before: int, spread: int, apart: int) -> int:
    """How many pairs of a place in the result and a place in the kernel meet a number of the image, along one axis."""
    positions = np.arange(made)[:, None] * stride + np.arange(kernel)[None] * apart - before
    return int(((positions >= 0) & (positions <= (size - 1) * spread) & (positions % spread == 0)).sum())


def _bytes(value: Any) -> int:
    return math.prod(np.shape(value)) * np.dtype(value.dtype).itemsize
