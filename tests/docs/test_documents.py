"""Everything that the documents tell a reader to run is run: by scripts/run_documents.py, which this looks at."""

import shlex

import pytest

from galore import cli
from galore.experiment import config
from scripts import run_documents
from scripts.run_documents import LEFT_OUT, ROOT

OWN = ("only", "name", "setting", "data", "weights", "study", "rehearsal", "plan")
"""Options of reproduce.py that are not of conf/."""
STEPS = [step for page in run_documents.pages() for step in run_documents.steps(page)]
COMMANDS = [step.text for step in STEPS if step.language == "bash"]


def test_each_reason_to_leave_something_out_still_has_something_to_leave_out():
    assert [left for left in LEFT_OUT if not any(left.applies(step) for step in STEPS)] == []
    assert len(COMMANDS) > 40 and len(STEPS) > len(COMMANDS)


@pytest.mark.parametrize("command", sorted({c for c in COMMANDS if c.startswith("galore ")}))
def test_the_command_line_takes_every_command(command):
    arguments = shlex.split(command)[1:]
    assert hasattr(cli.build_parser(arguments).parse_args(arguments), "run")


@pytest.mark.parametrize("command", sorted({c for c in COMMANDS if "python " in c and ".py" in c}))
def test_every_program_exists_and_knows_its_options(command):
    words = shlex.split(command)
    program = next(word for word in words if word.endswith(".py"))
    assert (ROOT / program).is_file()
    if program.startswith("experiments/"):
        options = "training" if program.endswith("train.py") else "config"
        config.check_names(words[words.index(program) + 1 :], options, own=OWN)
