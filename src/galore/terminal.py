"""What commands show while they work: on stderr, so that stdout holds the answer alone."""

import contextlib
from collections.abc import Iterator

from rich.console import Console


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
