"""Reads the tensors of a torch file (.pth, .pt, .ckpt) without torch, and without running anything that is in it.

Such a file is a pickle, and a pickle is a program. `bounded_pickle` reads it as data: it is given an ordered
dictionary, the rebuilding of a tensor and the names of the storage types, all of them functions of this module; every
other name stops the reading. No size that the file announces is believed before it is compared with the file's own.
Formats: the zip archive of torch >= 1.6 and the legacy stream before it
(https://github.com/pytorch/pytorch/blob/main/torch/serialization.py).
"""

import functools
import io
import math
import os
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import ml_dtypes
import numpy as np

from galore import foreign
from galore.errors import InputError
from galore.models import bounded_pickle

LARGEST_PICKLE = 64 * 2**20
"""Bytes; of a published network it has a few ten thousand, since the numbers lie beside it."""

NESTED = (
    "state_dict", "model_state_dict", "state_dict_ema", "ema_state_dict", "model", "model_ema", "ema", "student",
    "teacher", "network", "net", "module", "params", "weights",
)  # fmt: skip
"""Where the programs that train networks put the tensors."""

_DEEPEST = 5
_EXPECTED = "weights that torch.save wrote"
_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
_LEGACY_PROTOCOL = 1001
_MOST_DIMENSIONS = 32
_STORAGES = {
    "DoubleStorage": "float64",
    "FloatStorage": "float32",
    "HalfStorage": "float16",
    "BFloat16Storage": "bfloat16",
    "LongStorage": "int64",
    "IntStorage": "int32",
    "ShortStorage": "int16",
    "CharStorage": "int8",
    "ByteStorage": "uint8",
    "BoolStorage": "bool",
}


class _Storage(NamedTuple):
    key: str
    dtype: str
    start: int  # in elements; not 0 only for the views of very old files


class _Tensor(NamedTuple):
    """A tensor of a file, whose numbers are not read yet."""

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


class StateDict(NamedTuple):
    """The tensors of a file by name, and the keys of the dictionaries in which they lay, from the outside."""

    tensors: dict[str, np.ndarray]
    under: tuple[str, ...] = ()


def read_torch_file(path: str | Path) -> StateDict:
    """The tensors of a torch file by name, as they are there: in the file's order, dtypes and shapes.

    Args:
        path: a file that `torch.save` wrote: a state dict, alone or under keys such as `state_dict`, `model` or `ema`.

    Raises:
        InputError: the file holds anything but tensors and plain containers (nothing of it is run), is truncated, is
            no torch file, or holds more than one network.
    """
    with foreign.open_regular(path, _EXPECTED) as stream:
        size, shown = os.fstat(stream.fileno()).st_size, foreign.text(path)
        try:
            is_zip = zipfile.is_zipfile(stream)
            stream.seek(0)
            return _read_zip(stream, size, shown) if is_zip else _read_legacy(stream, size, shown)
        except InputError:
            raise
        except OSError as error:
            raise InputError(f"{shown} cannot be read: {error.strerror or error}") from error
        except Exception as error:  # a damaged archive or pickle raises whatever its bytes happen to mean
            why = foreign.text(error)
            raise InputError(f"{shown} is no weights file, or a truncated or damaged one ({why})") from error


def _read_zip(stream: io.BufferedIOBase, size: int, shown: str) -> StateDict:
    with zipfile.ZipFile(stream) as archive:
        members = {member.filename: member for member in archive.infolist()}
        _check_stored(archive.infolist(), size, shown)
        pickles = [name for name in members if name.split("/")[1:] == ["data.pkl"]]
        if len(pickles) != 1:
            raise InputError(f"{shown} is a zip file without torch's data.pkl, expected {_EXPECTED}")
        folder = pickles[0].removesuffix("data.pkl")
        if folder + "byteorder" in members and archive.read(folder + "byteorder") != b"little":
            raise InputError(f"{shown} was written on a big-endian machine, which is not supported")
        if members[pickles[0]].file_size > LARGEST_PICKLE:
            raise InputError(f"{shown} has a pickle of {members[pickles[0]].file_size} bytes, expected {_EXPECTED}")
        pickled = archive.read(pickles[0])
        contents = _unpickle(io.BytesIO(pickled), len(pickled), shown)

        @functools.cache
        def buffer(key: str) -> bytes:
            return archive.read(f"{folder}data/{key}")

        return _state_dict(contents, buffer, shown)


def _check_stored(members: list[zipfile.ZipInfo], size: int, shown: str) -> None:
    """Torch compresses nothing, so that everything together cannot be larger than the file."""
    for member in members:
        if member.compress_type != zipfile.ZIP_STORED or member.file_size != member.compress_size:
            raise InputError(f"{shown} is a compressed zip file, expected {_EXPECTED}, which compresses nothing")
    if sum(member.file_size for member in members) > size:
        raise InputError(f"{shown} is damaged: it announces more bytes than the {size} that it has")


def _read_legacy(stream: io.BufferedIOBase, size: int, shown: str) -> StateDict:
    if _unpickle(stream, size, shown) != _LEGACY_MAGIC or _unpickle(stream, size, shown) != _LEGACY_PROTOCOL:
        raise InputError(f"{shown} is no file that torch.save wrote")
    if _unpickle(stream, size, shown).get("little_endian") is not True:
        raise InputError(f"{shown} was written on a big-endian machine, which is not supported")
    storages: dict[str, str] = {}
    contents = _unpickle(stream, size, shown, storages)
    keys = _unpickle(stream, size, shown)
    if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
        raise InputError(f"{shown} is damaged: its storages are not told by a list of texts")
    buffers = {key: _read_storage(stream, size, storages.get(key), shown) for key in keys}
    return _state_dict(contents, buffers.__getitem__, shown)


def _read_storage(stream: io.BufferedIOBase, whole: int, dtype: str | None, shown: str) -> bytes:
    """One storage of the legacy stream: the number of elements, then their bytes."""
    head = stream.read(8)
    if dtype is None or len(head) < 8:
        raise InputError(f"{shown} is truncated or damaged: a storage is missing")
    size = int.from_bytes(head, "little", signed=True) * np.dtype(dtype).itemsize
    remaining = whole - stream.tell()
    if not 0 <= size <= remaining:
        raise InputError(f"{shown} is truncated: a storage of {size} bytes is announced, {remaining} bytes are left")
    return stream.read(size)


def _unpickle(stream: io.BufferedIOBase, size: int, shown: str, storages: dict[str, str] | None = None) -> Any:
    """One pickle of the stream, of which nothing is run.

    Args:
        stream: stands at the pickle, and behind it afterwards.
        size: of the file, in bytes.
        shown: the file, for the messages.
        storages: filled with the dtype of each storage that is mentioned, by key.
    """

    def storage(identifier: Any) -> _Storage:
        kind, dtype, key, _location, _elements, *view = identifier
        if not isinstance(kind, str) or kind != "storage" or dtype not in _STORAGES.values():
            raise InputError(f"{shown} refers to something that is no tensor storage")
        if not isinstance(key, str) or (storages is not None and storages.setdefault(key, dtype) != dtype):
            raise InputError(f"{shown} is damaged: a storage has no name, or two types")
        return _Storage(key, dtype, _natural(view[0][1]) if view and view[0] is not None else 0)

    def tensor(of: _Storage, offset: Any, shape: Any, strides: Any, *_: Any) -> _Tensor:
        if not isinstance(of, _Storage):
            raise InputError(f"{shown} builds a tensor from something that is no storage")
        if not isinstance(shape, tuple) or not isinstance(strides, tuple) or len(shape) > _MOST_DIMENSIONS:
            raise InputError(f"{shown} is damaged: a tensor has no shape, or more than {_MOST_DIMENSIONS} dimensions")
        return _Tensor(of, _natural(offset), tuple(map(_natural, shape)), tuple(map(_natural, strides)))

    known = {
        ("collections", "OrderedDict"): lambda items=(): bounded_pickle.filled({}, items),
        ("torch._utils", "_rebuild_tensor_v2"): tensor,
        ("torch._utils", "_rebuild_parameter"): lambda data, *_: data,
        **{("torch", name): dtype for name, dtype in _STORAGES.items()},
    }
    return bounded_pickle.load(stream, size, known, storage, shown)


def _natural(value: Any) -> int:
    if not isinstance(value, int) or not 0 <= value < 2**63:
        raise ValueError("a tensor has a size, an offset or a stride that is no count")
    return value


def _state_dict(contents: Any, buffer: Callable[[str], bytes], shown: str) -> StateDict:
    under: list[str] = []
    while isinstance(contents, dict) and (inner := [key for key in NESTED if _holds_tensors(contents.get(key))]):
        if len(inner) > 1 or len(under) == _DEEPEST:
            raise InputError(
                f"{shown} holds more than one network, under {' and '.join(inner)}; save the one that is meant alone"
            )
        under += inner
        contents = contents[inner[0]]
    if not isinstance(contents, dict) or not contents:
        raise InputError(f"{shown} holds no state dict, expected tensors by name")
    for name, value in contents.items():
        if not isinstance(name, str) or not isinstance(value, _Tensor):
            raise InputError(f"{shown} holds {foreign.text(name)!r}, which is no tensor, expected a state dict")
    tensors = {name: _array(tensor, buffer(tensor.storage.key), shown) for name, tensor in contents.items()}
    return StateDict(tensors, tuple(under))


def _holds_tensors(value: Any) -> bool:
    return isinstance(value, dict) and any(isinstance(inner, _Tensor | dict) for inner in value.values())


def _array(tensor: _Tensor, buffer: bytes, shown: str) -> np.ndarray:
    dtype = np.dtype(ml_dtypes.bfloat16 if tensor.storage.dtype == "bfloat16" else tensor.storage.dtype)
    if len(tensor.strides) != len(tensor.shape):
        raise InputError(f"{shown} is damaged: a tensor has another number of strides than of sizes")
    if 0 in tensor.shape:
        return np.zeros(tensor.shape, dtype)
    first = tensor.storage.start + tensor.offset
    last = first + sum((size - 1) * stride for size, stride in zip(tensor.shape, tensor.strides))
    if max(last + 1, math.prod(tensor.shape)) * dtype.itemsize > len(buffer):
        raise InputError(f"{shown} is damaged: a tensor reaches beyond its storage")
    flat = np.frombuffer(buffer, dtype, count=len(buffer) // dtype.itemsize)[first:]
    strides = [stride * dtype.itemsize if size > 1 else 0 for size, stride in zip(tensor.shape, tensor.strides)]
    return np.lib.stride_tricks.as_strided(flat, tensor.shape, strides, writeable=False)
