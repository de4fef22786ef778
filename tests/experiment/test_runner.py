"""Experiments as programs: options from the command line, sweeps, launchers, and mistakes on one line."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from galore.errors import InputError
from galore.evaluation.methods import ORACLE, Method, Rule
from galore.experiment import config, inputs, runner
from galore.experiment.config import ROOT
from galore.experiment.table import Cell, Row, Table


def test_a_program_runs_anywhere_in_parallel_and_one_failure_leaves_the_others(run, tmp_path):
    """One start of a program and one of its workers, about 10 s."""
    program = [sys.executable, str(ROOT / "experiments" / "insecurity_strength.py")]
    launcher = ["hydra/launcher=joblib", "hydra.launcher.n_jobs=1", f"hydra.sweep.dir={tmp_path}/sweep"]
    flags_first = [*launcher, "-m", "seed=0,1", *run]
    done = subprocess.run([*program, *flags_first], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 2 and "Traceback" not in done.stderr
    errors = [line for line in done.stderr.splitlines() if line.startswith("error")]
    assert len(errors) == 1 and errors[0].startswith(f"error in job 1: {tmp_path}/run-1 does not exist; train")
    assert f"written to {tmp_path}/sweep/0" in done.stdout
    joined, missing, _ = runner.load("collect").collect([tmp_path / "sweep"])
    assert joined.find(Cell(ORACLE, "auroc")) is not None and missing == [tmp_path / "sweep" / "1"]


@pytest.fixture
def started(tmp_path, monkeypatch, capfd):
    """Runs the gallery with what an experiment does replaced; gives its exit code and what it printed."""

    def start(work, *arguments: str):
        monkeypatch.setattr(runner.load("gallery"), "run", work)
        monkeypatch.setattr(runner.load("gallery"), "draw", lambda table: {})
        monkeypatch.setattr(sys, "argv", ["gallery.py"])
        monkeypatch.setenv("HYDRA_FULL_ERROR", "")
        monkeypatch.chdir(tmp_path)
        quiet = ("hydra/job_logging=none", "hydra/hydra_logging=none")
        try:
            code = runner.reported(lambda: runner._hydra_main("gallery", [*arguments, *quiet]))
        except SystemExit as ended:
            code = ended.code
        return code, capfd.readouterr()

    monkeypatch.setattr(inputs, "hashes", lambda config: {})
    monkeypatch.setattr(inputs, "trainings", lambda config: {})
    monkeypatch.setattr(config, "ROOT", _project(tmp_path))
    return start


def work(options) -> Table:
    if options.seed % 2:
        raise InputError(f"seed {options.seed} is odd")
    return Table((Row(Cell(Method(Rule.ATTRIBUTIVE), "auroc"), np.ones((1, 4))),))


def test_every_job_of_a_sweep_that_fails_says_why_and_the_others_are_there(started, tmp_path):
    code, printed = started(work, f"hydra.sweep.dir={tmp_path}/sweep", "-m", "seed=0,1,2,3")
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
        (["explanation.top=3"], "error: gallery does not use explanation.top; it uses dataset, model, seed, "),
        (["train=head"], "error: gallery does not use train; it uses "),
        (["explanation.batch_size=two"], "error: explanation.batch_size='two': expected a whole number"),
    ],
)
def test_a_mistake_is_one_line_and_leaves_nothing(started, tmp_path, arguments, line):
    code, printed = started(work, *arguments)
    assert code == 2 and printed.err.startswith(line) and printed.err.count("\n") == 1
    assert not list(tmp_path.rglob("table.csv"))


def test_options_may_stand_on_both_sides_of_the_flags(started, tmp_path):
    code, printed = started(work, "seed=0,2", "-m", f"hydra.sweep.dir={tmp_path}/both")
    assert code == 0 and printed.out.count("written to") == 2


def test_the_folder_is_named_after_the_experiment_and_lies_in_the_project(started, tmp_path):
    code, printed = started(work)
    assert code == 0 and f"written to {tmp_path}/project/outputs/gallery/" in printed.out
    assert Path.cwd() == tmp_path / "project"


def test_a_folder_with_a_finished_run_is_refused_before_any_work(started, tmp_path):
    assert started(work, f"hydra.run.dir={tmp_path}/run")[0] == 0
    before = (tmp_path / "run" / "table.csv").stat()
    code, printed = started(lambda _: pytest.fail("went to work"), f"hydra.run.dir={tmp_path}/run")
    assert code == 2 and "run holds a finished run; name another folder" in printed.err
    assert (tmp_path / "run" / "table.csv").stat() == before


def test_runs_that_start_in_the_same_moment_have_folders_of_their_own(tmp_path, monkeypatch):
    monkeypatch.setattr(config, "ROOT", tmp_path)
    monkeypatch.setattr(runner.time, "strftime", lambda _: "now")

    def claimed(_) -> Path:
        with runner.new_folder("gallery") as folder:
            (folder / "table.csv").touch()
            return folder

    with ThreadPoolExecutor(16) as threads:
        folders = list(threads.map(claimed, range(64)))
    assert len(set(folders)) == 64 and all(folder.parent == tmp_path / "outputs" / "gallery" for folder in folders)
    with runner.new_folder("gallery") as unused:
        assert unused.is_dir()
    assert not unused.exists()


def _project(folder: Path) -> Path:
    (folder / "project").mkdir()
    os.symlink(ROOT / "conf", folder / "project" / "conf")
    os.symlink(ROOT / "experiments", folder / "project" / "experiments")
    return folder / "project"


def test_a_fault_of_one_experiment_leaves_the_others_and_shows_its_stack(monkeypatch, tmp_path, capfd):
    def failing(*_):
        raise ZeroDivisionError("of a table without rows")

    monkeypatch.setattr(runner, "run", failing)
    lines = runner.attempt_seeds(("gallery", [tmp_path / "seed-0"]), [], [0])
    assert lines == ["gallery: failed, ZeroDivisionError: of a table without rows"]
    assert "in failing" in capfd.readouterr().err
