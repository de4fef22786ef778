"""Experiments as programs: options from the command line, sweeps, launchers, and mistakes on one line."""

import importlib
import os
import subprocess
import sys
from pathlib import Path

import collect
import jobs
import numpy as np
import pytest
import running
from table import Row, Table

from galore.errors import InputError
from tests.experiments.conftest import ROOT


def test_a_program_runs_anywhere_in_parallel_and_one_failure_leaves_the_others(run, tmp_path):
    """One start of a program and one of its workers, about 10 s."""
    program = [sys.executable, str(ROOT / "experiments" / "insecurity_strength.py")]
    launcher = ["hydra/launcher=joblib", "hydra.launcher.n_jobs=1", f"hydra.sweep.dir={tmp_path}/sweep"]
    flags_first = [*launcher, "-m", "seed=0,1", *run]
    done = subprocess.run([*program, *flags_first], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 2 and "Traceback" not in done.stderr
    said = [line for line in done.stderr.splitlines() if line.startswith("error")]
    assert said == [line for line in said if line.startswith(f"error in job 1: {tmp_path}/run-1 does not exist; train")]
    assert len(said) == 1 and f"written to {tmp_path}/sweep/0" in done.stdout
    joined, missing = collect.collect([tmp_path / "sweep"])
    assert joined.find("auroc", method="oracle") is not None and missing == [tmp_path / "sweep" / "1"]


@pytest.fixture
def started(tmp_path, monkeypatch, capfd):
    """Runs the gallery with what an experiment does replaced; gives its exit code and what it printed."""

    def start(work, *arguments: str):
        monkeypatch.setattr(importlib.import_module("gallery"), "run", work)
        monkeypatch.setattr(sys, "argv", ["gallery.py"])
        monkeypatch.setenv("HYDRA_FULL_ERROR", "")
        monkeypatch.chdir(tmp_path)
        quiet = ("hydra/job_logging=none", "hydra/hydra_logging=none")
        try:
            code = jobs.reported(lambda: running._hydra_main("gallery", [*arguments, *quiet]))
        except SystemExit as ended:
            code = ended.code
        return code, capfd.readouterr()

    monkeypatch.setattr(running, "origin", lambda cfg: {})
    return start


def found(cfg) -> Table:
    if cfg.seed % 2:
        raise InputError(f"seed {cfg.seed} is odd")
    return Table((Row({"method": "a"}, "auroc", np.ones((1, 4))),))


def test_every_job_of_a_sweep_that_fails_says_why_and_the_others_are_there(started, tmp_path):
    code, printed = started(found, f"hydra.sweep.dir={tmp_path}/sweep", "-m", "seed=0,1,2,3")
    assert code == 2 and "Traceback" not in printed.err
    errors = [line for line in printed.err.splitlines() if line.startswith("error")]
    assert errors == ["error in job 1: seed 1 is odd", "error in job 3: seed 3 is odd"]
    assert sorted(path.parent.name for path in (tmp_path / "sweep").rglob("table.csv")) == ["0", "2"]


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["seed=1"], "error: seed 1 is odd"),
        (["sed=1"], "error: unknown option 'sed'; the closest are seed, "),
        (["seed=[1"], "error: no viable alternative at input '[1'"),
        (["seed"], "error: Error parsing override 'seed'"),
    ],
)
def test_a_mistake_is_one_line(started, tmp_path, arguments, line):
    code, printed = started(found, f"hydra.run.dir={tmp_path}/run", *arguments)
    assert code == 2 and printed.err.startswith(line) and printed.err.count("\n") == 1


def test_options_may_stand_on_both_sides_of_the_flags(started, tmp_path):
    code, printed = started(found, "seed=0,2", "-m", f"hydra.sweep.dir={tmp_path}/both")
    assert code == 0 and printed.out.count("written to") == 2


def test_the_folder_is_named_after_the_experiment_and_lies_in_the_project(started, tmp_path, monkeypatch):
    monkeypatch.setattr(running, "ROOT", _project(tmp_path))
    code, printed = started(found)
    assert code == 0 and f"written to {tmp_path}/project/outputs/gallery/" in printed.out
    assert Path.cwd() == tmp_path / "project"


def _project(folder: Path) -> Path:
    (folder / "project").mkdir()
    os.symlink(ROOT / "conf", folder / "project" / "conf")
    return folder / "project"
