"""No chunk of a checkpoint is decompressed that would take more memory than the numbers of its array."""

import json
import resource
import shutil
import time

import numpy as np
import pytest
import tensorstore

from galore import InputError
from galore.data.preprocessing import Preprocessing
from galore.training import architectures, checkpoint, chunks

DESCRIPTION = checkpoint.Description("small_cnn_narrow", ("a", "b"), Preprocessing(32, 32), "conv3")
MAGIC = bytes.fromhex("28b52ffd")


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    return checkpoint.save(folder, DESCRIPTION, architectures.random_params("small_cnn_narrow", 2, 0))


@pytest.fixture
def copy(saved, tmp_path):
    return shutil.copytree(saved, tmp_path / "copy")


def store(folder):
    base = {"driver": "file", "path": f"{folder}/"}
    return tensorstore.KvStore.open({"driver": "ocdbt", "base": base}).result()


NUMBERS = {
    "ones": np.ones(300_000, np.float32),
    "noise": np.random.default_rng(0).standard_normal(300_000).astype(np.float32),
    "steps": np.arange(300_000, dtype=np.int32) // 1000,
    "repetitions": np.random.default_rng(1).standard_normal(60_000).repeat(5),
    "one": np.ones(1, np.float32),
}


@pytest.mark.parametrize("level", [1, 3, 12])
@pytest.mark.parametrize("name", NUMBERS)
def test_what_zstandard_makes_of_numbers_seems_to_hold_them_and_little_more(tmp_path, name, level):
    numbers = NUMBERS[name]
    metadata = {"shape": [len(numbers)], "chunks": [len(numbers)], "dtype": numbers.dtype.str}
    metadata |= {"compressor": {"id": "zstd", "level": level}}
    kvstore = {"driver": "file", "path": f"{tmp_path}/"}
    spec = {"driver": "zarr", "kvstore": kvstore, "metadata": metadata}
    tensorstore.open(spec, create=True).result().write(numbers).result()
    assert numbers.nbytes <= chunks.most_decoded((tmp_path / "0").read_bytes()) <= 2 * numbers.nbytes + 2**18


def frame(blocks: list[bytes], content: int, last: bytes = b"\x03\x00\x00a") -> bytes:
    """A Zstandard frame in one segment, of a content size of eight bytes."""
    return MAGIC + b"\xe0" + content.to_bytes(8, "little") + b"".join(blocks) + last


def repeated(length: int) -> bytes:
    """A block of `length` times one byte."""
    return (length << 3 | 1 << 1).to_bytes(3, "little") + b"a"


COMPRESSED = (2 << 1 | 1 << 3).to_bytes(3, "little") + b"a"
HOSTILE_FRAMES = {
    "a gigabyte of one byte": MAGIC + b"\x00\x50" + repeated(2**17) * 10_000 + b"\x03\x00\x00a",
    "a gigabyte that is said to be little": frame([repeated(2**17)] * 10_000, 256),
    "a hundred thousand compressed blocks": frame([COMPRESSED] * 100_000, 2**17),
    "a content of terabytes": frame([], 2**42),
    "a window of terabytes": MAGIC + b"\x00\xff\x01\x00\x00",
    "blocks of a kind that there is not": frame([b"\x06\x00\x00"], 256),
    "a frame that is cut off": frame([repeated(256)], 256, b""),
    "a second frame": frame([], 256) + frame([], 256),
    "no frame": b"numbers that are none",
    "nothing": b"",
}
HOSTILE_ARRAYS = {
    "chunks of terabytes": {"chunks": [2**40]},
    "chunks that are larger than the array": {"chunks": [65]},
    "texts of gigabytes": {"dtype": "|S4000000000"},
    "structures": {"dtype": [["a", "<f4"]]},
    "another compression": {"compressor": {"id": "blosc", "cname": "lz4"}},
    "a filter": {"filters": [{"id": "delta"}]},
    "fewer chunks than axes": {"chunks": []},
    "a negative shape": {"shape": [-64]},
    "no shape": {"shape": None},
}


def refused(folder) -> None:
    """In no time and with little memory."""
    time_before, memory_before = time.process_time(), peak_bytes()
    with pytest.raises(InputError, match="is damaged"):
        checkpoint.read(folder).params  # noqa: B018
    assert peak_bytes() - memory_before < 200e6 and time.process_time() - time_before < 5


def peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


@pytest.mark.robust("checkpoints")
@pytest.mark.parametrize("what", HOSTILE_FRAMES)
def test_a_chunk_that_stands_for_more_than_its_numbers_is_refused(copy, what):
    store(copy / "params").write("bn2.bias/0", HOSTILE_FRAMES[what]).result()
    refused(copy)


@pytest.mark.robust("checkpoints")
@pytest.mark.parametrize("what", HOSTILE_ARRAYS)
def test_an_array_that_is_stored_otherwise_is_refused(copy, what):
    params = store(copy / "params")
    stored = json.loads(params.read("bn2.bias/.zarray").result().value)
    params.write("bn2.bias/.zarray", json.dumps(stored | HOSTILE_ARRAYS[what]).encode()).result()
    refused(copy)


@pytest.mark.robust("checkpoints")
@pytest.mark.parametrize("key", ["bn2.bias/zarr.json", "bn2.bias/c/0", "bn2.bias", "other/0", "\x1b[2J/x"])
def test_what_is_no_part_of_an_array_is_refused(copy, key):
    store(copy / "params").write(key, b"{}").result()
    refused(copy)


@pytest.mark.robust("checkpoints")
def test_arrays_beside_the_store_are_none(copy):
    """orbax would also read zarr's files as they are, without the store."""
    (copy / "params" / "manifest.ocdbt").unlink()
    refused(copy)
