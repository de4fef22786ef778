"""How a program ends: by a code and at most one line, whatever its console can show and whenever it is stopped."""

import contextlib
import errno
import io
import os
import signal
import subprocess
import sys
import time
import weakref

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
