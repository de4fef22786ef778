"""What the stored arrays of a checkpoint take when they are read, found out before anything is decompressed.

orbax keeps the arrays in zarr's format in one key-value store: NAME/.zarray says the shape, the type, the size of a
chunk and its compression, NAME/0.1 is the chunk at that place. A few kilobytes of a chunk may stand for gigabytes.

Sources: the specification of zarr 2; RFC 8878 (Zstandard), section 3.1.1.
"""

import math
import re
from pathlib import Path
from typing import Annotated, Any

import msgspec
import tensorstore

from galore import foreign

_MAGIC = bytes.fromhex("28b52ffd")
_LARGEST_BLOCK, _LARGEST_WINDOW = 128 * 2**10, 8 * 2**20
_RAW, _REPEATED, _COMPRESSED = range(3)
_TIMES, _MORE = 16, 2**20
"""How much more than its numbers a chunk may seem to hold: of a compressed block only the most is known."""

_BYTES = re.compile(r"[<>|][biuf]([1248])|(bfloat16)")
_Count = Annotated[int, msgspec.Meta(ge=0, le=2**48)]


class _Compressor(msgspec.Struct, tag_field="id", tag="zstd"):
    level: int = 1


class _Stored(msgspec.Struct):
    """A .zarray, for as far as memory depends on it."""

    chunks: list[_Count]
    shape: list[_Count]
    dtype: str
    compressor: _Compressor | None
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
    sizes: dict[str, tuple[int, bool]] = {}
    for key in sorted(store.list().result(), key=lambda key: not key.endswith(b"/.zarray")):
        name, _, part = key.decode("utf-8", "surrogateescape").rpartition("/")
        content = store.read(key).result().value
        if part == ".zarray":
            sizes[name] = _chunk(msgspec.json.decode(content, type=_Stored))
        elif name not in sizes or not re.fullmatch(r"[0-9.]+", part):
            raise ValueError(f"{foreign.text(name)}/{foreign.text(part)} is no part of an array")
        else:
            expected, is_compressed = sizes[name]
            allowed = _TIMES * expected + _MORE if is_compressed else expected
            if (most_decoded(content, allowed) if is_compressed else len(content)) > allowed:
                raise ValueError(f"a chunk of {foreign.text(name)} has more than the {expected} bytes of its numbers")


def _chunk(stored: _Stored) -> tuple[int, bool]:
    """The bytes of a chunk, and whether they are compressed."""
    known = _BYTES.fullmatch(stored.dtype)
    is_within = all(chunk <= max(size, 1) for chunk, size in zip(stored.chunks, stored.shape, strict=True))
    if known is None or not is_within:
        raise ValueError(f"chunks of {stored.chunks} of an array of {stored.shape} {foreign.text(stored.dtype, 20)}")
    return math.prod(stored.chunks) * int(known[1] or 2), stored.compressor is not None


def most_decoded(content: bytes, enough: int | float = math.inf) -> int:
    """The most bytes to which Zstandard's decoder could decode something, by the sizes of its blocks.

    Args:
        content: one frame.
        enough: counting ends when there are more.

    Raises:
        ValueError: it is no such frame, or it wants a larger window of memory than is ever used for checkpoints.
    """
    if content[:4] != _MAGIC or len(content) < 6:
        raise ValueError("a chunk is not compressed by Zstandard")
    flags, position = content[4], 5
    is_single, has_checksum = flags >> 5 & 1, flags >> 2 & 1
    window = (1 << 10 + (content[5] >> 3)) * (8 + (content[5] & 7)) // 8
    position += (1 - is_single) + (0, 1, 2, 4)[flags & 3]
    width = (is_single, 2, 4, 8)[flags >> 6]
    size = int.from_bytes(content[position : position + width], "little") + (256 if width == 2 else 0)
    position += width
    window = size if is_single else window
    if (not is_single and window > _LARGEST_WINDOW) or size > enough:
        raise ValueError(f"a chunk wants {max(window, size)} bytes")
    largest, total, is_last = min(window, _LARGEST_BLOCK), 0, False
    while not is_last and total <= enough:
        header = int.from_bytes(content[position : position + 3], "little")
        is_last, kind, length = bool(header & 1), header >> 1 & 3, header >> 3
        position += 3 + (1 if kind == _REPEATED else length)
        total += largest if kind == _COMPRESSED else length
        if kind > _COMPRESSED or position > len(content):
            raise ValueError("a chunk is cut off")
    if total <= enough and position + 4 * has_checksum != len(content):
        raise ValueError("a chunk is followed by something else")
    return total
