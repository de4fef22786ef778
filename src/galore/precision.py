"""How exactly a network computes, and so its explanations."""

from collections.abc import Callable
from enum import StrEnum
from typing import Any

import jax
import jax.numpy as jnp

from galore.errors import InputError


class Precision(StrEnum):
    """A setting of `Network.with_precision`.

    Attributes:
        HIGHEST: float32, products included.
        DEFAULT: float32, products as the device likes them best: TF32 on NVIDIA GPUs from Ampere on, one pass of
            bfloat16 on TPUs, float32 on CPUs.
        BFLOAT16: parameters, images and activations are rounded to bfloat16; sums over locations, confidences and maps
            stay float32.
    """

    HIGHEST = "highest"
    DEFAULT = "default"
    BFLOAT16 = "bfloat16"


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
    of_products = "highest" if precision == Precision.HIGHEST else "default"

    def in_precision(params: Any, x: Any) -> Any:
        with jax.default_matmul_precision(of_products):
            return function(params, x.astype(jnp.bfloat16) if precision == Precision.BFLOAT16 else x)

    return in_precision


def at_least_float32(array: Any) -> jnp.dtype:
    """The dtype in which to sum an array (or arrays of a dtype): float32, or float64 where it is that."""
    return jnp.promote_types(getattr(array, "dtype", array), jnp.float32)
