"""What commands show while they work: on stderr, so that stdout holds the answer alone."""

import contextlib
import time
from collections.abc import Callable, Iterator

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

SECONDS_BETWEEN_LINES = 60


def console() -> Console:
    """For answers, on stdout, as wide as the terminal is; text is printed as it stands, without markup."""
    return Console(highlight=False, markup=False, emoji=False, soft_wrap=False)


@contextlib.contextmanager
def step(text: str) -> Iterator[None]:
    """Says what is being done while it is being done: a spinner on a terminal, a line elsewhere."""
    stderr = Console(stderr=True, highlight=False, markup=False, emoji=False)
    if not stderr.is_terminal:
        stderr.print(f"{text} ...", soft_wrap=True)
        yield
        return
    with stderr.status(f"{text} ..."):
        yield


def notice(text: str) -> None:
    """Says a sentence that is no part of the answer."""
    Console(stderr=True, highlight=False, markup=False, emoji=False).print(text, soft_wrap=True)


@contextlib.contextmanager
def progress(text: str, total: int | None = None) -> Iterator[Callable[..., None]]:
    """Shows how far a long work is: a bar on a terminal, a line a minute elsewhere.

    Args:
        text: what is being done.
        total: how much there is to do; None: it is said later.

    Yields:
        The function that is told how much is done, and optionally of how much.
    """
    stderr = Console(stderr=True, highlight=False, markup=False, emoji=False)
    if not stderr.is_terminal:
        yield _lines(stderr, text, total)
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=stderr, transient=True) as bar:
        task = bar.add_task(text, total=total)
        yield lambda done, total=total: bar.update(task, completed=done, total=total)


def _lines(stderr: Console, text: str, total: int | None) -> Callable[..., None]:
    last = time.monotonic()

    def show(done: int, total: int | None = total) -> None:
        nonlocal last
        if time.monotonic() - last >= SECONDS_BETWEEN_LINES:
            last = time.monotonic()
            stderr.print(f"{text}: {done} of {total}", soft_wrap=True)

    return show
