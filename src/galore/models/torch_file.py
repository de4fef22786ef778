"""Reads the tensors of a torch file (.pth, .pt) without torch, and without running anything that is in it.

Such a file is a pickle, and a pickle is a program. The unpickler here knows an ordered dictionary, the rebuilding of a
tensor and the names of the storage types, all of them replaced by functions of this module; every other name stops
the reading. Formats: the zip archive of torch >= 1.6 and the legacy stream before it
(https://github.com/pytorch/pytorch/blob/main/torch/serialization.py).
"""

import io
import math
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import ml_dtypes
import numpy as np

from galore.errors import InputError

_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
_LEGACY_PROTOCOL = 1001
_PLAIN = (type(None), bool, int, float, str, bytes)
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
    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


class _Dictionary(dict):
    """Stands for an ordered dictionary. What else was attached to it (torch's `_metadata`) is dropped."""

    def __setstate__(self, state: Any) -> None:
        pass


def read_torch_file(path: str | Path) -> dict[str, np.ndarray]:
    """The tensors of a torch file by name.

    Args:
        path: a file that `torch.save` wrote: a state dict, alone or under the key `state_dict` or `model`.

    Returns:
        Name -> array, in the file's order, dtypes and shapes. The prefix `module.` of a data-parallel
        wrapper is taken off.

    Raises:
        InputError: the file holds anything but tensors and plain containers (nothing of it is run), is truncated, or
            is no torch file.
    """
    path = Path(path)
    try:
        contents = _read_zip(path) if zipfile.is_zipfile(path) else _read_legacy(path)
    except InputError:
        raise
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}") from error
    except Exception as error:  # a damaged archive or pickle raises whatever its bytes happen to mean
        raise InputError(f"{path} is no weights file, or a truncated or damaged one ({error})") from error
    return _state_dict(contents, path)


def _read_zip(path: Path) -> Any:
    with zipfile.ZipFile(path) as archive:
        pickles = [name for name in archive.namelist() if name.split("/")[1:] == ["data.pkl"]]
        if len(pickles) != 1:
            raise InputError(f"{path} is a zip file without torch's data.pkl, expected weights that torch.save wrote")
        folder = pickles[0].removesuffix("data.pkl")
        if folder + "byteorder" in archive.namelist() and archive.read(folder + "byteorder") != b"little":
            raise InputError(f"{path} was written on a big-endian machine, which is not supported")
        contents = _unpickle(io.BytesIO(archive.read(pickles[0])), path)
        buffers: dict[str, bytes] = {}

        def buffer(storage: _Storage) -> bytes:
            if storage.key not in buffers:
                buffers[storage.key] = archive.read(f"{folder}data/{storage.key}")
            return buffers[storage.key]

        return _fill(contents, buffer, path)


def _read_legacy(path: Path) -> Any:
    with path.open("rb") as stream:
        if _unpickle(stream, path) != _LEGACY_MAGIC or _unpickle(stream, path) != _LEGACY_PROTOCOL:
            raise InputError(f"{path} is no file that torch.save wrote")
        if _unpickle(stream, path).get("little_endian") is not True:
            raise InputError(f"{path} was written on a big-endian machine, which is not supported")
        storages: dict[str, str] = {}
        contents = _unpickle(stream, path, storages)
        buffers = {key: _read_storage(stream, storages.get(key), path) for key in _unpickle(stream, path)}
    return _fill(contents, lambda storage: buffers[storage.key], path)


def _read_storage(stream: io.BufferedIOBase, dtype: str | None, path: Path) -> bytes:
    """One storage of the legacy stream: the number of elements, then their bytes."""
    head = stream.read(8)
    if dtype is None or len(head) < 8:
        raise InputError(f"{path} is truncated or damaged: a storage is missing")
    size = int.from_bytes(head, "little", signed=True) * np.dtype(dtype).itemsize
    remaining = path.stat().st_size - stream.tell()
    if not 0 <= size <= remaining:
        raise InputError(f"{path} is truncated: a storage of {size} bytes is announced, {remaining} bytes are left")
    return stream.read(size)


def _unpickle(stream: io.BufferedIOBase, path: Path, storages: dict[str, str] | None = None) -> Any:
    """One pickle of the stream, of which nothing is run.

    Args:
        stream: stands at the pickle, and behind it afterwards.
        path: for the messages.
        storages: filled with the dtype of each storage that is mentioned, by key.
    """

    def storage(identifier: Any) -> _Storage:
        kind, dtype, key, _location, _elements, *view = identifier
        if kind != "storage" or dtype not in _STORAGES.values():
            raise InputError(f"{path} refers to something that is no tensor storage: {kind!r}")
        if storages is not None:
            storages[str(key)] = dtype
        return _Storage(str(key), dtype, int(view[0][1]) if view and view[0] is not None else 0)

    # Made anew for each pickle: what a pickle may do to a function that it was given ends with it.
    def tensor(storage: _Storage, offset: int, shape: tuple, strides: tuple, *_: Any) -> _Tensor:
        if not isinstance(storage, _Storage):
            raise InputError(f"{path} builds a tensor from something that is no storage")
        return _Tensor(storage, int(offset), tuple(map(int, shape)), tuple(map(int, strides)))

    def parameter(data: Any, *_: Any) -> Any:
        return data

    known: dict[tuple[str, str], Any] = {
        ("collections", "OrderedDict"): _Dictionary,
        ("torch._utils", "_rebuild_tensor_v2"): tensor,
        ("torch._utils", "_rebuild_parameter"): parameter,
        **{("torch", name): dtype for name, dtype in _STORAGES.items()},
    }

    class Unpickler(pickle.Unpickler):
        def find_class(self, module: str, name: str) -> Any:
            if (module, name) not in known:
                raise InputError(
                    f"{path} was refused: it asks for {module}.{name}, expected tensors and plain containers only "
                    "(nothing in the file was run; re-save its state_dict() alone)"
                )
            return known[module, name]

        def persistent_load(self, identifier: Any) -> _Storage:
            return storage(identifier)

    return Unpickler(stream, encoding="utf-8").load()


def _fill(contents: Any, buffer: Callable[[_Storage], bytes], path: Path) -> Any:
    """The contents with each tensor's description replaced by its array (a view of its storage)."""
    if isinstance(contents, _Tensor):
        return _array(contents, buffer(contents.storage), path)
    if isinstance(contents, dict):
        return {key: _fill(value, buffer, path) for key, value in contents.items()}
    if isinstance(contents, list | tuple):
        return [_fill(value, buffer, path) for value in contents]
    if isinstance(contents, _PLAIN):
        return contents
    raise InputError(f"{path} holds a {type(contents).__name__}, expected tensors and plain containers only")


def _array(tensor: _Tensor, buffer: bytes, path: Path) -> np.ndarray:
    dtype = np.dtype(ml_dtypes.bfloat16 if tensor.storage.dtype == "bfloat16" else tensor.storage.dtype)
    first = tensor.storage.start + tensor.offset
    last = first + sum((size - 1) * stride for size, stride in zip(tensor.shape, tensor.strides, strict=True))
    if min(first, *tensor.shape, *tensor.strides, 0) < 0:
        raise InputError(f"{path} is damaged: a tensor has a negative size")
    if math.prod(tensor.shape) == 0:
        return np.zeros(tensor.shape, dtype)
    if (last + 1) * dtype.itemsize > len(buffer):
        raise InputError(f"{path} is damaged: a tensor reaches beyond its storage")
    flat = np.frombuffer(buffer, dtype, count=len(buffer) // dtype.itemsize)[first:]
    return np.lib.stride_tricks.as_strided(
        flat, tensor.shape, [stride * dtype.itemsize for stride in tensor.strides], writeable=False
    )


def _state_dict(contents: Any, path: Path) -> dict[str, np.ndarray]:
    for key in ("state_dict", "model"):
        if isinstance(contents, dict) and isinstance(contents.get(key), dict):
            contents = contents[key]
    if not isinstance(contents, dict) or not contents:
        raise InputError(f"{path} holds no state dict, expected tensors by name")
    for name, value in contents.items():
        if not isinstance(name, str) or not isinstance(value, np.ndarray):
            raise InputError(f"{path} holds {name!r}, which is no tensor, expected a state dict")
    return {name.removeprefix("module."): value for name, value in contents.items()}
