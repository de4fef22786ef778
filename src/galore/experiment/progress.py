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


class Since(ProgressColumn):
    """The time since a moment, which goes on where a bar is full.

    Args:
        began: seconds, as `time.monotonic` has it.
    """

    def __init__(self, began: float) -> None:
        super().__init__()
        self.began = began

    def render(self, task: Any) -> Text:
        seconds = int(time.monotonic() - self.began)
        return Text(f"{seconds // 60}:{seconds % 60:02}")


class Bars:
    """A bar for every name that it is called with."""

    def __init__(self) -> None:
        is_narrow = console.width < NARROW
        bar = BarColumn(bar_width=8 if is_narrow else 40)
        columns = (TextColumn("{task.description}"), bar, TextColumn("{task.completed}/{task.total}"))
        times = () if is_narrow else (Rate(), TimeElapsedColumn())
        times = (*times, TimeRemainingColumn(compact=True))
        self.progress = Progress(*columns, *times, TextColumn("{task.fields[text]}"), console=console)
        self.tasks: dict[str, Any] = {}

    def __call__(self, name: str, done: int, total: int, text: str = "") -> None:
        if name not in self.tasks:
            self.tasks[name] = self.progress.add_task(name, total=total, text=text)
        self.progress.update(self.tasks[name], completed=done, total=total, text=text)


Tell = Callable[[str, int, int], None]
"""Told what is being done, how much of it is, and of how much; 0: nobody knows."""

SECONDS_BETWEEN_LINES = 30
NARROW = 75
"""Characters of a line that do not hold everything."""


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
    columns = (TextColumn("{task.description}", table_column=words), BarColumn(bar_width=min(16, console.width // 5)))
    times = (TextColumn("{task.fields[count]}"), Since(time.monotonic()), TimeRemainingColumn(compact=True))
    with Progress(*columns, *times, console=console, transient=True, expand=True, redirect_stdout=False) as progress:
        what, task = "", progress.add_task(name, total=None, count="")

        def tell(now: str, done: int, total: int) -> None:
            nonlocal what, task
            if now != what or done == 0:  # a task of its own, so that the time left is that of this one
                progress.remove_task(task)
                what, task = now, progress.add_task(now, total=total or None, count="")
            words = f"{now}, compiling" if total and not done else now
            progress.update(task, description=words, completed=done, count=f"{done}/{total}" if total else "")

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
            counted = f", {done} of {total}" if total else ""
            console.print(f"{name}: {what}{counted}", highlight=False, markup=False, soft_wrap=True)

    return tell
