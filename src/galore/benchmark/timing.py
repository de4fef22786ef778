"""Times that mean something: warm, interleaved, long enough, many, with their spread, and as ratios within one round.

All workloads of one setting take turns, round after round, so that a machine that slows down slows all of them; the
ratio of a workload to the forward pass is the median of its ratios within each round. They take turns within a round
too, a slice of it each, so that a disturbance of seconds meets all alike: on a machine that others share, a program
against itself was then off by 1 % instead of 14 %. A workload that fails says why, and the others go on.
"""

import itertools
import math
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.experimental import multihost_utils
from jaxtyping import Float

from galore.benchmark import devices
from galore.cutting import flops

FORWARD = "forward"
FAILURES = (RuntimeError, MemoryError)
"""What XLA, torch and Python raise where a device fails or has too little memory."""

MINIMUM_S = 0.2
"""Seconds that one measurement lasts at least, unless somebody says otherwise."""
SLICE_S = 0.05
"""Seconds after which the next workload has its turn, so that what disturbs a long measurement disturbs all alike."""
STEADY, MOST_WARM_UPS = 0.1, 8


class Made(NamedTuple):
    """What making a program took, and what is known of it; None where it is not known.

    Attributes:
        trace_s: seconds until the compiler had it.
        compile_s: seconds of compilation.
        first_run_s: seconds of its first run.
        planned_bytes: of memory that it needs on one device, arguments and results included.
        used_bytes: the most that a device held while it ran first; None also where an earlier one held more.
        compiled_flops, compiled_bytes: by the compiler's analysis of what it made, all devices together.
        counted: from the shapes of the network's operations, see `flops.count`.
    """

    trace_s: float | None = None
    compile_s: float | None = None
    first_run_s: float | None = None
    planned_bytes: int | None = None
    used_bytes: int | None = None
    compiled_flops: float | None = None
    compiled_bytes: float | None = None
    counted: flops.Count | None = None


class Workload(NamedTuple):
    """Something to time, already compiled.

    Attributes:
        name: what it is.
        call: does it once and waits for the result.
        images: how many images one call explains.
        made: what is known of it.
        repeats_of: by how much a call is to be multiplied, for a sample of something longer.
        program: the compiled one, where there is one.
    """

    name: str
    call: Callable[[], Any]
    images: int
    made: Made = Made()
    repeats_of: float = 1.0
    program: Any = None


class Turns(NamedTuple):
    """What was measured while workloads took turns.

    Attributes:
        seconds: of a call, [rounds, workloads]; NaN from the round on in which a workload failed.
        joules: likewise, of all devices together; NaN where they do not tell.
        calls: of which one measurement is the mean.
        failures: by the workload's place.
    """

    seconds: Float[np.ndarray, "rounds works"]
    joules: Float[np.ndarray, "rounds works"]
    calls: list[int]
    failures: dict[int, Exception]


def compiled(
    name: str,
    function: Callable[..., Any],
    arguments: tuple,
    images: int,
    repeats_of: float = 1.0,
    counted: Callable[..., Any] | None = None,
    carries: bool = False,
) -> Workload:
    """Compiles a function for its arguments and runs it once.

    Args:
        name: what it is.
        function: of the arguments, which may be divided among devices.
        arguments: what every call is given.
        images: how many images one call explains.
        repeats_of: see `Workload`.
        counted: the function as it is before it is divided, whose operations are counted; None: they are not.
        carries: the first of its results is the first argument of the next call, and takes its memory.

    Raises:
        MemoryError: the compiler plans for more memory than a device has; where that is known nothing is run.
    """
    where, shapes = _devices_of(arguments), jax.tree.map(_shape, arguments)
    # Those of other processes tell them alone.
    here = [device for device in where if device.process_index == jax.process_index()]
    before, start = devices.used_memory(here), time.perf_counter()
    lowered = jax.jit(function, donate_argnums=0 if carries else ()).lower(*arguments)
    traced = time.perf_counter()
    program = lowered.compile()
    ready, planned = time.perf_counter(), program_bytes(program)
    _check_room(planned, here)
    held = list(arguments)

    def call() -> Any:
        results = jax.block_until_ready(program(*held))
        if carries:
            held[0] = results[0]
        return results

    call()
    end, used = time.perf_counter(), devices.used_memory(here)
    analysis = program.cost_analysis() or {}
    in_all = {key: analysis[key] * len(where) if key in analysis else None for key in ("flops", "bytes accessed")}
    made = Made(
        trace_s=traced - start,
        compile_s=ready - traced,
        first_run_s=end - ready,
        planned_bytes=planned,
        used_bytes=used if used is not None and used > (before or 0) else None,
        compiled_flops=in_all["flops"],
        compiled_bytes=in_all["bytes accessed"],
        counted=None if counted is None else flops.count(counted, *shapes),
    )
    return Workload(name, call, images, made, repeats_of, program)


def _check_room(planned: int | None, where: Sequence[Any]) -> None:
    """CPUs do not fail where memory ends: the system ends the process."""
    limit = devices.memory_limit(where)
    if planned is not None and limit is not None and planned > limit:
        raise MemoryError(f"the program needs {planned / 2**30:.1f} GiB on one device, which has {limit / 2**30:.1f}")


def _devices_of(arguments: Any) -> list[Any]:
    arrays = [leaf for leaf in jax.tree.leaves(arguments) if isinstance(leaf, jax.Array)]
    return sorted({device for array in arrays for device in array.devices()}, key=lambda device: device.id)


def _shape(leaf: Any) -> Any:
    return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype) if isinstance(leaf, jax.Array) else leaf


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
    for number, index, _ in _turns([1] * len(workloads), rounds):
        for _ in range(repeats - 1):
            workloads[index].call()
        seconds[number, index] = _seconds(workloads[index].call) * workloads[index].repeats_of
    return seconds


def taken_in_turns(workloads: Sequence[Workload], rounds: int, minimum_s: float = MINIMUM_S) -> Turns:
    """Warms every workload up until it is steady, and measures all of them round after round.

    With several processes each measurement begins in all of them together, and the slowest one counts.

    Args:
        workloads: to time.
        rounds: how many.
        minimum_s: seconds that a measurement lasts at least: a short workload is called that often, in slices between
            which the others take their turns.
    """
    failures: dict[int, Exception] = {}
    calls = [1] * len(workloads)
    seconds, joules = (np.zeros((rounds, len(workloads))) for _ in range(2))
    for index, workload in enumerate(workloads):
        try:
            calls[index] = max(1, math.ceil(minimum_s / max(_steady(workload), 1e-9)))
        except FAILURES as error:
            failures[index] = error
            seconds[:, index] = joules[:, index] = math.nan
    slices = max(1, round(minimum_s / SLICE_S))
    for number, index, share in _turns(calls, rounds, slices):
        if index not in failures:
            times = workloads[index].repeats_of / calls[index]
            try:
                seconds_taken, joules_taken = _measured(workloads[index].call, share, times)
                seconds[number, index] += seconds_taken
                joules[number, index] += joules_taken
            except FAILURES as error:
                failures[index] = error
                seconds[number:, index] = joules[number:, index] = math.nan
    return Turns(seconds, np.where(joules > 0, joules, math.nan), calls, failures)


def _measured(call: Callable[[], Any], calls: int, times: float) -> tuple[float, float]:
    """Seconds and joules of several calls, both times a factor; NaN joules where nobody tells."""
    here = jax.local_devices()
    before = devices.energy_joules(here)
    seconds = _together(lambda: [call() for _ in range(calls)])
    after = devices.energy_joules(here)
    # The meter of a processor starts again at zero from time to time; a coarse one may stand still for a slice.
    joules = math.nan if before is None or after is None or after < before else after - before
    return seconds * times, joules * times


def _turns(calls: Sequence[int], rounds: int, slices: int = 1) -> Iterator[tuple[int, int, int]]:
    """Round, workload, how many calls: those of a round are spread over its slices, whose order turns."""
    for number, part in itertools.product(range(rounds), range(slices)):
        for index in np.roll(np.arange(len(calls)), -number - part).tolist():
            share = calls[index] * (part + 1) // slices - calls[index] * part // slices
            if share:
                yield number, index, share


def _steady(workload: Workload) -> float:
    """Calls a workload until two calls take equally long, up to a tenth; seconds of the last call.

    The first call is no measure: it may have to load what the program needs.
    """
    workload.call()
    last = _together(workload.call)
    for _ in range(MOST_WARM_UPS):
        before, last = last, _together(workload.call)
        if abs(last - before) <= STEADY * last:
            break
    return last


def _together(call: Callable[[], Any]) -> float:
    """Seconds of a call that all processes begin together: those of the slowest."""
    if jax.process_count() == 1:
        return _seconds(call)
    multihost_utils.sync_global_devices("measurement")
    return float(multihost_utils.process_allgather(np.asarray(_seconds(call))).max())


def _seconds(call: Callable[[], Any]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def ratios(seconds: np.ndarray) -> np.ndarray:
    """Of every workload to the first one, the forward pass, in the same round, [rounds, workloads]."""
    return seconds / seconds[:, :1]


def resident_bytes() -> int:
    """The most memory that this process has held so far; 0 on Windows, which does not say."""
    try:
        import resource
    except ImportError:
        return 0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
