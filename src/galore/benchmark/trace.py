"""Where the time of a work goes: a profile for TensorBoard and Perfetto, and its dearest operations in words.

The phases are the outermost of the scopes that the library names: features, head, attribution, region.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jax

PHASES = ("features", "head", "attribution", "region")
OTHER = "other"
DEAREST = 10
SUMMARY = "summary.txt"

_NAMED = re.compile(r'^\s*(?:ROOT )?%?([\w.-]+) = .*metadata={[^}]*op_name="([^"]*)"', re.MULTILINE)
_PHASE = re.compile(rf"\b({'|'.join(PHASES)})\b")


class Operation(NamedTuple):
    """What one operation of a program took.

    Attributes:
        name: that of the compiled program, as TensorBoard and Perfetto show it.
        phase: one of `PHASES`, or `OTHER`.
        source: the operation of JAX that it was made of, the last one where several were fused; or empty.
        seconds: without the operations inside it, summed over threads and devices.
    """

    name: str
    phase: str
    source: str
    seconds: float


def profile(call: Callable[[], Any], program: Any, folder: Path) -> list[Operation]:
    """Profiles one call, into a folder of its own.

    Args:
        call: which waits for its result, and was called before.
        program: the compiled one, which knows what its operations were made of; None: nobody knows.
        folder: of the profile; the summary is written there, too.

    Returns:
        The operations, the dearest first.
    """
    options = jax.profiler.ProfileOptions()
    options.python_tracer_level = 0
    with jax.profiler.trace(str(folder), create_perfetto_trace=True, profiler_options=options):
        call()
    found = operations(_recorded(folder), {} if program is None else sources(program.as_text()))
    (folder / SUMMARY).write_text(summary(found), encoding="utf-8")
    return found


def sources(text: str) -> dict[str, str]:
    """By the name of each operation of a compiled program where in the traced one it comes from."""
    return dict(_NAMED.findall(text))


def operations(lines: Iterable[list[tuple[str, float, float]]], known: dict[str, str]) -> list[Operation]:
    """The operations of a profile, the dearest first.

    Args:
        lines: of each thread or stream (name, start, end) of what ran, in seconds.
        known: by name the source, see `sources`.
    """
    taken: defaultdict[str, float] = defaultdict(float)
    for line in lines:
        for name, seconds in _alone(line):
            taken[name] += seconds
    return [
        Operation(name, _phase_of(known.get(name, "")), known.get(name, "").rpartition("/")[2], seconds)
        for name, seconds in _dearest(taken)
    ]


def summary(found: list[Operation], count: int = DEAREST) -> str:
    """The share of each phase, and the dearest operations."""
    total = sum(operation.seconds for operation in found)
    if not total:
        return "The profile has no operations.\n"
    by_phase: defaultdict[str, float] = defaultdict(float)
    for operation in found:
        by_phase[operation.phase] += operation.seconds
    shares = ", ".join(f"{phase} {100 * seconds / total:.0f} %" for phase, seconds in _dearest(by_phase))
    lines = [f"{1000 * total:.2f} ms in {len(found)} operations: {shares}"]
    for name, phase, source, seconds in found[:count]:
        lines.append(f"{1000 * seconds:9.3f} ms {100 * seconds / total:4.0f} %  {phase:11}  {name}  {source}".rstrip())
    return "\n".join(lines) + "\n"


def _dearest(taken: dict[str, float]) -> list[tuple[str, float]]:
    return sorted(taken.items(), key=lambda one: -one[1])


def _phase_of(source: str) -> str:
    outermost = _PHASE.search(source)
    return outermost[1] if outermost else OTHER


def _recorded(folder: Path) -> Iterator[list[tuple[str, float, float]]]:
    """The operations of XLA, by thread of the host or stream of a device."""
    for path in folder.rglob("*.xplane.pb"):
        for plane in jax.profiler.ProfileData.from_file(str(path)).planes:
            for line in plane.lines:
                if spans := [span for event in line.events if (span := _span(event, line.name)) is not None]:
                    yield spans


def _span(event: Any, line: str) -> tuple[str, float, float] | None:
    name = dict(event.stats).get("hlo_op")
    if name is None and line == "XLA Ops":  # TPUs
        name = event.name.partition(" = ")[0].removeprefix("%")
    start = event.start_ns / 1e9
    return None if name is None else (str(name), start, start + event.duration_ns / 1e9)


def _alone(line: list[tuple[str, float, float]]) -> Iterator[tuple[str, float]]:
    """The seconds of each operation without those that ran inside it, such as a loop's."""
    around: list[tuple[str, float]] = []
    for name, start, end in sorted(line, key=lambda span: (span[1], -span[2])):
        while around and around[-1][1] <= start:
            around.pop()
        if around:
            yield around[-1][0], start - end
        yield name, end - start
        around.append((name, end))
