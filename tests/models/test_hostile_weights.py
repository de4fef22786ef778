"""Hostile and damaged weights files: a right load or one clear sentence, in little time and memory, and nothing run."""

import os
import subprocess
import sys
from pathlib import Path

import hostile_weights as hostile
import numpy as np
import pytest

from galore import InputError
from galore.models import weights


@pytest.mark.robust("weights")
@pytest.mark.parametrize("name", hostile.FILES)
def test_a_hostile_file_is_read_right_or_refused_in_one_sentence(name, tmp_path):
    path = tmp_path / f"weights.{name.rpartition('.')[2]}"
    path.write_bytes(hostile.FILES[name])
    try:
        tensors = weights.read(path).tensors
    except InputError as error:
        assert path.name in str(error) and len(str(error)) < 1100 and str(error).isprintable()
    else:
        assert all(tensor.size * tensor.itemsize <= path.stat().st_size for tensor in tensors.values())


MEASURED = """
import pathlib, resource, sys, time
import hostile_weights
from galore import InputError
from galore.models import weights

for name, content in hostile_weights.LARGE.items():
    path = pathlib.Path(sys.argv[1]) / f"weights.{name.rpartition('.')[2]}"
    path.write_bytes(content())
    before, started = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    try:
        outcome = f"loads {len(weights.read(path).tensors)}"
    except InputError as error:
        outcome = f"says {str(error)[-200:]}"
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(f"{time.process_time() - started:.2f}|{(peak - before) / 1024:.0f}|{name}|{outcome}")
"""


@pytest.mark.robust("weights")
def test_large_hostile_files_take_little_time_and_memory(tmp_path):
    """In a process of its own, without the checks of types that the tests switch on; 15 seconds."""
    program, tests = [sys.executable, "-c", MEASURED, tmp_path], Path(hostile.__file__).parent
    done = subprocess.run(program, capture_output=True, text=True, check=True, cwd=tests)
    measured = [line.split("|", 3) for line in done.stdout.splitlines()]
    assert [name for _, _, name, _ in measured] == list(hostile.LARGE)
    for seconds, megabytes, name, outcome in measured:
        assert float(seconds) < 3 and float(megabytes) < 200, (name, seconds, megabytes, outcome)
        assert outcome.startswith("says") or name.startswith("safetensors 30000") or "names" in name, (name, outcome)


LOADED = {
    "tensor alone by name": hostile.GOOD,
    "Python 2 dictionary": b"\x80\x02ccollections\nOrderedDict\n(](]("
    + hostile.text("a") + hostile.tensor() + b"eet" + b"R.",
    "attributes of the dictionary": hostile.state(("a", hostile.tensor()))[:-1] + b"}b.",
    "protocol 4": b"\x80\x04\x95" + bytes(8) + hostile.text("collections") + hostile.text("OrderedDict") + b"\x93)R("
    + hostile.text("a") + hostile.tensor() + b"\x94u.",
    "a parameter": hostile.state(("a", b"ctorch._utils\n_rebuild_parameter\n(" + hostile.tensor() + b"\x88N" + b"tR")),
    "an optimiser beside it": b"}(" + hostile.text("model") + hostile.GOOD[2:-1] + hostile.text("optimizer") + b"}("
    + hostile.text("state") + b"}(K\x00}(" + hostile.text("exp_avg") + hostile.tensor() + b"uuu" + hostile.text("best")
    + hostile.tensor() + hostile.text("epoch") + b"K\x03u.",
}  # fmt: skip


@pytest.mark.parametrize("pickled", LOADED.values(), ids=LOADED)
def test_what_torch_writes_is_read(pickled, tmp_path):
    numbers = np.arange(6, dtype=np.float32)
    for content in (
        hostile.archive(pickled, {"data/0": numbers.tobytes()}),
        hostile.HEAD + pickled + hostile.TAIL[:-24] + numbers.tobytes(),
    ):
        (tmp_path / "a.pth").write_bytes(content)
        (tensor,) = weights.read(tmp_path / "a.pth").tensors.values()
        np.testing.assert_array_equal(tensor, numbers)


@pytest.mark.robust("weights")
@pytest.mark.parametrize("suffix", [".pth", ".safetensors", ".ckpt"])
def test_a_named_pipe_is_not_waited_for(suffix, tmp_path):
    os.mkfifo(tmp_path / f"weights{suffix}")
    with pytest.raises(InputError, match="no regular file"):
        weights.read(tmp_path / f"weights{suffix}")


@pytest.mark.robust("weights")
@pytest.mark.parametrize("suffix", [".pth", ".safetensors", ".ckpt"])
@pytest.mark.parametrize("make", [os.mkdir, lambda path: os.symlink("/dev/zero", path)], ids=["folder", "device"])
def test_what_is_no_file_is_refused(make, suffix, tmp_path):
    make(tmp_path / f"weights{suffix}")
    with pytest.raises(InputError, match=r"is a folder|no regular file"):
        weights.read(tmp_path / f"weights{suffix}")
