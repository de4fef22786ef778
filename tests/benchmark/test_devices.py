"""Peaks, and what devices tell, by devices that are none."""

import re
import sys
import types

import numpy as np
import pytest

from galore import InputError
from galore.benchmark import devices

MANY = 2**30


class Device:
    """A device as JAX presents it."""

    platform, local_hardware_id = "gpu", 0

    def __init__(self, stats=None, platform="gpu"):
        self.stats, self.platform = stats, platform

    def memory_stats(self):
        return self.stats


def test_peaks_depend_on_the_numbers_and_on_how_they_are_multiplied():
    h100 = devices.peak("NVIDIA H100 80GB HBM3")
    assert h100.flops("bfloat16", "default") == pytest.approx(989.5e12)
    assert h100.flops("float32", "mixed") == h100.flops("bfloat16", "default")
    assert h100.flops("float32", "default") == h100.flops("float32", "high") == pytest.approx(494.5e12)  # TF32
    assert h100.flops("float32", "highest") == pytest.approx(67e12)
    assert h100.bandwidth == pytest.approx(3.35e12) and h100.source.startswith("NVIDIA H100 datasheet")
    assert devices.peak("TPU v5 lite").flops("float32", "highest") is None
    assert devices.peak("TPU v5 lite").flops("float32", "high") == pytest.approx(197e12 / 3)


def test_a_gpu_is_never_faster_in_more_bits_and_every_peak_has_its_source():
    for peak in devices.PEAKS.values():
        assert re.fullmatch(r"(NVIDIA|Google) .+, https://\S+", peak.source) and peak.bandwidth < 1e13
        known = [value for value in (peak.float32, peak.default, peak.bfloat16) if value]
        assert known == sorted(known)


def test_a_device_that_is_not_known_has_no_peak_unless_it_is_given():
    assert devices.peak("Abacus 3000") is None
    given = devices.peak("Abacus 3000", [2e12, 3e11])
    assert given.flops("float32", "highest") == given.flops("bfloat16", "default") == 2e12
    assert given.bandwidth == 3e11


@pytest.mark.parametrize("given", [[1.0], [1.0, 2.0, 3.0], [0.0, 1.0], [1.0, float("nan")], [float("inf"), 1.0]])
def test_peaks_that_are_no_speeds_are_refused(given):
    with pytest.raises(InputError, match=r"--peak .*expected two numbers"):
        devices.peak("cpu", given)


def test_a_measured_peak_is_that_of_this_machine():
    peak = devices.measured_peak(seconds=0.02, sides=(64, 512), length=2**20)
    assert 1e8 < peak.default < 1e14 and 1e8 < peak.bandwidth < 1e13
    assert peak.source == "measured: a matrix product of 512 x 512, a sum over 4 MiB"


def test_the_fastest_product_is_the_roof_and_disturbed_calls_do_not_lower_it(monkeypatch):
    """Calls that take 4 seconds for the smaller product and 16 for the larger one, each disturbed once: of 8 times the
    work in 4 times the time the larger one is the roof."""
    clock = iter(np.cumsum([0, 4.0, 1, 90.0, 1, 4.0, 1, 16.0, 1, 99.0, 1, 17.0, 1, 2.0, 1, 2.0, 1, 2.0]))
    monkeypatch.setattr(devices, "time", types.SimpleNamespace(perf_counter=lambda: next(clock)))
    peak = devices.measured_peak(seconds=1.0, sides=(2, 4), length=2**20)
    assert peak.float32 == 2 * 4**3 / 16 and peak.bandwidth == 2 * 4 * 2**20 / 2
    assert "4 x 4" in peak.source and next(clock, None) is None


def test_memory_is_that_of_the_fullest_and_of_the_smallest_device():
    two = [
        Device({"peak_bytes_in_use": 3 * MANY, "bytes_limit": 80 * MANY}),
        Device({"peak_bytes_in_use": 5 * MANY, "bytes_limit": 40 * MANY}),
    ]
    assert devices.used_memory(two) == 5 * MANY and devices.memory_limit(two) == 40 * MANY
    assert devices.used_memory([*two, Device()]) is None and devices.memory_limit([Device({})]) is None


def test_the_memory_of_a_cpu_is_the_machines_or_what_its_container_may_have(tmp_path, monkeypatch):
    limit = tmp_path / "memory.max"
    monkeypatch.setattr(devices, "SYSTEM_FILES", (limit, tmp_path / "cpuinfo"))
    cpu = Device(platform="cpu")
    whole = devices.memory_limit([cpu])
    limit.write_text("4096\n")
    assert devices.memory_limit([cpu]) == 4096 and devices.memory_limit([cpu, cpu]) == 2048
    limit.write_text("max\n")
    assert devices.memory_limit([cpu]) == whole > MANY


def test_clock_and_name_of_a_processor(tmp_path, monkeypatch):
    file = tmp_path / "cpuinfo"
    monkeypatch.setattr(devices, "SYSTEM_FILES", (tmp_path / "none", file))
    assert devices.clock_hz([Device(platform="cpu")]) is None and devices.processor() == ""
    file.write_text("processor\t: 0\nmodel name\t: Abacus 3000\ncpu MHz\t\t: 2793.436\n")
    assert devices.clock_hz([Device(platform="cpu")]) == pytest.approx(2793.436e6)
    assert devices.processor() == "Abacus 3000"


def test_energy_of_processors_adds_up_their_packages(tmp_path, monkeypatch):
    monkeypatch.setattr(devices, "POWER_METERS", tmp_path)
    cpu = [Device(platform="cpu")]
    assert devices.energy_joules(cpu) is None
    for name, joules in (("intel-rapl:0", 3), ("intel-rapl:1", 4), ("intel-rapl:0:0", 100)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "energy_uj").write_text(f"{joules * 10**6}\n")
    assert devices.energy_joules(cpu) == 7  # the part of a package is in it already


@pytest.fixture
def nvml(monkeypatch):
    """NVIDIA's library, of two cards."""

    class NVMLError(Exception):
        pass

    module = types.ModuleType("pynvml")
    vars(module).update(
        NVMLError=NVMLError,
        NVML_CLOCK_SM=1,
        nvmlInit=lambda: None,
        nvmlDeviceGetHandleByIndex=lambda index: index,
        nvmlDeviceGetHandleByUUID=lambda uuid: {"GPU-b": 1}[uuid],
        nvmlDeviceGetTotalEnergyConsumption=lambda handle: [5000, 9000][handle],
        nvmlDeviceGetClockInfo=lambda handle, kind: [1755, 1200][handle],
    )
    module.__spec__ = types.SimpleNamespace()
    monkeypatch.setitem(sys.modules, "pynvml", module)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    return module


@pytest.mark.parametrize(("visible", "joules", "hertz"), [(None, 5, 1755e6), ("1", 9, 1200e6), ("GPU-b,0", 9, 1200e6)])
def test_energy_and_clock_of_the_card_that_jax_uses(nvml, monkeypatch, visible, joules, hertz):
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert devices.energy_joules([Device()]) == joules and devices.clock_hz([Device()]) == hertz


def test_a_card_that_tells_no_energy_is_no_failure(nvml):
    def refuse(handle):
        raise nvml.NVMLError("not supported")

    nvml.nvmlDeviceGetTotalEnergyConsumption = refuse
    assert devices.energy_joules([Device()]) is None
    assert (
        devices.energy_joules([Device(platform="tpu")]) is None and devices.clock_hz([Device(platform="tpu")]) is None
    )
