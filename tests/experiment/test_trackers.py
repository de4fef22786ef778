"""Numbers for trackers: their packages are stood in for."""

import contextlib
import sys
from types import ModuleType

import numpy as np
import pytest

from galore.errors import InputError
from galore.evaluation.methods import Method, Rule
from galore.experiment import trackers
from galore.experiment.table import Cell, Row, Table

RECORDS = {"step": 3, "loss": 0.5, "validation": {"accuracy": np.float32(0.25)}, "name": "no number"}
OPTIONS = {"train.epochs": 2}


class Writer(contextlib.AbstractContextManager):
    """Has the methods that are called of tensorboardX and of a run of wandb, and keeps what they are told."""

    def __init__(self, **named):
        self.told = [named]

    def __exit__(self, *_):
        self.told.append("closed")

    def add_text(self, name, text):
        self.told.append((name, text.strip()))

    def add_scalar(self, name, value, step):
        self.told.append((name, value, step))

    def log(self, records, step):
        self.told.append((records, step))


@pytest.fixture
def stood_in(monkeypatch):
    """Puts a module in the place of a package; gives what its writers were told."""
    writers = []

    def put(package, **functions):
        def opened(**named):
            writers.append(Writer(**named))
            return writers[-1]

        module = ModuleType(package)
        for name, function in functions.items():
            setattr(module, name, opened if function is None else function)
        monkeypatch.setitem(sys.modules, package, module)
        return writers

    return put


def test_tensorboard_is_told_each_number_by_its_name(stood_in, tmp_path):
    writers = stood_in("tensorboardX", SummaryWriter=None)
    with trackers.opened("tensorboard", tmp_path, "run", OPTIONS) as log:
        log(RECORDS, 3)
    (writer,) = writers
    assert writer.told[0] == {"logdir": str(tmp_path / "tensorboard")} and writer.told[-1] == "closed"
    assert writer.told[1:-1] == [
        ("options", "train.epochs: 2"), ("loss", 0.5, 3), ("validation/accuracy", 0.25, 3)
    ]  # fmt: skip


def test_weights_and_biases_is_told_the_numbers_of_a_step_at_once(stood_in, tmp_path):
    writers = stood_in("wandb", init=None)
    with trackers.opened("wandb", tmp_path / "new", "run", OPTIONS) as log:
        log(RECORDS, 3)
    started = {"project": "galore", "name": "run", "dir": str(tmp_path / "new"), "config": OPTIONS}
    assert writers[0].told == [started, ({"loss": 0.5, "validation/accuracy": 0.25}, 3), "closed"]


def test_mlflow_is_told_legal_names(stood_in, tmp_path):
    told = []
    stood_in(
        "mlflow",
        set_experiment=told.append,
        start_run=lambda run_name: contextlib.nullcontext(told.append(run_name)),
        log_params=told.append,
        log_metrics=lambda records, step: told.append((records, step)),
    )
    with trackers.opened("mlflow", tmp_path, "run", OPTIONS) as log:
        log({"a * comp(b)/auroc": 0.5}, 0)
    assert told == ["galore", "run", {"train.epochs": "2"}, ({"a _ comp_b_/auroc": 0.5}, 0)]


def test_nobody_is_told_by_default_and_nothing_is_imported(tmp_path):
    with trackers.opened(None, tmp_path, "run", OPTIONS) as log:
        log(RECORDS, 3)
    assert not any(package in sys.modules for package, _ in trackers.TRACKERS.values()) and not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("tracker", "said"),
    [
        ("tensorbord", "tracker=tensorbord: no such tracker; the closest is tensorboard"),
        ("wandb", r"tracker=wandb needs wandb .*: pip install wandb"),
    ],
)
def test_a_missing_or_unknown_tracker_is_told_before_any_work(monkeypatch, tmp_path, tracker, said):
    monkeypatch.setitem(sys.modules, "wandb", None)  # as where it is not installed
    with pytest.raises(InputError, match=said), trackers.opened(tracker, tmp_path, "run", OPTIONS):
        pass


def test_the_means_of_a_table_have_the_names_of_their_rows():
    cells = [
        Cell(Method(Rule.MARGIN), "auroc", None, (("user", "advanced"),)),
        Cell(Method(Rule.MARGIN), "recall", 0.05),
    ]
    table = Table((Row(cells[0], np.full((1, 4), 0.5)), Row(cells[1], np.full((1, 4), np.nan))))
    assert trackers.of_table(table) == {"advanced/margin/auroc": 0.5}
