"""The fuzz script notices what it is made to notice, and a short run of it finds nothing."""

import time

import pytest
from hypothesis import strategies as st

from galore import InputError
from scripts import fuzz


def subject(ask):
    return fuzz.Subject(st.integers(0, 10**9), lambda given, folder: ask(given), lambda given: str(given).encode())


def refuse(given):
    raise InputError(f"{given} is no photo")


def long_message(given):
    error = InputError("x")
    error.args = ("two\nlines",)
    raise error


def test_answers_and_refusals_are_no_failures():
    outcome = fuzz.run({"a": subject(lambda given: given), "b": subject(refuse)}, cases=20, seed=0)
    assert outcome.tried == {"a": 10, "b": 10} and outcome.refused == {"b": 10} and not outcome.failures


@pytest.mark.parametrize(
    ("ask", "where"),
    [
        (lambda given: [][given], "IndexError in "),
        (lambda given: 1 / 0 if given % 3 == 0 else None, "ZeroDivisionError in "),
        (long_message, "a message that is no line"),
        (lambda given: time.sleep(0.015), "slow"),
    ],
)
def test_anything_else_is_a_failure_that_is_kept_with_its_input(ask, where, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(fuzz, "PATIENCE", 0.01 if where == "slow" else 10)
    monkeypatch.setattr(fuzz, "SUBJECTS", {"odd": lambda: subject(ask)})
    assert fuzz.main(["--cases", "60", "--only", "odd", "--out", str(tmp_path)]) == 1
    (saved,) = tmp_path.glob("*.input")
    assert saved.read_text().isdecimal() and where in capsys.readouterr().out


def test_the_same_seed_draws_the_same_inputs():
    seen = []
    for seed in (0, 0, 1):
        fuzz.run({"a": subject(seen.append)}, cases=30, seed=seed)
    assert seen[:30] == seen[30:60] != seen[60:]


def test_bytes_are_mutated_as_drawn():
    edits = [("set", 0.0, 1, b"X"), ("insert", 0.5, 1, b"-"), ("double", 0.0, 2, b""), ("cut", 0.9, 1, b"")]
    assert fuzz.mutated(b"abcd", edits) == b"XbXb-c"


@pytest.mark.robust("mutations")
@pytest.mark.parametrize("name", fuzz.SUBJECTS)
def test_a_short_run_finds_nothing(name):
    outcome = fuzz.run({name: fuzz.SUBJECTS[name]()}, cases=30, seed=14)
    assert outcome.tried[name] == 30 and not outcome.failures, [
        (f.where, f.traceback) for f in outcome.failures.values()
    ]
