"""What a person sees who types the name of an object: its fields on a line each, arrays by dtype and shape."""

import dataclasses
from typing import Any

import jax
import numpy as np
from jax.core import Tracer

LONGEST = 90
"""Characters of one field's value."""


def short(value: Any) -> str:
    """A value in at most `LONGEST` characters: `float32[2,7,7]` for an array, sizes for trees and long sequences."""
    if isinstance(value, np.ndarray | jax.Array | jax.ShapeDtypeStruct):
        return (
            f"{value.dtype}[{','.join(map(str, value.shape))}]" if value.shape or not _is_known(value) else f"{value}"
        )
    if (dataclasses.is_dataclass(value) or hasattr(value, "_fields")) and not isinstance(value, type):
        return f"{type(value).__name__}(...)"
    if callable(value) and hasattr(value, "__name__"):
        return value.__name__
    if isinstance(value, dict) and value:
        return _counted(value)
    text = " ".join(repr(value).split())
    if len(text) <= LONGEST:
        return text
    if isinstance(value, tuple | list):
        return f"{len(value)} of {short(value[0])}, ..."
    return f"{text[: LONGEST - 3]}..."


def fields(self: Any) -> str:
    """The `__repr__` of a dataclass or named tuple whose fields may be large."""
    names = getattr(self, "_fields", None) or [field.name for field in dataclasses.fields(self)]
    lines = [f"{name}={short(getattr(self, name))}" for name in names]
    return f"{type(self).__name__}(" + "".join(f"\n    {line}," for line in lines) + "\n)"


def _counted(tree: dict) -> str:
    arrays = [leaf for leaf in jax.tree.leaves(tree) if hasattr(leaf, "size")]
    numbers = sum(array.size for array in arrays)
    return f"{len(arrays)} arrays, {numbers:,} numbers" if arrays else f"{len(tree)} entries"


def _is_known(value: Any) -> bool:
    return not isinstance(value, Tracer | jax.ShapeDtypeStruct)
