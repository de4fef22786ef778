"""One setting after the other: what is timed, what becomes of failures, and how long anybody waits."""

import dataclasses
import functools
import math
import multiprocessing
import re
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import jax

from galore import loading
from galore.benchmark import against_torch, devices, precision, record, streaming, trace, workloads
from galore.benchmark.devices import Peak
from galore.benchmark.record import Record, Row, Setting
from galore.benchmark.timing import FAILURES, FORWARD, MINIMUM_S, Turns, Workload, taken_in_turns
from galore.errors import InputError
from galore.network import Network
from galore.precision import Precision

Builders = dict[str, Callable[[], Any]]


@dataclasses.dataclass(frozen=True)
class Plan:
    """What is to be timed in one setting.

    Attributes:
        network: as `galore.load` takes it; its weights are random, which does not change the cost.
        works: names of `workloads.names()`.
        batch: images at once, on all devices together.
        precision: of the network, see `Network.with_precision`.
        layer, classes: of the network; None: as it comes.
        rounds: how often the works take turns.
        minimum_s: seconds that a measurement lasts at least.
        devices: how many; None: all.
        scaling: "strong", "weak" or empty, for the row.
        stream: a folder of photos to be streamed as well.
        torch: time torch as well.
        trace: a folder for a profile of each work.
    """

    network: str
    works: tuple[str, ...] = (FORWARD,)
    batch: int = 8
    precision: Precision = Precision.DEFAULT
    layer: str | None = None
    classes: int | None = None
    rounds: int = 7
    minimum_s: float = MINIMUM_S
    devices: int | None = None
    scaling: str = ""
    stream: Path | None = None
    torch: bool = False
    trace: Path | None = None

    @property
    def title(self) -> str:
        return f"{self.network}, batch {self.batch}, {record.arithmetic(self.dtype, self.of_products)}"

    @property
    def dtype(self) -> str:
        return "bfloat16" if self.precision == Precision.BFLOAT16 else "float32"

    @property
    def of_products(self) -> str:
        """As `record.Setting` calls it."""
        return "default" if self.precision == Precision.BFLOAT16 else self.precision.value


@functools.lru_cache(maxsize=1)
def network(name: str, layer: str | None, classes: int | None) -> Network:
    """Kept, since one network usually is timed in several settings."""
    return loading.load(name, weights=None, layer=layer, classes=classes)


def setting(plan: Plan) -> Setting:
    """The circumstances of a plan's rows."""
    net, where = network(plan.network, plan.layer, plan.classes), _devices(plan)
    return Setting(
        network=plan.network,
        layer=net.layer,
        image_size=_size(net),
        batch=plan.batch,
        dtype=plan.dtype,
        precision=plan.of_products,
        device=where[0].device_kind,
        devices=len(where),
        processes=jax.process_count(),
        scaling=plan.scaling,
        classes=_classes(net),
    )


@functools.lru_cache(maxsize=1)
def _classes(net: Network) -> int:
    """Kept, since a large network is long in tracing."""
    image = jax.ShapeDtypeStruct((_size(net), _size(net), 3), "float32")
    return jax.eval_shape(lambda net, x: net(x)[1], net, image).shape[-1]


def rows(plan: Plan, peak: Peak | None, builders: Builders | None = None) -> list[Row]:
    """Times the works of a plan; one that fails gets a row that says why, and the others go on.

    Args:
        plan: what to time.
        peak: of one device.
        builders: torch modules by name, for networks that torchvision does not have.

    Raises:
        InputError: an unknown network or work, a batch that the devices cannot share equally, torch that is not there.
    """
    known, circumstances = network(plan.network, plan.layer, plan.classes), setting(plan)
    net = known.with_precision(plan.precision)
    made, failed = [], []
    for name, make in _makers(plan, net, builders or {}).items():
        try:
            made += make()
        except FAILURES as error:
            failed.append(record.failure(Row(name, circumstances), error, record.COMPILE_ERROR))
    found = _timed(made, plan, circumstances, peak, FORWARD)
    if plan.stream is not None:
        streamed = streaming.build(net, plan.stream, plan.batch, plan.dtype)
        found += _timed(streamed, plan, circumstances, peak, streaming.FORWARDS)
    errors = _errors(known, plan.works, plan.precision) if found else {}
    return [dataclasses.replace(row, error_against_float64=errors.get(row.work)) for row in found] + failed


@functools.lru_cache(maxsize=4)
def _errors(net: Network, works: tuple[str, ...], of: Precision) -> dict[str, float]:
    """Kept for other batches, on which they do not depend; none where there is no room for them."""
    try:
        found = precision.errors(_exact(net, works), of)
    except FAILURES:
        return {}
    # Maps that are zero everywhere have none.
    return {work: error for work, error in found.items() if math.isfinite(error)}


@functools.lru_cache(maxsize=1)
def _exact(net: Network, works: tuple[str, ...]) -> precision.Reference:
    """Kept for the other precisions of the network."""
    return precision.reference(net, (FORWARD, *works), precision.noise(_size(net)))


def _timed(made: list[Workload], plan: Plan, circumstances: Setting, peak: Peak | None, forward: str) -> list[Row]:
    if not made:
        return []
    with_reference = [*made, workloads.reference()]
    turns = taken_in_turns(with_reference, plan.rounds, plan.minimum_s)
    if plan.trace:
        _traced(made, turns, plan.trace / _file_name(plan.title))
    return record.rows(with_reference, turns, circumstances, peak, forward, workloads.REFERENCE)


def _traced(made: Sequence[Workload], turns: Turns, folder: Path) -> None:
    for index, workload in enumerate(made):
        if index not in turns.failures:
            trace.profile(workload.call, workload.program, folder / _file_name(workload.name))


def _file_name(text: str) -> str:
    return re.sub(r"[^\w.]+", "-", text).strip("-")


def _makers(plan: Plan, net: Network, builders: Builders) -> dict[str, Callable[[], list[Workload]]]:
    ours = workloads.makers(net, plan.works, plan.batch, plan.dtype, size=_size(net), where=_devices(plan))
    made: dict[str, Callable[[], list[Workload]]] = {name: lambda make=make: [make()] for name, make in ours.items()}
    if plan.torch and plan.dtype == "float32":
        made["torch"] = lambda: against_torch.build(
            net, plan.batch, builders, _size(net), plan.precision == Precision.HIGHEST
        )
    return made


def _devices(plan: Plan) -> list[Any]:
    there = jax.devices()
    if plan.devices is not None and not 1 <= plan.devices <= len(there):
        raise InputError(f"{plan.devices} devices, expected 1 to {len(there)}")
    return there[: plan.devices]


def _size(net: Network) -> int:
    return net.preprocessing.crop if net.preprocessing else 224


def fits(plan: Plan) -> bool:
    """Whether every work of a plan compiles and runs once."""
    net = network(plan.network, plan.layer, plan.classes)
    try:
        for make in _makers(dataclasses.replace(plan, torch=False), net, {}).values():
            make()
    except FAILURES:
        return False
    return True


def peak_of(given: Sequence[float] | None, is_measured: bool = False) -> Peak | None:
    """Of the first device, see `devices.peak`."""
    return devices.measured_peak() if is_measured else devices.peak(jax.devices()[0].device_kind, given)


def apart(plan: Plan, limit_s: float, **options: Any) -> Record:
    """Measures a plan in a process of its own, and ends that where it takes too long; one that dies is a failure too.

    Args:
        plan: what to time.
        limit_s: seconds that it may take, its start included.
        options: as `alone` takes them.

    Raises:
        InputError: as `rows`.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "record.json"
        worker = multiprocessing.get_context("spawn").Process(
            target=alone, args=(plan, path), kwargs=options, daemon=True
        )
        worker.start()
        worker.join(limit_s)
        took_too_long = worker.is_alive()
        if took_too_long:
            worker.kill()
            worker.join()
        if (refused := path.with_suffix(".txt")).exists():
            raise InputError(refused.read_text(encoding="utf-8"))
        found = record.read(path) if path.exists() else Record(record.SCHEMA, {}, None, unfinished(plan, None))
    if took_too_long:
        return _ended(found, record.TIMED_OUT, f"not done after {limit_s:g} s")
    return _ended(found, record.FAILED, f"the process ended with exit code {worker.exitcode}")


def alone(plan: Plan, path: Path, **options: Any) -> None:
    """What the process of `apart` does: writes a record of what it is about to measure, and then of what it found.

    Args:
        plan: what to time.
        path: of the record; a sentence for the person comes beside it, with the ending .txt.
        options: `peak`, a function that gives one; `builders` as `rows` takes them; `made`, options to be recorded.
    """
    try:
        jax.config.update("jax_enable_compilation_cache", False)
        peak, made = options["peak"](), record.made(options["made"])
        record.save(Record(record.SCHEMA, made, peak, unfinished(plan, setting(plan))), path)
        record.save(Record(record.SCHEMA, made, peak, rows(plan, peak, options["builders"])), path)
    except InputError as error:
        path.with_suffix(".txt").write_text(str(error), encoding="utf-8")


UNFINISHED = "unfinished"


def unfinished(plan: Plan, circumstances: Setting | None) -> list[Row]:
    """The rows of works that are about to be measured."""
    workloads.check_names(plan.works)
    unknown = Setting(
        plan.network, plan.layer or "", 0, plan.batch, plan.dtype, plan.of_products, "", plan.devices or 0
    )
    return [Row(work, circumstances or unknown, UNFINISHED) for work in dict.fromkeys((FORWARD, *plan.works))]


def _ended(found: Record, status: str, reason: str) -> Record:
    """With what became of works that were never finished."""
    given: Iterator[Row] = (
        dataclasses.replace(row, status=status, reason=reason) if row.status == UNFINISHED else row
        for row in found.rows
    )
    return dataclasses.replace(found, rows=list(given))
