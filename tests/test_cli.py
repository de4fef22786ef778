import contextlib
import shlex
import subprocess
import sys
import warnings

import pytest

from galore import InputError, cli


def run_python(code: str) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize(
    "arguments",
    [["--help"], ["--version"], ["explain", "--help"], ["demo", "--help"], ["explain", "--top", "many"], []],
)
def test_nothing_heavy_is_imported_to_print_help_or_refuse_an_option(arguments):
    code = f"""
import sys
from galore import cli
try:
    cli.main({arguments})
except SystemExit:
    pass
print([name for name in ("jax", "flax", "numpy", "matplotlib", "PIL", "rich") if name in sys.modules])
"""
    done = run_python(code)
    assert done.stdout.splitlines()[-1] == "[]", done.stderr


def test_help_lists_each_command_with_its_first_docstring_line(capsys):
    assert cli.main([]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "explain Explain a photo: what supports the prediction" in text
    assert "demo Explain two photos" in text


def test_a_command_that_is_not_installed_is_not_listed(monkeypatch, capsys):
    monkeypatch.setattr(cli, "COMMANDS", ("explain", "not-there"))
    cli.main([])
    assert "not-there" not in capsys.readouterr().out


@pytest.mark.robust("options")
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["explian"], "invalid choice: 'explian'"),
        (["explain"], "required: IMAGE"),
        (["explain", "a.png", "--attribution", "magic"], "invalid choice: 'magic'"),
        (["explain", "a.png", "--top", "many"], "--top: invalid int value"),
        (["explain", "a.png", "--unknown"], "unrecognized arguments: --unknown"),
    ],
)
def test_a_wrong_option_is_one_line_and_exit_code_2(arguments, message, capsys):
    with pytest.raises(SystemExit) as left:
        cli.main(arguments)
    error = capsys.readouterr().err
    assert left.value.code == 2
    assert message in error
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("raised", "code", "message"),
    [
        (InputError("the file\nis missing"), 2, "galore: the file is missing\n"),
        (KeyboardInterrupt(), 130, "galore: interrupted; nothing was left half-written\n"),
    ],
)
def test_an_error_of_the_person_is_one_line_without_a_traceback(monkeypatch, capsys, raised, code, message):
    from galore.commands import explain

    def fail(args):
        raise raised

    monkeypatch.setattr(explain, "run", fail)
    assert cli.main(["explain", "photo.jpg"]) == code
    captured = capsys.readouterr()
    assert captured.err == message
    assert captured.out == ""


def test_an_error_of_ours_is_not_hidden(monkeypatch):
    from galore.commands import explain

    def fail(args):
        raise RuntimeError("a defect")

    monkeypatch.setattr(explain, "run", fail)
    with pytest.raises(RuntimeError, match="a defect"):
        cli.main(["explain", "photo.jpg"])


def test_what_the_library_warns_of_is_one_line(monkeypatch):
    monkeypatch.setattr(warnings, "formatwarning", warnings.formatwarning)
    cli.main([])
    said = warnings.formatwarning("w.pth: module.\x1b[2J was\ntaken off", UserWarning, "x.py", 3)
    assert said == "galore: w.pth: module.\\x1b[2J was taken off\n"
    assert "x.py:3: DeprecationWarning" in warnings.formatwarning("old", DeprecationWarning, "x.py", 3)


@pytest.mark.robust("paths")
@pytest.mark.parametrize(
    "arguments",
    [
        ("data", "check", "{}"),
        ("explain", "{}"),
        ("explain", "photo.jpg", "--model", "{}"),
        ("stream", "{}", "--out", "out"),
        ("stream", "photos", "--model", "{}", "--out", "out"),
        ("teach", "{}", "--model", "net", "--classes", "1", "2", "--out", "out"),
        ("teach-results", "{}", "--sheet", "{}", "--out", "out"),
        ("agree", "{}", "--model", "net", "--out", "out"),
        ("make-birds", "{}"),
    ],
    ids=" ".join,
)
def test_a_path_that_no_file_system_takes_is_one_sentence(arguments, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert cli.main([argument.format("x" * 5000) for argument in arguments]) == 2
    said = capsys.readouterr().err.splitlines()[-1]
    assert said.startswith("galore: ") and len(said) < 2100


@pytest.mark.parametrize("command", cli.COMMANDS)
def test_help_ends_with_examples_that_the_command_takes(monkeypatch, capsys, command):
    monkeypatch.setenv("COLUMNS", "80")
    with contextlib.suppress(SystemExit):
        cli.main([command, "--help"])
    said, _, examples = capsys.readouterr().out.partition("\nexamples:\n")
    assert max(map(len, said.partition("\n\n")[2].splitlines())) <= 80  # argparse breaks no usage at such a word
    for example in examples.strip().splitlines():
        name, *arguments = shlex.split(example)
        assert name == "galore" and arguments[0] == command
        cli.build_parser(arguments).parse_args(arguments)  # ends the test where it does not
