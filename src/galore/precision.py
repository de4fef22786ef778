"""How exactly a network computes, and so its explanations."""

from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend import core
from jax.lax import DotAlgorithmPreset

from galore.errors import InputError
from galore.head_program import bind, inner


class Precision(StrEnum):
    """A setting of `Network.with_precision`.

    Attributes:
        HIGHEST: float32, products included.
        HIGH: float32, products by three passes of bfloat16 on TPUs, TF32 on NVIDIA GPUs from Ampere on, float32 on
            CPUs (how far maps then lie from the highest: docs/cost.md).
        DEFAULT: float32, products as the device likes them best: TF32 on NVIDIA GPUs from Ampere on, one pass of
            bfloat16 on TPUs, float32 on CPUs.
        MIXED: float32, but what is multiplied is rounded to bfloat16, see `products_in_bfloat16`.
        BFLOAT16: parameters, images and activations are rounded to bfloat16; sums over locations, confidences and maps
            stay float32.
    """

    HIGHEST = "highest"
    HIGH = "high"
    DEFAULT = "default"
    MIXED = "mixed"
    BFLOAT16 = "bfloat16"


Product = Callable[[Any, Sequence[Any]], Any]
"""(equation of the traced program, its operands) -> its result."""
_CALLS = frozenset({"jit", "pjit", "closed_call"})


def named(given: Precision | str) -> Precision:
    """The precision of this name.

    Raises:
        InputError: there is none.
    """
    try:
        return Precision(given)
    except ValueError:
        raise InputError(f"precision {given!r}: expected {', '.join(Precision)}") from None


def computed(function: Callable[[Any, Any], Any], precision: Precision) -> Callable[[Any, Any], Any]:
    """A function (params, x) whose products are computed so, and its derivatives' too; x is cast to bfloat16 for it."""
    multiplied = products_in_bfloat16(function) if precision == Precision.MIXED else function
    of_products = precision if precision in (Precision.HIGHEST, Precision.HIGH) else Precision.DEFAULT

    def in_precision(params: Any, x: Any) -> Any:
        with jax.default_matmul_precision(of_products.value):
            return multiplied(params, x.astype(jnp.bfloat16) if precision == Precision.BFLOAT16 else x)

    return in_precision


def products_in_bfloat16(function: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """A function (params, x) whose convolutions and matrix products are of float32 numbers rounded to bfloat16.

    What lies between them (normalisations, nonlinearities, sums of branches) stays as it is, and so do matrix products'
    own sums.
    """
    return with_products(function, {"dot_general": _matrix_product, "conv_general_dilated": _convolution})


def with_products(function: Callable[..., Any], products: Mapping[str, Product]) -> Callable[..., Any]:
    """A function whose products of float32 numbers are computed otherwise.

    Closed to it are loops, branches, what `jax.checkpoint` computes again, and functions with derivatives of their own;
    depthwise convolutions of our networks lie in a branch.

    Args:
        function: of any pytrees of arrays.
        products: by the name of the operation ("dot_general", "conv_general_dilated") what takes its place.
    """

    def in_products(*given: Any) -> Any:
        traced, shape = jax.make_jaxpr(function, return_shape=True)(*given)
        results = _evaluated(traced, jax.tree.leaves(given), products)
        return jax.tree.unflatten(jax.tree.structure(shape), results)

    return in_products


def _evaluated(program: core.ClosedJaxpr, given: Sequence[Any], products: Mapping[str, Product]) -> list[Any]:
    jaxpr = program.jaxpr
    values: dict[Any, Any] = dict(zip((*jaxpr.constvars, *jaxpr.invars), (*program.consts, *given), strict=True))

    def read(variable: Any) -> Any:
        return variable.val if isinstance(variable, core.Literal) else values[variable]

    for equation in jaxpr.eqns:
        operands, name = [read(one) for one in equation.invars], equation.primitive.name
        if name in _CALLS and isinstance(inner(equation), core.ClosedJaxpr):
            results = _evaluated(inner(equation), operands, products)
        elif name in products and all(one.dtype == jnp.float32 for one in operands):
            results = [products[name](equation, operands)]
        else:
            results = bind(equation.primitive, equation.params, operands)
        values.update(zip(equation.outvars, results))
    return [read(one) for one in jaxpr.outvars]


def _matrix_product(equation: Any, operands: Sequence[Any]) -> Any:
    # Rounded here as well, since CPUs take no notice of the algorithm.
    rounded = [jax.lax.reduce_precision(one, exponent_bits=8, mantissa_bits=7) for one in operands]
    (result,) = bind(equation.primitive, equation.params | {"precision": DotAlgorithmPreset.BF16_BF16_F32}, rounded)
    return result


def _convolution(equation: Any, operands: Sequence[Any]) -> Any:
    # One whose sums come in another dtype than its operands has no derivative in JAX.
    rounded = [one.astype(jnp.bfloat16) for one in operands]
    (result,) = bind(equation.primitive, equation.params | {"preferred_element_type": jnp.dtype("bfloat16")}, rounded)
    return result.astype(jnp.float32)


def at_least_float32(array: Any) -> jnp.dtype:
    """The dtype in which to sum an array (or arrays of a dtype): float32, or float64 where it is that."""
    return jnp.promote_types(getattr(array, "dtype", array), jnp.float32)
