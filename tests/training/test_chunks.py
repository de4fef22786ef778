"""No array of a checkpoint takes more memory than its shape needs, whatever its description and its chunks hold."""

import json
import resource
import shutil
import time

import pytest
import tensorstore

from galore import InputError
from galore.data.preprocessing import Preprocessing
from galore.training import architectures, checkpoint

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
    """tensorstore decompresses no more than the description says; this is where one would see it if that changed."""
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
@pytest.mark.parametrize("key", ["bn2.bias/zarr.json", "bn2.bias/c/x", "bn2.bias", "\x1b[2J/x"])
def test_what_is_no_part_of_an_array_is_refused(copy, key):
    store(copy / "params").write(key, b"{}").result()
    refused(copy)


@pytest.mark.robust("checkpoints")
def test_arrays_beside_the_store_are_none(copy):
    """orbax would also read zarr's files as they are, without the store."""
    (copy / "params" / "manifest.ocdbt").unlink()
    refused(copy)
