"""More devices and processes: what is tried, what share of the ideal it is, and that it runs on virtual devices."""

import dataclasses
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from invented_records import SETTING, rows

from galore import InputError
from galore.benchmark import record, scaling
from galore.benchmark.measure import Plan

HERE = Path(__file__).parents[1]


def test_strong_scaling_divides_a_batch_and_weak_scaling_multiplies_it():
    found = [(plan.scaling, plan.devices, plan.batch) for plan in scaling.plans(Plan("net"), ["strong", "weak"], 4)]
    assert found[:3] == [("strong", 1, 8), ("strong", 2, 8), ("strong", 4, 8)]
    assert found[3:] == [("weak", 1, 8), ("weak", 2, 16), ("weak", 4, 32)]
    assert [plan.devices for plan in scaling.plans(Plan("net"), ["weak"], 6)] == [1, 2, 4, 6]
    assert [plan.devices for plan in scaling.plans(Plan("net"), ["weak"], 16, processes=4)] == [16]


def test_a_batch_that_the_devices_cannot_share_is_refused():
    with pytest.raises(InputError, match="--batch 6: expected a multiple of 4"):
        list(scaling.plans(Plan("net", batch=6), ["strong"], 4))


def row(seconds, kind, devices, batch, processes=1):
    setting = dataclasses.replace(SETTING, scaling=kind, devices=devices, batch=batch, processes=processes)
    (found,) = rows([[seconds]], setting, names=("forward",))
    return dataclasses.replace(found, images=batch, images_per_s=batch / seconds)


def test_efficiency_is_the_share_of_the_ideal_gain():
    measured = [
        row(1.0, "strong", 1, 8), row(0.5, "strong", 2, 8), row(0.5, "strong", 4, 8),
        row(1.0, "weak", 1, 8), row(1.25, "weak", 4, 32, processes=2), row(9.0, "", 4, 8),
    ]  # fmt: skip
    found = scaling.efficiencies(measured)
    assert [(one.row.setting.devices, one.value) for one in found] == [(1, 1), (2, 1), (4, 0.5), (1, 1), (4, 0.8)]


def test_two_processes_with_two_virtual_devices_each_share_a_batch(tmp_path):
    """Costs about fifteen seconds: two programs start, join, and time a forward pass and a training step together."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    flags = os.environ.get("XLA_FLAGS", "") + " --xla_force_host_platform_device_count=2"
    paths = os.pathsep.join([str(HERE), os.environ.get("PYTHONPATH", "")])
    environment = os.environ | {"XLA_FLAGS": flags, "PYTHONPATH": paths, "JAX_PLATFORMS": "cpu"}
    command = [
        sys.executable, "-m", "galore", "bench", "--networks", "photographs:tiny_network", "--batch", "2",
        "--works", "training step", "--rounds", "2", "--minimum", "0", "--scaling", "weak",
        "--coordinator", f"localhost:{port}", "--process-count", "2", "--json", str(tmp_path / "r.json"),
    ]  # fmt: skip
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    both = [subprocess.Popen([*command, "--process-index", str(k)], env=environment, **pipes) for k in range(2)]
    told = [process.communicate(timeout=200)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0], told
    found = record.read(tmp_path / "r.json")
    assert [row.work for row in found.rows] == ["forward", "training step"]
    for row in found.rows:
        assert (row.setting.devices, row.setting.processes, row.setting.batch) == (4, 2, 8)
        assert row.is_measured and len(row.seconds) == 2
    assert "training step" in told[0] and "training step" not in told[1]
