"""What a device could do at most, and what it tells about itself: memory, clock, energy.

The peaks are those that its maker states, dense (without structured sparsity), of one device as JAX counts them.
"""

import importlib.util
import os
import re
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from galore.errors import InputError

TERA = 1e12
POWER_METERS = Path("/sys/class/powercap")
SYSTEM_FILES = Path("/sys/fs/cgroup/memory.max"), Path("/proc/cpuinfo")
SIDES, LENGTH = (512, 1024, 2048, 4096), 2**25
"""Of the matrices and of the array by which a peak is measured."""


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
        """FLOP/s for arrays of a dtype, and for products of a precision, as `record.Setting` calls it."""
        if dtype == "bfloat16" or precision == "mixed":
            return self.bfloat16
        if precision == "high" and self.float32 is None and self.bfloat16:
            return self.bfloat16 / 3  # a TPU's passes
        return self.float32 if precision == "highest" else self.default


def _gpu(float32: float, tf32: float | None, bfloat16: float | None, bandwidth: float, source: str) -> Peak:
    peaks = float32 * TERA, (tf32 or float32) * TERA, bfloat16 and bfloat16 * TERA, bandwidth * TERA
    return Peak(*peaks, f"NVIDIA {source}")


def _tpu(bfloat16: float, bandwidth: float, page: str) -> Peak:
    source = f"Google Cloud, https://docs.cloud.google.com/tpu/docs/{page}"
    return Peak(None, bfloat16 * TERA, bfloat16 * TERA, bandwidth * TERA, source)


# Where NVIDIA states a number with sparsity, half of it stands here.
_FILES, _IMAGES = "https://www.nvidia.com/content/dam/en-zz/Solutions/Data-Center", "https://images.nvidia.com"
H200 = "H200 datasheet, https://nvdam.widen.net/s/nb5zzzsjdf/hpc-datasheet-sc23-h200-datasheet-3002446"
H100 = "H100 datasheet, https://resources.nvidia.com/en-us-tensor-core/nvidia-tensor-core-gpu-datasheet"
A100 = f"A100 80GB datasheet, {_FILES}/a100/pdf/nvidia-a100-datasheet-us-nvidia-1758950-r4-web.pdf"
A100_40 = f"A100 40GB datasheet, {_FILES}/a100/pdf/nvidia-a100-datasheet.pdf"
L4 = "L4 datasheet, https://nvdam.widen.net/s/rvq98gbwsw/l4-datasheet-2595652"
TURING = f"Turing whitepaper, {_IMAGES}/aem-dam/en-zz/Solutions/design-visualization/technologies/turing-architecture/"
V100 = f"V100 datasheet, {_IMAGES}/content/technologies/volta/pdf/volta-v100-datasheet-update-us-1165301-r5.pdf"

PEAKS = {
    "NVIDIA H200": _gpu(67.0, 494.5, 989.5, 4.8, H200),
    "NVIDIA H100 80GB HBM3": _gpu(67.0, 494.5, 989.5, 3.35, H100),
    "NVIDIA H100 PCIe": _gpu(51.0, 378.0, 756.5, 2.0, H100),
    "NVIDIA A100-SXM4-80GB": _gpu(19.5, 156.0, 312.0, 2.039, A100),
    "NVIDIA A100 80GB PCIe": _gpu(19.5, 156.0, 312.0, 1.935, A100),
    "NVIDIA A100-SXM4-40GB": _gpu(19.5, 156.0, 312.0, 1.555, A100_40),
    "NVIDIA A100-PCIE-40GB": _gpu(19.5, 156.0, 312.0, 1.555, A100_40),
    "NVIDIA L4": _gpu(30.3, 60.0, 121.0, 0.3, L4),
    "Tesla T4": _gpu(8.1, None, None, 0.32, TURING),
    "Tesla V100-SXM2-16GB": _gpu(15.7, None, None, 0.9, V100),
    "Tesla V100-SXM2-32GB": _gpu(15.7, None, None, 0.9, V100),
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


def measured_peak(seconds: float = 0.5, sides: Sequence[int] = SIDES, length: int = LENGTH) -> Peak:
    """What the first device attains at what suits it best, in float32: matrix products, and a large sum.

    Not what its maker states, but a roof for devices that are not in the table, such as CPUs.

    Args:
        seconds: for how long each of them is repeated, at least.
        sides: of the square matrices, of which the fastest counts.
        length: of the array of the sum.
    """
    products = [2 * side**3 * _per_second(_product, jax.numpy.full((side, side), 1 / side), seconds) for side in sides]
    bandwidth = 2 * 4 * length * _per_second(_sum, jax.numpy.ones(length), seconds)
    side, size = sides[int(np.argmax(products))], 4 * length // 2**20
    source = f"measured: a matrix product of {side} x {side}, a sum over {size} MiB"
    return Peak(max(products), max(products), None, bandwidth, source)


# Both give what they are given, so that each call takes the memory of the one before: new memory comes slowly.
def _product(x: jax.Array) -> jax.Array:
    return x @ x


def _sum(x: jax.Array) -> jax.Array:
    return x + 1


def _per_second(function: Callable[[jax.Array], jax.Array], x: jax.Array, seconds: float) -> float:
    """The most calls a second, of three at least and as many as fit into some time."""
    call = jax.jit(function, donate_argnums=0)
    x = jax.block_until_ready(call(x))
    taken: list[float] = []
    while len(taken) < 3 or sum(taken) < seconds:
        start = time.perf_counter()
        x = jax.block_until_ready(call(x))
        taken.append(time.perf_counter() - start)
    return 1 / min(taken)


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
