"""Reads a .safetensors file; its header is checked before the library opens it.

The format: eight bytes with the header's length, the header (JSON: name -> type, shape and place of a tensor), the
numbers (https://github.com/huggingface/safetensors).
"""

import math
import os
from pathlib import Path
from typing import Annotated, Any, TypedDict

import msgspec
import numpy as np
import safetensors

from galore import foreign
from galore.errors import InputError

LARGEST_HEADER = 16 * 2**20
"""Bytes; a hundred thousand tensors need as many."""

_BYTES = {
    "BOOL": 1, "U8": 1, "I8": 1, "U16": 2, "I16": 2, "F16": 2, "BF16": 2, "U32": 4, "I32": 4, "F32": 4, "U64": 8,
    "I64": 8, "F64": 8,
}  # fmt: skip
_Count = Annotated[int, msgspec.Meta(ge=0, le=2**62)]


class _Tensor(TypedDict):
    dtype: str
    shape: Annotated[list[_Count], msgspec.Meta(max_length=32)]
    data_offsets: tuple[_Count, _Count]


def read(path: Path) -> tuple[dict[str, np.ndarray], tuple[str, ...]]:
    """The tensors by name, and the class names that the metadata tells (none where it does not).

    Raises:
        InputError: a damaged file, a type of numbers that is not supported, or class names that are no list of texts.
    """
    shown = foreign.text(path)
    header, metadata, available = _header(path, shown)
    for name, tensor in header.items():
        _check(name, tensor, available, shown)
    class_names = foreign.json_text(
        metadata.get("class_names", "[]"), tuple[str, ...], f"class_names in the metadata of {shown}", "a list of names"
    )
    try:
        with safetensors.safe_open(path, framework="numpy") as file:
            return {name: file.get_tensor(name) for name in header}, class_names
    except (safetensors.SafetensorError, OSError, TypeError, ValueError) as error:
        raise InputError(f"{shown} is no safetensors file, or a damaged one ({foreign.text(error)})") from error


def _header(path: Path, shown: str) -> tuple[dict[str, _Tensor], dict[str, str], int]:
    """The tensors, the metadata, and how many bytes there are for the numbers."""
    with foreign.open_regular(path, "a safetensors file") as file:
        size = os.fstat(file.fileno()).st_size
        length = int.from_bytes(file.read(8), "little")
        if not 0 < length <= min(size - 8, LARGEST_HEADER):
            raise InputError(
                f"{shown} is no safetensors file, or a damaged one: a header of {length} bytes is announced, the file "
                f"has {size}, and at most {LARGEST_HEADER} are read"
            )
        content = file.read(length)
    known: dict[str, Any] = foreign.json_text(content, dict[str, Any], f"the header of {shown}", "one of safetensors")
    try:
        metadata = msgspec.convert(known.pop("__metadata__", {}), dict[str, str])
        return msgspec.convert(known, dict[str, _Tensor]), metadata, size - 8 - length
    except msgspec.ValidationError as error:
        raise InputError(f"{shown} is a damaged safetensors file: {error}") from error


def _check(name: str, tensor: _Tensor, available: int, shown: str) -> None:
    if tensor["dtype"] not in _BYTES:
        found = foreign.text(tensor["dtype"], 40)
        raise InputError(f"{foreign.text(name)} in {shown} is {found}, expected one of {', '.join(_BYTES)}")
    first, last = tensor["data_offsets"]
    if not first <= last <= available or last - first != math.prod(tensor["shape"]) * _BYTES[tensor["dtype"]]:
        raise InputError(
            f"{shown} is a damaged safetensors file: {foreign.text(name)} does not have the bytes that its shape needs"
        )
