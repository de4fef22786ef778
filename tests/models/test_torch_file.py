"""Torch files, written here byte by byte as torch writes them: read without torch, and never run."""

import io
import os
import pickle
import struct
import zipfile

import ml_dtypes
import numpy as np
import pytest

from galore import InputError
from galore.models.torch_file import read_torch_file


class Storage:
    """Pickles as torch pickles a storage: by reference."""

    def __init__(self, array, key):
        self.array, self.key = np.ascontiguousarray(array), key


class Tensor:
    def __init__(self, storage, shape, strides, offset=0):
        self.storage, self.shape, self.strides, self.offset = storage, shape, strides, offset


STORAGE_NAMES = {
    "float32": "FloatStorage",
    "int64": "LongStorage",
    "float16": "HalfStorage",
    "bfloat16": "BFloat16Storage",
}


def dump(value, stream, storages, legacy):
    """Writes a pickle by opcodes, protocol 2: the few that a state dict needs."""

    def put(value):
        if isinstance(value, dict):
            stream.write(b"ccollections\nOrderedDict\n)R(")
            for key, item in value.items():
                put(key)
                put(item)
            stream.write(b"u")
        elif isinstance(value, Tensor):
            stream.write(b"ctorch._utils\n_rebuild_tensor_v2\n(")
            put(value.storage)
            for item in (value.offset, value.shape, value.strides, False, {}):
                put(item)
            stream.write(b"tR")
        elif isinstance(value, Storage):
            storages.append(value)
            stream.write(b"(")
            put("storage")
            stream.write(f"ctorch\n{STORAGE_NAMES[value.array.dtype.name]}\n".encode())
            for item in (value.key, "cpu", value.array.size, *([None] if legacy else [])):
                put(item)
            stream.write(b"tQ")
        elif isinstance(value, tuple):
            stream.write(b"(")
            for item in value:
                put(item)
            stream.write(b"t")
        else:
            stream.write(pickle.dumps(value, 2)[2:-1])

    stream.write(b"\x80\x02")
    put(value)
    stream.write(b".")


def write_zip(path, value):
    stream, storages = io.BytesIO(), []
    dump(value, stream, storages, legacy=False)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", stream.getvalue())
        archive.writestr("archive/byteorder", "little")
        for storage in {storage.key: storage for storage in storages}.values():
            archive.writestr(f"archive/data/{storage.key}", storage.array.tobytes())
    return path


def write_legacy(path, value):
    with path.open("wb") as stream:
        system = {"protocol_version": 1001, "little_endian": True, "type_sizes": {"short": 2, "int": 4, "long": 4}}
        for item in (0x1950A86A20F9469CFC6C, 1001, system):
            pickle.dump(item, stream, 2)
        storages = []
        dump(value, stream, storages, legacy=True)
        unique = {storage.key: storage for storage in storages}
        pickle.dump(sorted(unique), stream, 2)
        for key in sorted(unique):
            stream.write(struct.pack("<q", unique[key].array.size) + unique[key].array.tobytes())
    return path


WRITERS = {"zip": write_zip, "legacy": write_legacy}
NUMBERS = np.arange(24, dtype=np.float32)


def state():
    """A tensor, its transposed view with an offset, a shared storage, a scalar."""
    storage = Storage(NUMBERS, "0")
    return {
        "a": Tensor(storage, (4, 6), (6, 1)),
        "b": Tensor(storage, (3, 2), (1, 6), offset=6),
        "count": Tensor(Storage(np.array(5, np.int64), "1"), (), ()),
        "half": Tensor(Storage(np.array([1.5, -2], ml_dtypes.bfloat16), "2"), (2,), (1,)),
    }


@pytest.mark.parametrize("write", WRITERS.values(), ids=WRITERS)
def test_tensors_come_with_their_shapes_strides_and_types(write, tmp_path):
    found = read_torch_file(write(tmp_path / "weights.pth", state())).tensors
    np.testing.assert_array_equal(found["a"], NUMBERS.reshape(4, 6))
    np.testing.assert_array_equal(found["b"], NUMBERS.reshape(4, 6)[1:3, :3].T)
    assert found["count"].shape == () and found["count"] == 5 and found["count"].dtype == np.int64
    np.testing.assert_array_equal(found["half"].astype(np.float32), [1.5, -2])


class Malicious:
    """Runs a command when an ordinary unpickler reads it."""

    def __init__(self, command):
        self.command = command

    def __reduce__(self):
        return os.system, (self.command,)


@pytest.mark.robust("weights")
@pytest.mark.parametrize("write", WRITERS.values(), ids=WRITERS)
def test_code_is_refused_and_not_run(write, tmp_path):
    trace = tmp_path / "was-run"
    path = write(tmp_path / "weights.pth", {"a": Malicious(f"touch {trace}")})
    with pytest.raises(InputError, match=r"refused: it asks for (posix|nt)\.system"):
        read_torch_file(path)
    assert not trace.exists()
    plain = tmp_path / "plain.pth"
    plain.write_bytes(pickle.dumps(Malicious(f"touch {trace}")))
    with pytest.raises(InputError, match="refused"):
        read_torch_file(plain)
    assert not trace.exists()


@pytest.mark.robust("weights")
@pytest.mark.parametrize(
    "name",
    ["builtins\neval", "builtins\ngetattr", "torch.hub\nload", "numpy\nload", "os\nsystem", "collections\nCounter"],
)
def test_every_other_name_is_refused(name, tmp_path):
    path = tmp_path / "weights.pth"
    path.write_bytes(b"\x80\x02c" + name.encode() + b"\n(tR.")
    with pytest.raises(InputError, match=name.replace("\n", ".")):
        read_torch_file(path)


@pytest.mark.robust("weights")
@pytest.mark.parametrize("write", WRITERS.values(), ids=WRITERS)
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.99])
def test_a_truncated_file_is_an_error(write, share, tmp_path):
    path = write(tmp_path / "weights.pth", state())
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(InputError, match=r"weights\.pth"):
        read_torch_file(path)


@pytest.mark.robust("weights")
def test_any_flipped_byte_gives_tensors_or_an_error_and_nothing_else(tmp_path):
    """The reader's own promise: whatever the bytes are, the outcome is arrays or an InputError."""
    path = write_legacy(tmp_path / "weights.pth", state())
    content = path.read_bytes()
    for position in range(0, len(content), 7):
        path.write_bytes(content[:position] + bytes([content[position] ^ 0x55]) + content[position + 1 :])
        try:
            found = read_torch_file(path)
        except InputError:
            continue
        assert all(isinstance(array, np.ndarray) for array in found.tensors.values())


HEADER = (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True})


@pytest.mark.robust("weights")
@pytest.mark.parametrize(
    "items",
    [(*HEADER[:2], 5), (*HEADER, {}, None), (*HEADER, {}, [[1]]), (*HEADER, {"a": 1}, ["0"])],
    ids=["header", "no keys", "keys that are lists", "no storage"],
)
def test_a_legacy_file_with_wrong_parts_is_an_error(items, tmp_path):
    path = tmp_path / "weights.pth"
    path.write_bytes(b"".join(pickle.dumps(item, 2) for item in items))
    with pytest.raises(InputError, match=r"weights\.pth is .*damaged"):
        read_torch_file(path)


@pytest.mark.robust("weights")
def test_a_list_that_holds_itself_is_an_error(tmp_path):
    endless: list = []
    endless.append(endless)
    path = tmp_path / "weights.pth"
    path.write_bytes(b"".join(pickle.dumps(item, 2) for item in (*HEADER, {"a": endless}, [])))
    with pytest.raises(InputError, match=r"weights\.pth"):
        read_torch_file(path)


@pytest.mark.robust("weights")
def test_an_encrypted_zip_file_is_an_error(tmp_path):
    path = write_zip(tmp_path / "weights.pth", state())
    content = bytearray(path.read_bytes())
    content[content.index(b"PK\x01\x02") + 8] |= 1  # the flag of the first entry in the directory
    path.write_bytes(content)
    with pytest.raises(InputError, match="encrypted"):
        read_torch_file(path)


@pytest.mark.robust("weights")
@pytest.mark.parametrize(
    "shape, strides, offset", [((100,), (1,), 0), ((4,), (1,), 22), ((2, 2), (1, 40), 0), ((2,), (-1,), 5)]
)
def test_a_tensor_that_reaches_beyond_its_storage_is_an_error(shape, strides, offset, tmp_path):
    path = write_zip(tmp_path / "weights.pth", {"a": Tensor(Storage(NUMBERS, "0"), shape, strides, offset)})
    with pytest.raises(InputError, match="damaged"):
        read_torch_file(path)


@pytest.mark.robust("weights")
def test_a_zip_file_of_something_else_is_an_error(tmp_path):
    with zipfile.ZipFile(tmp_path / "weights.pth", "w") as archive:
        archive.writestr("readme.txt", "hello")
    with pytest.raises(InputError, match=r"without torch's data\.pkl"):
        read_torch_file(tmp_path / "weights.pth")
