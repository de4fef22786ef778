"""An archive is read as numpy reads it, and one that promises more than it holds costs nothing."""

import io
import tracemalloc
import zipfile

import numpy as np
import pytest

from galore import npz

ARRAYS = {
    "0": np.arange(12, dtype=np.float32).reshape(3, 4),
    "0 classes": np.array([1, 2], np.int32),
    "paths": np.array(["a.jpg", "é/b.jpg"]),
    "none": np.zeros((0, 5)),
    "one": np.array(3.5),
    "columns": np.asfortranarray(np.arange(6).reshape(2, 3)),
}


def archive(members: dict[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", compression) as file:
        for name, content in members.items():
            file.writestr(f"{name}.npy", content)
    return stream.getvalue()


def npy(header: str, content: bytes = b"") -> bytes:
    text = f"{header}\n".encode()
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + content


def read(path, content: bytes) -> dict[str, np.ndarray]:
    path.write_bytes(content)
    with open(path, "rb") as file, npz.opened(file) as arrays:
        return dict(arrays)


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_what_numpy_wrote_is_read_as_numpy_reads_it(tmp_path, save):
    save(tmp_path / "a.npz", **ARRAYS)
    with open(tmp_path / "a.npz", "rb") as file, npz.opened(file) as arrays:
        assert list(arrays) == list(ARRAYS) and "0 counters" not in arrays
        for name, expected in ARRAYS.items():
            assert arrays[name].dtype == expected.dtype
            np.testing.assert_array_equal(arrays[name], expected)


def test_an_array_of_which_most_is_missing_is_read(tmp_path):
    missing = np.full((300, 1000), np.nan, np.float32)
    np.savez_compressed(tmp_path / "a.npz", missing)
    assert missing.nbytes > 100 * (tmp_path / "a.npz").stat().st_size
    with open(tmp_path / "a.npz", "rb") as file, npz.opened(file) as arrays:
        np.testing.assert_array_equal(arrays["arr_0"], missing)


FLOATS = "{'descr': '<f4', 'fortran_order': False, 'shape': (%s,), }"
HOSTILE = {
    "zeros that are deflated": archive({"0": npy(FLOATS % 2_000_000, bytes(8_000_000))}),
    "many arrays of deflated zeros": archive({str(k): npy(FLOATS % 50_000, bytes(200_000)) for k in range(30)}),
    "a shape without numbers": archive({"0": npy(FLOATS % 10**12)}),
    "a shape beyond any memory": archive({"0": npy(FLOATS % "10**30", bytes(8))}),
    "texts of no length": archive({"0": npy("{'descr': '<U0', 'fortran_order': False, 'shape': (10**12,), }")}),
    "texts of a huge length": archive({"0": npy("{'descr': '<U500000000', 'fortran_order': False, 'shape': (1,), }")}),
    "more numbers than the shape says": archive({"0": npy(FLOATS % 1, bytes(8))}),
    "a negative shape": archive({"0": npy("{'descr': '<f4', 'fortran_order': False, 'shape': (-1, -1), }", bytes(4))}),
    "objects": archive({"0": npy("{'descr': '|O', 'fortran_order': False, 'shape': (1,), }", b"cos\nsystem\n")}),
    "a header that is a program": archive({"0": npy("__import__('os').abort()")}),
    "a later version": archive({"0": b"\x93NUMPY\x09\x00" + bytes(20)}),
    "no numpy file": archive({"0": b"numbers"}),
    "lzma": archive({"0": npy(FLOATS % 1, bytes(4))}, zipfile.ZIP_LZMA),
    "bzip2": archive({"0": npy(FLOATS % 1, bytes(4))}, zipfile.ZIP_BZIP2),
    "a wrong checksum": archive({"0": npy(FLOATS % 1, b"1234")}, zipfile.ZIP_STORED).replace(b"1234", b"1235"),
    "an archive that was cut off": archive({"0": npy(FLOATS % 1, b"1234")})[:-30],
    "no archive": b"numbers",
    "nothing": b"",
}


@pytest.mark.robust("tables")
@pytest.mark.parametrize("what", HOSTILE)
def test_a_hostile_archive_is_refused_before_memory_is_taken(tmp_path, monkeypatch, what):
    monkeypatch.setattr(npz, "LEAST", 2**20)
    tracemalloc.start()
    try:
        with pytest.raises(Exception) as caught:
            read(tmp_path / "a.npz", HOSTILE[what])
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert not isinstance(caught.value, MemoryError) and peak < 2**20
