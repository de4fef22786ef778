"""Where the logits of a model are: a softmax, log-softmax or sigmoid at its end is recognised by what it does."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from galore.cutting.program import Operand, Program, Step, jaxprs

NORMALISATIONS: dict[str, Callable[[jax.Array], jax.Array]] = {
    "softmax": jax.nn.softmax,
    "log-softmax": jax.nn.log_softmax,
    "sigmoid": jax.nn.sigmoid,
}
LONGEST = 64
"""Operations of a normalisation, at most."""


class Scores(NamedTuple):
    """The value that holds the logits, and what the model does behind it: a name of `NORMALISATIONS`, or nothing."""

    value: Operand
    normalisation: str | None = None


def logits(program: Program) -> Scores:
    """Where the logits are: in front of a normalisation at the end, or what the model returns.

    Whether the end is one is tried out, on random numbers: how it is written does not matter.
    """
    (result,) = program.results
    if not isinstance(result, int):
        return Scores(result)
    size, best = np.prod(program.types[result].shape), Scores(result)
    fixed = program.dependent.union(program.arguments)
    # What a layer returns counts as its result under its name, not as what the name was given to.
    unnamed = {operand for step in program.steps if step.primitive.name == "name" for operand in step.inputs}
    for step in reversed(program.needed([result])[-LONGEST:]):
        for value in step.outputs:
            if np.prod(program.types[value].shape) != size or value not in program.dependent - unnamed:
                continue
            tail = program.needed([result], given={value})
            if _reads(tail, {value}) & fixed:
                continue
            name = _normalisation(program, value, tail)
            best = Scores(value, name) if name else best
    return best


def _reads(tail: tuple[Step, ...], given: set[int]) -> set[int]:
    """What steps need besides what they are given and what they make."""
    made = given.union(*(step.outputs for step in tail))
    return {operand for step in tail for operand in step.inputs if isinstance(operand, int)} - made


def _normalisation(program: Program, value: int, tail: tuple[Step, ...]) -> str | None:
    if not any(_contains(step.primitive.name, step.parameters, {"exp", "exp2", "logistic", "tanh"}) for step in tail):
        return None
    shape, dtype = program.types[value].shape, program.types[value].dtype
    with jax.ensure_compile_time_eval():
        numbers = jnp.asarray(np.random.default_rng(0).normal(0, 2, shape), dtype)
        (result,) = program.run(tail, {value: numbers}, program.results)
        tolerance = 1e-5 if jnp.finfo(dtype).bits >= 32 else 2e-2
        for name, function in NORMALISATIONS.items():
            expected = function(numbers.reshape(-1).astype(jnp.float32))
            if (numbers.size > 1 or name == "sigmoid") and np.allclose(
                np.asarray(result, np.float32).reshape(-1), np.asarray(expected), atol=tolerance, rtol=tolerance
            ):
                return name
    return None


def _contains(name: str, parameters: dict, kinds: set[str]) -> bool:
    """Whether an operation is of some kinds, or one inside it is."""
    if name in kinds:
        return True
    return any(_contains(e.primitive.name, e.params, kinds) for jaxpr in jaxprs(parameters) for e in jaxpr.eqns)
