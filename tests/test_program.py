"""How a program ends: by a code and at most one line, whatever its console can show and whenever it is stopped."""

import ast
import contextlib
import errno
import importlib
import io
import os
import signal
import subprocess
import sys
import time
import weakref
from pathlib import Path

import pytest

from galore import InputError, program

ENCODINGS = ["cp1252", "latin-1", "ascii", "utf-8", "cp437", "shift_jis"]
TEXTS = ["98\u202f%", "café \u2192 \u4e2d", "caf\udce9", "\U0001f426", "\u2500" * 5]


@pytest.mark.robust("consoles")
@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("text", TEXTS, ids=ascii)
@pytest.mark.parametrize("error", [False, True], ids=["stdout", "stderr"])
def test_a_console_takes_any_text(monkeypatch, encoding, text, error):
    console = io.TextIOWrapper(io.BytesIO(), encoding)
    monkeypatch.setattr(sys, "stderr" if error else "stdout", console)

    def work():
        if error:
            raise InputError(text)
        print(text)

    assert program.ended("galore", work) == (2 if error else 0)


@pytest.mark.robust("interruption")
@pytest.mark.parametrize(
    ("number", "code", "line"),
    [
        (signal.SIGINT, 130, "galore: interrupted; nothing was left half-written\n"),
        (signal.SIGTERM, 143, "galore: terminated; nothing was left half-written\n"),
    ],
)
def test_a_signal_cleans_up_and_ends_with_its_code_and_one_line(capsys, number, code, line):
    cleaned = []

    def work():
        try:
            signal.raise_signal(number)
            time.sleep(5)
        finally:
            time.sleep(2 * program.AGAIN)
            cleaned.append(True)

    before = signal.getsignal(number)
    assert program.ended("galore", work) == code and cleaned == [True]
    assert capsys.readouterr().err == line and signal.getsignal(number) == before


class Dropped:
    pass


def at_the_end_of_an_object():
    class Object:
        def __del__(self):
            signal.raise_signal(signal.SIGINT)

    Object()


def in_a_weak_reference():
    one = Dropped()
    weak = weakref.ref(one, lambda _: signal.raise_signal(signal.SIGINT))
    del one
    return weak


def behind_an_except():
    with contextlib.suppress(BaseException):
        signal.raise_signal(signal.SIGINT)


def turned_into_another():
    try:
        signal.raise_signal(signal.SIGINT)
    except KeyboardInterrupt:
        raise RuntimeError("a callback failed") from None


SWALLOWED = [at_the_end_of_an_object, in_a_weak_reference, behind_an_except, turned_into_another]


@pytest.mark.robust("interruption")
@pytest.mark.parametrize("swallow", SWALLOWED, ids=lambda function: function.__name__)
@pytest.mark.parametrize("then", ["goes on", "is ready"])
def test_an_interruption_that_a_callback_swallows_still_ends_the_program(capsys, swallow, then):
    ended = []

    def work():
        swallow()
        if then == "goes on":
            time.sleep(5)
            ended.append(True)

    assert program.ended("galore", work) == 130 and ended == []
    assert capsys.readouterr().err == "galore: interrupted; nothing was left half-written\n"


@pytest.mark.robust("outputs")
def test_a_generator_that_is_closed_after_an_interruption_cleans_up_in_peace():
    cleaned = []

    def batches():
        try:
            yield 1
        finally:
            time.sleep(2 * program.AGAIN)
            cleaned.append(True)

    def work():
        with contextlib.closing(batches()) as running:
            next(running)
            signal.raise_signal(signal.SIGINT)

    assert program.ended("galore", work) == 130 and cleaned == [True]


def test_other_errors_stay_what_they_are():
    with pytest.raises(ZeroDivisionError):
        program.ended("galore", lambda: 1 // 0)
    with pytest.raises(OSError, match="another"):
        program.ended("galore", lambda: (_ for _ in ()).throw(OSError(errno.EIO, "another")))


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs Linux")
def test_a_full_output_is_one_line():
    code = "import sys; from galore import program; sys.exit(program.ended('galore', lambda: print('an answer')))"
    with open("/dev/full", "w") as full:
        done = subprocess.run([sys.executable, "-c", code], stdout=full, stderr=subprocess.PIPE, text=True)
    assert (done.returncode, done.stderr) == (1, "galore: no space is left where its output goes\n")


def test_a_reader_that_leaves_is_no_mistake():
    code = "import sys; from galore import program; sys.exit(program.ended('galore', lambda: print('line\\n' * 10**6)))"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.read(10)
        process.stdout.close()
        assert process.stderr.read() == b"" and process.wait() == 1


@pytest.mark.robust("interruption")
def test_threads_that_outlive_an_interruption_print_nothing():
    code = """
import os, signal, sys, threading, time
from galore import program

class Loud:
    def __del__(self):
        raise RuntimeError("Event loop is closed")

def work():
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(60)

code = program.ended("error", work)
thread = threading.Thread(target=Loud)
thread.start()
thread.join()
sys.exit(code)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (130, "error: interrupted; nothing was left half-written\n")


ROOT = Path(__file__).parents[1]
PROGRAMS = [file for folder in ("experiments", "scripts") for file in sorted((ROOT / folder).glob("*.py"))]


@pytest.mark.parametrize("file", PROGRAMS, ids=lambda file: file.stem)
def test_every_program_is_guarded_before_it_imports_anything_else(file):
    if file.stem in ("make_reference_numbers", "make_training_reference"):  # are without galore, where torch is
        return
    body = ast.parse(file.read_text()).body
    assert [ast.unparse(one) for one in body[1:3]] == ["from galore import program", "program.guard(__name__)"]
    assert ast.unparse(body[-1]).splitlines()[0] == "if __name__ == '__main__':"


@pytest.mark.robust("interruption")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "SIGTERM"])
@pytest.mark.parametrize("file", ["train", "reproduce", "gallery"])
def test_a_signal_during_the_imports_is_one_line(tmp_path, number, file):
    # Stands in for numpy, which everything imports: a module that the signal comes in.
    (tmp_path / "numpy.py").write_text(f"import os, time\nos.kill(os.getpid(), {int(number)})\ntime.sleep(60)")
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT / "src")])}
    command, what = [sys.executable, f"experiments/{file}.py"], {2: "interrupted", 15: "terminated"}[number]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=ROOT)
    assert (done.returncode, done.stderr) == (128 + number, f"error: {what}; nothing was left half-written\n")


@pytest.mark.robust("interruption")
def test_an_interruption_inside_a_text_that_is_executed_has_the_same_exit_code():
    work = "lambda: exec('import os, time; os.kill(os.getpid(), 2); time.sleep(60)')"  # as dataclasses make methods
    code = f"from galore import program; program.ended('error', {work})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "error: interrupted; nothing was left half-written\n")


@pytest.mark.robust("interruption")
@pytest.mark.parametrize(("then", "ends"), [("done = True", True), ("time.sleep(60)", False)], ids=["", "for ever"])
def test_an_import_ends_before_the_interruption_does_unless_it_takes_long(tmp_path, monkeypatch, then, ends):
    monkeypatch.setattr(program, "LONGEST_IMPORT", 5 if ends else 0.2)
    name = f"interrupted_{ends}"
    code = f"import signal, time\nsignal.raise_signal(signal.SIGINT)\ntime.sleep({3 * program.AGAIN})\n{then}\n"
    (tmp_path / f"{name}.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    reached = []

    def work():
        module = importlib.import_module(name)
        reached.append(module.done)
        time.sleep(5)

    assert program.ended("galore", work) == 130 and reached in ([True], [])
    assert (name in sys.modules) == ends
    sys.modules.pop(name, None)
