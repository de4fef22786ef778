"""Runs every test of odd, damaged and hostile inputs, and writes docs/robustness.md: how many of each kind, and how
many were answered right.

    .venv/bin/python scripts/robustness.py          # some minutes on two cores

An input is one case of a test that is marked `@pytest.mark.robust(kind)`; it is answered right where the test passes. A
test that was skipped or failed is an input without a right answer; the table says so, and the exit code is 1.
"""

from galore import program

program.guard(__name__)

import sys
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "robustness.md"

KINDS = {
    "names and indices": "a name that exists wins, what may be two classes is refused with both, names are as many as "
    "logits",
    "shapes and numbers": "one sentence with the shape found and the one expected; finite maps of classes that are "
    "ruled out and of half precision; NaN for a class that does not exist where its index is traced",
    "models that cannot be cut": "one sentence with the layer, what goes around it, and a better layer where there is "
    "one",
    "memory": "what is taken is bounded, or at most proportional to the input",
    "pictures": "the pixels as a viewer shows them, or one sentence with the file's name",
    "pictures that turn": "annotations lie on the same things as before the picture was turned",
    "metadata of pictures": "the pixels, turned by the orientation alone, whatever else the file says of itself",
    "paths": "any legal path works and is named legibly",
    "special files": "nothing is waited for that is no regular file; one sentence",
    "consoles": "exit code 0, with other characters where the console lacks some",
    "texts that are shown": "short, on one line, and nothing that a terminal, a page or a spreadsheet would obey",
    "what is skipped": "whatever decodes is taken, and the rest is counted by reason",
    "weights": "the tensors, or one sentence; no code runs, and time and memory stay proportional to the file",
    "weights as people have them": "loaded, with one line about what was unwrapped; what fits twice is refused",
    "checkpoints": "the network that was saved, or one sentence with the field that is wrong",
    "tables": "the rows, or one sentence with the file and the line",
    "options": "one sentence with the option and what was expected, before any work",
    "results of learners": "counted once, or refused with the reason",
    "results server": "every whole result is kept once, and no client holds up another",
    "downloads": "the file with the right checksum, or one sentence and nothing left behind",
    "resuming": "goes on with the same inputs alone, and says what is another or damaged",
    "writers": "one at a time in a folder, also after a kill",
    "outputs": "whole or not at all, what was there stays, and the place is tried before the work",
    "interruption": "no half output is taken for whole, and nothing temporary outlives the next run",
    "mutations": "of random inputs none ends otherwise than by an answer or one sentence (scripts/fuzz.py)",
}


class Answers:
    """Counts by kind how the marked tests end; a plugin of pytest."""

    def __init__(self) -> None:
        self.tried: Counter[str] = Counter()
        self.right: Counter[str] = Counter()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        decided = report.when == "call" or report.outcome != "passed"
        for name, kind in report.user_properties:
            if name == "robust" and decided and report.when != "teardown":
                self.tried[str(kind)] += 1
                self.right[str(kind)] += report.passed


def page(tried: Counter[str], right: Counter[str]) -> str:
    """The document.

    Raises:
        ValueError: of a kind that `KINDS` does not explain.
    """
    rows = [f"| {kind} | {tried[kind]} | {right[kind]} | {KINDS[kind]} |" for kind in sorted(tried, key=[*KINDS].index)]
    return "\n".join(
        [
            "# What happens to odd, damaged and hostile inputs",
            "",
            "Every input below is a case of a test that is marked `robust`; `scripts/robustness.py` runs them all and",
            "writes this page, and a test compares the counts. A right answer is never a wrong one in silence, never a",
            "traceback, and never costs what was computed before.",
            "",
            "| kind | inputs | answered right | what is right |",
            "|---|---|---|---|",
            *rows,
            f"| **all** | **{tried.total()}** | **{right.total()}** | |",
            "",
            "`scripts/fuzz.py` tries random inputs besides: mutated photos, weights, headers of checkpoints, tables,",
            "arrays, records of trainings, sheets, results of learners and options, as many as it is given time for.",
            "",
        ]
    )


def main() -> int:
    answers = Answers()
    code = pytest.main(["-m", "robust", "-q", "-n", "2", "--dist", "worksteal", str(ROOT / "tests")], plugins=[answers])
    PAGE.write_text(page(answers.tried, answers.right), encoding="utf-8")
    print(f"{answers.right.total()} of {answers.tried.total()} inputs answered right: {PAGE.relative_to(ROOT)}")
    return 0 if code == pytest.ExitCode.OK and answers.tried == answers.right else 1


if __name__ == "__main__":
    sys.exit(program.ended("error", main))
