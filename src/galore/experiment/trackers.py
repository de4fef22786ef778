"""Numbers for TensorBoard, Weights & Biases or MLflow as they come: off by default, imported where one is asked for."""

import contextlib
import importlib
import numbers
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from galore import foreign
from galore.errors import InputError, closest
from galore.experiment.table import Table

Log = Callable[[Mapping[str, Any], int], None]
"""Told numbers by name, also nested, at a step; what is no number is left out."""

PROJECT = "galore"


@contextlib.contextmanager
def opened(tracker: Any, folder: Path, name: str, options: Mapping[str, Any]) -> Iterator[Log]:
    """What sends numbers to a tracker, as a run of its own.

    Args:
        tracker: one of `TRACKERS`; None: nobody is told.
        folder: of the run; TensorBoard's files go into tensorboard/ there, those of Weights & Biases into wandb/.
        name: of the run.
        options: of the run, by dotted name.

    Raises:
        InputError: no such tracker, or its package is not installed; before any work.
    """
    if tracker is None:
        yield lambda records, step: None
        return
    if tracker not in TRACKERS:
        hint = closest(str(tracker), TRACKERS) or f"there are {', '.join(TRACKERS)}"
        raise InputError(f"tracker={foreign.text(str(tracker))}: no such tracker; {hint}")
    package, adapter = TRACKERS[tracker]
    try:
        module = importlib.import_module(package)
    except ImportError as error:
        raise InputError(f"tracker={tracker} needs {package} ({error}): pip install {package}") from None
    with adapter(module, folder, name, options) as log:
        yield lambda records, step: log(_flat(records), step)


def of_table(table: Table) -> dict[str, float]:
    """The means of a table by their labels, method and measure: "advanced/margin/auroc"."""
    return {
        "/".join([*(value for _, value in row.cell.labels if value), row.cell.method.label, row.cell.number]): value
        for row in table.summary().rows
        if (value := row.estimate.value) == row.estimate.value  # NaN where nothing counted
    }


@contextlib.contextmanager
def _tensorboard(module: ModuleType, folder: Path, name: str, options: Mapping[str, Any]) -> Iterator[Log]:
    with module.SummaryWriter(logdir=str(folder / "tensorboard")) as writer:
        writer.add_text("options", "\n".join(f"    {name}: {value}" for name, value in options.items()))

        def log(records: Mapping[str, float], step: int) -> None:
            for name, value in records.items():
                writer.add_scalar(name, value, step)

        yield log


@contextlib.contextmanager
def _wandb(module: ModuleType, folder: Path, name: str, options: Mapping[str, Any]) -> Iterator[Log]:
    folder.mkdir(parents=True, exist_ok=True)
    with module.init(project=PROJECT, name=name, dir=str(folder), config=dict(options)) as run:
        yield lambda records, step: run.log(dict(records), step=step)


@contextlib.contextmanager
def _mlflow(module: ModuleType, folder: Path, name: str, options: Mapping[str, Any]) -> Iterator[Log]:
    module.set_experiment(PROJECT)
    with module.start_run(run_name=name):
        module.log_params({name: str(value)[:500] for name, value in options.items()})
        # Names there are letters, digits and a few signs.
        yield lambda records, step: module.log_metrics({_legal(one): x for one, x in records.items()}, step=step)


TRACKERS = {
    "tensorboard": ("tensorboardX", _tensorboard),
    "wandb": ("wandb", _wandb),
    "mlflow": ("mlflow", _mlflow),
}
"""The package of each, and how it takes numbers."""


def _flat(records: Mapping[str, Any], prefix: str = "") -> dict[str, float]:
    numbers_by_name: dict[str, float] = {}
    for name, value in records.items():
        if isinstance(value, Mapping):
            numbers_by_name |= _flat(value, f"{prefix}{name}/")
        elif isinstance(value, numbers.Real) and name != "step":
            numbers_by_name[f"{prefix}{name}"] = float(value)
    return numbers_by_name


def _legal(name: str) -> str:
    return "".join(c if c.isalnum() or c in "/_-. " else "_" for c in name)
