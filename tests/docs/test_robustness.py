"""The table of docs/robustness.md counts what the tests try."""

from collections import Counter
from pathlib import Path

import pytest
import robust

from scripts import robustness

TESTS = Path(__file__).parents[1]


def test_the_table_counts_the_inputs_that_the_tests_try(request):
    if {Path(item.split("::")[0]).name for item in robust.COLLECTED} != {p.name for p in TESTS.rglob("test_*.py")}:
        pytest.skip("only some of the tests were collected")
    tried = Counter(kind for kind in robust.COLLECTED.values() if kind)
    assert tried.total() >= 250
    assert robustness.PAGE.read_text(encoding="utf-8") == robustness.page(tried, tried), "run scripts/robustness.py"


def test_an_input_counts_as_right_only_where_its_test_passes():
    answers = robustness.Answers()

    def report(when, outcome, kind="tables"):
        answers.pytest_runtest_logreport(
            pytest.TestReport("a", ("a", 1, "a"), {}, outcome, None, when, user_properties=[("robust", kind)])
        )

    for when in ("setup", "call", "teardown"):
        report(when, "passed")
    report("setup", "passed"), report("call", "failed"), report("teardown", "passed")
    report("setup", "skipped"), report("teardown", "passed")
    assert (answers.tried, answers.right) == (Counter(tables=3), Counter(tables=1))


def test_a_kind_that_nobody_explains_is_no_kind():
    with pytest.raises(ValueError, match="tabels"):
        robustness.page(Counter(tabels=1), Counter(tabels=1))
