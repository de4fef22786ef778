"""How the arrays of a checkpoint are stored, checked before any of them is read.

orbax keeps the arrays in zarr's format in one key-value store: NAME/.zarray says the shape, the type, the size of a
chunk and its compression, NAME/0.1 is the chunk at that place. Of a chunk tensorstore decompresses no more than its
description says, and takes as much memory as it says before that. So the descriptions must say what the shapes need.

Source: the specification of zarr 2.
"""

import re
from pathlib import Path
from typing import Annotated, Any

import msgspec
import tensorstore

from galore import foreign

_NUMBERS = re.compile(r"[<>|][biuf][1248]|bfloat16")
_Count = Annotated[int, msgspec.Meta(ge=0, le=2**48)]


class _Zstandard(msgspec.Struct, tag_field="id", tag="zstd"):
    level: int = 1


class _Stored(msgspec.Struct):
    """A .zarray, for as far as memory depends on it."""

    chunks: list[_Count]
    shape: list[_Count]
    dtype: str
    compressor: _Zstandard | None
    filters: None


def check(folder: Path) -> None:
    """Refuses arrays whose chunks would take more memory than their shapes say.

    Args:
        folder: with all arrays.

    Raises:
        ValueError: they do, or they are stored in another way than checkpoints are.
        Exception: whatever tensorstore raises on damaged files.
    """
    if not (folder / "manifest.ocdbt").is_file():
        raise ValueError("it has no manifest.ocdbt")
    base: Any = {"driver": "file", "path": f"{folder}/"}
    store = tensorstore.KvStore.open({"driver": "ocdbt", "base": base}).result()
    for key in store.list().result():
        shown = foreign.text(key.decode("utf-8", "surrogateescape"))
        if key.endswith(b"/.zarray"):
            _check_description(msgspec.json.decode(store.read(key).result().value, type=_Stored), shown)
        elif not re.fullmatch(rb".+/[0-9.]+", key, re.DOTALL):
            raise ValueError(f"{shown} is no part of an array")


def _check_description(stored: _Stored, shown: str) -> None:
    is_within = all(chunk <= max(size, 1) for chunk, size in zip(stored.chunks, stored.shape, strict=True))
    if not is_within or not _NUMBERS.fullmatch(stored.dtype):
        dtype = foreign.text(stored.dtype, 20)
        raise ValueError(f"{shown} says chunks of {stored.chunks} for {stored.shape} numbers of {dtype}")
