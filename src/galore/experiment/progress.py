"""What programs show while they work, on stderr: how much is done, how fast, and the time that is left."""

import contextlib
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Column
from rich.text import Text

console = Console(stderr=True)


class Rate(ProgressColumn):
    """How many a second."""

    def render(self, task: Any) -> Text:
        return Text("" if task.speed is None else f"{task.speed:.1f}/s")


class Bars:
    """A bar for every name that it is called with."""

    def __init__(self) -> None:
        columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed}/{task.total}"))
        times = (Rate(), TimeElapsedColumn(), TimeRemainingColumn())
        self.progress = Progress(*columns, *times, TextColumn("{task.fields[text]}"), console=console)
        self.tasks: dict[str, Any] = {}

    def __call__(self, name: str, done: int, total: int, text: str = "") -> None:
        if name not in self.tasks:
            self.tasks[name] = self.progress.add_task(name, total=total, text=text)
        self.progress.update(self.tasks[name], completed=done, total=total, text=text)


Tell = Callable[[str, int, int], None]
"""Told what is being done, how much of it is, and of how much."""

SECONDS_BETWEEN_LINES = 30


@contextlib.contextmanager
def current(name: str, *, as_lines: bool = False) -> Iterator[Tell]:
    """Shows the one thing that is being done, and how long all of it has taken: a bar, which vanishes with the block.

    Args:
        name: of the whole.
        as_lines: a line now and then in place of the bar, as where there is no terminal: several processes cannot share
            one for their bars.
    """
    if as_lines or not console.is_terminal:
        yield _lines(name)
        return
    words = Column(no_wrap=True, overflow="ellipsis", ratio=1)
    columns = (TextColumn("{task.description}", table_column=words), BarColumn(bar_width=16))
    counted = (TextColumn("{task.completed}/{task.total}"), TimeElapsedColumn(), TextColumn("{task.fields[left]}"))
    with Progress(*columns, *counted, console=console, transient=True, expand=True, redirect_stdout=False) as progress:
        task, began = progress.add_task(name, total=None, left=""), time.monotonic()
        what, first, at = "", 0, began

        def tell(now: str, done: int, total: int) -> None:
            nonlocal what, first, at
            if now != what or done == 0:
                what, first, at = now, 0, time.monotonic()
            elif not first:  # what came before compiled
                first, at = done, time.monotonic()
            rate = (done - first) / max(time.monotonic() - at, 1e-9)
            left = f"{_clock((total - done) / rate)} left" if first and done > first else ""
            words = left if done else "compiling"
            progress.update(task, description=f"{name}: {now}", completed=done, total=total, left=words)

        yield tell


@contextlib.contextmanager
def whole(name: str, total: int) -> Iterator[Callable[[Sequence[str]], None]]:
    """Shows how many of several long pieces of work are finished, and prints what each says, to stdout, as it is.

    Args:
        name: of the pieces.
        total: how many there are.
    """
    columns = (TextColumn("{task.description}"), BarColumn(bar_width=16), TextColumn("{task.completed}/{task.total}"))
    bar = Progress(*columns, TimeElapsedColumn(), console=console, transient=True, redirect_stdout=sys.stdout.isatty())
    with bar if console.is_terminal else contextlib.nullcontext():
        task = bar.add_task(name, total=total)

        def finished(lines: Sequence[str]) -> None:
            print(*lines, sep="\n", flush=True)
            bar.advance(task)

        yield finished


def _lines(name: str) -> Tell:
    last = time.monotonic()

    def tell(what: str, done: int, total: int) -> None:
        nonlocal last
        if time.monotonic() - last >= SECONDS_BETWEEN_LINES:
            last = time.monotonic()
            console.print(f"{name}: {what}, {done} of {total}", highlight=False, markup=False, soft_wrap=True)

    return tell


def _clock(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02}"
