import multiprocessing
import os
import signal
import subprocess
import sys
import time

import pytest

from galore import processes


def squared(number: int) -> tuple[int, int]:
    return number * number, os.getpid()


def failing(number: int) -> int:
    if number == 0:
        raise ValueError("the first one fails")
    time.sleep(600)
    return number


def test_everything_is_worked_on_in_processes_of_their_own():
    found = list(processes.results(squared, range(6), 2))
    assert sorted(value for value, _ in found) == [0, 1, 4, 9, 16, 25]
    assert os.getpid() not in {process for _, process in found}


def test_one_worker_is_this_process_and_keeps_the_order():
    assert list(processes.results(squared, range(3), 1)) == [(n * n, os.getpid()) for n in range(3)]


def program(seconds: float) -> subprocess.Popen:
    return subprocess.Popen([sys.executable, "-S", "-c", f"import time; time.sleep({seconds}); raise SystemExit(3)"])


def test_programs_run_side_by_side_and_are_told_of_as_they_end():
    start = time.monotonic()
    assert list(processes.codes(program, [1.5, 0.1, 0.2], 2)) == [(0.1, 3), (0.2, 3), (1.5, 3)]
    assert time.monotonic() - start < 10


def test_programs_end_with_whoever_waits_for_them():
    begun = []
    for _ in processes.codes(lambda seconds: begun.append(program(seconds)) or begun[-1], [600, 0.1], 2):
        break
    assert begun[0].wait(10) == -signal.SIGTERM


def test_after_a_failure_nobody_waits_for_the_others():
    start = time.monotonic()
    with pytest.raises(ValueError, match="the first one fails"):
        list(processes.results(failing, range(4), 2))
    assert time.monotonic() - start < 60 and not multiprocessing.active_children()
