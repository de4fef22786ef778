"""What a device could do at most, and what it tells about itself: memory, clock, energy.

The peaks are those that its maker states, dense (without structured sparsity), of one device as JAX counts them.
"""

import importlib.util
import os
import re
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax

from galore.errors import InputError

TERA = 1e12
NVIDIA, GOOGLE = "https://www.nvidia.com/en-us/data-center/", "https://docs.cloud.google.com/tpu/docs/"
POWER_METERS = Path("/sys/class/powercap")
SYSTEM_FILES = Path("/sys/fs/cgroup/memory.max"), Path("/proc/cpuinfo")


class Peak(NamedTuple):
    """The most that one device can do.

    Attributes:
        float32: FLOP/s in full single precision; None: not stated, or not offered.
        default: FLOP/s where arrays are float32 and products may be rounded, as JAX does unless asked: TF32 on NVIDIA's
            GPUs, bfloat16 on TPUs.
        bfloat16: FLOP/s of products of bfloat16.
        bandwidth: bytes/s to and from its memory.
        source: where that is said.
    """

    float32: float | None
    default: float | None
    bfloat16: float | None
    bandwidth: float | None
    source: str

    def flops(self, dtype: str, precision: str) -> float | None:
        """FLOP/s for arrays of a dtype, and for products of a precision: "highest", or any other for JAX's default."""
        if dtype == "bfloat16":
            return self.bfloat16
        return self.float32 if precision == "highest" else self.default


def _gpu(float32: float, tf32: float | None, bfloat16: float | None, bandwidth: float, page: str) -> Peak:
    return Peak(float32 * TERA, (tf32 or float32) * TERA, bfloat16 and bfloat16 * TERA, bandwidth * TERA, NVIDIA + page)


def _tpu(bfloat16: float, bandwidth: float, page: str) -> Peak:
    return Peak(None, bfloat16 * TERA, bfloat16 * TERA, bandwidth * TERA, GOOGLE + page)


PEAKS = {
    "NVIDIA H200": _gpu(67.0, 494.7, 989.4, 4.8, "h200/"),
    "NVIDIA H100 80GB HBM3": _gpu(66.9, 494.7, 989.4, 3.35, "h100/"),
    "NVIDIA H100 PCIe": _gpu(51.0, 378.0, 756.0, 2.0, "h100/"),
    "NVIDIA A100-SXM4-80GB": _gpu(19.5, 156.0, 312.0, 2.039, "a100/"),
    "NVIDIA A100 80GB PCIe": _gpu(19.5, 156.0, 312.0, 1.935, "a100/"),
    "NVIDIA A100-SXM4-40GB": _gpu(19.5, 156.0, 312.0, 1.555, "a100/"),
    "NVIDIA A100-PCIE-40GB": _gpu(19.5, 156.0, 312.0, 1.555, "a100/"),
    "NVIDIA L4": _gpu(30.3, 60.0, 121.0, 0.3, "l4/"),
    "Tesla T4": _gpu(8.1, None, None, 0.32, "tesla-t4/"),
    "Tesla V100-SXM2-16GB": _gpu(15.7, None, None, 0.9, "v100/"),
    "TPU v4": _tpu(275.0, 1.2, "v4"),
    "TPU v5 lite": _tpu(197.0, 0.819, "v5e"),
    "TPU v5": _tpu(459.0, 2.765, "v5p"),
    "TPU v6 lite": _tpu(918.0, 1.638, "v6e"),
}
"""By JAX's name of the device (`jax.devices()[0].device_kind`)."""
PEAKS |= {"TPU v5e": PEAKS["TPU v5 lite"], "TPU v5p": PEAKS["TPU v5"], "TPU v6e": PEAKS["TPU v6 lite"]}


def peak(kind: str, given: Sequence[float] | None = None) -> Peak | None:
    """The peak of a kind of device.

    Args:
        kind: JAX's name.
        given: FLOP/s and bytes/s that somebody states instead, for whatever dtype and precision.

    Returns:
        None for a kind that is not in the table, where nothing is given.

    Raises:
        InputError: given numbers that are no speeds.
    """
    if given is None:
        return PEAKS.get(kind)
    if len(given) != 2 or not all(0 < number < float("inf") for number in given):
        told = " ".join(f"{number:g}" for number in given)
        raise InputError(f"--peak {told}: expected two numbers above 0, FLOP/s and bytes/s, such as 1e12 2e11")
    return Peak(given[0], given[0], given[0], given[1], "given by hand")


def measured_peak(seconds: float = 0.5) -> Peak:
    """What the first device attains at what suits it best, in float32: a large matrix product, and a large sum.

    Not what its maker states, but a roof for devices that are not in the table, such as CPUs.

    Args:
        seconds: for how long each of the two is repeated.
    """
    side, length = 2048, 2**25
    # Both give what they are given, so that each call takes the memory of the one before: new memory comes slowly.
    product = _per_second(lambda x: x @ x, jax.numpy.full((side, side), 1 / side), seconds)
    total = _per_second(lambda x: x + 1, jax.numpy.ones(length), seconds)
    flops, bandwidth = 2 * side**3 * product, 2 * 4 * length * total
    return Peak(flops, flops, None, bandwidth, "measured: a matrix product of 2048 x 2048, a sum over 128 MiB")


def _per_second(function: Any, x: jax.Array, seconds: float) -> float:
    """The most calls a second, of those that fit into some time."""
    call = jax.jit(function, donate_argnums=0)
    x = jax.block_until_ready(call(x))
    best, stop = float("inf"), time.perf_counter() + seconds
    while time.perf_counter() < stop:
        start = time.perf_counter()
        x = jax.block_until_ready(call(x))
        best = min(best, time.perf_counter() - start)
    return 1 / best


def used_memory(devices: Sequence[Any]) -> int | None:
    """The most bytes that one of the devices has held so far; None where they do not say, as CPUs."""
    return _memory(devices, "peak_bytes_in_use", max)


def memory_limit(devices: Sequence[Any]) -> int | None:
    """How many bytes a program may take on each of the devices; of CPUs what the machine has, for all together.

    None where nobody says.
    """
    told = _memory(devices, "bytes_limit", min)
    if told is not None or devices[0].platform != "cpu":
        return told
    limits = [int(text) for text in [_read(SYSTEM_FILES[0])] if text.isdigit()]
    if hasattr(os, "sysconf"):
        limits.append(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    return min(limits) // len(devices) if limits else None


def _memory(devices: Sequence[Any], name: str, choose: Any) -> int | None:
    told = [(device.memory_stats() or {}).get(name) for device in devices]
    return None if None in told or not told else choose(told)


def clock_hz(devices: Sequence[Any]) -> float | None:
    """The clock of the first device now; None where nobody says."""
    if devices[0].platform == "cpu":
        found = re.search(r"^cpu MHz\s*:\s*([\d.]+)", _read(SYSTEM_FILES[1]), re.MULTILINE)
        return float(found[1]) * 1e6 if found else None
    nvml = _nvml(devices)
    return None if nvml is None else 1e6 * nvml.nvmlDeviceGetClockInfo(_handle(nvml, devices[0]), nvml.NVML_CLOCK_SM)


def processor() -> str:
    """The name of the host's processor, empty where nobody says."""
    found = re.search(r"^model name\s*:\s*(.+)$", _read(SYSTEM_FILES[1]), re.MULTILINE)
    return found[1].strip() if found else ""


def energy_joules(devices: Sequence[Any]) -> float | None:
    """What the devices have taken since some moment in the past; only differences mean something.

    NVIDIA's GPUs say it through the package `nvidia-ml-py`, processors of Intel and AMD through Linux's powercap (the
    whole package, whoever uses it), to those who may read it. None where nobody says.
    """
    if devices[0].platform == "cpu":
        meters = [_read(path / "energy_uj") for path in sorted(POWER_METERS.glob("intel-rapl:[0-9]"))]
        return sum(int(text) for text in meters) / 1e6 if meters and all(meters) else None
    nvml = _nvml(devices)
    if nvml is None:
        return None
    try:
        return sum(nvml.nvmlDeviceGetTotalEnergyConsumption(_handle(nvml, device)) for device in devices) / 1e3
    except nvml.NVMLError:
        return None


def _nvml(devices: Sequence[Any]) -> Any:
    """NVIDIA's management library, ready; None where it or the package is not there."""
    if devices[0].platform != "gpu" or importlib.util.find_spec("pynvml") is None:
        return None
    import pynvml  # pyright: ignore[reportMissingImports]

    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return None
    return pynvml


def _handle(nvml: Any, device: Any) -> Any:
    """NVML numbers all cards, JAX those that CUDA_VISIBLE_DEVICES leaves."""
    visible = [part for part in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if part]
    index = device.local_hardware_id
    if index >= len(visible):
        return nvml.nvmlDeviceGetHandleByIndex(index)
    name = visible[index]
    return nvml.nvmlDeviceGetHandleByIndex(int(name)) if name.isdigit() else nvml.nvmlDeviceGetHandleByUUID(name)


def _read(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""
