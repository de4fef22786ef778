"""Work in several processes, which end with the one that they work for, however that ends."""

import multiprocessing
import os
import signal
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def results(work: Callable[[Item], Result], items: Iterable[Item], workers: int) -> Iterator[Result]:
    """What comes of each item, as it comes.

    Args:
        work: of one item; with several workers it must be picklable.
        items: in the order in which they are begun.
        workers: how many processes; 1 works in this one.
    """
    if workers <= 1 or not _can_start_processes():
        yield from map(work, items)
        return
    # Fresh processes: a fork of one that runs JAX's threads could hang.
    context, others = multiprocessing.get_context("spawn"), multiprocessing.active_children()
    pool = ProcessPoolExecutor(workers, mp_context=context, initializer=_end_with, initargs=(os.getpid(),))
    try:
        for future in as_completed([pool.submit(work, item) for item in items]):
            yield future.result()
    except BaseException:  # nobody waits for what the others have begun
        for worker in set(multiprocessing.active_children()).difference(others):
            worker.terminate()
        raise
    finally:
        pool.shutdown(cancel_futures=True)


def codes(start: Callable[[Item], subprocess.Popen], items: Iterable[Item], at_once: int) -> Iterator[tuple[Item, int]]:
    """The exit codes of programs, as they end; they are ended with whoever waits for them.

    Args:
        start: starts the program of an item.
        items: in the order in which they are begun.
        at_once: how many programs run side by side.
    """
    waiting, running = deque(items), []
    try:
        while waiting or running:
            while waiting and len(running) < at_once:
                item = waiting.popleft()
                running.append((item, start(item)))
            for item, program in list(running):
                if program.poll() is not None:
                    running.remove((item, program))
                    yield item, program.returncode
            time.sleep(0.05)
    finally:
        for _, program in running:
            program.terminate()


def _end_with(parent: int) -> None:
    """Makes a worker end with its parent, however that ends; interruptions are the parent's."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _can_start_processes() -> bool:
    """Whether children of this process would come up: those of a joblib worker do not know its start method."""
    return multiprocessing.get_start_method(allow_none=True) in (None, *multiprocessing.get_all_start_methods())
