"""Times that mean something: warm, interleaved, many, with their spread, and as ratios within one round.

All workloads of one setting take turns, round after round, so that a machine that slows down slows all of them; the
ratio of a workload to the forward pass is the median of its ratios within each round.
"""

import dataclasses
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

FORWARD = "forward"


class Workload(NamedTuple):
    """Something to time, already compiled.

    Attributes:
        name: what it is.
        call: does it once and waits for the result.
        images: how many images one call explains.
        compile_s: seconds that compilation took; None where there was none.
        peak_bytes: the memory that the compiled program needs, arguments and results included; None where unknown.
        repeats_of: by how much a call is to be multiplied, for a sample of something longer.
    """

    name: str
    call: Callable[[], Any]
    images: int
    compile_s: float | None = None
    peak_bytes: int | None = None
    repeats_of: float = 1.0


@dataclasses.dataclass(frozen=True)
class Record:
    """One row of the benchmark.

    Attributes:
        work: what was done.
        network: by which network.
        batch: images at once.
        dtype: of the parameters and images.
        device: its kind.
        devices: how many.
        median_s: seconds per call, the median over the rounds.
        spread: the distance between the quartiles, relative to the median.
        images_per_s: images explained a second.
        ratio_to_forward: to one forward pass of the same images, the median over the rounds.
        peak_bytes: see `Workload`.
        compile_s: see `Workload`.
    """

    work: str
    network: str
    batch: int
    dtype: str
    device: str
    devices: int
    median_s: float
    spread: float
    images_per_s: float
    ratio_to_forward: float
    peak_bytes: int | None
    compile_s: float | None


def compiled(
    name: str, function: Callable[..., Any], arguments: tuple, images: int, repeats_of: float = 1.0
) -> Workload:
    """Compiles a function for its arguments, and says what that took and what memory the program needs."""
    start = time.perf_counter()
    program = jax.jit(function).lower(*arguments).compile()
    seconds = time.perf_counter() - start
    return Workload(
        name, lambda: jax.block_until_ready(program(*arguments)), images, seconds, program_bytes(program), repeats_of
    )


def program_bytes(program: Any) -> int | None:
    """What XLA planned for one device: arguments, results and temporary buffers."""
    plan = program.memory_analysis()
    if plan is None:
        return None
    total = plan.argument_size_in_bytes + plan.output_size_in_bytes + plan.temp_size_in_bytes
    return int(total - plan.alias_size_in_bytes)


def interleaved(workloads: Sequence[Workload], rounds: int, warm_up: int = 1, repeats: int = 1) -> np.ndarray:
    """Seconds of every workload in every round, [rounds, workloads]; the order turns from round to round.

    Args:
        workloads: to time.
        rounds: how many.
        warm_up: calls of each before the first round.
        repeats: calls in a round, the last of which counts; with 2 a workload finds its own data in the caches.
    """
    for workload in workloads:
        for _ in range(warm_up):
            workload.call()
    seconds = np.zeros((rounds, len(workloads)))
    for number in range(rounds):
        for index in np.roll(np.arange(len(workloads)), -number).tolist():
            for _ in range(repeats - 1):
                workloads[index].call()
            start = time.perf_counter()
            workloads[index].call()
            seconds[number, index] = (time.perf_counter() - start) * workloads[index].repeats_of
    return seconds


def ratios(seconds: np.ndarray) -> np.ndarray:
    """Of every workload to the first one, the forward pass, in the same round, [rounds, workloads]."""
    return seconds / seconds[:, :1]


def records(workloads: Sequence[Workload], seconds: np.ndarray, network: str, batch: int, dtype: str) -> list[Record]:
    """The rows of one setting, the first of which is the forward pass."""
    low, median, high = np.quantile(seconds, [0.25, 0.5, 0.75], axis=0)
    to_forward = np.median(ratios(seconds), axis=0)
    return [
        Record(
            work=workload.name,
            network=network,
            batch=batch,
            dtype=dtype,
            device=jax.devices()[0].device_kind,
            devices=jax.local_device_count(),
            median_s=float(median[k]),
            spread=float((high[k] - low[k]) / median[k]),
            images_per_s=float(workload.images / median[k]),
            ratio_to_forward=float(to_forward[k]),
            peak_bytes=workload.peak_bytes,
            compile_s=workload.compile_s,
        )
        for k, workload in enumerate(workloads)
    ]


def resident_bytes() -> int:
    """The most memory that this process has held so far; 0 on Windows, which does not say."""
    try:
        import resource
    except ImportError:
        return 0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
