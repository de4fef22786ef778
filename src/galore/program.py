"""How programs begin and end: consoles that take any text, interruptions that are heard, mistakes on one line."""

import contextlib
import ctypes
import errno
import io
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

from galore.errors import InputError, harmless

AGAIN = 0.05
"""Seconds until an interruption that was swallowed is raised again."""
LONGEST_IMPORT = 3.0
"""Seconds that an interruption waits for the end of an import."""

_KEPT = ((-8, 1), (-4, 0), (-1, 2**31 - 1))
"""glibc's options M_ARENA_MAX, M_MMAP_MAX, M_TRIM_THRESHOLD: one heap, nothing beside it, and 2 GiB of it stay."""

_ENDS: dict[int, str] = {
    signal.SIGINT: "interrupted; nothing was left half-written",
    signal.SIGTERM: "terminated; nothing was left half-written",
}


class Interrupted(KeyboardInterrupt):
    """Ctrl-C came. Had Python's own class passed an `exec` of text, its interpreter would end itself by the signal."""


class Terminated(KeyboardInterrupt):
    """SIGTERM came; whatever cleans up after Ctrl-C does so now."""


def guard(module: str, name: str = "error") -> None:
    """Until `ended` takes over, and after it, Ctrl-C and SIGTERM end the program at once, with its line and its code.

    Programs call it before they import what takes a second: until then there is nothing to clean up. From here on they
    keep the memory that they free, see `keep_memory`.

    Args:
        module: `__name__` of the file: one that was imported, rather than started, guards nothing.
        name: what the line begins with.
    """

    def end(number: int, frame: FrameType | None) -> None:
        _say(f"{name}: {_ENDS[number]}")
        os._exit(128 + number)  # an exception would be lost in whatever is being imported

    if module == "__main__":
        keep_memory()
        for number in _ENDS:
            signal.signal(number, end)


def keep_memory() -> None:
    """Lets glibc give out again what was freed, and not return it to the system; does nothing with another library.

    On CPUs XLA takes a program's memory anew at each call. Pieces of more than 32 MiB glibc returns at once, so that
    the system had to clear 19,000 pages for every eight photos through EfficientNet-Lite0: 35 of 190 ms on one core.
    """
    if sys.platform == "linux" and (mallopt := getattr(ctypes.CDLL(None), "mallopt", None)) is not None:
        for option, value in _KEPT:
            mallopt(option, value)


def ended(name: str, work: Callable[[], Any], *also: type[Exception]) -> int:
    """Runs a program to one of its ends, each with an exit code and at most one line on stderr.

    Args:
        name: what that line begins with.
        work: the program; what it returns is the exit code, None for 0.
        also: errors, beside `InputError`, whose message is for the person who started it.

    Returns:
        The exit code: 2 for input that can be corrected, 130 after Ctrl-C, 143 after SIGTERM, 1 where stdout takes no
        more.
    """
    take_any_text()
    try:
        with interruptible():
            code = work() or 0
            sys.stdout.flush()
            return code
    except (InputError, *also) as error:
        _say(f"{name}: {' '.join(harmless(str(error), 2000).split())}")
        return 2
    except KeyboardInterrupt as interruption:
        number = signal.SIGTERM if isinstance(interruption, Terminated) else signal.SIGINT
        _say(f"{name}: {_ENDS[number]}")
        return 128 + number
    except OSError as error:
        if error.errno not in (errno.EPIPE, errno.ENOSPC) or error.filename is not None:
            raise
        if error.errno == errno.ENOSPC:
            _say(f"{name}: no space is left where its output goes")
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def take_any_text() -> None:
    """Lets stdout and stderr take every text: what their encoding lacks is replaced."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # not where a test or a notebook stands in for it
            stream.reconfigure(errors="replace")


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """SIGTERM interrupts the block as Ctrl-C does, and no interruption is lost in it.

    Python raises `KeyboardInterrupt` wherever it happens to be. In a function that a library calls back, at the end of
    an object's life or from C++, that exception is dropped or turned into another. So it is raised again until it
    arrives here, and what arrives instead of it counts as it. Modules in C++ crash where what they import raises, so
    that imports are ended first.
    """
    if threading.current_thread() is not threading.main_thread() or not hasattr(signal, "setitimer"):  # Windows
        yield
        return
    came: list[type[KeyboardInterrupt]] = []
    patient_until = 0.0

    def interrupt(number: int, frame: FrameType | None) -> None:
        nonlocal patient_until
        if not came:
            came.append(Terminated if number == signal.SIGTERM else Interrupted)
            patient_until = time.monotonic() + LONGEST_IMPORT
        signal.setitimer(signal.ITIMER_REAL, AGAIN)
        must_wait = _is_importing(frame) and time.monotonic() < patient_until
        if not must_wait and not _is_on_its_way(sys.exc_info()[1]):
            raise came[0]

    unraisable = sys.unraisablehook

    def quietly(one: Any) -> None:
        # An interruption that was dropped comes again, and after one the threads of libraries find closed what they
        # work for: nothing to tell.
        in_main_thread = threading.current_thread() is threading.main_thread()
        if not came or (in_main_thread and not issubclass(one.exc_type, KeyboardInterrupt)):
            unraisable(one)

    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGALRM)
    sys.unraisablehook = quietly
    before = {number: signal.signal(number, interrupt) for number in numbers}
    try:
        yield
    except Exception as error:
        if came:
            raise came[0] from error
        raise
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in before.items():
            signal.signal(number, handler)
        if not came:  # else such threads outlive this block
            sys.unraisablehook = unraisable
    if came:
        raise came[0]


def _is_on_its_way(error: BaseException | None) -> bool:
    """Whether what runs now cleans up after an interruption."""
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__context__
    return error is not None


def _is_importing(frame: FrameType | None) -> bool:
    """Whether what runs now does so because a module is being imported."""
    while frame is not None and frame.f_code.co_filename != "<frozen importlib._bootstrap>":
        frame = frame.f_back
    return frame is not None


def _say(line: str) -> None:
    with contextlib.suppress(OSError):  # nobody hears it
        print(line, file=sys.stderr, flush=True)
